package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"bellhop/actions"
	"bellhop/rules/text"
)

// load writes a file and loads it, with vars as the environment.
func load(t testing.TB, text string, vars map[string]string, change ...func(*Env)) (*Config, []text.Finding) {
	t.Helper()
	path := filepath.Join(t.TempDir(), FileName)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	env := Env{Lookup: func(name string) (string, bool) {
		v, ok := vars[name]
		return v, ok
	}}
	for _, f := range change {
		f(&env)
	}
	cfg, findings, err := Load(path, env)
	if err != nil {
		t.Fatal(err)
	}
	return cfg, findings
}

func noFindings(t testing.TB, findings []text.Finding) {
	t.Helper()
	for _, f := range findings {
		t.Errorf("%d:%d %s %s: %s", f.Line, f.Column, f.Severity, f.Code, f.Message)
	}
}

const whole = `# everything
listen: 0.0.0.0:8080
admin: localhost:9090
admin_token: "${ADMIN_TOKEN}"
rules: ./desk-rules
store: ./state
timezone: Europe/London
retention: 14d
sources:
  hoopai:
    verify: highlevel
    locations: ["0007BWpSzSwfiuSl0tR2", ve9EPM428h8vShlRW1KT]
  workflow:
    verify: { token: "${WORKFLOW_TOKEN}", header: X-Desk-Token }
  forms:
    verify:
      scheme: hmac-sha256
      secrets: ["${FORMS_OLD}", "${FORMS_NEW}"]
connections:
  mail:  { smtp: "smtps://bookings@example.com:${SMTP_PASSWORD}@smtp.example.com", from: "Bookings <bookings@example.com>" }
  slack: { token: "${SLACK_BOT_TOKEN}" }
  crm:
    url: https://crm.example.com/api
    oauth2:
      token_url: https://login.example.com/token
      client_id: desk
      client_secret: ${file:crm-secret}
      scopes: [write]
egress:
  allow: [10.0.0.0/8]
delivery:
  attempts: 12
  max_age: 1d12h
  concurrency: 16
  per_destination: 4
  shutdown: 5s
intake:
  max_concurrent: 100
`

func TestLoadWhole(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, FileName)
	for name, text := range map[string]string{FileName: whole, "crm-secret": "from-a-file\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	vars := map[string]string{
		"ADMIN_TOKEN": "admin-token-1", "WORKFLOW_TOKEN": "workflow-token-1", "FORMS_OLD": "forms-old", "FORMS_NEW": "forms-new",
		"SMTP_PASSWORD": "p@ss/w:rd#%41 ?", "SLACK_BOT_TOKEN": "xoxb-" + "token-1",
	}
	cfg, findings, err := Load(path, Env{Lookup: func(n string) (string, bool) { v, ok := vars[n]; return v, ok }})
	if err != nil {
		t.Fatal(err)
	}
	noFindings(t, findings)
	mail, ok := cfg.Connections["mail"].Connection.(*actions.Mail)
	if !ok || mail.SMTP != "smtps://bookings@example.com:p%40ss%2Fw%3Ard%23%2541%20%3F@smtp.example.com" {
		t.Errorf("mail is %+v", cfg.Connections["mail"])
	}
	crm, ok := cfg.Connections["crm"].Connection.(*actions.HTTPAPI)
	if !ok || crm.OAuth2 == nil || crm.OAuth2.ClientSecret != "from-a-file" || !slices.Equal(crm.OAuth2.Scopes, []string{"write"}) {
		t.Errorf("crm is %+v", cfg.Connections["crm"])
	}
	if got := cfg.RuleOptions().Connections; !reflect.DeepEqual(got, map[string]string{"mail": "email", "slack": "slack", "crm": "http"}) {
		t.Errorf("kinds are %v", got)
	}
	secrets := cfg.Secrets()
	for _, s := range append([]string{"from-a-file"}, mapValues(vars)...) {
		if !slices.Contains(secrets, s) {
			t.Errorf("%q is not among the secrets", s)
		}
	}
	cfg.Connections = nil
	want := &Config{
		Listen: "0.0.0.0:8080", Admin: "localhost:9090", AdminToken: "admin-token-1",
		Rules: filepath.Join(dir, "desk-rules"), Directory: filepath.Join(dir, "directory"), Store: filepath.Join(dir, "state"), Timezone: "Europe/London",
		Retention: 14 * 24 * time.Hour,
		Sources: map[string]Source{
			"hoopai":   {Verify: Verify{Scheme: HighLevel}, Locations: []string{"0007BWpSzSwfiuSl0tR2", "ve9EPM428h8vShlRW1KT"}},
			"workflow": {Verify: Verify{Scheme: Token, Header: "X-Desk-Token", Tokens: []string{"workflow-token-1"}}},
			"forms":    {Verify: Verify{Scheme: HMACSHA256, Secrets: []string{"forms-old", "forms-new"}}},
		},
		Egress: Egress{Allow: []string{"10.0.0.0/8"}},
		Delivery: Delivery{
			Attempts: 12, MaxAge: 36 * time.Hour, Concurrency: 16, PerDestination: 4, Brake: 1000, Shutdown: 5 * time.Second,
		},
		Intake: Intake{MaxConcurrent: 100, PerAddress: 512}, Path: path, Zone: cfg.Zone, secrets: cfg.secrets,
	}
	want.Locations, cfg.env = filepath.Join(dir, "locations"), Env{}
	if cfg.Zone.String() != "Europe/London" || !reflect.DeepEqual(cfg, want) {
		t.Errorf("got\n%+v\nwant\n%+v", cfg, want)
	}
}

func mapValues(m map[string]string) []string {
	var out []string
	for _, v := range m {
		out = append(out, v)
	}
	return out
}

func TestLoadDefaults(t *testing.T) {
	t.Parallel()
	cfg, findings, err := Load("", Env{})
	if err != nil {
		t.Fatal(err)
	}
	noFindings(t, findings)
	if cfg.Sources["hoopai"].Verify.Scheme != None || cfg.Rules != "rules" || cfg.Store != "data" || cfg.Zone != time.UTC || cfg.Path != "" {
		t.Errorf("without a file: %+v", cfg)
	}
	// If the server is reachable from other machines, webhooks are verified and operators need a token.
	cfg, findings, err = Load("", Env{Override: func(c *Config) { c.Listen, c.Admin = ":8080", "0.0.0.0:8081" }})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Sources["hoopai"].Verify.Scheme != HighLevel {
		t.Errorf("beyond loopback: %+v", cfg.Sources)
	}
	if len(findings) != 1 || findings[0].Code != "admin-token" {
		t.Errorf("beyond loopback: %+v", findings)
	}
	// A file without sources, and an empty one.
	for _, text := range []string{"", "\n# nothing\n", "rules: r\n", "sources:\n", "sources: {desk: {verify: none}}", "sources: {hoopai: {locations: [L1]}}", "null"} {
		cfg, findings = load(t, text, nil)
		noFindings(t, findings)
		if cfg.Sources["hoopai"].Verify.Scheme != HighLevel {
			t.Errorf("%q: %+v", text, cfg.Sources)
		}
	}
	// Unless the file has its own.
	cfg, findings = load(t, "sources: {hoopai: {verify: none}}", nil)
	noFindings(t, findings)
	if cfg.Sources["hoopai"].Verify.Scheme != None {
		t.Errorf("%+v", cfg.Sources)
	}
}

func TestLoadUnreadable(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	large := filepath.Join(dir, "large.yaml")
	if err := os.WriteFile(large, make([]byte, maxSize+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(dir, "none.yaml"), dir, large} {
		cfg, _, err := Load(path, Env{})
		if cfg != nil || err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, _, err := Load(filepath.Join(dir, "none.yaml"), Env{}); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// Relative paths are relative to the file; those of flags are not touched.
func TestLoadPaths(t *testing.T) {
	t.Parallel()
	cfg, findings := load(t, "rules: ../r\nstore: d\n", nil)
	noFindings(t, findings)
	above := filepath.Dir(filepath.Dir(cfg.Path))
	if want := filepath.Join(above, "r"); cfg.Rules != want || cfg.Store != filepath.Join(filepath.Dir(cfg.Path), "d") {
		t.Errorf("rules %q, want %q; store %q", cfg.Rules, want, cfg.Store)
	}
	cfg, findings = load(t, "rules: r\n", nil, func(e *Env) { e.Override = func(c *Config) { c.Rules = "flag" } })
	noFindings(t, findings)
	if cfg.Rules != "flag" {
		t.Errorf("rules %q", cfg.Rules)
	}
	_, findings = load(t, "connections: {mail: {smtp: \"smtp://smtp.example.com\", from: a@example.com, ca: nowhere.pem}}", nil)
	if len(findings) != 1 || !strings.Contains(findings[0].Message, string(filepath.Separator)+"nowhere.pem") {
		t.Errorf("%+v", findings)
	}
}

// Every mistake is found at its position, with a suggestion if it is clear what was meant. The expected range is the
// text between » and «.
func TestFindings(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, text, code, message, suggestion string }{
		{"unknown key", "»lsten«: x", "unknown-key", `did you mean "listen"`, "listen"},
		{"unknown key far from all", "»colour«: x", "unknown-key", "it has listen, admin,", ""},
		{"nested", "delivery:\n  »max-age«: 3d", "unknown-key", `delivery has no key "max-age"; did you mean "max_age"?`, "max_age"},
		{"quoted key", "egress: {»\"alow\"«: []}", "unknown-key", "egress", "allow"},
		{"of a connection", "connections: {slack: {token: xoxb-12345678, »wehook«: x}}", "unknown-key", "connections.slack", "webhook"},
		{"nested in one", "connections:\n  crm:\n    url: https://crm.example.com\n    basic: {user: u, »pasword«: x}", "unknown-key", "connections.crm.basic", "password"},
		{"after wide characters", "retention: 30d # ü\nsources: {hoopai: {»verfy«: \"📅\"}}", "unknown-key", "sources.hoopai", "verify"},
		{"in a source", "sources: {hoopai: {»location«: [L]}}", "unknown-key", "sources.hoopai", "locations"},
		{"twice", "listen: 127.0.0.1:1\n»listen«: 127.0.0.1:2", "duplicate-key", `"listen" is given twice, first in line 1`, ""},
		{"twice by another name", "sources: {a: {verify: {token: xxxxxx, »tokens«: [y]}}}", "duplicate-key", "keep one", ""},
		{"a list for a text", "listen: »«[a]", "wrong-type", "listen must be a text", ""},
		{"a text for keys", "delivery: »fast«", "wrong-type", "delivery must be keys with values", ""},
		{"a list for keys", "sources: »«[a]", "wrong-type", "sources must be keys with values", ""},
		{"the whole", "»«- listen", "wrong-type", "the configuration must be keys with values", ""},
		{"keys for a list", "egress: {allow: »«{a: b}}", "wrong-type", "egress.allow must be a list", ""},
		{"no number", "delivery: {attempts: »many«}", "wrong-type", "delivery.attempts must be a whole number", ""},
		{"half a number", "delivery: {attempts: »1.5«}", "wrong-type", "whole number", ""},
		{"a huge number", "delivery: {attempts: »99999999999999999999«}", "wrong-type", "whole number", ""},
		{"too few", "delivery: {attempts: »0«}", "bad-value", "delivery.attempts", ""},
		{"negative", "intake: {max_concurrent: »-1«}", "bad-value", "intake.max_concurrent", ""},
		{"bare duration", "retention: »30«", "bad-value", "retention", ""},
		{"no duration", "delivery: {max_age: »\"soon\"«}", "bad-value", "delivery.max_age", ""},
		{"no retention", "retention: »0s«", "bad-value", "retention", ""},
		{"no directory", "directory: »\"\"«", "bad-value", "must name a folder", ""},
		{"a negative brake", "delivery: {brake: »-1«}", "bad-value", "0 is no brake", ""},
		{"address", "listen: »8080«", "bad-value", `must be host:port, such as 127.0.0.1:8080; "8080"`, ""},
		{"port", "listen: »127.0.0.1:99999«", "bad-value", "host:port", ""},
		{"address with a scheme", "listen: »http://127.0.0.1:80«", "bad-value", "host:port", ""},
		{"the same address", "listen: 127.0.0.1:81\nadmin: »127.0.0.1:81«", "bad-value", "different address", ""},
		{"zone", "timezone: »Europe/Londn«", "bad-value", "timezone", ""},
		{"language", "language: »klingon«", "bad-value", "language", ""},
		{"the machine's zone", "timezone: »Local«", "bad-value", "timezone", ""},
		{"store", "store: »mysql://x«", "bad-value", "store", ""},
		{"admin without token", "admin: »:8081«", "admin-token", "admin_token is missing", ""},
		{"none beyond loopback", "listen: 0.0.0.0:80\nsources: {desk: {verify: »none«}}", "verify-none", "0.0.0.0:80", ""},
		{"none for hoopai", "listen: '[::]:80'\nsources:\n  hoopai:\n    verify: {scheme: »none«}", "verify-none", "anybody", ""},
		{"none on a name", "listen: desk.example.com:80\nsources: {hoopai: {verify: »none«}}", "verify-none", "anybody", ""},
		{"scheme", "sources: {desk: {verify: »hmac-sha265«}}", "bad-value", "hmac-sha256", "hmac-sha256"},
		{"scheme in keys", "sources: {desk: {verify: {scheme: »ed2551«, key: x}}}", "bad-value", "ed25519", "ed25519"},
		{"no verification", "sources: {desk: »«{locations: [L]}}", "bad-value", "does not say how", ""},
		{"no scheme", "sources: {desk: {verify: »«{secret: x}}}", "bad-value", "needs a scheme", ""},
		{"no secret", "sources: {desk: {verify: »hmac-sha256«}}", "bad-value", "needs secrets", ""},
		{"no key", "sources: {desk: {verify: »«{scheme: ed25519}}}", "bad-value", "needs keys", ""},
		{"wrong kind of key", "sources: {desk: {verify: {scheme: token, token: abcdef, keys: »x«}}}", "bad-value", "keys does nothing", ""},
		{"empty token", "sources: {desk: {verify: {token: »\"\"«}}}", "bad-value", "empty", ""},
		{"header", "sources: {desk: {verify: {token: abcdef, header: »\"X Y\"«}}}", "bad-value", "header", ""},
		{"useless header", "sources: {desk: {verify: {scheme: none, header: »X-Y«}}}", "bad-value", "header does nothing", ""},
		{"source's name", "sources: {\"a/b\": »«{verify: none}}", "bad-value", "part of its address", ""},
		{"no locations", "sources: {hoopai: {locations: »«[]}}", "bad-value", "take no event", ""},
		{"a connection of no kind", "connections: {x: »«{user: u}}", "unknown-kind", "smtp (email), token or webhook (slack), url (http)", ""},
		{"a connection of two kinds", "connections: {x: »«{url: https://a.example.com, token: y}}", "ambiguous-kind", "slack or for http", ""},
		{"a connection misspelt", "connections: {x: {»stmp«: \"smtps://smtp.example.com\"}}", "unknown-key", "smtp", "smtp"},
		{"a connection's own mistake", "connections: {x: {url: »\"ftp://a.example.com\"«}}", "connection", "connections.x", ""},
		{"a connection that is text", "connections: {x: »https://a.example.com«}", "wrong-type", "connections.x", ""},
		{"people without a connection", "people: »«{keep: 1h}", "missing-key", "people needs a connection", ""},
		{"people by no connection", "connections: {platform: {url: \"https://a.example.com\"}}\npeople: {connection: »platfrom«}", "unknown-connection", "platform", "platform"},
		{"people by mail", "connections: {mail: {smtp: \"smtps://smtp.example.com\", from: a@example.com}}\npeople: {connection: »mail«}", "wrong-kind", "is for email", ""},
		{"another preset", "connections: {p: {url: \"https://a.example.com\"}}\npeople: {connection: p, preset: »highlvl«}", "bad-value", "highlevel", "highlevel"},
		{"people kept for no time", "connections: {p: {url: \"https://a.example.com\"}}\npeople: {connection: p, keep: »0s«}", "bad-value", "people.keep", ""},
		{"stale before it is old", "connections: {p: {url: \"https://a.example.com\"}}\npeople: {connection: p, stale: »30m«}", "bad-value", "longer than keep", ""},
		{"an empty token", "connections: {p: {url: \"https://a.example.com\"}}\npeople: {connection: p, tokens: {l1: »\"\"«}}", "bad-value", "empty", ""},
		{"half an app", "connections: {p: {url: \"https://a.example.com\"}}\npeople: {connection: p, app: »«{client_id: a, client_secret: bcdef, company: c}}", "missing-key", "refresh_token", ""},
		{"an app's version", "connections: {p: {url: \"https://a.example.com\"}}\npeople: {connection: p, app: {client_id: a, client_secret: bcdef, company: c, refresh_token: defgh, version: »v2«}}", "bad-value", "v3", ""},
		{"unset variable", "connections: {slack: {token: \"»${NOT_SET}«\"}}", "missing-secret", "NOT_SET is not set", ""},
		{"unset in a text", "connections:\n  mail: { smtp: \"smtps://u:»${NOT_SET}«@smtp.example.com\", from: a@example.com }", "missing-secret", "NOT_SET", ""},
		{"unset in a block", "admin_token: >-\n  »${NOT_SET}«\n", "missing-secret", "NOT_SET", ""},
		{"the second of two", "admin_token: ${SET}${SET}»${NOT_SET}«", "missing-secret", "NOT_SET", ""},
		{"missing file", "admin_token: »${file:/does/not/exist}«", "missing-secret", "/does/not/exist", ""},
		{"bad name", "admin_token: \"»${a b}«\"", "bad-reference", "name of an environment variable", ""},
		{"a default", "admin_token: \"»${SET:-x}«\"", "bad-reference", "name of an environment variable", ""},
		{"no name", "admin_token: \"»${}«\"", "bad-reference", "name of an environment variable", ""},
		{"no path", "admin_token: \"»${file:}«\"", "bad-reference", "name of an environment variable", ""},
		{"no end", "admin_token: \"»${SET«\"", "bad-reference", "name of an environment variable", ""},
		{"too deep", "listen: 127.0.0.1:80\n»  admin«: [", "indentation", "put it in column 1", ""},
		{"a tab", "delivery:\n»\t«attempts: 3", "tab", "use spaces", ""},
		{"an open quote", "listen: »\"127.0.0.1:80«\n", "yaml", "never closed", ""},
		{"no space", "listen: 127.0.0.1:80\n»admin:«127.0.0.1:81\n", "yaml", "space is missing", ""},
		{"a colon", "admin_token: »abc: def«\n", "unquoted", "must be in quotes", ""},
		{"two documents", "rules: a\n»---«\nrules: b", "second-document", "one document", ""},
		{"unknown tag", "rules: »«!secret x", "unknown-tag", "quotes", ""},
		{"after a byte order mark", "\uFEFF»lsten«: x", "unknown-key", "listen", "listen"},
	} {
		source := strings.NewReplacer("»", "", "«", "").Replace(c.text)
		_, findings := load(t, source, map[string]string{"SET": "is-set"})
		if len(findings) != 1 {
			t.Errorf("%s: %d findings: %+v", c.name, len(findings), findings)
			continue
		}
		f := findings[0]
		line, column := place(c.text, "»")
		endLine, endColumn := place(strings.Replace(c.text, "»", "", 1), "«")
		if f.Line != line || f.Column != column || f.EndLine != endLine || f.EndColumn != endColumn {
			t.Errorf("%s: at %d:%d-%d:%d, want %d:%d-%d:%d", c.name, f.Line, f.Column, f.EndLine, f.EndColumn, line, column, endLine, endColumn)
		}
		if f.Code != c.code || f.Severity != text.Error || !strings.Contains(f.Message, c.message) || f.Suggestion != c.suggestion {
			t.Errorf("%s: %s %s: %s (%q); want %s, %q, %q", c.name, f.Severity, f.Code, f.Message, f.Suggestion, c.code, c.message, c.suggestion)
		}
		if filepath.Base(f.File) != FileName {
			t.Errorf("%s: in %q", c.name, f.File)
		}
	}
}

// place returns the line and column of mark in text.
func place(text, mark string) (line, column int) {
	text = strings.TrimPrefix(text, "\uFEFF")
	before, _, _ := strings.Cut(text, mark)
	lines := strings.Split(before, "\n")
	return len(lines), len([]rune(lines[len(lines)-1])) + 1
}

// A time zone that probably lacks summer time by accident gets a warning, and is used.
func TestZoneWithoutSummerTime(t *testing.T) {
	t.Parallel()
	cfg, findings := load(t, "timezone: EST\nlanguage: de-AT\n", nil)
	if len(findings) != 1 || findings[0].Severity != text.Warning || findings[0].Line != 1 || findings[0].Column != 11 || findings[0].Suggestion != "America/New_York" {
		t.Errorf("%+v", findings)
	}
	if cfg == nil || cfg.Zone.String() != "EST" || cfg.Language != "de-AT" {
		t.Errorf("%+v", cfg)
	}
}

func TestAllFindingsInOrder(t *testing.T) {
	t.Parallel()
	cfg, findings := load(t, "lsten: a\nretention: 3\nsources:\n  \"a/b\": {verify: none}\nadmin: nowhere\n", nil)
	var got []string
	for _, f := range findings {
		got = append(got, f.Code)
	}
	if want := "unknown-key bad-value bad-value bad-value"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
	if cfg == nil || cfg.Retention != Default().Retention {
		t.Errorf("a check cannot go on with %+v", cfg)
	}
	if _, findings := load(t, "admin: [a\nrules: y: z\n", nil); len(findings) < 2 {
		t.Errorf("of two mistakes in the YAML, found are %+v", findings)
	}
}

func TestExpand(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("two\nlines\n\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	vars := map[string]string{
		"YAML": `x: "y", [z] # & *a |`, "EMPTY": "", "NESTED": "${YAML}", "NUMBER": "0123", "URL": "smtps://u:p@smtp.example.com", "PAIR": "us@er:p:w/",
	}
	for in, want := range map[string]string{
		`"${YAML}"`:          vars["YAML"],
		`${YAML}`:            vars["YAML"],
		`'a ${YAML} b'`:      "a " + vars["YAML"] + " b",
		`"${EMPTY}"`:         "",
		`"${NESTED}"`:        "${YAML}", // replaced once
		`${NUMBER}`:          "0123",
		`"$${YAML}"`:         "${YAML}",
		`"$$${EMPTY}{YAML}"`: "$${EMPTY}{YAML}",
		`"$YAML $ {x} }"`:    "$YAML $ {x} }",
		`"${file:` + filepath.ToSlash(file) + `}"`: "two\nlines\n", // one line break at the end is dropped
		`"${URL}"`:                    vars["URL"],
		`"smtps://${PAIR}@h"`:         "smtps://us%40er:p%3Aw%2F@h",
		`"smtps://${PAIR}:x@h"`:       "smtps://us%40er%3Ap%3Aw%2F:x@h",
		`"smtps://u:${PAIR}@h/"`:      "smtps://u:us%40er%3Ap%3Aw%2F@h/",
		`"https://h/${PAIR}@x"`:       "https://h/us@er:p:w/@x",
		`"https://${PAIR}/x"`:         "https://us@er:p:w//x",
		`"https://h?x=${PAIR}&y=@"`:   "https://h?x=us@er:p:w/&y=@",
		`"u:${PAIR}@h"`:               "u:us@er:p:w/@h",
		"|\n  a ${NUMBER}\n  b\n":     "a 0123\nb\n",
		`"tab\t${NUMBER}"`:            "tab\t0123",
		"&anchor ${NUMBER}\nrules: r": "0123",
	} {
		cfg, findings := load(t, "admin_token: "+in+"\n", vars)
		noFindings(t, findings)
		if cfg.AdminToken != want {
			t.Errorf("%s: %q, want %q", in, cfg.AdminToken, want)
		}
	}
	// Numbers and durations can come from the environment too. Keys cannot.
	cfg, findings := load(t, "delivery: {attempts: \"${N}\", max_age: \"${AGE}\"}\n", map[string]string{"N": "7", "AGE": "2h"})
	noFindings(t, findings)
	if cfg.Delivery.Attempts != 7 || cfg.Delivery.MaxAge != 2*time.Hour {
		t.Errorf("%+v", cfg.Delivery)
	}
	_, findings = load(t, "\"${N}\": 7\n", map[string]string{"N": "listen"})
	if len(findings) != 1 || findings[0].Code != "unknown-key" {
		t.Errorf("%+v", findings)
	}
}

// With Lenient, a variable that is not set is a warning, and nothing else is reported about values that contain it.
func TestLenient(t *testing.T) {
	t.Parallel()
	content := strings.ReplaceAll(whole, "bookings@example.com:${SMTP_PASSWORD}", "${SMTP_PASSWORD}") +
		"  bogus: 1\n"
	content = strings.Replace(content, "14d", "\"${RETENTION}\"", 1)
	content = strings.Replace(content, "localhost:9090", "${ADMIN}", 1)
	content = strings.Replace(content, "hmac-sha256", "standard-webhooks", 1)
	cfg, findings := load(t, content, nil, func(e *Env) {
		e.Lenient = true
		e.CheckVerify = func(v Verify) error {
			if v.Scheme != HighLevel {
				t.Errorf("the placeholder's key is checked: %+v", v)
			}
			return nil
		}
	})
	missing := 0
	for _, f := range findings {
		switch {
		case f.Severity == text.Warning && f.Code == "missing-secret":
			missing++
		case f.Code != "unknown-key":
			t.Errorf("%d:%d %s %s: %s", f.Line, f.Column, f.Severity, f.Code, f.Message)
		}
	}
	if missing != 9 {
		t.Errorf("%d warnings of unset variables, want 9", missing)
	}
	if got := cfg.RuleOptions().Connections; len(got) != 3 {
		t.Errorf("kinds are %v", got)
	}
}

func TestCheckVerifyIsAsked(t *testing.T) {
	t.Parallel()
	_, findings := load(t, "sources:\n  desk:\n    verify: {scheme: ed25519, key: nonsense}\n", nil, func(e *Env) {
		e.CheckVerify = func(v Verify) error {
			if v.Scheme == Ed25519 {
				return errors.New("key 1 is no public key")
			}
			return nil
		}
	})
	if len(findings) != 1 || findings[0].Line != 3 || findings[0].Column != 13 || !strings.Contains(findings[0].Message, "key 1 is no public key") {
		t.Errorf("%+v", findings)
	}
}

// No finding shows the value of a ${…}, whatever is wrong with it.
func TestFindingsTellNoSecret(t *testing.T) {
	t.Parallel()
	const secret = "hidden value 8c1f"
	for _, text := range []string{
		"listen: ${S}", "admin: ${S}", "admin: \"${S}:80\"", "timezone: ${S}", "retention: ${S}", "store: \"${S}://x\"", "rules: [\"${S}\"]",
		"delivery: {attempts: \"${S}\"}", "sources: {desk: {verify: \"${S}\"}}", "sources: {desk: {verify: {token: x, header: \"${S}\"}}}",
		"connections: {mail: {smtp: \"${S}\"}}", "connections: {mail: {smtp: \"smtp://u:${S}@h:99999\", from: \"${S}\"}}",
		"connections: {crm: {url: \"${S}\", bearer: \"${S}\"}}", "connections: {crm: {url: \"https://h\", headers: \"${S}\"}}",
		"connections: {slack: {token: \"${S}\", webhook: \"${S}\"}}", "connections: {crm: {url: \"https://h\", sign: \"${S}\"}}",
		"listen: \":80\"\nsources: {desk: {verify: none}}\nadmin: \"${S}\"", "connections: \"${S}\"", "egress: \"${S}\"",
	} {
		cfg, findings := load(t, text, map[string]string{"S": secret})
		for _, f := range findings {
			if strings.Contains(f.Message+f.Suggestion, secret) || strings.Contains(f.Message, "8c1f") {
				t.Errorf("%s: %s", text, f.Message)
			}
		}
		if len(findings) == 0 {
			t.Errorf("%s: nothing found", text)
		}
		if !slices.Contains(cfg.Secrets(), secret) {
			t.Errorf("%s: not among the secrets", text)
		}
	}
}

func TestSecretsLeaveOutTheTrivial(t *testing.T) {
	t.Parallel()
	cfg, findings := load(t, "listen: 127.0.0.1:${PORT}\nadmin_token: \"${TOKEN}\"\n", map[string]string{"PORT": "8080", "TOKEN": "abc"})
	noFindings(t, findings)
	if got := cfg.Secrets(); !slices.Equal(got, []string{"abc"}) {
		t.Errorf("secrets are %q", got)
	}
}

func TestAnchorsAndMerges(t *testing.T) {
	t.Parallel()
	cfg, findings := load(t, `
sources:
  one: &one
    verify: &v { token: "${T}", header: X-One }
    locations: &l [A, B]
  two: { <<: *one, locations: [C] }
  three: { verify: { <<: *v, header: X-Three }, locations: *l }
`, map[string]string{"T": "a-token-1"})
	noFindings(t, findings)
	want := map[string]Source{
		"hoopai": {Verify: Verify{Scheme: HighLevel}},
		"one":    {Verify: Verify{Scheme: Token, Tokens: []string{"a-token-1"}, Header: "X-One"}, Locations: []string{"A", "B"}},
		"two":    {Verify: Verify{Scheme: Token, Tokens: []string{"a-token-1"}, Header: "X-One"}, Locations: []string{"C"}},
		"three":  {Verify: Verify{Scheme: Token, Tokens: []string{"a-token-1"}, Header: "X-Three"}, Locations: []string{"A", "B"}},
	}
	if !reflect.DeepEqual(cfg.Sources, want) {
		t.Errorf("got\n%+v\nwant\n%+v", cfg.Sources, want)
	}
}

// bombs returns files in which a few lines expand to billions, or refer to themselves, or which are very deep or wide.
func bombs() map[string]string {
	var aliases, merges strings.Builder
	aliases.WriteString("x0: &x0 [L, L, L, L, L, L, L, L, L, L]\n")
	merges.WriteString("y0: &y0 {a: b}\n")
	for i := 1; i < 12; i++ {
		prev := string(rune('0'+(i-1)/10)) + string(rune('0'+(i-1)%10))
		prev = strings.TrimPrefix(prev, "0")
		n := strings.TrimPrefix(string(rune('0'+i/10))+string(rune('0'+i%10)), "0")
		aliases.WriteString("x" + n + ": &x" + n + " [" + strings.TrimSuffix(strings.Repeat("*x"+prev+", ", 10), ", ") + "]\n")
		merges.WriteString("y" + n + ": &y" + n + " {<<: [" + strings.TrimSuffix(strings.Repeat("*y"+prev+", ", 10), ", ") + "]}\n")
	}
	return map[string]string{
		"aliases":        aliases.String() + "egress: {allow: *x11}\n",
		"merges":         merges.String() + "sources: {a: *y11}\n",
		"itself":         "egress: {allow: &a [*a, *a]}\n",
		"unset bombs":    aliases.String() + "x: \"${}\"\nsources: {a: {verify: {keys: *x11, header: \"${}\"}, locations: *x11}}\n",
		"many unset":     "egress: {allow: [" + strings.Repeat("\"${}\",", 100_000) + "]}\n",
		"itself in keys": "sources: &s {a: *s}\n",
		"itself merged":  "sources: &s {<<: *s}\n",
		"deep":           "egress: {allow: " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + "}\n",
		"deep keys":      "connections: {crm: {url: \"https://a.example.com\", headers: " + strings.Repeat("{a: ", 5000) + "x" + strings.Repeat("}", 5000) + "}}\n",
		"wide":           "egress: {allow: [" + strings.Repeat("a,", 400_000) + "]}\n",
	}
}

func TestBombs(t *testing.T) {
	t.Parallel()
	for name, text := range bombs() {
		_, findings := load(t, text, nil)
		if len(findings) == 0 || len(findings) > 200 {
			t.Errorf("%s: %d findings", name, len(findings))
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add(whole)
	for _, text := range bombs() {
		if len(text) < 10_000 {
			f.Add(text)
		}
	}
	f.Add("connections: {mail: {smtp: \"smtps://${A}:${B}@${file:x}\"}, x: {url: a, basic: {user: &u 1, password: *u}}}")
	f.Add("sources: {hoopai: {verify: {<<: [{token: a}, {tokens: b}], ? [x] : y}}}")
	f.Add("admin_token: |-\n  a ${A} $${\n  ${\nlisten: !!int \"3\"\n")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "file:") || strings.Contains(text, "ca:") {
			return // the fuzzer must not read files of this machine
		}
		path := filepath.Join(dir, "fuzz.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		const secret = "9f1c-secret-77aa"
		env := Env{Lookup: func(string) (string, bool) { return secret, true }}
		cfg, findings, err := Load(path, env)
		if err != nil {
			return
		}
		lines := strings.Split(strings.NewReplacer("\uFEFF", "", "\r\n", "\n", "\r", "\n").Replace(text), "\n")
		for _, fd := range findings {
			for _, p := range [][2]int{{fd.Line, fd.Column}, {fd.EndLine, fd.EndColumn}} {
				if p[0] < 1 || p[0] > len(lines) || p[1] < 1 || p[1] > len([]rune(lines[p[0]-1]))+1 {
					t.Fatalf("%d:%d is outside the file: %+v", p[0], p[1], fd)
				}
			}
			if fd.EndLine < fd.Line || fd.EndLine == fd.Line && fd.EndColumn < fd.Column {
				t.Fatalf("ends before it starts: %+v", fd)
			}
			if strings.Contains(fd.Message+fd.Suggestion, secret) {
				t.Fatalf("tells a secret: %+v", fd)
			}
		}
		if cfg.Zone == nil || cfg.Sources["hoopai"].Verify.Scheme == "" && len(findings) == 0 {
			t.Fatalf("not usable: %+v", cfg)
		}
		again, _, err := Load(path, env)
		if err != nil || !reflect.DeepEqual(again.Sources, cfg.Sources) || !slices.Equal(again.Secrets(), cfg.Secrets()) {
			t.Fatalf("read differently the second time: %v", err)
		}
	})
}
