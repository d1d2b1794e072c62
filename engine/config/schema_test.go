package config

import (
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"
	"gopkg.in/yaml.v3"

	"bellhop/rules/text"
)

func TestEverySchemeIsDescribed(t *testing.T) {
	t.Parallel()
	scheme, _ := reflect.TypeFor[Verify]().FieldByName("Scheme")
	for _, name := range Schemes() {
		if doc := scheme.Tag.Get("doc"); !strings.Contains(doc, name) {
			t.Errorf("the description of the key scheme does not name %s: %s", name, doc)
		}
	}
}

const wholeConfig = `
listen: 127.0.0.1:8080
admin: "127.0.0.1:8081"
admin_token: "${ADMIN_TOKEN}"
rules: ./rules
store: ./data
timezone: Europe/London
retention: 30d
sources:
  hoopai:
    verify: highlevel
    locations: 0007BWpSzSwfiuSl0tR2
  workflow:
    verify: { token: "${WORKFLOW_TOKEN}", header: X-Bellhop-Token }
  other:
    verify: { scheme: hmac-sha256, secrets: [first-secret-of-all, second-secret-of-all] }
connections:
  mail:  { smtp: "smtps://bookings:secret-word@smtp.example.com", from: "Bookings <bookings@example.com>" }
  slack: { token: "${SLACK_BOT_TOKEN}" }
  crm:   { url: "https://crm.example.com/api", basic: { user: bookings, password: "${CRM_PASSWORD}" }, headers: { X-Desk: 5 } }
egress:
  allow: [10.0.0.0/8]
delivery:
  attempts: 1_00
  max_age: 3d
  concurrency: "${PLACES}"
  shutdown: 20s
intake:
`

func configInstance(t *testing.T, data string) any {
	t.Helper()
	var v any
	if err := yaml.Unmarshal([]byte(data), &v); err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(asJSON, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestSchemaIsASchema(t *testing.T) {
	t.Parallel()
	load := func(name string) (*jsonschema.Schema, error) {
		data, err := os.ReadFile(filepath.Join("..", "..", "testdata", "json-schema", filepath.FromSlash(name)+".json"))
		if err != nil {
			return nil, err
		}
		s := new(jsonschema.Schema)
		return s, json.Unmarshal(data, s)
	}
	meta, err := load("schema")
	if err != nil {
		t.Fatal(err)
	}
	resolved, err := meta.Resolve(&jsonschema.ResolveOptions{Loader: func(uri *url.URL) (*jsonschema.Schema, error) {
		return load(strings.TrimPrefix(uri.String(), "https://json-schema.org/draft/2020-12/"))
	}})
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(Schema())
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	if err := resolved.Validate(v); err != nil {
		t.Error(err)
	}
}

func TestSchemaAcceptsWhatLoads(t *testing.T) {
	t.Parallel()
	schema, err := Schema().Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "bellhop.yaml")
	if err := os.WriteFile(path, []byte(wholeConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	lookup := func(name string) (string, bool) {
		if name == "PLACES" {
			return "100", true
		}
		return "a-secret-of-" + name, true
	}
	_, findings, err := Load(path, Env{Lookup: lookup})
	if err != nil || text.HasErrors(findings) {
		t.Fatal(err, findings)
	}
	sample, err := os.ReadFile("../../cmd/bellhop/sample/bellhop.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, data := range []string{wholeConfig, string(sample)} {
		if err := schema.Validate(configInstance(t, data)); err != nil {
			t.Error(err)
		}
	}
}

func TestSchemaRejects(t *testing.T) {
	t.Parallel()
	schema, err := Schema().Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range [][2]string{
		{"listen:", "lisen:"},
		{"retention: 30d", "retention: 30"},
		{"retention: 30d", "retention: a month"},
		{"verify: highlevel", "verify: highlevl"},
		{"header: X-Bellhop-Token", "heder: X-Bellhop-Token"},
		{"locations: 0007BWpSzSwfiuSl0tR2", "locations: { a: b }"},
		{"smtp:", "smpt:"},
		{"slack: {", "slack: { url: \"https://example.com\", "},
		{"password:", "pass:"},
		{"attempts: 1_00", "attempts: many"},
		{"allow: [10.0.0.0/8]", "allow: [[a]]"},
		{"sources:\n", "sources: hoopai\nsource:\n"},
	} {
		broken := strings.Replace(wholeConfig, change[0], change[1], 1)
		if broken == wholeConfig {
			t.Fatalf("%q is not there", change[0])
		}
		if schema.Validate(configInstance(t, broken)) == nil {
			t.Errorf("the schema accepts %q for %q", change[1], change[0])
		}
	}
}

// TestSchemaDescribes checks that every top-level key has a description.
func TestSchemaDescribes(t *testing.T) {
	t.Parallel()
	for name, s := range Schema().Properties {
		if s.Description == "" {
			t.Errorf("%s is not described", name)
		}
	}
}
