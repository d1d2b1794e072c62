package rules

import (
	"time"

	"bellhop/rules/text"
)

// A vocabulary is what the expressions of one rule may use, and the document in which they stand.
type vocabulary struct {
	env   *environment
	doc   *text.Document
	zone  string         // in which times are seen, "" if each in its own
	naive *time.Location // where texts without an offset are read; nil if that depends on the event
	lets  []letVar
	later []string     // names of lets that may not be used: the one being read, and those after it
	used  map[int]bool // the lets that something uses, by index
	slips int          // suggestions that the expression being read already contains
}

// A letVar is a named value.
type letVar struct {
	name     string
	typ      typ
	term     term // without a node after a mistake
	optional bool // its value may be missing
}

// expression compiles one expression. The term is as written, for what is to be told from it; it has no node if the
// expression cannot be read.
func (s *vocabulary) expression(p piece) (*program, term) {
	c := &checker{vocabulary: *s, piece: p}
	tree, ok := c.parse(parseConfig)
	if !ok {
		s.afterSlip(c)
		return nil, term{nil, c}
	}
	done := c.visit(tree)
	if c.bad {
		return nil, term{tree, c}
	}
	out := c.finish(done)
	if out != nil {
		c.doubts(tree)
	}
	return out, term{tree, c}
}

// maxSlips bounds how often an expression is read again.
const maxSlips = 8

// afterSlip checks an expression that could not be read again, with the suggestion in its place.
func (s *vocabulary) afterSlip(c *checker) {
	if c.slip == nil || s.slips >= maxSlips {
		return
	}
	s.slips++
	defer func() { s.slips-- }()
	p := c.piece
	s.expression(piece{c.slip, p.off, c.slip.Value[p.off : p.off+len(p.src)+len(c.slip.Value)-len(p.text.Value)]})
}
