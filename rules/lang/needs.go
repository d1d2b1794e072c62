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

// needs returns needs of a condition or a part of one: if the event passes none of the tests of one of them, the part
// is certainly false, or certainly true if holds is false. It follows && || and ! as [decide] does, and single claims
// about a plain field: in any other operation, an error of an operand is an error of the whole.
func (p *Prover) needs(t Term, holds bool) []Need {
	named := t.Node
	t = t.Expand()
	op, operands := divide(t.Node)
	switch {
	case op != "" && t.Node != named:
		return nil // a named value is evaluated as a whole, so each of its operands can make it fail
	case op == "!":
		return p.needs(Term{operands[0], t.Checker}, !holds)
	case op != "":
		return p.chained(t, op, (op == "&&") == holds, holds)
	}
	b, ok := t.Node.(*ast.BinaryNode)
	if !ok || t.Checker.Types[b.Left].Type.Kind == BoolKind || t.Checker.Types[b.Right].Type.Kind == BoolKind {
		return nil
	}
	f, env := p.Claim(t, holds), t.Checker.Env
	if f.op != 'a' || !f.atom.positive {
		return nil
	}
	switch a := f.atom; {
	case b.Operator == "in" && a.kind == 'b':
		text, fixed := Term{b.Left, t.Checker}.text()
		if list := (Term{b.Right, t.Checker}).Expand().Node.String(); fixed && env.plain(list).Kind == listKind {
			return NeedOf(Holds, list, text)
		}
	case env.plain(a.key).Kind == TextKind && a.kind == 's':
		return NeedOf(Equals, a.key, a.texts()...)
	case env.plain(a.key).Kind == TextKind && a.kind == 'p':
		return partNeeds(a)
	}
	return nil
}

// partNeeds returns the needs of the claim that a field begins or ends with a text or contains it.
func partNeeds(a *atom) (out []Need) {
	text := a.text
	switch end := min(len(text), MaxEnd); a.op {
	case "startsWith":
		return NeedOf(StartsWith, a.key, text[:end])
	case "endsWith":
		return NeedOf(EndsWith, a.key, text[len(text)-end:])
	}
	for i := 0; i+PartSize <= len(text) && len(out) < maxParts; i++ {
		out = append(out, NeedOf(Contains, a.key, text[i:i+PartSize])...)
	}
	return out
}

// chained returns the needs of a chain of operands. If all is true, each operand must be as wanted, so the needs of each
// are needs of the chain. Otherwise one of them must be, so one need of each operand is taken and they are joined.
func (p *Prover) chained(t Term, op string, all, holds bool) []Need {
	var out []Need
	var either Need
	for _, o := range Operands(t.Node, op, nil) {
		list := p.needs(Term{o, t.Checker}, holds)
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
