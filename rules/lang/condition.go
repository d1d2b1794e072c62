package lang

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/expr-lang/expr/ast"
)

// A Condition is a rule's `when`. `a && b` is false if either is false, whatever error the other raises, and `a || b`
// is true if either is true. So the order of the operands does not matter, and an index may look at one of them
// alone. As long as nothing fails, the whole condition runs as one program with the same result. Only after an error
// are the operands compiled and run one by one, the cheap ones first; together they may do half as much work again.
type Condition struct {
	env    *Env
	Source string
	Place  string // file:line:column of its beginning
	lets   []Let

	// Only of a condition that was checked, not of one that was made again, see [Scope.Checked].
	Yes, No *Formula // what holds if it is true, and if it is false
	Needs   []Need   // for an index over conditions

	// Both are compiled on first use, because most of many conditions are never asked.
	whole atomic.Pointer[Program]
	parts atomic.Pointer[clause]
}

// NewCondition returns the condition of a compiled expression.
func NewCondition(whole *Program, as Term) *Condition {
	out := &Condition{env: as.Checker.Env, Source: as.Checker.piece.src, Place: whole.Place}
	for _, l := range as.Checker.Lets { // without their terms, which would keep the whole document in memory
		out.lets = append(out.lets, Let{Name: l.Name, Type: l.Type, Optional: l.Optional})
	}
	if as.Checker.Checked {
		out.whole.Store(whole)
		return out
	}
	p := as.Checker.Prover
	p.Steps = ProverSteps
	out.Yes, out.No = p.Claim(as, true), p.Claim(as, false)
	out.Needs = p.needs(as, true)
	return out
}

// Implies reports whether other is true whenever c is. It may report false if that is hard to tell.
func (c *Condition) Implies(other *Condition) bool { return impossible(c.Yes, other.No) }

// A clause is a condition or a part of one, divided at && || and !.
type clause struct {
	op       string // "&&", "||", "!" or "" for a program
	operands []*clause
	program  *Program
	cost     int // units of what it does outside loops
}

func (c *Condition) Holds(r *Machine) (bool, error) {
	whole, err := c.program()
	if err != nil {
		return false, err
	}
	v, err := r.Eval(whole)
	if err == nil {
		return truth(whole, v)
	}
	parts := c.divided()
	if parts == nil || parts.op == "" {
		return false, err
	}
	r.units, r.bytes = maxUnits/2, maxBytes/2 // the first run may have used up the budget
	return parts.holds(r)
}

// program returns the whole condition as one program.
func (c *Condition) program() (*Program, error) {
	if p := c.whole.Load(); p != nil {
		return p, nil
	}
	ch := again(c.env, c.Source, c.lets)
	p := ch.program(ch.parse(), c.Place, ch.share)
	if p == nil {
		return nil, fmt.Errorf("%s: %w", c.Place, errClause)
	}
	c.whole.Store(p)
	return p, nil
}

func truth(p *Program, v any) (bool, error) {
	b, ok := v.(bool)
	if !ok {
		return false, p.Failed(notTruth(v))
	}
	return b, nil
}

func notTruth(v any) error {
	return Errorf("the condition must be true or false, but it is %s", Describe(v))
}

// decide is the meaning of &&, || and !: it returns the result for the operands, which are evaluated one by one as
// far as needed.
func decide(op string, operands int, holds func(i int) (bool, error)) (bool, error) {
	decisive := op == "||"
	var failed error
	for i := range operands {
		switch v, err := holds(i); {
		case op == "!":
			return !v && err == nil, err
		case err == nil && v == decisive:
			return decisive, nil
		case err != nil && failed == nil:
			failed = err
		case err != nil: // what is unknown comes first: once it is known, it may decide
			if _, unknown := UnknownIn(err); unknown {
				failed = err
			}
		}
	}
	return !decisive && failed == nil, failed
}

func (c *clause) holds(r *Machine) (bool, error) {
	if c.op != "" {
		units, bytes := r.units, r.bytes
		return decide(c.op, len(c.operands), func(i int) (bool, error) {
			// Each operand gets its share of what the others left over, so that none uses up the budget of another.
			left := len(c.operands) - i
			r.units, r.bytes = units/left, bytes/left
			v, err := c.operands[i].holds(r)
			units -= units/left - max(r.units, 0)
			bytes -= bytes/left - max(r.bytes, 0)
			r.units, r.bytes = units, bytes
			return v, err
		})
	}
	v, err := r.Eval(c.program)
	if err != nil {
		return false, err
	}
	return truth(c.program, v)
}

// divided returns the operands, compiled one by one; nil if one of them does not stand alone.
func (c *Condition) divided() *clause {
	if parts := c.parts.Load(); parts != nil {
		return parts
	}
	ch := again(c.env, c.Source, c.lets)
	parts := ch.clause(ch.parse(), c.Place)
	if parts != nil {
		c.parts.Store(parts)
	}
	return parts
}

var errClause = errors.New("a part of a condition does not stand alone")

// divide returns how a condition is joined ("&&", "||", "!", or "" if it is not) and its operands.
func divide(n ast.Node) (op string, operands []ast.Node) {
	if op = operatorOf(n); op == "&&" || op == "||" || op == "!" {
		return op, children(n)
	}
	return "", nil
}

func (c *Checker) clause(n ast.Node, place string) *clause {
	op, parts := divide(n)
	if op == "" {
		p := c.program(n, place, c.assemble)
		if p == nil {
			return nil
		}
		return &clause{program: p, cost: p.cost}
	}
	if op != "!" {
		parts = Operands(n, op, nil) // of the whole chain, so that each gets the same share of the budget
	}
	out := &clause{op: op}
	for _, o := range parts {
		part := c.clause(o, place)
		if part == nil {
			return nil
		}
		out.operands, out.cost = append(out.operands, part), out.cost+part.cost
	}
	slices.SortStableFunc(out.operands, func(a, b *clause) int { return cmp.Compare(a.cost, b.cost) })
	return out
}
