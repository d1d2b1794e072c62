// Package schema builds the JSON Schemas that editors read: of rule files, of their tests and of the configuration.
// Editors show parts of a schema to people, so every part has its own words for what is wrong. yaml-language-server
// and VS Code understand the key errorMessage.
package schema

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
	"gopkg.in/yaml.v3"
)

// Dialect is the version of JSON Schema.
const Dialect = "https://json-schema.org/draft/2020-12/schema"

// durationPattern matches durations such as 90m or 1d12h; see [bellhop/actions.ParseDuration].
const durationPattern = `^([0-9.]+w)?([0-9.]+d)?([0-9.]+h)?([0-9.]+m)?([0-9.]+s)?([0-9.]+ms)?$`

// boolPattern matches words for true and false, besides these two.
const boolPattern = `^([Yy][Ee][Ss]|[Nn][Oo]|[Oo][Nn]|[Oo][Ff][Ff]|[Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee])$`

const (
	durationWords = "write a duration: a number and a unit (s, m, h, d, w), such as 90m or 1d12h"
	boolWords     = "write true or false"
	textWords     = "write a text here"
	numberWords   = "write a whole number here"
)

// Saying sets the words that people see if a value does not fit a schema or the alternatives in it.
func Saying(words string, s *jsonschema.Schema) *jsonschema.Schema {
	s.Extra = map[string]any{"errorMessage": words}
	for _, one := range s.AnyOf {
		Saying(words, one)
	}
	return s
}

// Text is the schema of a text, which in YAML may look like a number or a boolean.
func Text() *jsonschema.Schema {
	return Saying(textWords, &jsonschema.Schema{Types: []string{"string", "number", "boolean"}})
}

// Like is the schema of a text of a certain form, described by words.
func Like(pattern, words string) *jsonschema.Schema {
	return Saying(words, &jsonschema.Schema{Type: "string", Pattern: pattern})
}

// Duration is the schema of a length of time with units.
func Duration() *jsonschema.Schema {
	s := Like(durationPattern, durationWords)
	s.MinLength = jsonschema.Ptr(2)
	return s
}

// Bool is the schema of true or false in all their spellings, and of texts that also matches.
func Bool(also ...string) *jsonschema.Schema {
	return Saying(boolWords, &jsonschema.Schema{Types: []string{"boolean", "string"}, Pattern: alternatives(boolPattern, also)})
}

// Number is the schema of a whole number, and of texts that also matches.
func Number(also ...string) *jsonschema.Schema {
	return Saying(numberWords, &jsonschema.Schema{Types: []string{"integer", "string"}, Pattern: alternatives(`^[-+]?[0-9_]+$`, also)})
}

func alternatives(pattern string, also []string) string {
	return strings.Join(append([]string{pattern}, also...), "|")
}

// Word is the schema of one of several words.
func Word(words ...string) *jsonschema.Schema {
	s := &jsonschema.Schema{}
	for _, w := range words {
		s.Enum = append(s.Enum, w)
	}
	return s
}

// OrNothing allows a key without a value.
func OrNothing(s *jsonschema.Schema) *jsonschema.Schema {
	switch {
	case s.Type != "":
		s.Types, s.Type = []string{s.Type, "null"}, ""
	case s.Types != nil:
		s.Types = append(s.Types, "null")
	case s.AnyOf != nil:
		s.AnyOf = append(s.AnyOf, &jsonschema.Schema{Type: "null", Extra: s.Extra})
	}
	return s
}

// OneOrList is the schema of one value or a list of them.
func OneOrList(one *jsonschema.Schema, words string) *jsonschema.Schema {
	return Saying(words, &jsonschema.Schema{AnyOf: []*jsonschema.Schema{one.CloneSchemas(), {Type: "array", Items: one}}})
}

// Values is the schema of a map with arbitrary keys.
func Values(title string, of *jsonschema.Schema) *jsonschema.Schema {
	return &jsonschema.Schema{Type: "object", Title: title, AdditionalProperties: of}
}

// Object is the schema of a map that has only the given properties. title is its name for people, as in "Expected
// "rule"" if something else is in its place.
func Object(title, doc string) *jsonschema.Schema {
	return &jsonschema.Schema{Type: "object", Title: title, Description: doc, AdditionalProperties: False()}
}

// False is the schema that accepts nothing.
func False() *jsonschema.Schema { return &jsonschema.Schema{Not: &jsonschema.Schema{}} }

// Property adds a key to an object, with its description for people.
func Property(of *jsonschema.Schema, name, doc string, s *jsonschema.Schema) {
	if of.Properties == nil {
		of.Properties = map[string]*jsonschema.Schema{}
	}
	if doc != "" {
		s.Description = doc
	}
	of.Properties[name] = s
	of.PropertyOrder = append(of.PropertyOrder, name)
}

// AtMostOne allows an object only one of several keys. words are shown at the second one. A key without a value does
// not count.
func AtMostOne(of *jsonschema.Schema, words string, keys ...string) {
	for i, first := range keys[:len(keys)-1] {
		others := &jsonschema.Schema{Properties: map[string]*jsonschema.Schema{}}
		for _, other := range keys[i+1:] {
			others.Properties[other] = Saying(words, &jsonschema.Schema{Type: "null"})
			others.PropertyOrder = append(others.PropertyOrder, other)
		}
		given := &jsonschema.Schema{Required: []string{first}, Properties: map[string]*jsonschema.Schema{
			first: {Types: []string{"string", "number", "boolean", "object", "array"}},
		}}
		of.AllOf = append(of.AllOf, &jsonschema.Schema{If: given, Then: others})
	}
}

// OneAtLeast requires one of several keys in an object. words are shown if there is none. While the object has an
// unknown key, only that is reported, because it is probably the missing one.
func OneAtLeast(of *jsonschema.Schema, words string, keys ...string) {
	known := &jsonschema.Schema{Type: "object", PropertyNames: Word(append(slices.Clone(of.PropertyOrder), "<<")...)}
	any := &jsonschema.Schema{}
	for _, key := range keys {
		any.AnyOf = append(any.AnyOf, Saying(words, &jsonschema.Schema{Required: []string{key}}))
	}
	of.AllOf = append(of.AllOf, &jsonschema.Schema{If: known, Then: any})
}

// Examples returns an example read as YAML, or as a text if it is not valid YAML.
func Examples(written string) []any {
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

// Const is the schema of one single value.
func Const(v any, doc string) *jsonschema.Schema {
	return &jsonschema.Schema{Const: &v, Description: doc}
}
