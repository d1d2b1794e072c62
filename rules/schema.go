package rules

import (
	"reflect"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"

	"bellhop/actions"
	"bellhop/rules/schema"
	"bellhop/rules/text"
)

// Schema returns a JSON Schema of rule files, for editors. It accepts every file that [Compile] accepts. Only Compile
// can check texts such as expressions.
func Schema() *jsonschema.Schema {
	step := stepSchema()
	rule := schema.Object("rule", "One rule: when it applies, and what is done then.")
	for _, k := range Keys() {
		s := keySchema(k.Name, step)
		s.Examples = schema.Examples(k.Example)
		schema.Property(rule, k.Name, k.Doc, s)
		if k.Required {
			rule.Required = append(rule.Required, k.Name)
		}
	}
	file := schema.Object("rule file", "Rules of Bellhop: what is done when an appointment is booked, moved or cancelled.")
	file.Schema = schema.Dialect
	file.Types, file.Type = []string{"object", "null"}, ""
	schema.Property(file, "rules", "The rules of this file.", &jsonschema.Schema{Types: []string{"array", "null"}, Items: rule})
	only := schema.Object("locations of the rules", "")
	schema.Property(only, "locations", "The locations that the rules of this file are for: the names of their files, or their ids.", schema.OneOrList(schema.Text(), "write a location, or a list of them"))
	schema.Property(file, "for", "What the rules of this file are for; without it, all locations.", only)
	addDirectory(file)
	schema.OneAtLeast(file, "a file has rules, or entries of "+text.OneOf(directoryKeys), append([]string{"rules"}, directoryKeys...)...)
	return file
}

// DirectorySchema returns the schema of what [ReadDirectory] reads.
func DirectorySchema() *jsonschema.Schema {
	s := schema.Object("people", "")
	addDirectory(s)
	return s
}

// addDirectory adds the keys of the directory to an object.
func addDirectory(to *jsonschema.Schema) {
	for name, f := range actions.Keys(reflect.TypeFor[Directory]()) {
		s := schema.Values(name, entrySchema(f))
		s.Types, s.Type = []string{"object", "null"}, ""
		schema.Property(to, name, f.Tag.Get("doc"), s)
	}
}

// entrySchema returns the schema of an entry of the directory, as readEntry reads it.
func entrySchema(of reflect.StructField) *jsonschema.Schema {
	_, title, _ := strings.Cut(of.Tag.Get("noun"), " ")
	entry := schema.Object(title, "")
	entry.Types, entry.Type = []string{"object", "null"}, ""
	for f := range of.Type.Elem().Fields() {
		name, doc := f.Tag.Get("json"), f.Tag.Get("doc")
		if doc == "" || name == "id" {
			continue
		}
		s := schema.Text()
		switch {
		case name == "dnd":
			s = &jsonschema.Schema{AnyOf: []*jsonschema.Schema{schema.Bool(channels()...), {Type: "array", Items: schema.Word(channels()...)}}}
		case f.Type.Kind() == reflect.Slice:
			s = schema.OneOrList(schema.Text(), "write a text, or a list of texts")
		case f.Type.Kind() == reflect.Map:
			s = &jsonschema.Schema{Type: "object"}
		}
		schema.Property(entry, name, doc, schema.OrNothing(s))
	}
	return entry
}

func stepSchema() *jsonschema.Schema {
	step := schema.Object("step", "One thing that the rule does.")
	var kinds, others []string
	for _, kind := range actions.Kinds() {
		schema.Property(step, kind.Name, "", actionSchema(kind))
		kinds = append(kinds, kind.Name)
	}
	for _, k := range StepKeys() {
		s := stepKeySchema(k.Name)
		s.Examples = schema.Examples(k.Example)
		schema.Property(step, k.Name, k.Doc, s)
		others = append(others, k.Name)
	}
	one := "a step has one action: " + text.OneOf(kinds)
	schema.Saying(one+"; beside it there may be "+text.OneOf(others), step)
	schema.OneAtLeast(step, one, kinds...)
	schema.AtMostOne(step, one, kinds...)
	step.AllOf = append(step.AllOf, &jsonschema.Schema{
		If: &jsonschema.Schema{Required: []string{"late"}, Properties: map[string]*jsonschema.Schema{
			"late": {Type: "string", Pattern: "[0-9]"},
		}},
		Then: schema.Saying("without at, late is send or skip: there is no moment to be late for", &jsonschema.Schema{Required: []string{"at"}}),
	})
	return step
}

// keySchema returns the schema of a rule's key.
func keySchema(name string, step *jsonschema.Schema) *jsonschema.Schema {
	switch name {
	case "name":
		s := schema.Text()
		s.MinLength, s.MaxLength = jsonschema.Ptr(1), jsonschema.Ptr(maxName)
		return s
	case "description":
		s := schema.Text()
		s.Types = append(s.Types, "null")
		return s
	case "on":
		event := &jsonschema.Schema{}
		for _, w := range Events() {
			event.AnyOf = append(event.AnyOf, schema.Const(w.Name, w.Doc))
		}
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{event, {Type: "array", Items: event.CloneSchemas(), MinItems: jsonschema.Ptr(1)}}}
	case "let":
		let := schema.Values("named values", schema.Text())
		let.Types, let.Type = []string{"object", "null"}, ""
		// Characters outside ASCII are all allowed: not every validator knows \p{L}.
		let.PropertyNames = schema.Like(`^[^\x00-@\[-^\x60{-\x7f][^\x00-/:-@\[-^\x60{-\x7f]*$`, "a name under let has letters, digits and _, and begins with a letter")
		return let
	case "then":
		return &jsonschema.Schema{Type: "array", Items: step, MinItems: jsonschema.Ptr(1)}
	case "hours":
		return hoursSchema()
	case "outside":
		return outsideSchema()
	case "limit":
		return limitSchema()
	case "enabled":
		return schema.Bool()
	case "mode":
		return schema.Word("shadow", "live")
	}
	return schema.Text() // timezone, language and when
}

func hoursSchema() *jsonschema.Schema {
	hours := schema.Object("hours", "When something may be sent.")
	schema.Property(hours, "open", "The days and times.", schema.Text())
	schema.Property(hours, "closed", "Days on which they are closed: 2026-12-25, or 12-25 for every year.", schema.OneOrList(schema.Text(), "write a day, or a list of days"))
	hours.Required = []string{"open"}
	return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{schema.Text(), hours}}
}

func outsideSchema() *jsonschema.Schema {
	s := &jsonschema.Schema{}
	for _, w := range outsideWords() {
		s.AnyOf = append(s.AnyOf, schema.Const(w.Name, w.Doc))
	}
	return s
}

func limitSchema() *jsonschema.Schema {
	one := schema.Object("limit", "How often something may be sent.")
	schema.Property(one, "per", "The expression whose values are counted apart, such as contact.id.", schema.Text())
	schema.Property(one, "max", "How often.", schema.Number())
	schema.Property(one, "every", "Within which time, such as 24h.", schema.Duration())
	one.Required = limitKeys[1:]
	return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{one, {Type: "array", Items: one.CloneSchemas()}}}
}

// stepKeySchema returns the schema of a step's key.
func stepKeySchema(name string) *jsonschema.Schema {
	switch name {
	case "latest", "transactional":
		return schema.Bool()
	case "hours":
		return hoursSchema()
	case "outside":
		return outsideSchema()
	case "late":
		late := &jsonschema.Schema{AnyOf: []*jsonschema.Schema{schema.Duration()}}
		for _, w := range LateWords() {
			late.AnyOf = append(late.AnyOf, schema.Const(w.Name, w.Doc))
		}
		return schema.Saying("write skip, send, or how much later it may be sent, such as 2h", late)
	}
	return schema.Like(`.`, "write an expression that gives a time, such as "+aMoment) // a number or boolean is not a time
}

// actionSchema returns the schema of an action's fields, as [scope.field] reads them.
func actionSchema(kind actions.Kind) *jsonschema.Schema {
	s := schema.Object("fields of "+kind.Name, kind.Summary)
	for _, f := range actions.Fields(kind) {
		if f.Internal {
			continue
		}
		p := fieldSchema(f.Type)
		p.Examples = schema.Examples(f.Example)
		if f.Type.Kind() == reflect.String || f.Type == reflect.TypeFor[actions.List]() && !strings.HasPrefix(f.Example, "[") {
			p.Examples = []any{f.Example} // a text as it is, whatever YAML would read
		}
		schema.Property(s, f.Name, f.Doc, p)
		if f.Required {
			s.Required = append(s.Required, f.Name)
		}
	}
	for _, c := range kind.Choices {
		schema.AtMostOne(s, c.Words, c.Keys...)
	}
	return s
}

func fieldSchema(t reflect.Type) *jsonschema.Schema {
	switch t {
	case reflect.TypeFor[actions.List]():
		return schema.OneOrList(schema.Text(), "write a text, or a list of texts")
	case reflect.TypeFor[bool]():
		return schema.Bool()
	case reflect.TypeFor[actions.Duration]():
		return schema.Duration()
	case reflect.TypeFor[[]int]():
		return schema.OneOrList(schema.Number(), "write a whole number, or a list of them")
	case reflect.TypeFor[map[string]string]():
		return schema.Values("names with their values", schema.Text())
	}
	if t.Kind() == reflect.Interface {
		return &jsonschema.Schema{} // any YAML
	}
	return schema.Text()
}
