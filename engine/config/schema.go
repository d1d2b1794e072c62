package config

import (
	"encoding/json"
	"reflect"
	"strings"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
	"gopkg.in/yaml.v3"

	"bellhop/actions"
	"bellhop/rules"
)

// Schema is a JSON Schema of bellhop.yaml, for editors, derived from the structs that it is decoded into. It
// accepts every file that [Load] accepts.
func Schema() *jsonschema.Schema {
	s := structSchema(reflect.TypeFor[Config]())
	s.Schema, s.Title = rules.SchemaDialect, "bellhop.yaml"
	s.Description = "The configuration of Bellhop. Everything has a default."
	return s
}

// reference is what a text with a ${…} in it looks like: its value is known only when it is read.
const reference = `\$\{`

// typeSchema says what a value of a type takes, as [decoder.value] reads it. Nothing at all is always taken.
func typeSchema(t reflect.Type) *jsonschema.Schema {
	switch {
	case t == reflect.TypeFor[Connection]():
		return connectionSchema()
	case t == reflect.TypeFor[Verify]():
		s := structSchema(t)
		short := s.Properties["scheme"].CloneSchemas()
		short.Description = ""
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{short, s}}
	case t == reflect.TypeFor[time.Duration]():
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{
			{Type: "string", Pattern: rules.DurationPattern, MinLength: jsonschema.Ptr(2)}, {Type: "string", Pattern: reference}, {Type: "null"},
		}}
	case t.Kind() == reflect.Pointer:
		return typeSchema(t.Elem())
	case t.Kind() == reflect.String:
		return &jsonschema.Schema{Types: []string{"string", "number", "boolean", "null"}}
	case t.Kind() == reflect.Bool:
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{
			{Type: "boolean"}, {Type: "string", Pattern: rules.BoolPattern + "|" + reference}, {Type: "null"},
		}}
	case t.Kind() == reflect.Int:
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{
			{Type: "integer"}, {Type: "string", Pattern: `^[-+]?[0-9_]+$|` + reference}, {Type: "null"},
		}}
	case t.Kind() == reflect.Slice:
		item := typeSchema(t.Elem())
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{item, {Type: "array", Items: item.CloneSchemas()}}}
	case t.Kind() == reflect.Map:
		return &jsonschema.Schema{Types: []string{"object", "null"}, AdditionalProperties: typeSchema(t.Elem())}
	case t.Kind() == reflect.Struct:
		return structSchema(t)
	}
	return &jsonschema.Schema{}
}

func structSchema(t reflect.Type) *jsonschema.Schema {
	s := &jsonschema.Schema{
		Types:                []string{"object", "null"},
		Properties:           map[string]*jsonschema.Schema{},
		AdditionalProperties: &jsonschema.Schema{Not: &jsonschema.Schema{}},
	}
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || name == "" || name == "-" {
			continue
		}
		p := typeSchema(f.Type)
		if t == reflect.TypeFor[Verify]() && name == "scheme" {
			p = schemeSchema()
		}
		p.Description = f.Tag.Get("doc")
		p.Examples = examples(f)
		s.Properties[name] = p
		s.PropertyOrder = append(s.PropertyOrder, name)
		if also := f.Tag.Get("also"); also != "" {
			s.Properties[also] = p.CloneSchemas()
			s.PropertyOrder = append(s.PropertyOrder, also)
		}
	}
	return s
}

// schemeSchema is of a verification's scheme.
func schemeSchema() *jsonschema.Schema {
	known := &jsonschema.Schema{}
	for _, scheme := range Schemes() {
		known.Enum = append(known.Enum, scheme)
	}
	return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{known, {Type: "string", Pattern: reference}, {Type: "null"}}}
}

// connectionSchema is of an entry of connections: one of the kinds, by the keys that say which.
func connectionSchema() *jsonschema.Schema {
	s := &jsonschema.Schema{Types: []string{"object", "null"}}
	for _, kind := range actions.Kinds() {
		t := reflect.TypeOf(kind.NewConnection()).Elem()
		of := structSchema(t)
		of.Type, of.Types = "object", nil
		of.Description = "For " + kind.Name + ". " + kind.Summary
		var one []*jsonschema.Schema
		for _, key := range kind.ConnectionKeys {
			one = append(one, &jsonschema.Schema{Required: []string{key}})
		}
		of.AnyOf = one
		s.AnyOf = append(s.AnyOf, of)
	}
	s.AnyOf = append(s.AnyOf, &jsonschema.Schema{Type: "null"})
	return s
}

// examples reads a field's example: a text as it is, anything else as YAML.
func examples(f reflect.StructField) []any {
	written := f.Tag.Get("example")
	if written == "" {
		return nil
	}
	var v any
	if f.Type.Kind() == reflect.String || yaml.Unmarshal([]byte(written), &v) != nil || v == nil {
		return []any{written}
	}
	if _, err := json.Marshal(v); err != nil {
		return []any{written}
	}
	return []any{v}
}
