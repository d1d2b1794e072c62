package lang

import (
	"hash/fnv"
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
func Both(kids ...*Formula) *Formula { return connected(true, kids...) }

func Either(kids ...*Formula) *Formula { return connected(false, kids...) }

// Among says that a value, named as it is written, is one of some texts; if positive is false, that it is none of them.
func Among(key string, positive bool, texts ...string) *Formula {
	set := make([]string, len(texts))
	for i, v := range texts {
		set[i] = strconv.Quote(v)
	}
	return oneOf(key, positive, set...)
}

// In says that a list contains a text, or does not.
func In(word, list string, positive bool) *Formula {
	return truly(strconv.Quote(word)+" in "+list, positive)
}

// Asks returns the texts of which the formula requires a value to be one; ok is false if it requires none.
func (f *Formula) Asks(key string) (texts []string, ok bool) {
	for _, a := range f.asked() {
		if a.key == key {
			return a.texts(), true
		}
	}
	return nil, false
}

// texts returns the texts in the set.
func (a *atom) texts() (texts []string) {
	for _, v := range a.set {
		if s, err := strconv.Unquote(v); err == nil {
			texts = append(texts, s)
		}
	}
	return texts
}

// connected returns a formula that is true if all of the others are, or one of them.
func connected(all bool, kids ...*Formula) *Formula {
	out := &Formula{op: '|'}
	if all {
		out.op = '&'
	}
	decisive, neutral := constantly(!all), constantly(all)
	for _, k := range kids {
		switch k.op {
		case decisive.op:
			return decisive
		case neutral.op:
		case out.op:
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

// truly claims that a condition is true, or that it is not.
func truly(key string, positive bool) *Formula {
	return claim(atom{kind: 'b', key: key, positive: positive})
}

// oneOf claims that a value is one of some, or that it is not.
func oneOf(key string, positive bool, set ...string) *Formula {
	return claim(atom{kind: 's', key: key, set: set, positive: positive})
}

// Asks are the values of which a condition requires some things to be one, as hashes, so that many can be kept: for each
// thing its name, the number of values, and these.
type Asks []uint64

// AllAsks returns everything of which the formula requires certain values.
func (f *Formula) AllAsks() (out Asks) {
	for _, a := range f.asked() {
		out = append(out, hashOf(a.key), uint64(len(a.set)))
		for _, v := range a.set {
			out = append(out, hashOf(v))
		}
	}
	return slices.Clip(out)
}

// hashOf is the same in every process.
func hashOf(s string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(s)) // never fails
	return h.Sum64()
}

// first takes the first thing and its values.
func (a Asks) first() (of uint64, values, rest Asks) {
	n := 2 + int(a[1])
	return a[0], a[2:n], a[n:]
}

// Disjoint reports, after a quick look, whether two conditions require different values of the same thing.
func (a Asks) Disjoint(b Asks) bool {
	for len(a) > 0 {
		var of uint64
		var values Asks
		of, values, a = a.first()
		for rest := b; len(rest) > 0; {
			var other uint64
			var others Asks
			if other, others, rest = rest.first(); other == of {
				return !slices.ContainsFunc(values, func(v uint64) bool { return slices.Contains(others, v) })
			}
		}
	}
	return false
}

// asked returns the claims that a value is one of some, without which the formula is not true.
func (f *Formula) asked() (out []*atom) {
	kids := f.kids
	if f.op != '&' {
		kids = []*Formula{f}
	}
	for _, k := range kids {
		if k.op == 'a' && k.atom.kind == 's' && k.atom.positive {
			out = append(out, k.atom)
		}
	}
	return out
}
