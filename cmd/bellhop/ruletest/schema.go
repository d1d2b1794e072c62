package ruletest

import (
	"reflect"

	"github.com/google/jsonschema-go/jsonschema"

	"bellhop/actions"
	"bellhop/rules"
	"bellhop/rules/schema"
	"bellhop/rules/text"
)

// Schema returns a JSON Schema of test files for editors. It accepts every file that [Runner.Run] can read. Only Run
// checks whether the files and rules that a test file names exist.
func Schema() *jsonschema.Schema {
	file := schema.Object("test file", "Tests of Bellhop's rules: an event each, and what must come of it.")
	file.Schema = schema.Dialect
	file.Types, file.Type = []string{"object", "null"}, ""
	add(file, fileKeys(), map[string]*jsonschema.Schema{
		"tests": {Types: []string{"array", "null"}, Items: testSchema()},
		"rules": schema.OneOrList(schema.Text(), "write the name of a file or a folder, or a list of them"),
	})
	file.Required = nil // a file without tests is accepted, because people begin with one
	return file
}

func testSchema() *jsonschema.Schema {
	payload := func(title string, s *jsonschema.Schema) *jsonschema.Schema {
		s.Title = title
		file := schema.Saying("write the name of a file, or the fields themselves", schema.Text())
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{file, s}}
	}
	state := schema.Object("state", "")
	add(state, stateKeys(), nil)
	other := schema.Object("appointment", "")
	add(other, historyKeys(), nil)
	test := schema.Object("test", "One test: an event, and what must come of it.")
	add(test, testKeys(), map[string]*jsonschema.Schema{
		"event":   payload("event", &jsonschema.Schema{Type: "object"}),
		"with":    schema.OrNothing(schema.Values("changes to the event", &jsonschema.Schema{})),
		"state":   payload("state", schema.OrNothing(state)),
		"people":  schema.OrNothing(rules.DirectorySchema()),
		"history": schema.OrNothing(&jsonschema.Schema{Type: "array", Items: other}),
		"expect":  expectSchema(),
	})
	return test
}

func expectSchema() *jsonschema.Schema {
	list := func(item *jsonschema.Schema) *jsonschema.Schema {
		return &jsonschema.Schema{Types: []string{"array", "null"}, Items: item}
	}
	names := func() *jsonschema.Schema {
		s := schema.OneOrList(schema.Text(), "write the name of a rule, or a list of them")
		return schema.OrNothing(s)
	}
	skip := schema.Object("skipped step", "A step that is not sent, and why.")
	add(skip, skipKeys(), numbered())
	expect := schema.OrNothing(schema.Object("expectation", ""))
	add(expect, expectKeys(), map[string]*jsonschema.Schema{
		"fires": names(), "not": names(), "skipped": list(skip),
		"steps": list(stepSchema("expected step", "A step that is sent at once, with what it sends.", stepKeys(), true)),
		"held":  list(stepSchema("held step", "A step that waits.", holdKeys(), false)),
	})
	return expect
}

// stepSchema returns the schema of a step with the action that it renders.
func stepSchema(title, doc string, keys []rules.Key, sent bool) *jsonschema.Schema {
	step := schema.Object(title, doc)
	add(step, keys, numbered())
	var kinds []string
	for _, kind := range actions.Kinds() {
		fields := schema.OrNothing(schema.Object("fields of "+kind.Name, "What it sends; only what is given is compared."))
		for _, f := range actions.Fields(kind) {
			s := &jsonschema.Schema{}
			if f.Type.Kind() == reflect.String {
				s = schema.OrNothing(schema.Text())
			}
			schema.Property(fields, f.Name, f.Doc, s)
		}
		schema.Property(step, kind.Name, "", fields)
		kinds = append(kinds, kind.Name)
	}
	if sent {
		schema.OneAtLeast(step, "say what the step sends: "+text.OneOf(kinds), kinds...)
	}
	schema.AtMostOne(step, "a step has one action: "+text.OneOf(kinds), kinds...)
	return step
}

// numbered returns the schema of the key `step`, the number of a step.
func numbered() map[string]*jsonschema.Schema {
	return map[string]*jsonschema.Schema{
		"step": schema.Saying("write the number of a step, 1 being the first", &jsonschema.Schema{
			Types: []string{"integer", "string"}, Minimum: jsonschema.Ptr(1.0), Pattern: `^[+]?0*[1-9][0-9]*$`,
		}),
	}
}

// add adds keys to an object. A key that is not in forms is a text, or any value if the object is a state.
func add(of *jsonschema.Schema, keys []rules.Key, forms map[string]*jsonschema.Schema) {
	for _, k := range keys {
		s := forms[k.Name]
		switch {
		case s != nil:
		case of.Title == "state":
			s = &jsonschema.Schema{}
		default:
			s = schema.Text()
		}
		s.Examples = schema.Examples(k.Example)
		schema.Property(of, k.Name, k.Doc, s)
		if k.Required {
			of.Required = append(of.Required, k.Name)
		}
	}
}
