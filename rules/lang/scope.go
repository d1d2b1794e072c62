// Package lang is the language of conditions, of templates and of the times for which steps wait: expr, with types that find
// a mistake when a file is loaded, and with a bound on what an expression can cost. It knows nothing of rules or of events:
// an [Env] says which names there are.
//
// A [Scope] compiles expressions. Each is read (syntax.go), checked and rewritten (check.go): what is called, compared or
// added becomes a call of one of our functions, which charges a [Machine] for its work. What an expression may miss, or
// never be, is told by [Term.Optional] and by a [Prover]; a [Prober] explains its value for one event.
package lang

import (
	"time"

	"bellhop/rules/text"
)

// A Scope is what the expressions of one rule may use, and the document in which they stand.
type Scope struct {
	Env   *Env
	Doc   *text.Document
	Zone  string         // in which times are seen, "" if each in its own
	Naive *time.Location // where texts without an offset are read; nil if that depends on the event
	Lets  []Let
	Later []string     // names of lets that may not be used: the one being read, and those after it
	Used  map[int]bool // the lets that something uses, by index
	slips int          // suggestions that the expression being read already contains
}

// A Let is a named value.
type Let struct {
	Name     string
	Type     Type
	Term     Term // without a node after a mistake
	Optional bool // its value may be missing
}

// Compile compiles one expression. The term is as written, for what is to be told from it; it has no node if the
// expression cannot be read.
func (s *Scope) Compile(p Piece) (*Program, Term) {
	c := &Checker{Scope: *s, piece: p}
	tree, ok := c.parse(parseConfig)
	if !ok {
		s.afterSlip(c)
		return nil, Term{nil, c}
	}
	done := c.visit(tree)
	if c.bad {
		return nil, Term{tree, c}
	}
	out := c.finish(done)
	if out != nil {
		c.doubts(tree)
	}
	return out, Term{tree, c}
}

// maxSlips bounds how often an expression is read again.
const maxSlips = 8

// afterSlip checks an expression that could not be read again, with the suggestion in its place.
func (s *Scope) afterSlip(c *Checker) {
	if c.slip == nil || s.slips >= maxSlips {
		return
	}
	s.slips++
	defer func() { s.slips-- }()
	p := c.piece
	s.Compile(NewPiece(c.slip, p.off, p.off+len(p.src)+len(c.slip.Value)-len(p.text.Value)))
}
