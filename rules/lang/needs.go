package lang

import (
	"hash/maphash"
	"slices"
	"unique"

	"github.com/expr-lang/expr/ast"
)

// A Key names a test of one field of an event that an index can look up. It is a hash, so different tests can have the
// same key: an index may find too much, never too little. Keys are valid in one process.
type Key uint64

// A Test is a kind of test that an index can look up.
type Test byte

const (
	Equals     Test = '='
	Holds      Test = '#' // a list has an element
	StartsWith Test = '^'
	EndsWith   Test = '$'
	Contains   Test = '~' // a text has a part of PartSize bytes
)

// The limits of the texts in keys, in bytes.
const (
	MaxEnd   = 16 // of StartsWith and EndsWith; of a longer text the key has only so much
	PartSize = 3  // of Contains
	maxParts = 6  // parts of one text that become keys

	// MaxLooked is the size in bytes up to which the parts of a text, and the elements of a list, are looked up. To
	// look through a larger one costs so much that it can fail.
	MaxLooked = 1024
)

// maxAlternatives limits the keys of one need. A longer list of values is not worth an index.
const maxAlternatives = 1000

var keySeed = maphash.MakeSeed()

// KeyOf returns the key of a test of a field, such as appointment.calendarId, with a text.
func KeyOf(t Test, field, text string) Key {
	return Key(maphash.Comparable(keySeed, struct {
		test        Test
		field, text string
	}{t, field, text}))
}

// A Lookup is a test of a field that the keys of a condition use, so an index must look it up for each event.
type Lookup struct {
	Test  Test
	Field string
	Size  int // of the text in bytes, for StartsWith and EndsWith
}

// A Need is something that must hold for a condition to be true: at least one of its tests must succeed. If none does,
// the condition is false, and evaluating it does not fail. The tests are of plain fields of the event, which always have
// a value. The parts of texts and the elements of lists are meant up to [MaxLooked]; above it, the need says nothing.
type Need []Alternative

// An Alternative is one test of a need.
type Alternative struct {
	Lookup unique.Handle[Lookup]
	Text   string
}

// Key returns the key under which an index finds the test.
func (a Alternative) Key() Key {
	l := a.Lookup.Value()
	return KeyOf(l.Test, l.Field, a.Text)
}

// needsOf returns needs of a condition or a part of one: if the event passes none of the tests of one of them, the part
// is certainly false, or certainly true if holds is false. It follows && || and ! as [decide] does, and nothing else: in
// any other operation, an error of an operand is an error of the whole.
func needsOf(t Term, holds bool) []Need {
	named := t.Node
	t = t.Expand()
	op, operands := divide(t.Node)
	switch {
	case op != "" && t.Node != named:
		return nil // a named value is evaluated as a whole, so each of its operands can make it fail
	case op == "!":
		return needsOf(Term{operands[0], t.Checker}, !holds)
	case op != "":
		return chained(t, op, (op == "&&") == holds, holds)
	}
	b, ok := t.Node.(*ast.BinaryNode)
	if !ok {
		return nil
	}
	l, r := Term{b.Left, t.Checker}, Term{b.Right, t.Checker}
	switch op := b.Operator; {
	case op == "==" && holds, op == "!=" && !holds:
		if _, ok := l.text(); ok {
			l, r = r, l
		}
		return equals(l, []Term{r})
	case op == "in" && holds:
		return memberNeeds(l, r.Expand())
	case (op == "startsWith" || op == "endsWith" || op == "contains") && holds:
		return partNeeds(op, l, r)
	}
	return nil
}

// chained returns the needs of a chain of operands. If all is true, each operand must be as wanted, so the needs of each
// are needs of the chain. Otherwise one of them must be, so one need of each operand is taken and they are joined.
func chained(t Term, op string, all, holds bool) []Need {
	var out []Need
	var either Need
	for _, o := range Operands(t.Node, op, nil) {
		list := needsOf(Term{o, t.Checker}, holds)
		switch {
		case all:
			out = append(out, list...)
		case len(list) == 0:
			return nil
		default:
			either = append(either, slices.MinFunc(list, func(a, b Need) int { return len(a) - len(b) })...)
		}
	}
	if all {
		return out
	}
	return limited(either)
}

func limited(n Need) []Need {
	if len(n) == 0 || len(n) > maxAlternatives {
		return nil
	}
	return []Need{n}
}

// NeedOf returns the need that a field passes a test with one of some texts. It returns none if there are too many.
func NeedOf(t Test, field string, texts ...string) []Need {
	out := make(Need, len(texts))
	for i, text := range texts {
		out[i] = AlternativeOf(t, field, text)
	}
	return limited(out)
}

// AlternativeOf returns the test of a field with a text.
func AlternativeOf(t Test, field, text string) Alternative {
	l := Lookup{Test: t, Field: field}
	if t == StartsWith || t == EndsWith {
		l.Size = len(text)
	}
	return Alternative{unique.Make(l), text}
}

// plain returns the name of a plain field of a kind. fallback is the text after ??, which takes the place of an empty
// field.
func plain(t Term, k kind) (name string, fallback *string, ok bool) {
	t = t.Expand()
	if b, isDefault := t.Node.(*ast.BinaryNode); isDefault && b.Operator == "??" && k == TextKind {
		text, fixed := Term{b.Right, t.Checker}.text()
		// If the left side has a fallback itself, an empty field has that one.
		name, inner, ok := plain(Term{b.Left, t.Checker}, k)
		return name, &text, ok && fixed && inner == nil
	}
	env := t.Checker.Env
	var of Type
	if object, field, isField := env.fieldOf(t.Node); isField {
		name = object + "." + field
		of, ok = env.field(object, field)
	} else if id, isName := t.Node.(*ast.IdentifierNode); isName {
		name = id.Value
		of, ok = env.Variables[name]
	}
	return name, nil, ok && of.Kind == k && !of.missing && !slices.Contains(env.Lazy, name)
}

// equals returns the need that a field is one of some texts.
func equals(t Term, list []Term) []Need {
	texts := make([]string, len(list))
	for i, e := range list {
		var fixed bool
		if texts[i], fixed = e.text(); !fixed {
			return nil
		}
	}
	field, fallback, ok := plain(t, TextKind)
	if !ok {
		return nil
	}
	if fallback != nil && slices.Contains(texts, *fallback) {
		texts = append(texts, "") // an empty field has this value
	}
	return NeedOf(Equals, field, texts...)
}

func memberNeeds(l, r Term) []Need {
	if elements, ok := r.elements(); ok {
		return equals(l, elements)
	}
	text, fixed := l.text()
	field, _, ok := plain(r, listKind)
	if !fixed || !ok {
		return nil
	}
	return NeedOf(Holds, field, text)
}

func partNeeds(op string, l, r Term) (out []Need) {
	text, fixed := r.text()
	field, fallback, ok := plain(l, TextKind)
	if !fixed || !ok || fallback != nil || text == "" {
		return nil
	}
	switch end := min(len(text), MaxEnd); op {
	case "startsWith":
		return NeedOf(StartsWith, field, text[:end])
	case "endsWith":
		return NeedOf(EndsWith, field, text[len(text)-end:])
	}
	for i := 0; i+PartSize <= len(text) && len(out) < maxParts; i++ {
		out = append(out, NeedOf(Contains, field, text[i:i+PartSize])...)
	}
	return out
}
