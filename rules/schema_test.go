package rules_test

import (
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"
	"gopkg.in/yaml.v3"

	"bellhop/rules"
	"bellhop/rules/schema"
)

// metaSchema returns the schema that every schema must fit.
func metaSchema(t *testing.T) *jsonschema.Resolved {
	t.Helper()
	load := func(name string) (*jsonschema.Schema, error) {
		data, err := os.ReadFile(filepath.Join("..", "testdata", "json-schema", filepath.FromSlash(name)+".json"))
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
	return resolved
}

func ruleSchema(t *testing.T) *jsonschema.Resolved {
	t.Helper()
	resolved, err := rules.Schema().Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	return resolved
}

// instance returns YAML as editors pass it to a schema: YAML 1.2, in which yes and no are texts.
func instance(t *testing.T, data []byte) any {
	t.Helper()
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	if len(doc.Content) == 0 {
		return nil
	}
	return jsonOf(doc.Content[0])
}

func jsonOf(n *yaml.Node) any {
	switch n.Kind {
	case yaml.AliasNode:
		return jsonOf(n.Alias)
	case yaml.SequenceNode:
		list := []any{}
		for _, c := range n.Content {
			list = append(list, jsonOf(c))
		}
		return list
	case yaml.MappingNode:
		m := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Tag == "!!merge" {
				if below, ok := jsonOf(n.Content[i+1]).(map[string]any); ok {
					for k, v := range below {
						if _, own := m[k]; !own {
							m[k] = v
						}
					}
				}
				continue
			}
			m[n.Content[i].Value] = jsonOf(n.Content[i+1])
		}
		return m
	}
	switch n.Tag {
	case "!!null":
		return nil
	case "!!int", "!!float":
		var f float64
		if n.Decode(&f) == nil {
			return f
		}
	case "!!bool":
		if s := strings.ToLower(n.Value); s == "true" || s == "false" {
			return s == "true"
		}
	}
	return n.Value
}

func TestSchemaIsASchema(t *testing.T) {
	t.Parallel()
	data, err := json.Marshal(rules.Schema())
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	if err := metaSchema(t).Validate(v); err != nil {
		t.Error(err)
	}
	if metaSchema(t).Validate(map[string]any{"type": "txt"}) == nil {
		t.Error("the meta-schema accepts everything")
	}
	if m := v.(map[string]any); m["$schema"] != schema.Dialect {
		t.Errorf("$schema is %v", m["$schema"])
	}
}

// TestSchemaAcceptsWhatLoads looks for a file that loads although an editor would mark it.
func TestSchemaAcceptsWhatLoads(t *testing.T) {
	t.Parallel()
	valid := ruleSchema(t)
	count := 0
	for _, pattern := range []string{"../testdata/rules/*.yaml", "../testdata/demo/*.yaml", "../testdata/bad/*.yaml", "../cmd/bellhop/sample/rules/*.yaml"} {
		paths, err := filepath.Glob(pattern)
		if err != nil || len(paths) == 0 {
			t.Fatal("nothing at", pattern, err)
		}
		for _, path := range paths {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasSuffix(path, ".test.yaml") {
				continue
			}
			f, _ := rules.Compile(path, data, options())
			if f == nil || len(f.Rules) == 0 {
				continue
			}
			count++
			if err := valid.Validate(instance(t, data)); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
	if count < 8 {
		t.Errorf("only %d files were looked at", count)
	}
	odd := `rules:
  - name: 12
    description:
    on: booked
    when: yes
    enabled: Off
    let:
    mode: live
    then:
      - slack: { channel: "#x", text: 5 }
      - email: { to: [a@example.com, "{{ contact.email }}"], cc: b@example.com, subject: true, text: x, invite: yes }
      - http: { connection: crm, path: /x, expect: ["200", 409], timeout: 1m30s, json: [1, { a: null }] }
      - http: { connection: crm, path: /x, expect: 200, query: { n: 1 } }
      - { at: receivedAt, late: 1.5h, slack: { channel: "#x", text: a } }
      - { late: send, slack: { channel: "#x", text: b }, at: appointment.endTime }
`
	if f, findings := rules.Compile("odd.yaml", []byte(odd), options()); f == nil {
		t.Fatal(render(findings, odd))
	}
	if err := valid.Validate(instance(t, []byte(odd))); err != nil {
		t.Error(err)
	}
}

// TestSchemaExamples checks the examples shown to people against their schemas.
func TestSchemaExamples(t *testing.T) {
	t.Parallel()
	count := 0
	var all []*jsonschema.Schema
	var collect func(s *jsonschema.Schema)
	collect = func(s *jsonschema.Schema) {
		all = append(all, s)
		for _, p := range s.Properties {
			collect(p)
		}
		if s.Items != nil {
			collect(s.Items)
		}
	}
	collect(rules.Schema())
	for _, s := range all {
		for _, example := range s.Examples {
			count++
			own := s.CloneSchemas()
			own.Schema = ""
			resolved, err := own.Resolve(nil)
			if err != nil {
				t.Fatal(err)
			}
			data, err := json.Marshal(example)
			if err != nil {
				t.Fatal(err)
			}
			var v any
			if err := json.Unmarshal(data, &v); err != nil {
				t.Fatal(err)
			}
			if err := resolved.Validate(v); err != nil {
				t.Errorf("the example %s of %q: %v", data, s.Description, err)
			}
		}
	}
	if count < 30 {
		t.Errorf("only %d examples", count)
	}
}

// TestSchemaRejects checks files with one mistake in their form each; check finds the same mistakes.
func TestSchemaRejects(t *testing.T) {
	t.Parallel()
	valid := ruleSchema(t)
	const whole = `rules:
  - name: a
    on: booked
    when: "true"
    let: { v: "1" }
    mode: shadow
    enabled: true
    then:
      - slack: { channel: "#x", text: "{{ v }}" }
      - email: { to: a@example.com, subject: x, text: y, invite: true }
      - http: { connection: crm, path: /x, timeout: 10s, expect: [200], query: { a: b } }
      - at: receivedAt
        late: skip
        email: { to: b@example.com, subject: x, text: y }
`
	if err := valid.Validate(instance(t, []byte(whole))); err != nil {
		t.Fatal(err)
	}
	for _, change := range [][2]string{
		{"rules:", "rule:"},
		{"rules:", "more: 1\nrules:"},
		{"name: a", "nam: a"},
		{"name: a", `name: ""`},
		{"name: a", "name: [a]"},
		{"name: a", "name: " + strings.Repeat("a", 101)},
		{"    on: booked\n", ""},
		{"on: booked", "on: boked"},
		{"on: booked", "on: []"},
		{"on: booked", "on: [booked, moved]"},
		{`when: "true"`, "when: [a]"},
		{`let: { v: "1" }`, "let: [v]"},
		{`let: { v: "1" }`, `let: { v: "1", a-b: "2" }`},
		{"mode: shadow", "mode: dry"},
		{"enabled: true", "enabled: perhaps"},
		{"enabled: true", "enabled: 1"},
		{"enabled: true", "enable: true"},
		{"- slack: {", "- slak: {"},
		{"- slack: {", "- email: { to: b@example.com, subject: x, text: y }\n        slack: {"},
		{"channel:", "chanel:"},
		{"- slack: { channel: \"#x\", text: \"{{ v }}\" }", "- at: now()"},
		{"to: a@example.com, ", ""},
		{"to: a@example.com", "to: { a: b }"},
		{"invite: true", "invite: maybe"},
		{"timeout: 10s", "timeout: 10"},
		{"timeout: 10s", "timeout: ten seconds"},
		{"expect: [200]", "expect: [ok]"},
		{"query: { a: b }", "query: a=b"},
		{"subject: x", "subject: [x]"},
		{"subject: x", "subject: x, date: now"},
		{"at: receivedAt", "at: 24"},
		{"at: receivedAt", `at: ""`},
		{"at: receivedAt", "at: true"},
		{"at: receivedAt", "at: [receivedAt]"},
		{"at: receivedAt", "after: 2h"},
		{"at: receivedAt\n        late: skip", "late: 2h"},
		{"late: skip", "late: never"},
		{"late: skip", "late: 2"},
		{"late: skip", "late: -2h"},
		{"late: skip", "late: true"},
	} {
		broken := strings.Replace(whole, change[0], change[1], 1)
		if broken == whole {
			t.Fatalf("%q is not there", change[0])
		}
		if valid.Validate(instance(t, []byte(broken))) == nil {
			t.Errorf("the schema accepts %q for %q", change[1], change[0])
		}
		if f, _ := rules.Compile("x.yaml", []byte(broken), options()); f != nil {
			t.Errorf("check accepts %q for %q", change[1], change[0])
		}
	}
}

// Patterns are read by many validators, not all of which know Unicode classes.
func TestSchemaPatternsArePortable(t *testing.T) {
	t.Parallel()
	data, err := json.Marshal(rules.Schema())
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`\\p`, `\\P`, `(?`, `[[:`} {
		if strings.Contains(string(data), part) {
			t.Errorf("a pattern of the schema has %s", part)
		}
	}
}
