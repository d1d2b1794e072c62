package lsp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/creachadair/jrpc2"
	"github.com/creachadair/jrpc2/channel"
)

// A session is a server with a client.
type session struct {
	*jrpc2.Client
	t         *testing.T
	published chan publishParams
	ended     chan error
	input     *io.PipeWriter
}

func newSession(t *testing.T, folder string) *session {
	t.Helper()
	s := begin(t)
	s.call("initialize", map[string]any{"processId": nil, "rootUri": uriOf(folder), "capabilities": map[string]any{}})
	s.notify("initialized", map[string]any{})
	return s
}

// begin starts a server. It does not initialize the session.
func begin(t *testing.T) *session {
	t.Helper()
	serverIn, clientOut := io.Pipe()
	clientIn, serverOut := io.Pipe()
	s := &session{t: t, published: make(chan publishParams, 100), ended: make(chan error, 1), input: clientOut}
	go func() {
		s.ended <- Serve(t.Context(), serverIn, serverOut, Options{Lookup: func(string) (string, bool) { return "", false }})
		_ = serverOut.Close()
	}()
	s.Client = jrpc2.NewClient(channel.LSP(clientIn, clientOut), &jrpc2.ClientOptions{OnNotify: func(r *jrpc2.Request) {
		var p publishParams
		if r.Method() == "textDocument/publishDiagnostics" && r.UnmarshalParams(&p) == nil {
			s.published <- p
		}
	}})
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func uriOf(path string) string {
	slashed := filepath.ToSlash(path)
	if !strings.HasPrefix(slashed, "/") {
		slashed = "/" + slashed
	}
	return (&url.URL{Scheme: "file", Path: slashed}).String()
}

func (s *session) call(method string, params any) json.RawMessage {
	s.t.Helper()
	rsp, err := s.Call(s.t.Context(), method, params)
	if err != nil {
		s.t.Fatalf("%s: %v", method, err)
	}
	var raw json.RawMessage
	if err := rsp.UnmarshalResult(&raw); err != nil {
		s.t.Fatal(err)
	}
	return raw
}

func (s *session) notify(method string, params any) {
	s.t.Helper()
	if err := s.Notify(s.t.Context(), method, params); err != nil {
		s.t.Fatalf("%s: %v", method, err)
	}
}

func (s *session) open(uri, text string) {
	s.t.Helper()
	s.notify("textDocument/didOpen", map[string]any{"textDocument": map[string]any{"uri": uri, "languageId": "yaml", "version": 1, "text": text}})
}

func (s *session) change(uri string, version int, changes ...any) {
	s.t.Helper()
	s.notify("textDocument/didChange", map[string]any{"textDocument": map[string]any{"uri": uri, "version": version}, "contentChanges": changes})
}

// until waits until findings are published for a version of a document, and returns them.
func (s *session) until(uri string, version int) []diagnostic {
	s.t.Helper()
	for {
		select {
		case p := <-s.published:
			if p.URI == uri && p.Version == version {
				return p.Diagnostics
			}
		case err := <-s.ended:
			s.t.Fatalf("the server ended: %v", err)
		case <-s.t.Context().Done():
			s.t.Fatal("nothing was published")
		}
	}
}

// desk makes a folder with a configuration and files, and returns its path.
func desk(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	all := map[string]string{"bellhop.yaml": "timezone: Europe/London\nconnections:\n  slack: { token: \"${SLACK_BOT_TOKEN}\" }\n  crm: { url: https://crm.example.com }\n"}
	for name, text := range files {
		all[name] = text
	}
	for name, text := range all {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const good = `rules:
  - name: desk
    on: booked
    when: appointment.title != "😀" && appointment.calendarId == "c1"
    then:
      - slack: { channel: "#desk", text: "New: {{ appointment.title }}" }
`

func TestDiagnosticsWhileTyping(t *testing.T) {
	t.Parallel()
	dir := desk(t, map[string]string{"rules/desk.yaml": good})
	uri := uriOf(filepath.Join(dir, "rules", "desk.yaml"))
	s := newSession(t, dir)
	s.open(uri, good)
	if got := s.until(uri, 1); len(got) != 0 {
		t.Fatalf("a good file has %v", got)
	}
	// A letter is deleted after a character that is two UTF-16 units long: calendarId becomes calendrId.
	column := len("    when: appointment.title != \"") + 2 + len("\" && appointment.")
	s.change(uri, 2, map[string]any{"range": textRange{position{3, column + 5}, position{3, column + 6}}, "text": ""})
	got := s.until(uri, 2)
	want := textRange{position{3, column}, position{3, column + 9}}
	if len(got) != 1 || got[0].Range != want || got[0].Severity != 1 || got[0].Code != "unknown-field" || got[0].Source != "bellhop" {
		t.Fatalf("got %+v, want one at %v", got, want)
	}

	var actions []codeAction
	if err := json.Unmarshal(s.call("textDocument/codeAction", map[string]any{
		"textDocument": map[string]any{"uri": uri}, "range": got[0].Range, "context": map[string]any{"diagnostics": got},
	}), &actions); err != nil {
		t.Fatal(err)
	}
	if len(actions) != 1 || actions[0].Title != "Replace with calendarId" || actions[0].Edit.Changes[uri][0] != (textEdit{want, "calendarId"}) {
		t.Fatalf("the actions are %+v", actions)
	}
	edit := actions[0].Edit.Changes[uri][0]
	s.change(uri, 3, map[string]any{"range": edit.Range, "text": edit.NewText})
	if got := s.until(uri, 3); len(got) != 0 {
		t.Fatalf("after the suggestion there is %v", got)
	}
	// A change of the whole text.
	s.change(uri, 4, map[string]any{"text": strings.Replace(good, "slack:", "slak:", 1)})
	if got := s.until(uri, 4); len(got) != 1 || got[0].Code != "unknown-key" {
		t.Fatalf("got %+v", got)
	}
	s.notify("textDocument/didClose", map[string]any{"textDocument": map[string]any{"uri": uri}})
	if got := s.until(uri, 4); len(got) != 0 {
		t.Fatalf("a closed file has %v", got)
	}
}

func TestSameNameInTwoFiles(t *testing.T) {
	t.Parallel()
	dir := desk(t, map[string]string{"rules/zz.yaml": strings.Replace(good, "name: desk", "name: other", 1)})
	a, z := uriOf(filepath.Join(dir, "rules", "a.yaml")), uriOf(filepath.Join(dir, "rules", "zz.yaml"))
	s := newSession(t, dir)
	s.open(a, strings.Replace(good, "name: desk", "name: other", 1))
	got := s.until(a, 1)
	if len(got) != 1 || got[0].Code != "duplicate-rule" || !strings.Contains(got[0].Message, "rules/zz.yaml") {
		t.Fatalf("got %+v", got)
	}
	// The other file no longer has the name. It is changed in the editor, but not saved.
	s.open(z, good)
	if got := s.until(a, 1); len(got) != 0 {
		t.Fatalf("got %+v", got)
	}
}

func TestOtherFilesAreLeftAlone(t *testing.T) {
	t.Parallel()
	dir := desk(t, nil)
	s := newSession(t, dir)
	for name, text := range map[string]string{
		"compose.yaml":            "services:\n  web: { image: x }\n",
		"rules/.desk.yaml.swp":    "rules: [",
		"notes.txt":               "rule: x",
		"elsewhere/settings.yaml": "rules: ./there\n",
	} {
		uri := uriOf(filepath.Join(dir, filepath.FromSlash(name)))
		s.open(uri, text)
		if got := s.until(uri, 1); len(got) != 0 {
			t.Errorf("%s: %+v", name, got)
		}
		var list completionList
		raw := s.call("textDocument/completion", map[string]any{"textDocument": map[string]any{"uri": uri}, "position": position{1, 0}})
		if err := json.Unmarshal(raw, &list); err != nil || len(list.Items) > 0 {
			t.Errorf("%s: completion %s, %v", name, raw, err)
		}
	}
	config := uriOf(filepath.Join(dir, "bellhop.yaml"))
	s.open(config, "timezon: Europe/London\n")
	if got := s.until(config, 1); len(got) != 1 || got[0].Code != "unknown-key" || got[0].Range.End.Character != 7 {
		t.Errorf("bellhop.yaml: %+v", got)
	}
	elsewhere := uriOf(filepath.Join(dir, "examples", "one.yaml"))
	s.open(elsewhere, strings.Replace(good, "slack:", "slak:", 1))
	if got := s.until(elsewhere, 1); len(got) != 1 {
		t.Errorf("a rule file outside of the folder: %+v", got)
	}
	s.open("untitled:Untitled-1", strings.Replace(good, "slack:", "slak:", 1))
	if got := s.until("untitled:Untitled-1", 1); len(got) != 1 {
		t.Errorf("a rule file without a name: %+v", got)
	}
}

// TestConfigurationIsFollowed adds a connection to the configuration while a rule that needs it is open.
func TestConfigurationIsFollowed(t *testing.T) {
	t.Parallel()
	dir := desk(t, nil)
	uri := uriOf(filepath.Join(dir, "rules", "a.yaml"))
	s := newSession(t, dir)
	s.open(uri, "rules:\n  - name: a\n    on: booked\n    then:\n      - http: { connection: desk, path: / }\n")
	if got := s.until(uri, 1); len(got) != 1 || got[0].Code != "connection" {
		t.Fatalf("got %+v", got)
	}
	path := filepath.Join(dir, "bellhop.yaml")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(data, "  desk: { url: https://desk.example.com }\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	s.notify("workspace/didChangeWatchedFiles", map[string]any{"changes": []any{}})
	if got := s.until(uri, 1); len(got) != 0 {
		t.Fatalf("got %+v", got)
	}
	var list completionList
	raw := s.call("textDocument/completion", map[string]any{"textDocument": map[string]any{"uri": uri}, "position": position{4, 28}})
	if err := json.Unmarshal(raw, &list); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, item := range list.Items {
		names = append(names, item.Label)
		if want := (textRange{position{4, 28}, position{4, 32}}); item.TextEdit.Range.End != want.End {
			t.Errorf("%s replaces %v", item.Label, item.TextEdit.Range)
		}
	}
	if !slices.Equal(names, []string{"crm", "desk"}) {
		t.Errorf("offered are %v", names)
	}
}

func TestProtocol(t *testing.T) {
	t.Parallel()
	s := begin(t)
	fails := func(method string, params any, code jrpc2.Code) {
		t.Helper()
		_, err := s.Call(t.Context(), method, params)
		if got := jrpc2.ErrorCode(err); got != code {
			t.Errorf("%s fails with %v (%v), want %v", method, got, err, code)
		}
	}
	fails("textDocument/hover", map[string]any{}, notInitialized)
	s.notify("textDocument/didOpen", map[string]any{})
	s.call("initialize", map[string]any{"capabilities": map[string]any{}})
	fails("initialize", map[string]any{"capabilities": map[string]any{}}, jrpc2.InvalidRequest)
	fails("textDocument/rename", map[string]any{}, jrpc2.MethodNotFound)
	fails("$/unheardOf", map[string]any{}, jrpc2.MethodNotFound)
	fails("textDocument/hover", map[string]any{"position": "here"}, jrpc2.InvalidParams)
	s.notify("$/setTrace", map[string]any{"value": "off"})
	s.notify("textDocument/didSomethingNew", map[string]any{})
	s.notify("$/cancelRequest", map[string]any{"id": 4711})
	if raw := s.call("textDocument/hover", map[string]any{"textDocument": map[string]any{"uri": "file:///not/open.yaml"}}); string(raw) != "null" {
		t.Errorf("hover is %s", raw)
	}
	// A position far outside the text.
	s.open("untitled:x", good)
	s.call("textDocument/completion", map[string]any{"textDocument": map[string]any{"uri": "untitled:x"}, "position": position{1000, 1000}})
	s.change("untitled:x", 2, map[string]any{"range": textRange{position{900, 3}, position{2, 1}}, "text": "x"})
	s.change("untitled:unknown", 2, map[string]any{"text": "x"})
	// A message that is not JSON is answered, and the session goes on.
	if _, err := io.WriteString(s.input, "Content-Length: 3\r\n\r\n{x}"); err != nil {
		t.Fatal(err)
	}
	s.call("shutdown", nil)
	fails("textDocument/hover", map[string]any{}, jrpc2.InvalidRequest)
	s.notify("exit", nil)
	if err := <-s.ended; err != nil {
		t.Errorf("it ends with %v", err)
	}
}

func TestEndWithoutShutdown(t *testing.T) {
	t.Parallel()
	s := newSession(t, t.TempDir())
	s.notify("exit", nil)
	if err := <-s.ended; !errors.Is(err, errNoShutdown) {
		t.Errorf("exit alone ends with %v", err)
	}
	s = newSession(t, t.TempDir())
	if err := s.input.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-s.ended; !errors.Is(err, errNoShutdown) {
		t.Errorf("the end of the input ends with %v", err)
	}
}

func TestEndWithContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	in, w := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, in, io.Discard, Options{}) }()
	cancel()
	if err := <-ended; !errors.Is(err, errNoShutdown) {
		t.Errorf("it ends with %v", err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// manyRules returns a file with n rules.
func manyRules(n int) string {
	var b strings.Builder
	b.WriteString("rules:\n")
	for i := range n {
		fmt.Fprintf(&b, `  - name: rule %d
    on: [booked, rescheduled]
    when: appointment.calendarId == "cal%d" && appointment.appointmentStatus == "confirmed" && appointment.startTime > now()
    let: { day: 'date(appointment.startTime, "Mon 2 Jan 15:04")' }
    then:
      - slack: { channel: "#desk", text: "New: {{ appointment.title }} on {{ day }}" }
`, i, i)
	}
	return b.String()
}

// BenchmarkKeystroke measures the time from a change of one character in a file of 200 rules until the findings are
// published. The process is set up in the same way as the command.
func BenchmarkKeystroke(b *testing.B) {
	defer debug.SetGCPercent(debug.SetGCPercent(GCPercent))
	dir := b.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "bellhop.yaml"), []byte("connections:\n  slack: { token: \"${T}\" }\n"), 0o600); err != nil {
		b.Fatal(err)
	}
	uri := uriOf(filepath.Join(dir, "rules", "a.yaml"))
	serverIn, clientOut := io.Pipe()
	clientIn, serverOut := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := Serve(b.Context(), serverIn, serverOut, Options{})
		_ = serverOut.Close()
		ended <- err
	}()
	published := make(chan publishParams, 10)
	c := jrpc2.NewClient(channel.LSP(clientIn, clientOut), &jrpc2.ClientOptions{OnNotify: func(r *jrpc2.Request) {
		var p publishParams
		if r.UnmarshalParams(&p) == nil {
			published <- p
		}
	}})
	send := func(method string, params any) {
		if err := c.Notify(b.Context(), method, params); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := c.Call(b.Context(), "initialize", map[string]any{}); err != nil {
		b.Fatal(err)
	}
	text := manyRules(200)
	send("textDocument/didOpen", map[string]any{"textDocument": map[string]any{"uri": uri, "version": 0, "text": text}})
	if p := <-published; len(p.Diagnostics) > 0 {
		b.Fatal(p.Diagnostics)
	}
	at := position{3 + 6*100 - 1, 20} // in the condition of a rule in the middle: a misspelt word comes and goes
	version := 0
	for b.Loop() {
		version++
		change := map[string]any{"range": textRange{at, at}, "text": "x"}
		if version%2 == 0 {
			change = map[string]any{"range": textRange{at, position{at.Line, at.Character + 1}}, "text": ""}
		}
		send("textDocument/didChange", map[string]any{"textDocument": map[string]any{"uri": uri, "version": version}, "contentChanges": []any{change}})
		if p := <-published; len(p.Diagnostics) != version%2 {
			b.Fatal(version, p.Diagnostics)
		}
	}
	_ = c.Close()
	<-ended
}
