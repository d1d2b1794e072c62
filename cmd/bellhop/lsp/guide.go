package lsp

import (
	"cmp"
	"reflect"
	"slices"
	"strings"
	"time"

	"bellhop/actions"
	"bellhop/rules"
	"bellhop/rules/lang"
	"bellhop/rules/text"
)

// A guide knows what can be written in rule files, or in test files, under one configuration.
type guide struct {
	connections map[string]string // name to kind
	sources     []string
	ofTests     bool     // the guide is for test files
	rules       []string // the rules that a test file can name
}

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
	insert string // what is written, if not the name
	rank   int    // those with a lower one come first
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

// at says what can be written at a path.
func (g *guide) at(p path) offer {
	switch {
	case g.ofTests:
		return g.atTest(p)
	case len(p) == 0:
		return offer{form: mapForm, words: []choice{property("rules", "The rules of this file.", ":", 0)}}
	case p[0] != "rules":
		return offer{}
	case len(p) == 1:
		return offer{form: listForm, words: items(ruleKeys()[:1])}
	case len(p) == 2:
		return offer{form: mapForm, words: ruleKeys()}
	}
	switch key, rest := p[2], p[3:]; key {
	case "on":
		if len(rest) < 2 {
			return offer{form: wordForm, words: values(kindConstant, rules.Events())}
		}
	case "enabled":
		return truth()
	case "mode":
		return offer{form: wordForm, words: values(kindConstant, []lang.Word{
			{Name: "shadow", Doc: "Match, render and record, and send nothing."}, {Name: "live", Doc: "Send; this is what a rule without a mode does."},
		})}
	case "timezone":
		return offer{form: wordForm, words: append(values(kindConstant, rules.ZoneWords()), zones()...)}
	case "when":
		return offer{form: expressionForm}
	case "let":
		if len(rest) == 1 {
			return offer{form: expressionForm}
		}
	case "then":
		return g.step(rest)
	}
	return offer{}
}

func (g *guide) step(p path) offer {
	if len(p) < 2 {
		words, kinds := actionKeys("")
		words = append(words, keysOf(rules.StepKeys(), 1)...)
		if len(p) == 0 {
			return offer{form: listForm, words: items(words)}
		}
		return offer{form: mapForm, words: words, one: kinds}
	}
	switch {
	case len(p) > 2:
	case p[1] == "at":
		return offer{form: expressionForm}
	case p[1] == "late":
		return offer{form: wordForm, words: append(values(kindConstant, rules.LateWords()), names(kindValue, durations...)...)}
	}
	kind, ok := actions.Lookup(p[1])
	if !ok {
		return offer{}
	}
	if len(p) == 2 {
		return offer{form: mapForm, words: fieldKeys(kind)}
	}
	for _, f := range actions.Fields(kind) {
		if f.Name == p[2] && !f.Internal {
			return g.field(kind, f)
		}
	}
	return offer{}
}

// field says what can be written in a field of an action.
func (g *guide) field(kind actions.Kind, f actions.Field) offer {
	switch {
	case f.Name == "connection":
		var words []choice
		for _, name := range text.SortedKeys(g.connections) {
			if g.connections[name] == kind.Name {
				words = append(words, choice{Word: lang.Word{Name: name, Doc: "A connection for " + kind.Name + ", from the configuration."}, kind: kindValue})
			}
		}
		return offer{form: wordForm, words: words}
	case f.Type == reflect.TypeFor[bool]():
		return truth()
	case f.Literal:
		if f.Example == "" {
			return offer{}
		}
		return offer{form: wordForm, words: []choice{{Word: lang.Word{Name: f.Example, Doc: "An example."}, kind: kindValue}}}
	}
	return offer{form: templateForm}
}

// property returns a key as a choice. after is what is written behind it.
func property(name, doc, after string, rank int) choice {
	return choice{Word: lang.Word{Name: name, Doc: doc}, kind: kindProperty, insert: name + after, rank: rank}
}

// keysOf returns keys as choices, with ranks from first on.
func keysOf(keys []rules.Key, first int) []choice {
	var words []choice
	for i, k := range keys {
		words = append(words, property(k.Name, withExample(k.Doc, k.Example), ": ", first+i))
	}
	return words
}

func ruleKeys() []choice {
	words := keysOf(rules.Keys(), 0)
	for i, k := range words {
		if k.Name == "then" || k.Name == "let" {
			words[i].insert = k.Name + ":"
		}
	}
	return words
}

// actionKeys returns the actions as keys of a step, and their names. If doc is "", each has its own description.
func actionKeys(doc string) (words []choice, kinds []string) {
	for _, k := range actions.Kinds() {
		kinds = append(kinds, k.Name)
		words = append(words, property(k.Name, cmp.Or(doc, k.Summary), ":", 0))
	}
	return words, kinds
}

func fieldKeys(kind actions.Kind) []choice {
	var words []choice
	for i, f := range actions.Fields(kind) {
		if f.Internal {
			continue
		}
		c := property(f.Name, withExample(f.Doc, f.Example), ": ", i)
		if f.Required {
			c.Type = "required"
		}
		words = append(words, c)
	}
	return words
}

func withExample(doc, example string) string {
	if example == "" {
		return doc
	}
	return doc + "\n\nExample: `" + example + "`"
}

// items returns the choices with a - before each, to begin an item of a list.
func items(keys []choice) []choice {
	out := slices.Clone(keys)
	for i := range out {
		out[i].insert = "- " + out[i].insert
	}
	return out
}

// values returns words as choices, in their order.
func values(kind int, words []lang.Word) []choice {
	out := alike(kind, 0, "", words)
	for i := range out {
		out[i].rank = i
	}
	return out
}

// alike returns words as choices of the same rank. after is what is written behind each.
func alike(kind, rank int, after string, words []lang.Word) []choice {
	var out []choice
	for _, w := range words {
		c := choice{Word: w, kind: kind, rank: rank}
		if after != "" {
			c.insert = w.Name + after
		}
		out = append(out, c)
	}
	return out
}

func names(kind int, words ...string) []choice {
	var list []lang.Word
	for _, w := range words {
		list = append(list, lang.Word{Name: w})
	}
	return values(kind, list)
}

func truth() offer { return offer{form: wordForm, words: names(kindConstant, "true", "false")} }

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
	given := p.outline.keysBelow(of)
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
		return below(e.chain), e.word
	}
	var out []choice
	for _, name := range letsAbove(p) {
		out = append(out, choice{Word: lang.Word{Name: name, Doc: "A value named under let."}, kind: kindVariable})
	}
	operators := 2
	if e.operand {
		operators = -1
	}
	return slices.Concat(
		out, alike(kindVariable, 0, "", rules.Variables()), alike(kindFunction, 1, "(", lang.Functions()),
		alike(kindKeyword, operators, "", lang.Operators()),
	), e.word
}

// letsAbove returns the values named under `let` that the expression at a place can use.
func letsAbove(p place) []string {
	if len(p.path) < 2 {
		return nil
	}
	var out []string
	for _, name := range p.outline.keysBelow(append(p.path[:2:2], "let")) {
		if len(p.path) > 3 && p.path[2] == "let" && p.path[3] == name {
			break // a named value can use only those above it
		}
		out = append(out, name)
	}
	return out
}

// below returns the fields or methods of the value of a chain.
func below(chain []string) []choice {
	out := values(kindField, rules.FieldsBelow(strings.Join(chain, ".")))
	if isTime(chain) {
		out = append(out, alike(kindMethod, 0, "()", lang.TimeMethods())...)
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
		return values(kindConstant, rules.Events()[:3])
	case "on":
		return values(kindConstant, rules.Events())
	case "changed":
		return values(kindConstant, rules.FieldsBelow("appointment"))
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
		return values(kindValue, layouts)
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
		return describe(o.words, unquote(p.before+p.after))
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
		b.WriteString("\n\n" + withExample(c.Doc, c.Example))
	}
	return b.String()
}
