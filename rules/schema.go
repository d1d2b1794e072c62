package rules

import (
	"encoding/json"
	"reflect"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
	"gopkg.in/yaml.v3"

	"bellhop/actions"
)

// SchemaDialect is the version of JSON Schema that [Schema] is written in.
const SchemaDialect = "https://json-schema.org/draft/2020-12/schema"

// Schema is a JSON Schema of rule files, for editors. It accepts every file that [Compile] accepts; what is
// between the quotes, expressions above all, only Compile can check.
func Schema() *jsonschema.Schema {
	step := object("One thing that the rule does.")
	for _, kind := range actions.Kinds() {
		property(step, kind.Name, actionSchema(kind))
		step.OneOf = append(step.OneOf, &jsonschema.Schema{Required: []string{kind.Name}})
	}
	for _, k := range StepKeys() {
		s := stepKeySchema(k.Name)
		s.Description = k.Doc
		s.Examples = examples(k.Example)
		property(step, k.Name, s)
	}
	step.DependentRequired = map[string][]string{"late": {"at"}}
	rule := object("One rule.")
	for _, k := range Keys() {
		s := keySchema(k.Name, step)
		s.Description = k.Doc
		s.Examples = examples(k.Example)
		property(rule, k.Name, s)
		if k.Required {
			rule.Required = append(rule.Required, k.Name)
		}
	}
	file := object("Rules of Bellhop: what is done when an appointment is booked, moved or cancelled.")
	file.Schema, file.Title = SchemaDialect, "Bellhop rule file"
	file.Types, file.Type = []string{"object", "null"}, ""
	property(file, "rules", &jsonschema.Schema{Types: []string{"array", "null"}, Items: rule, Description: "The rules of this file."})
	file.Required = []string{"rules"}
	return file
}

// keySchema says what a rule's key takes.
func keySchema(name string, step *jsonschema.Schema) *jsonschema.Schema {
	switch name {
	case "name":
		s := textSchema()
		s.MinLength, s.MaxLength = jsonschema.Ptr(1), jsonschema.Ptr(maxName)
		return s
	case "description":
		s := textSchema()
		s.Types = append(s.Types, "null")
		return s
	case "on":
		event := &jsonschema.Schema{}
		for _, w := range Events() {
			event.AnyOf = append(event.AnyOf, &jsonschema.Schema{Const: constValue(w.Name), Description: w.Doc})
		}
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{event, {Type: "array", Items: event.CloneSchemas(), MinItems: jsonschema.Ptr(1)}}}
	case "let":
		let := &jsonschema.Schema{Types: []string{"object", "null"}, AdditionalProperties: textSchema()}
		// Of what is not ASCII nothing is said: \p{L} is not known to every validator.
		let.PropertyNames = &jsonschema.Schema{Pattern: `^[^\x00-@\[-^\x60{-\x7f][^\x00-/:-@\[-^\x60{-\x7f]*$`}
		return let
	case "then":
		return &jsonschema.Schema{Type: "array", Items: step, MinItems: jsonschema.Ptr(1)}
	case "enabled":
		return boolSchema()
	case "mode":
		return &jsonschema.Schema{Enum: []any{"shadow", "live"}}
	}
	return textSchema() // timezone, and the expression of when
}

// stepKeySchema says what a step's key takes.
func stepKeySchema(name string) *jsonschema.Schema {
	if name == "latest" {
		return boolSchema()
	}
	if name == "late" {
		late := &jsonschema.Schema{}
		for _, w := range LateWords() {
			late.AnyOf = append(late.AnyOf, &jsonschema.Schema{Const: constValue(w.Name), Description: w.Doc})
		}
		late.AnyOf = append(late.AnyOf, durationSchema())
		return late
	}
	return &jsonschema.Schema{Type: "string", MinLength: jsonschema.Ptr(1)} // no number or truth value is a time
}

func durationSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Pattern: DurationPattern, MinLength: jsonschema.Ptr(2)}
}

// actionSchema says what the fields of an action take, as [scope.field] reads them.
func actionSchema(kind actions.Kind) *jsonschema.Schema {
	s := object(kind.Summary)
	for _, f := range actions.Fields(kind) {
		if f.Internal {
			continue
		}
		p := fieldSchema(f.Type)
		p.Description = f.Doc
		p.Examples = examples(f.Example)
		if f.Type.Kind() == reflect.String || f.Type == reflect.TypeFor[actions.List]() && !strings.HasPrefix(f.Example, "[") {
			p.Examples = []any{f.Example} // a text as it is, whatever YAML would make of it
		}
		property(s, f.Name, p)
		if f.Required {
			s.Required = append(s.Required, f.Name)
		}
	}
	return s
}

func fieldSchema(t reflect.Type) *jsonschema.Schema {
	switch t {
	case reflect.TypeFor[actions.List]():
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{textSchema(), {Type: "array", Items: textSchema()}}}
	case reflect.TypeFor[bool]():
		return boolSchema()
	case reflect.TypeFor[actions.Duration]():
		return durationSchema()
	case reflect.TypeFor[[]int]():
		number := &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Type: "integer"}, {Type: "string", Pattern: "^[-+]?[0-9]+$"}}}
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{number, {Type: "array", Items: number.CloneSchemas()}}}
	case reflect.TypeFor[map[string]string]():
		return &jsonschema.Schema{Type: "object", AdditionalProperties: textSchema()}
	}
	if t.Kind() == reflect.Interface {
		return &jsonschema.Schema{} // any YAML
	}
	return textSchema()
}

// DurationPattern is what durations look like, such as 90m or 1d12h; see [actions.ParseDuration].
const DurationPattern = `^([0-9.]+w)?([0-9.]+d)?([0-9.]+h)?([0-9.]+m)?([0-9.]+s)?([0-9.]+ms)?$`

// BoolPattern is what stands for true or false, besides these themselves.
const BoolPattern = `^([Yy][Ee][Ss]|[Nn][Oo]|[Oo][Nn]|[Oo][Ff][Ff]|[Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee])$`

func boolSchema() *jsonschema.Schema {
	return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Type: "boolean"}, {Type: "string", Pattern: BoolPattern}}}
}

// textSchema is of a text, which in YAML may look like a number or a truth value.
func textSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Types: []string{"string", "number", "boolean"}}
}

// object is of a map without other keys than the properties it is given.
func object(doc string) *jsonschema.Schema {
	return &jsonschema.Schema{Type: "object", Description: doc, AdditionalProperties: &jsonschema.Schema{Not: &jsonschema.Schema{}}}
}

func property(of *jsonschema.Schema, name string, s *jsonschema.Schema) {
	if of.Properties == nil {
		of.Properties = map[string]*jsonschema.Schema{}
	}
	of.Properties[name] = s
	of.PropertyOrder = append(of.PropertyOrder, name)
}

func constValue(v any) *any { return &v }

// examples reads an example as YAML; one that YAML makes nothing of is a text.
func examples(written string) []any {
	if written == "" {
		return nil
	}
	var v any
	if err := yaml.Unmarshal([]byte(written), &v); err != nil || v == nil {
		return []any{written}
	}
	if _, err := json.Marshal(v); err != nil {
		return []any{written}
	}
	return []any{v}
}
