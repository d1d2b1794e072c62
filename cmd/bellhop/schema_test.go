package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"
	"gopkg.in/yaml.v3"

	"bellhop/cmd/bellhop/ruletest"
	"bellhop/engine/config"
	"bellhop/rules"
)

// TestSchemasSpeakToPeople checks that every key has an explanation, every object a name, and every pattern an
// error message. Without the message, an editor shows people the regular expression.
func TestSchemasSpeakToPeople(t *testing.T) {
	t.Parallel()
	count := 0
	var walk func(at string, s *jsonschema.Schema)
	walk = func(at string, s *jsonschema.Schema) {
		if s == nil {
			return
		}
		count++
		if s.Pattern != "" && s.Extra["errorMessage"] == nil {
			t.Errorf("%s has a pattern without words", at)
		}
		if s.Properties != nil && s.Title == "" || s.AdditionalProperties != nil && s.Title == "" {
			t.Errorf("%s is an object without a name", at)
		}
		if len(s.OneOf) > 0 {
			t.Errorf("%s has oneOf, of which an editor says that it matches multiple schemas", at)
		}
		for name, p := range s.Properties {
			if p.Description == "" {
				t.Errorf("%s.%s has no explanation", at, name)
			}
			walk(at+"."+name, p)
		}
		walk(at+".*", s.AdditionalProperties)
		walk(at+" (name)", s.PropertyNames)
		walk(at+"[]", s.Items)
		for _, one := range s.AnyOf {
			walk(at, one)
		}
	}
	walk("rules", rules.Schema())
	walk("configuration", config.Schema())
	walk("tests", ruletest.Schema())
	if count < 150 {
		t.Errorf("only %d parts were looked at", count)
	}
}

// TestSchemaOfTests checks that the schema accepts every test file of the examples.
func TestSchemaOfTests(t *testing.T) {
	t.Parallel()
	valid, err := ruletest.Schema().Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, pattern := range []string{"../../testdata/rules/*.test.yaml", "sample/rules/*.test.yaml"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			count++
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var v any
			if err := yaml.Unmarshal(data, &v); err != nil {
				t.Fatal(err)
			}
			if data, err = json.Marshal(v); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(data, &v); err != nil {
				t.Fatal(err)
			}
			if err := valid.Validate(v); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
	if count < 5 {
		t.Errorf("only %d files were looked at", count)
	}
}
