package rules

import (
	"errors"
	"sync"

	"github.com/expr-lang/expr/ast"
)

// A condition is a rule's `when`. `a && b` is false when either is false, whatever error the other raises, and
// `a || b` true when either is true: so the order of its parts does not matter, and an index may look at one of
// them alone. As long as nothing fails, the whole runs as one program and that is what it gives anyway; the parts
// are compiled and run one by one only once an error has to be told from a plain no.
type condition struct {
	whole *program
	src   string
	lets  []letVar

	yes, no *formula // what is claimed where it is true, and where it is false

	once  sync.Once
	parts *clause
}

// A clause is a condition, or a part of one, divided at && || and !.
type clause struct {
	op       string // "&&", "||", "!" or "" for a program
	operands []*clause
	program  *program
}

func (c *condition) holds(r *run) (bool, error) {
	v, err := r.eval(c.whole)
	if err == nil {
		return truth(c.whole, v)
	}
	c.once.Do(c.divide)
	if c.parts == nil {
		return false, err
	}
	return c.parts.holds(r)
}

func truth(p *program, v any) (bool, error) {
	b, ok := v.(bool)
	if !ok {
		return false, p.failed(notTruth(v))
	}
	return b, nil
}

func notTruth(v any) error {
	return evalErrorf("the condition must be true or false, but it is %s", describe(v))
}

func (c *clause) holds(r *run) (bool, error) {
	switch c.op {
	case "!":
		v, err := c.operands[0].holds(r)
		return !v && err == nil, err
	case "&&", "||":
		decisive := c.op == "||"
		var failed error
		for _, o := range c.operands {
			v, err := o.holds(r)
			switch {
			case err == nil && v == decisive:
				return decisive, nil
			case err != nil && failed == nil:
				failed = err
			}
		}
		return !decisive && failed == nil, failed
	}
	v, err := r.eval(c.program)
	if err != nil {
		return false, err
	}
	return truth(c.program, v)
}

// divide compiles the parts. The expression has been compiled before, so nothing new can be found wrong.
func (c *condition) divide() {
	src := newSource("", []byte(c.src))
	t := &text{value: c.src, src: src, mapped: true}
	ch := &checker{report: &report{src: src}, piece: piece{t, 0, c.src}, lets: c.lets}
	tree, ok := ch.parse(parseConfig)
	if !ok {
		return
	}
	parts, err := ch.clause(tree, c.whole.place)
	if err != nil {
		return
	}
	c.parts = parts
}

var errClause = errors.New("a part of a condition does not stand alone")

// divide says how a condition is joined ("&&", "||", "!" or, undivided, "") and of what.
func divide(n ast.Node) (op string, operands []ast.Node) {
	switch n := n.(type) {
	case *ast.BinaryNode:
		switch n.Operator {
		case "&&", "and":
			return "&&", []ast.Node{n.Left, n.Right}
		case "||", "or":
			return "||", []ast.Node{n.Left, n.Right}
		}
	case *ast.UnaryNode:
		if n.Operator == "!" || n.Operator == "not" {
			return "!", []ast.Node{n.Node}
		}
	}
	return "", nil
}

func (c *checker) clause(n ast.Node, place string) (*clause, error) {
	var out clause
	var operands []ast.Node
	out.op, operands = divide(n)
	if out.op != "" {
		for _, o := range operands {
			part, err := c.clause(o, place)
			if err != nil {
				return nil, err
			}
			out.operands = append(out.operands, part)
		}
		return &out, nil
	}
	done := c.visit(n)
	if c.bad {
		return nil, errClause
	}
	p, err := assemble(done.node, c.piece.src)
	if err != nil {
		return nil, err
	}
	p.typ, p.place = done.typ, place
	out.program = p
	return &out, nil
}
