package config

import (
	"cmp"
	"reflect"
	"strings"
	"time"

	"github.com/google/jsonschema-go/jsonschema"

	"bellhop/actions"
	"bellhop/rules"
	"bellhop/rules/lang"
	"bellhop/rules/schema"
	"bellhop/rules/text"
)

// Schema returns a JSON Schema of bellhop.yaml for editors. It is made from the structs that the file is decoded into,
// and accepts every file that [Load] accepts.
func Schema() *jsonschema.Schema {
	s := structSchema(reflect.TypeFor[Config](), "configuration")
	s.Schema = schema.Dialect
	s.Description = "The configuration of Bellhop. Everything has a default."
	return s
}

// reference is a pattern for texts with a ${…}. The schema accepts them, because it cannot know their values.
const reference = `\$\{`

// typeSchema returns the schema of a type, in the way that [decoder.value] reads it. title is the name of an object for
// people.
func typeSchema(t reflect.Type, title string) *jsonschema.Schema {
	switch {
	case t == reflect.TypeFor[Connection]():
		return connectionSchema()
	case t == reflect.TypeFor[Verify]():
		s := structSchema(t, title)
		short := s.Properties["scheme"].CloneSchemas()
		short.Description = ""
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{short, s}}
	case t == reflect.TypeFor[time.Duration]():
		s := schema.Duration()
		s.Pattern += "|" + reference
		return schema.OrNothing(s)
	case t.Kind() == reflect.Pointer:
		return typeSchema(t.Elem(), title)
	case t.Kind() == reflect.String:
		return schema.OrNothing(schema.Text())
	case t.Kind() == reflect.Int:
		return schema.OrNothing(schema.Number(reference))
	case t.Kind() == reflect.Slice:
		return schema.OneOrList(typeSchema(t.Elem(), title), "write a text, or a list of texts")
	case t.Kind() == reflect.Map:
		return schema.OrNothing(schema.Values("names with their values", typeSchema(t.Elem(), title)))
	case t.Kind() == reflect.Struct:
		return structSchema(t, title)
	}
	return &jsonschema.Schema{}
}

// titles are the names, for people, of the objects at these keys.
var titles = map[string]string{"sources": "source", "connections": "connection", "verify": "verification"}

func structSchema(t reflect.Type, title string) *jsonschema.Schema {
	s := schema.OrNothing(schema.Object(title, ""))
	for name, f := range actions.Keys(t) {
		p := fieldSchema(t, f, name)
		p.Examples = schema.Examples(f.Tag.Get("example"))
		if example := f.Tag.Get("example"); example != "" && f.Type.Kind() == reflect.String {
			p.Examples = []any{example} // not decoded as YAML, because the value is a text
		}
		schema.Property(s, name, f.Tag.Get("doc"), p)
		if also := f.Tag.Get("also"); also != "" {
			schema.Property(s, also, "", p.CloneSchemas())
		}
	}
	return s
}

func fieldSchema(t reflect.Type, f reflect.StructField, name string) *jsonschema.Schema {
	title := cmp.Or(titles[name], name)
	like, words := f.Tag.Get("like"), f.Tag.Get("words")
	switch {
	case t == reflect.TypeFor[Verify]() && name == "scheme":
		return wordSchema(Schemes())
	case t == reflect.TypeFor[Config]() && name == "language":
		return schema.Saying("write a language, such as de, fr or pt-BR", &jsonschema.Schema{AnyOf: []*jsonschema.Schema{
			schema.Word(lang.Languages()...), {Type: "string", Pattern: "^([A-Za-z][A-Za-z]([-_].*)?)?$|" + reference}, {Type: "null"},
		}})
	case t == reflect.TypeFor[Source]() && name == "statuses":
		s := typeSchema(f.Type, title)
		s.Title, s.AdditionalProperties = "statuses", wordSchema(rules.Statuses())
		return s
	case like != "":
		return schema.OrNothing(schema.Like(like+"|^$|"+reference, words))
	}
	return typeSchema(f.Type, title)
}

// wordSchema returns the schema of one of a few words, or of a text with a ${…}.
func wordSchema(words []string) *jsonschema.Schema {
	return schema.Saying("write "+text.OneOf(words), &jsonschema.Schema{AnyOf: []*jsonschema.Schema{
		schema.Word(words...), {Type: "string", Pattern: reference}, {Type: "null"},
	}})
}

// connectionSchema returns the schema of an entry of `connections:`. The keys that say which kind of action it is for
// also decide which other keys it can have.
func connectionSchema() *jsonschema.Schema {
	s := schema.OrNothing(schema.Object("connection", "Where one kind of action sends to, and with which credentials."))
	var which, words []string
	for _, kind := range actions.Kinds() {
		of := structSchema(reflect.TypeOf(kind.NewConnection()).Elem(), "connection")
		for _, name := range of.PropertyOrder {
			if s.Properties[name] == nil {
				schema.Property(s, name, "", of.Properties[name])
			}
		}
		which = append(which, kind.ConnectionKeys...)
		words = append(words, text.OneOf(kind.ConnectionKeys)+" for "+kind.Name)
	}
	schema.OneAtLeast(s, "a connection says where to send: "+strings.Join(words, ", "), which...)
	for _, kind := range actions.Kinds() {
		is := &jsonschema.Schema{Type: "object"}
		for _, key := range kind.ConnectionKeys {
			is.AnyOf = append(is.AnyOf, &jsonschema.Schema{Required: []string{key}})
		}
		others := schema.Saying("a connection for "+kind.Name+" has no such key", &jsonschema.Schema{})
		own := structSchema(reflect.TypeOf(kind.NewConnection()).Elem(), "connection")
		for _, name := range s.PropertyOrder {
			if own.Properties[name] == nil {
				schema.Property(others, name, "", schema.False())
			}
		}
		s.AllOf = append(s.AllOf, &jsonschema.Schema{If: is, Then: others})
		for _, c := range kind.ConnectionChoices {
			schema.AtMostOne(s, c.Words, c.Keys...)
		}
	}
	return s
}
