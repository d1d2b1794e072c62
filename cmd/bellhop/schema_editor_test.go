package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/creachadair/jrpc2"
	"github.com/creachadair/jrpc2/channel"
)

// yamlServer is the language server that VS Code and most other editors use for YAML, with the schemas that
// bellhop schema prints and the settings that the README shows.
type yamlServer struct {
	*jrpc2.Client
	t     *testing.T
	dir   string
	found chan published
}

type published struct {
	URI         string `json:"uri"`
	Diagnostics []struct {
		Range struct {
			Start struct{ Line, Character int } `json:"start"`
		} `json:"range"`
		Message string `json:"message"`
	} `json:"diagnostics"`
}

// startYAMLServer starts the server that YAML_LANGUAGE_SERVER names, or yaml-language-server from PATH. If there
// is none, it skips the test, or fails it if BELLHOP_REQUIRE is set.
func startYAMLServer(t *testing.T) *yamlServer {
	t.Helper()
	name := os.Getenv("YAML_LANGUAGE_SERVER")
	if name == "" {
		name = "yaml-language-server"
	}
	path, err := exec.LookPath(name)
	if err != nil {
		const how = "; install it with npm install yaml-language-server, and name it in YAML_LANGUAGE_SERVER"
		if os.Getenv("BELLHOP_REQUIRE") != "" {
			t.Fatal(err.Error() + how)
		}
		t.Skip(err.Error() + how)
	}
	s := &yamlServer{t: t, dir: t.TempDir(), found: make(chan published, 100)}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	schemas := map[string]any{}
	for _, command := range regexp.MustCompile(`(?m)^\$ (bellhop schema.*) > (\S+)$`).FindAllSubmatch(readme, -1) {
		var out, errs bytes.Buffer
		if code := run(t.Context(), strings.Fields(string(command[1])), nil, &out, &errs, os.LookupEnv); code != exitOK {
			t.Fatal(code, &errs)
		}
		if _, err := writeNew(filepath.Join(s.dir, string(command[2])), out.Bytes()); err != nil {
			t.Fatal(err)
		}
	}
	var written struct {
		Schemas map[string]any `json:"yaml.schemas"`
	}
	_, block, _ := strings.Cut(string(readme), "```json\n{ \"yaml.schemas\"")
	block, _, _ = strings.Cut(`{ "yaml.schemas"`+block, "```")
	if err := json.Unmarshal([]byte(block), &written); err != nil || len(written.Schemas) != 3 {
		t.Fatalf("the README's settings are %s: %v", block, err)
	}
	for name, files := range written.Schemas {
		schemas[s.uri(name)] = files
	}
	settings := map[string]any{
		"schemas": schemas, "validate": true, "hover": true, "schemaStore": map[string]any{"enable": false}, "yamlVersion": "1.2",
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, path, "--stdio")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Wait() })
	s.Client = jrpc2.NewClient(channel.LSP(out, in), &jrpc2.ClientOptions{
		OnNotify: func(r *jrpc2.Request) {
			var p published
			if r.Method() == "textDocument/publishDiagnostics" && r.UnmarshalParams(&p) == nil {
				s.found <- p
			}
		},
		OnCallback: func(_ context.Context, r *jrpc2.Request) (any, error) {
			if r.Method() == "workspace/configuration" { // yaml, http, [yaml] and editor
				return []any{settings, nil, nil, nil}, nil
			}
			return nil, nil
		},
	})
	t.Cleanup(func() { _ = s.Close() })
	s.call("initialize", map[string]any{
		"processId": os.Getpid(), "rootUri": s.uri(""), "capabilities": map[string]any{
			"textDocument": map[string]any{"hover": map[string]any{"contentFormat": []string{"markdown"}}},
		},
		"workspaceFolders": []any{map[string]any{"uri": s.uri(""), "name": "desk"}},
	})
	s.notify("initialized", map[string]any{})
	s.notify("workspace/didChangeConfiguration", map[string]any{"settings": nil})
	return s
}

func (s *yamlServer) uri(name string) string {
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(filepath.Join(s.dir, name))}).String()
}

func (s *yamlServer) call(method string, params any) json.RawMessage {
	s.t.Helper()
	var raw json.RawMessage
	if err := s.CallResult(s.t.Context(), method, params, &raw); err != nil {
		s.t.Fatalf("%s: %v", method, err)
	}
	return raw
}

func (s *yamlServer) notify(method string, params any) {
	s.t.Helper()
	if err := s.Notify(s.t.Context(), method, params); err != nil {
		s.t.Fatalf("%s: %v", method, err)
	}
}

// messages opens a file and returns what the editor would mark in it, one message on each line.
func (s *yamlServer) messages(name, text string) string {
	s.t.Helper()
	s.notify("textDocument/didOpen", map[string]any{"textDocument": map[string]any{"uri": s.uri(name), "languageId": "yaml", "version": 1, "text": text}})
	for {
		select {
		case p := <-s.found:
			if p.URI != s.uri(name) {
				continue
			}
			var list []string
			for _, d := range p.Diagnostics {
				list = append(list, d.Message)
			}
			return strings.Join(list, "\n")
		case <-s.t.Context().Done():
			s.t.Fatal("the server says nothing of", name)
		case <-time.After(time.Minute):
			s.t.Fatal("the server says nothing of", name)
		}
	}
}

// TestSchemaInAnEditor checks files that have one mistake each with the editors' own server, and compares the
// words that people then read.
func TestSchemaInAnEditor(t *testing.T) {
	t.Parallel()
	s := startYAMLServer(t)
	const rule = "rules:\n  - name: a\n    on: booked\n    then:\n"
	const test = "tests:\n  - name: a\n    event: a.json\n"
	const oneAction = "a step has one action: email, slack or http"
	for i, c := range []struct{ file, text, want string }{
		{"rules/%d/desk.yaml", rule + "      - slack: { channel: \"#x\", text: a }\n", ""},
		{"rules/%d/desk.yaml", rule + "      - \n", oneAction + "; beside it there may be at, late, latest, hours, outside or transactional"},
		{"rules/%d/desk.yaml", rule + "      - at: receivedAt\n", oneAction},
		{"rules/%d/desk.yaml", rule + "      - email:\n", `Incorrect type. Expected "fields of email".`},
		{"rules/%d/desk.yaml", rule + "      - slak: { text: a }\n", oneAction + "; beside it there may be at, late, latest, hours, outside or transactional"},
		{"rules/%d/desk.yaml", rule + "      - slack: { text: a }\n        email: { to: a@example.com, subject: b, text: c }\n", oneAction},
		{"rules/%d/desk.yaml", rule + "      - http: { path: /x, json: { a: 1 }, form: { a: b } }\n", "an http step has at most one of json, form and body"},
		{"rules/%d/desk.yaml", rule + "      - http: { path: /x, json: , form: { a: b } }\n", ""},
		{"rules/%d/desk.yaml", rule + "      - http: { connection: crm, url: \"https://example.com\" }\n", "an http step has a connection (and a path) or a url, not both"},
		{"rules/%d/desk.yaml", rule + "      - http: { path: /x, timeout: 10 }\n", "write a duration: a number and a unit (s, m, h, d, w), such as 90m or 1d12h"},
		{"rules/%d/desk.yaml", rule + "      - http: { path: /x, timeout: soon }\n", "write a duration: a number and a unit (s, m, h, d, w), such as 90m or 1d12h"},
		{"rules/%d/desk.yaml", rule + "      - http: { path: /x, expect: [ok] }\n", "write a whole number here"},
		{"rules/%d/desk.yaml", rule + "      - slack: { text: a }\n        late: 2h\n", "without at, late is send or skip: there is no moment to be late for"},
		{"rules/%d/desk.yaml", rule + "      - { at: receivedAt, late: soon, slack: { text: a } }\n", "write skip, send, or how much later it may be sent, such as 2h"},
		{"rules/%d/desk.yaml", rule + "      - { at: 24, slack: { text: a } }\n", `write an expression that gives a time, such as appointment.startTime - duration("24h")`},
		{"rules/%d/desk.yaml", rule + "      - email: { subject: b, text: c }\n", `Missing property "to".`},
		{"rules/%d/desk.yaml", rule + "      - email: { to: { a: b }, subject: b, text: c }\n", "write a text, or a list of texts"},
		{"rules/%d/desk.yaml", rule + "      - email: { to: a@example.com, subject: b, text: c, invite: maybe }\n", "write true or false"},
		{"rules/%d/desk.yaml", strings.Replace(rule, "on:", "let: { a-b: \"1\" }\n    on:", 1) + "      - slack: { text: a }\n", "a name under let has letters, digits and _, and begins with a letter"},
		{"rules/%d/desk.yaml", "rules:\n  - a\n", `Incorrect type. Expected "rule".`},
		{"%d/bellhop.yaml", "listen: 127.0.0.1:8080\nretention: 30d\nconnections:\n  mail: { smtp: \"smtps://${A}@example.com\", from: a@example.com }\n  crm: { url: \"${CRM}\" }\n", ""},
		{"%d/bellhop.yaml", "listen: 80\n", "write host and port, such as 127.0.0.1:8080"},
		{"%d/bellhop.yaml", "connections:\n  mail: { smtp: 3, from: a@example.com }\n", "write the mail server's address, such as smtps://user:password@smtp.example.com"},
		{"%d/bellhop.yaml", "connections:\n  mail: { smpt: \"smtp://example.com\" }\n", "Property smpt is not allowed."},
		{"%d/bellhop.yaml", "connections:\n  mail: { from: a@example.com }\n", "a connection says where to send: smtp for email, token or webhook for slack, url for http"},
		{"%d/bellhop.yaml", "connections:\n  crm: { url: \"https://example.com\", channel: a }\n", "Property channel is not allowed."},
		{"%d/bellhop.yaml", "connections:\n  crm: { url: \"https://example.com\", from: a@example.com }\n", "a connection for http has no such key"},
		{"%d/bellhop.yaml", "connections:\n  crm: { url: \"https://example.com\", bearer: a, basic: { user: a, password: b } }\n", "an http connection has at most one of bearer, basic and oauth2"},
		{"%d/bellhop.yaml", "connections:\n  slack: { token: a, webhook: \"https://example.com\" }\n", "a Slack connection has a token or a webhook, not both"},
		{"%d/bellhop.yaml", "connections:\n  mail: smtp\n", `Incorrect type. Expected one of object, null.`},
		{"%d/bellhop.yaml", "retention: 30\n", "write a duration: a number and a unit (s, m, h, d, w), such as 90m or 1d12h"},
		{"%d/bellhop.yaml", "delivery: { attempts: many }\n", "write a whole number here"},
		{"%d/bellhop.yaml", "language: [de]\n", "write a language, such as de, fr or pt-BR"},
		{"rules/%d/desk.test.yaml", test + "    expect: { fires: a, held: [{ rule: a, until: 2026-12-06 }], skipped: [{ rule: a, step: 1, reason: b }] }\n", ""},
		{"rules/%d/desk.test.yaml", test + "    state: { appointmentStatus: new, booked: no }\n    expect:\n", ""},
		{"rules/%d/desk.test.yaml", "tests:\n  - name: a\n", `Missing property "event".`},
		{"rules/%d/desk.test.yaml", test + "    expcet: {}\n", "Property expcet is not allowed."},
		{"rules/%d/desk.test.yaml", test + "    event: [a]\n", "write the name of a file, or the fields themselves"},
		{"rules/%d/desk.test.yaml", test + "    expect: { steps: [{ rule: a }] }\n", "say what the step sends: email, slack or http"},
		{"rules/%d/desk.test.yaml", test + "    expect: { steps: [{ slack: { text: a } }] }\n", `Missing property "rule".`},
		{"rules/%d/desk.test.yaml", test + "    expect: { held: [{ rule: a, step: first }] }\n", "write the number of a step, 1 being the first"},
		{"rules/%d/desk.test.yaml", test + "    expect: { steps: [{ rule: a, slack: { txt: b } }] }\n", "Property txt is not allowed."},
	} {
		name := fmt.Sprintf(c.file, i)
		text := c.text
		if strings.Contains(text, "event: [a]") {
			text = strings.Replace(text, "    event: a.json\n", "", 1)
		}
		if got := s.messages(name, text); got != c.want {
			t.Errorf("%s\nthe editor says:\n%s\nnot\n%s", text, got, c.want)
		}
	}
	s.hovers()
}

// hovers checks what the editor shows when the mouse is over a key.
func (s *yamlServer) hovers() {
	s.t.Helper()
	const whole = `rules:
  - name: a
    on: booked
    then:
      - email: { to: a@example.com, subject: b, text: c }
        at: receivedAt
`
	s.messages("rules/hover.yaml", whole)
	for key, want := range map[string]string{
		"rules": "The rules of this file.", "name": "The rule's name", "on": "The events at which", "email": "Sends an e-mail",
		"to": "Who gets the e-mail", "at": "When the step is done",
	} {
		before, _, ok := strings.Cut(whole, key+":")
		if !ok {
			s.t.Fatal(key)
		}
		line := strings.Count(before, "\n")
		at := map[string]int{"line": line, "character": len(before) - strings.LastIndex(before, "\n") - 1}
		got := string(s.call("textDocument/hover", map[string]any{"textDocument": map[string]any{"uri": s.uri("rules/hover.yaml")}, "position": at}))
		if !strings.Contains(strings.ReplaceAll(got, "&nbsp;", " "), want) {
			s.t.Errorf("of %s the editor says %s, not %q", key, got, want)
		}
	}
}
