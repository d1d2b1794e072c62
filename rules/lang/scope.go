// Package lang is the language of conditions, of templates and of the times that steps wait for. It is expr with
// types, so that mistakes are found when a file is loaded, and with a limit on what an expression can cost. It knows
// nothing of rules or events: an [Env] holds the names there are.
//
// A [Scope] compiles expressions. Each is parsed (syntax.go), then checked and rewritten (check.go): operations
// become calls of our functions, which charge a [Machine] for their work. [Term.Optional] and a [Prover] tell what
// may be missing and what can never be true; a [Prober] explains a value for one event.
package lang

import (
	"maps"
	"time"

	"github.com/expr-lang/expr/ast"

	"bellhop/rules/text"
)

// A Scope holds what the expressions of one rule may use, and the document in which they stand.
type Scope struct {
	Env   *Env
	Doc   *text.Document
	Zone  string         // the zone in which times are seen, "" if each is seen in its own offset
	Naive *time.Location // the zone of texts without an offset; nil if it depends on the event
	Lets  []Let
	Later []string     // named values that must not be used yet: the current one and those after it
	Used  map[int]bool // named values that are used, by index
	slips int          // number of suggestions already in the expression

	// Checked says that the expressions were checked before and had no mistake, so that only their programs are made.
	Checked bool
}

// A Let is a named value.
type Let struct {
	Name     string
	Type     Type
	Term     Term // without a node if there was a mistake
	Optional bool // its value may be missing
}

// Compile compiles one expression. The program is nil after a mistake. The term is the expression as written; its
// node is nil if it cannot be parsed.
func (s *Scope) Compile(p Piece) (*Program, Term) {
	c := &Checker{Scope: *s, piece: p}
	tree := c.parse()
	if tree == nil {
		s.afterSlip(c)
		return nil, Term{nil, c}
	}
	out := c.program(tree, c.Doc.Place(c.Whole()), c.share)
	if s.Used != nil {
		maps.Copy(s.Used, c.uses)
	}
	switch {
	case out != nil && !s.Checked:
		c.doubts(tree)
	case out == nil && !c.bad: // expr refuses what our checker accepted
		c.fail("syntax", c.Whole(), "", "this expression cannot be used here")
	}
	return out, Term{tree, c}
}

// again returns a checker for an expression that was compiled before.
func again(env *Env, src string, lets []Let) *Checker {
	doc, whole := text.Alone(src)
	return &Checker{Scope: Scope{Env: env, Doc: doc, Lets: lets}, piece: WholeOf(whole), Types: map[ast.Node]checked{}}
}

// maxSlips limits how often an expression is read again.
const maxSlips = 8

// afterSlip checks an expression that could not be parsed once more, with the suggestion in place, to find further
// mistakes.
func (s *Scope) afterSlip(c *Checker) {
	if c.slip == nil || s.slips >= maxSlips {
		return
	}
	s.slips++
	defer func() { s.slips-- }()
	p := c.piece
	s.Compile(NewPiece(c.slip, p.off, p.off+len(p.src)+len(c.slip.Value)-len(p.text.Value)))
}
