package lsp

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
	"gopkg.in/yaml.v3"

	"bellhop/actions"
	"bellhop/cmd/bellhop/ruletest"
	"bellhop/rules"
	"bellhop/rules/lang"
	"bellhop/rules/text"
)

// A guide knows what can be written in rule files, or in test files, under one configuration.
type guide struct {
	schema      *jsonschema.Schema // of the files
	connections map[string]string  // name to kind
	hours       []string           // their names
	sources     []string
	ofTests     bool     // the guide is for test files
	rules       []string // the rules that a test file can name
}

var (
	rulesSchema = sync.OnceValue(rules.Schema)
	testsSchema = sync.OnceValue(ruletest.Schema)
)

// form is the form of what can be written at a path of a file.
type form uint8

const (
	unknownForm    form = iota
	mapForm             // keys
	listForm            // items, each with keys
	wordForm            // one of a few words
	expressionForm      // an expression
	templateForm        // a text with {{ expressions }}
)

// An offer says what can be written in a place.
type offer struct {
	form  form
	words []choice // the keys of a map, the words of a wordForm
	one   []string // keys that exclude each other in a map
}

// A choice is one word to choose, with its description for people.
type choice struct {
	lang.Word
	kind   int    // as the protocol numbers kinds of completions
	insert string // what is written
}

// The protocol's numbers of the kinds of completions.
const (
	kindMethod   = 2
	kindFunction = 3
	kindField    = 5
	kindVariable = 6
	kindProperty = 10
	kindValue    = 12
	kindKeyword  = 14
	kindConstant = 21
)

// at says what can be written at a path. Most of it is in the schema of the file.
func (g *guide) at(p path) offer {
	special := g.inRules
	if g.ofTests {
		special = g.inTests
	}
	if len(p) > 2 && below(g.schema, p[0]) != nil {
		if o := special(p[2], p[3:]); o.form != unknownForm {
			return o
		}
	}
	s := g.schema
	for _, key := range p {
		if s = below(s, key); s == nil {
			return offer{}
		}
	}
	return offered(s)
}

// inRules says what can be written in a rule at a path below a key, where the schema does not say it.
func (g *guide) inRules(key string, p path) offer {
	switch {
	case key == "mode":
		return offer{form: wordForm, words: values(kindConstant, "", []lang.Word{
			{Name: "shadow", Doc: "Match, render and record, and send nothing."}, {Name: "live", Doc: "Send; this is what a rule without a mode does."},
		})}
	case key == "timezone":
		return offer{form: wordForm, words: append(values(kindConstant, "", rules.ZoneWords()), zones()...)}
	case key == "language":
		return offer{form: wordForm, words: append(values(kindConstant, "", rules.LanguageWords()), names(kindValue, lang.Languages()...)...)}
	case key == "hours" && len(p) == 0, key == "then" && len(p) == 2 && p[1] == "hours":
		return offer{form: wordForm, words: names(kindValue, append(slices.Clone(g.hours), "Mon-Fri 09:00-18:00")...)}
	case key == "when", key == "let" && len(p) == 1, key == "then" && len(p) == 2 && p[1] == "at", key == "limit" && len(p) > 0 && p[len(p)-1] == "per":
		return offer{form: expressionForm}
	case key == "then" && len(p) == 2 && p[1] == "late":
		return offer{form: wordForm, words: append(values(kindConstant, "", rules.LateWords()), names(kindValue, durations...)...)}
	case key == "then" && len(p) > 2:
		return g.field(p[1], p[2])
	}
	return offer{}
}

// field says what can be written in a field of an action.
func (g *guide) field(action, name string) offer {
	kind, ok := actions.Lookup(action)
	if !ok {
		return offer{}
	}
	for _, f := range actions.Fields(kind) {
		switch {
		case f.Name != name || f.Internal || f.Type.Kind() == reflect.Bool:
		case name == "connection":
			var words []lang.Word
			for _, name := range text.SortedKeys(g.connections) {
				if g.connections[name] == action {
					words = append(words, lang.Word{Name: name, Doc: "A connection for " + action + ", from the configuration."})
				}
			}
			return offer{form: wordForm, words: values(kindValue, "", words)}
		case f.Literal:
			return offer{form: wordForm, words: values(kindValue, "", []lang.Word{{Name: f.Example, Doc: "An example."}})}
		default:
			return offer{form: templateForm}
		}
	}
	return offer{}
}

// inTests says what can be written in a test at a path below a key, where the schema does not say it.
func (g *guide) inTests(key string, p path) offer {
	switch {
	case key == "source":
		return offer{form: wordForm, words: names(kindValue, g.sources...)}
	case key == "state" && slices.Equal(p, path{"appointmentStatus"}):
		return offer{form: wordForm, words: names(kindConstant, rules.Statuses()...)}
	case key == "expect" && len(p) > 0 && (p[0] == "fires" || p[0] == "not" || len(p) == 3 && p[2] == "rule"):
		return offer{form: wordForm, words: names(kindValue, g.rules...)}
	}
	return offer{}
}

// forms returns the schemas of which a value fits one.
func forms(s *jsonschema.Schema) []*jsonschema.Schema {
	list := []*jsonschema.Schema{s}
	for _, one := range s.AnyOf {
		list = append(list, forms(one)...)
	}
	return list
}

// below returns the schema of an item of a list, or of a key of a map, nil if there is none.
func below(s *jsonschema.Schema, key string) *jsonschema.Schema {
	for _, form := range forms(s) {
		if _, err := strconv.Atoi(key); err == nil && form.Items != nil {
			return form.Items
		}
		if p := form.Properties[key]; p != nil {
			return p
		}
	}
	return nil
}

// offered says what a schema allows.
func offered(s *jsonschema.Schema) offer {
	var o offer
	for _, form := range forms(s) {
		switch {
		case len(form.Properties) > 0:
			o.form, o.words = mapForm, keysOf(form)
			for _, kind := range actions.Kinds() {
				o.one = append(o.one, kind.Name)
			}
		case form.Const != nil:
			o.form = wordForm
			o.words = append(o.words, values(kindConstant, "", []lang.Word{{Name: fmt.Sprint(*form.Const), Doc: form.Description}})...)
		case slices.Contains(form.Types, "boolean") && form.Pattern != "":
			return offer{form: wordForm, words: names(kindConstant, "true", "false")}
		case form.Items != nil && o.form == unknownForm:
			if o = offered(form.Items); o.form != mapForm {
				continue
			}
			o.form = listForm
			if len(form.Items.Required) > 0 { // an item begins with its first key
				o.words = o.words[:1]
			}
			for i := range o.words {
				o.words[i].insert = "- " + o.words[i].insert
			}
		}
	}
	return o
}

// keysOf returns the keys of a map, in their usual order.
func keysOf(s *jsonschema.Schema) []choice {
	var words []choice
	for _, name := range s.PropertyOrder {
		p := s.Properties[name]
		w := choice{Word: lang.Word{Name: name, Doc: p.Description}, kind: kindProperty, insert: name + ": "}
		if len(p.Examples) > 0 {
			w.Example = written(p.Examples[0])
		}
		if kinds := append(p.Types, p.Type); slices.Contains(kinds, "object") || slices.Contains(kinds, "array") {
			w.insert = name + ":"
		}
		if slices.Contains(s.Required, name) {
			w.Type = "required"
		}
		words = append(words, w)
	}
	return words
}

// written returns an example as it is written in a file.
func written(example any) string {
	if text, ok := example.(string); ok {
		return text
	}
	var n yaml.Node
	if n.Encode(example) != nil {
		return ""
	}
	if n.Kind != yaml.ScalarNode {
		n.Style = yaml.FlowStyle
	}
	text, _ := yaml.Marshal(&n) // it was encoded before
	return strings.TrimSpace(string(text))
}

// values returns words as choices. after is what is written behind each.
func values(kind int, after string, words []lang.Word) []choice {
	var out []choice
	for _, w := range words {
		out = append(out, choice{Word: w, kind: kind, insert: w.Name + after})
	}
	return out
}

func names(kind int, words ...string) []choice {
	var list []lang.Word
	for _, w := range words {
		list = append(list, lang.Word{Name: w})
	}
	return values(kind, "", list)
}

// durations are common durations.
var durations = []string{"15m", "30m", "1h", "2h", "24h", "2d", "1w"}

func zones() []choice { return names(kindValue, lang.Zones()...) }

// choices returns what can be written at the cursor, and the part of the word before the cursor.
func (g *guide) choices(p place) (words []choice, word string) {
	if p.key {
		return g.keys(p, p.path), lastPart(p.before)
	}
	o := g.at(p.path)
	switch o.form {
	case mapForm, listForm:
		if p.nested {
			return g.keys(p, p.path), lastPart(p.before)
		}
	case wordForm:
		return o.words, lastPart(p.before)
	case expressionForm:
		return g.inExpression(p, p.before, p.after)
	case templateForm:
		if expression, ok := templateAt(p.before); ok {
			return g.inExpression(p, expression, p.after)
		}
	}
	return nil, ""
}

// lastPart returns the part of a word before the cursor. Such a word can have dashes and slashes.
func lastPart(before string) string {
	return before[strings.LastIndexAny(before, " \t\n,[{\"'")+1:]
}

// keys returns the keys that can be added to the map at a path.
func (g *guide) keys(p place, of path) []choice {
	o := g.at(of)
	if o.form != mapForm && o.form != listForm {
		return nil
	}
	given := p.keysBelow(of)
	isGiven := func(name string) bool { return slices.Contains(given, name) }
	chosen := slices.ContainsFunc(o.one, isGiven)
	var out []choice
	for _, w := range o.words {
		if o.form == mapForm && (isGiven(w.Name) || chosen && slices.Contains(o.one, w.Name)) {
			continue
		}
		if p.colon {
			w.insert = w.Name
		}
		out = append(out, w)
	}
	return out
}

// inExpression returns the words that can be written at the cursor in an expression, and the part of the word before
// the cursor.
func (g *guide) inExpression(p place, before, after string) ([]choice, string) {
	e := expressionAt(before, after)
	switch {
	case e.text:
		return g.inText(e), e.word
	case e.blindSpot:
		return nil, ""
	case e.chain != nil:
		return membersOf(e.chain), e.word
	}
	var out []choice
	for _, name := range letsAbove(p) {
		out = append(out, values(kindVariable, "", []lang.Word{{Name: name, Doc: "A value named under let."}})...)
	}
	out = slices.Concat(out, values(kindVariable, "", rules.Variables()), values(kindFunction, "(", lang.Functions()))
	operators := values(kindKeyword, "", lang.Operators())
	if e.operand {
		return append(operators, out...), e.word
	}
	return append(out, operators...), e.word
}

// letsAbove returns the values named under `let` that the expression at a place can use.
func letsAbove(p place) []string {
	if len(p.path) < 2 {
		return nil
	}
	var out []string
	for _, name := range p.keysBelow(append(p.path[:2:2], "let")) {
		if len(p.path) > 3 && p.path[2] == "let" && p.path[3] == name {
			break // a named value can use only those above it
		}
		out = append(out, name)
	}
	return out
}

// membersOf returns the fields and methods of the value of a chain.
func membersOf(chain []string) []choice {
	out := values(kindField, "", rules.FieldsBelow(strings.Join(chain, ".")))
	if isTime(chain) {
		out = append(out, values(kindMethod, "()", lang.TimeMethods())...)
	}
	return out
}

// isTime says whether the value of a chain is a time.
func isTime(chain []string) bool {
	w, ok := wordOf(chain)
	if ok && len(chain) == 1 && strings.HasSuffix(chain[0], "()") { // a function that always returns a time
		return len(w.Uses) > 0 && !slices.ContainsFunc(w.Uses, func(use string) bool { return !strings.HasSuffix(use, "→ time") })
	}
	return ok && w.Type == "a time"
}

// wordOf is what a chain of names stands for.
func wordOf(chain []string) (lang.Word, bool) {
	var list []lang.Word
	if len(chain) == 1 {
		list = slices.Concat(rules.Variables(), lang.Functions(), lang.Operators())
	} else {
		list = rules.FieldsBelow(strings.Join(chain[:len(chain)-1], "."))
		if list == nil && isTime(chain[:len(chain)-1]) {
			list = lang.TimeMethods()
		}
	}
	name := strings.TrimSuffix(chain[len(chain)-1], "()")
	i := slices.IndexFunc(list, func(w lang.Word) bool { return w.Name == name })
	if i < 0 {
		return lang.Word{}, false
	}
	return list[i], true
}

// inText returns the useful values of a quoted text in an expression.
func (g *guide) inText(e expressionPlace) []choice {
	switch strings.Join(e.compared, ".") {
	case "appointment.appointmentStatus", "previous.appointmentStatus":
		return names(kindConstant, rules.Statuses()...)
	case "type":
		return values(kindConstant, "", rules.Events()[:3])
	case "on":
		return values(kindConstant, "", rules.Events())
	case "changed":
		return values(kindConstant, "", rules.FieldsBelow("appointment"))
	case "source":
		return names(kindValue, g.sources...)
	case "weekday()":
		return names(kindConstant, "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
	}
	switch {
	case e.function == "tz" && e.argument == 1, e.function == "timezone":
		return zones()
	case e.function == "date" && e.argument == 1:
		var layouts []lang.Word
		moment := time.Date(2026, 1, 31, 15, 4, 5, 0, time.UTC)
		for _, l := range []string{"Mon 2 Jan 15:04", "Monday 2 January", "2 January 2006", "15:04", "3:04 PM", "2006-01-02", "2006-01-02 15:04", "01/02/2006"} {
			layouts = append(layouts, lang.Word{Name: l, Doc: "Prints a time like this: " + moment.Format(l)})
		}
		return values(kindValue, "", layouts)
	case e.function == "clock" && e.argument == 1:
		return names(kindValue, "08:00", "09:00", "12:00", "18:00")
	case e.function == "duration":
		return names(kindValue, durations...)
	}
	return nil
}

// describe says what the word at the cursor means. ok is false if there is nothing to say.
func (g *guide) describe(p place) (text string, ok bool) {
	head := wordFrom(p.after)
	o := g.at(p.path)
	if p.key {
		return describe(o.words, p.before+p.after)
	}
	expression := p.before
	switch o.form {
	case wordForm:
		return describe(o.words, lastPart(p.before)+strings.TrimRight(leading(p.after), " "))
	case templateForm:
		if expression, ok = templateAt(p.before); !ok {
			return "", false
		}
	case expressionForm:
	default:
		return "", false
	}
	rest := p.after[len(head):]
	e := expressionAt(expression+head, rest)
	switch {
	case e.text:
		return describe(g.inText(e), e.word)
	case e.word == "" || e.blindSpot:
		return "", false
	case e.chain == nil && slices.Contains(letsAbove(p), e.word):
		return "**" + e.word + "**\n\nA value named under let.", true
	}
	if w, found := wordOf(append(e.chain, e.word)); found {
		return choice{Word: w}.describe(), true
	}
	return "", false
}

// describe returns the description of the word of that name, if it has one.
func describe(words []choice, name string) (text string, ok bool) {
	i := slices.IndexFunc(words, func(c choice) bool { return c.Name == name && c.Doc != "" })
	if i < 0 {
		return "", false
	}
	return words[i].describe(), true
}

// leading returns the part of a word after the cursor.
func leading(after string) string {
	if i := strings.IndexAny(after, " \t\n,]}\"'"); i >= 0 {
		return after[:i]
	}
	return after
}

// describe returns the description of a word, in Markdown.
func (c choice) describe() string {
	var b strings.Builder
	b.WriteString("**" + c.Name + "**")
	if c.Type != "" {
		b.WriteString(": " + c.Type)
	}
	if len(c.Uses) > 0 {
		b.WriteString("\n\n```text\n" + strings.Join(c.Uses, "\n") + "\n```")
	}
	if c.Doc != "" {
		b.WriteString("\n\n" + c.Doc)
		if c.Example != "" {
			b.WriteString("\n\nExample: `" + c.Example + "`")
		}
	}
	return b.String()
}
