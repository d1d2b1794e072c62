package lang

import (
	"slices"
	"strconv"
)

// A Formula is a condition in which only atoms are negated.
type Formula struct {
	op   byte // '&', '|', 'a' for an atom, 't' and 'f'
	kids []*Formula
	atom *atom // of op 'a'
}

// An atom is one claim about one value.
type atom struct {
	kind     byte // 'b' truth, 's' one of some values, 'p' part of a text, 'o' order of texts, 'd' difference of two amounts
	key      string
	positive bool

	set []string // s: the values, as written

	op   string // p: startsWith, contains, endsWith; o: < <= > >=
	text string

	other  string // d: key - other is at most bound
	bound  float64
	strict bool
	whole  bool // key and other are whole numbers
}

var (
	always = &Formula{op: 't'}
	never  = &Formula{op: 'f'}
)

// Both is true if all of the formulas are; Either is true if one of them is.
func Both(kids ...*Formula) *Formula { return join2('&', kids) }

func Either(kids ...*Formula) *Formula { return join2('|', kids) }

// Among says that a value, named as it is written, is one of some texts; NotAmong says that it is none of them.
func Among(key string, texts ...string) *Formula { return ofTexts(key, texts, true) }

func NotAmong(key string, texts ...string) *Formula { return ofTexts(key, texts, false) }

func ofTexts(key string, texts []string, positive bool) *Formula {
	set := make([]string, len(texts))
	for i, v := range texts {
		set[i] = strconv.Quote(v)
	}
	return claim(atom{kind: 's', key: key, set: set, positive: positive})
}

// In says that a list contains a text, or does not.
func In(word, list string, positive bool) *Formula {
	return claim(atom{kind: 'b', key: strconv.Quote(word) + " in " + list, positive: positive})
}

// Asks returns the texts of which the formula requires a value to be one; ok is false if it requires none.
func (f *Formula) Asks(key string) (texts []string, ok bool) {
	for _, c := range f.claims() {
		if c.op == 'a' && c.atom.kind == 's' && c.atom.positive && c.atom.key == key {
			for _, v := range c.atom.set {
				if s, err := strconv.Unquote(v); err == nil {
					texts = append(texts, s)
				}
			}
			return texts, true
		}
	}
	return nil, false
}

func join2(op byte, kids []*Formula) *Formula {
	out := &Formula{op: op}
	decisive, neutral := never, always
	if op == '|' {
		decisive, neutral = always, never
	}
	for _, k := range kids {
		switch {
		case k.op == decisive.op:
			return decisive
		case k.op == neutral.op:
		case k.op == op:
			out.kids = append(out.kids, k.kids...)
		default:
			out.kids = append(out.kids, k)
		}
	}
	switch len(out.kids) {
	case 0:
		return neutral
	case 1:
		return out.kids[0]
	}
	return out
}

func constantly(b bool) *Formula {
	if b {
		return always
	}
	return never
}

func claim(a atom) *Formula { return &Formula{op: 'a', atom: &a} }

// disjoint reports, after a quick look, whether two conditions require different values of the same thing.
func disjoint(a, b *Formula) bool {
	for _, x := range a.claims() {
		if x.op != 'a' || x.atom.kind != 's' || !x.atom.positive {
			continue
		}
		for _, y := range b.claims() {
			if y.op == 'a' && y.atom.kind == 's' && y.atom.positive && x.atom.key == y.atom.key {
				return !slices.ContainsFunc(x.atom.set, func(v string) bool { return slices.Contains(y.atom.set, v) })
			}
		}
	}
	return false
}

// claims returns the formulas that must all be true.
func (f *Formula) claims() []*Formula {
	if f.op == '&' {
		return f.kids
	}
	return []*Formula{f}
}
