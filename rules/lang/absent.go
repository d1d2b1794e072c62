package lang

import (
	"cmp"
	"slices"
	"time"

	"github.com/expr-lang/expr/ast"
)

// This file finds values that may be missing where that matters. A value may be nil if its type says so, see
// [Type.missing]: an element that a list need not have, what a search need not find, anything below raw and custom.
// The texts of contact and previous are never nil but may be empty, which matters only where they are sent.

// An Absence looks for values that may be missing in one expression.
type Absence struct {
	c      *Checker
	given  []Fact // what is known to hold where the current part is evaluated
	effect string // what happens if the value is missing
	advice string
	found  map[ast.Node]bool // already reported

	// Unsure says that a value can be missing, whatever was reported about it: elsewhere that can be different.
	Unsure bool
}

// A Fact is a condition that is true, or that is false.
type Fact struct {
	Term  Term
	Holds bool
}

// Absences warns about operations that fail if a value is missing. given is what is known to hold whenever the
// expression is evaluated.
func (c *Checker) Absences(tree ast.Node, given []Fact, effect, advice string) *Absence {
	a := &Absence{c: c, given: given, effect: effect, advice: advice, found: map[ast.Node]bool{}}
	a.walk(tree)
	return a
}

// under looks at a part that is only evaluated if conditions are true, or false.
func (a *Absence) under(conditions []ast.Node, holds bool, look func()) {
	before := len(a.given)
	for _, n := range conditions {
		a.given = append(a.given[:len(a.given):len(a.given)], Fact{Term{n, a.c}, holds})
	}
	look()
	a.given = a.given[:before]
}

func (a *Absence) walk(n ast.Node) {
	for _, u := range a.uses(n) {
		a.use(u)
	}
	if op := Connective(n); op != "" {
		// If any of the other operands is false (for ||: true), this one does not matter. So where it matters, they
		// are not.
		parts := Operands(n, op, nil)
		for i, o := range parts {
			others := slices.Delete(slices.Clone(parts), i, i+1)
			a.under(others[:min(len(others), maxFacts)], op == "&&", func() { a.walk(o) })
		}
		return
	}
	if cond, ok := n.(*ast.ConditionalNode); ok {
		a.walk(cond.Cond)
		a.under([]ast.Node{cond.Cond}, true, func() { a.walk(cond.Exp1) })
		a.under([]ast.Node{cond.Cond}, false, func() { a.walk(cond.Exp2) })
		return
	}
	for _, k := range children(n) {
		a.walk(k)
	}
}

// maxFacts limits how many operands of one chain are considered.
const maxFacts = 50

// A use is an operand without which an operation fails.
type use struct {
	of   ast.Node
	none string // a suitable default, "" if unknown
}

// uses returns the operands without which n fails.
func (a *Absence) uses(n ast.Node) []use {
	switch n := n.(type) {
	case *ast.UnaryNode:
		if operatorOf(n) == "!" {
			return []use{{n.Node, "false"}}
		}
		return []use{{n.Node, "0"}}
	case *ast.BinaryNode:
		switch operatorOf(n) {
		case "&&", "||":
			return []use{{n.Left, "false"}, {n.Right, "false"}}
		case "+", "-", "*", "/", "%", "**", "^", "..", "<", "<=", ">", ">=":
			return []use{{n.Left, a.noneOf(n.Right)}, {n.Right, a.noneOf(n.Left)}}
		}
	case *ast.ConditionalNode:
		return []use{{n.Cond, "false"}}
	case *ast.SliceNode:
		return []use{{n.Node, a.noneOf(n.Node)}}
	case *ast.CallNode:
		if m, ok := n.Callee.(*ast.MemberNode); ok {
			return []use{{m.Node, ""}}
		}
	}
	name, args := CallOf(n)
	f := functions[name]
	if len(args) == 0 {
		return nil
	}
	if f.isPredicate() {
		out := []use{{args[0], "[]"}}
		if none := map[kind]string{BoolKind: "false", numberKind: "0"}[f.each.Kind]; none != "" && len(args) > 1 {
			out = append(out, use{args[1].(*ast.PredicateNode).Node, none})
		}
		return out
	}
	switch {
	case f != nil && f.missing == takesMissing:
		return nil
	case f != nil && f.missing == nilOfMissing:
		args = args[1:]
	}
	var out []use
	for _, arg := range args {
		out = append(out, use{arg, a.noneOf(arg)})
	}
	return out
}

// noneOf returns a suitable default for a missing value next to n, as source.
func (a *Absence) noneOf(n ast.Node) string {
	switch t := a.c.Term(n).Expand().typ(); {
	case t.Kind == TextKind:
		return `""`
	case t.Kind == BoolKind:
		return "false"
	case t.Number():
		return "0"
	case t.Kind == listKind:
		return "[]"
	}
	return ""
}

// Condition warns if a condition may itself be missing.
func (a *Absence) Condition(n ast.Node) { a.use(use{n, "false"}) }

func (a *Absence) use(u use) {
	t := a.c.Term(u.of).Expand()
	a.Unsure = a.Unsure || t.typ().missing
	if !t.typ().missing || a.found[u.of] || a.given != nil && present(t, a.given, false) {
		return
	}
	a.found[u.of] = true
	source := a.c.Source(u.of)
	suggestion := ""
	if isCallOf(t.Node, "findIndex") || isCallOf(t.Node, "findLastIndex") {
		u.none = "-1" // 0 would be the first element
	}
	if u.none != "" && a.advice == "" {
		suggestion = "(" + source + " ?? " + u.none + ")"
	}
	a.c.WarnAt(u.of, "missing-value", suggestion, "%s may be missing, and then %s; %s", source, a.effect, cmp.Or(a.advice, "give a default with ??"))
}

// present reports whether a value cannot be missing where all of given holds. ran says that the conditions of given
// were evaluated without an error, which is informative too.
func present(t Term, given []Fact, ran bool) bool {
	p := &Prover{Steps: ProverSteps, ran: ran}
	var formulas []*Formula
	for _, g := range given {
		formulas = append(formulas, p.Claim(g.Term, g.Holds))
	}
	return slices.ContainsFunc(t.absent(), func(none *Formula) bool { return !p.Possible(append(formulas, none)...) })
}

// absent returns formulas, each of which is true if a value is missing.
func (t Term) absent() []*Formula {
	key := t.Node.String()
	var out []*Formula
	switch of := t.typ(); {
	case of.missing:
		out = append(out, oneOf(key, true, "nil"))
	case of.Kind == TimeKind: // a missing time is in the year 1
		out = append(out, oneOf(key, true, "nil", `""`),
			claim(atom{kind: 'd', key: key, bound: time.Time{}.Sub(epoch).Seconds()}), // the earliest time that can be written
			claim(atom{kind: 'd', key: key + ".Year()", bound: 1, whole: true}))
	default:
		out = append(out, oneOf(key, true, `""`), shorter(t.Node, 0))
	}
	list, index := ast.Node(nil), 0
	if m, ok := t.Node.(*ast.MemberNode); ok {
		if i, ok := constantInt(m.Property); ok {
			list, index = m.Node, i
		} else if name, ok := m.Property.(*ast.StringNode); ok {
			out = append(out, In(name.Value, Term{m.Node, t.Checker}.Expand().Node.String(), false))
		}
	}
	if name, args := CallOf(t.Node); name == "first" || name == "last" {
		list = args[0]
	}
	if list != nil {
		n := Term{list, t.Checker}.Expand().Node
		out = append(out, shorter(n, max(index, -index-1)), oneOf(n.String(), true, "[]"))
	}
	return out
}

// shorter says that a list or a text has at most so many elements.
func shorter(n ast.Node, most int) *Formula {
	length := &ast.BuiltinNode{Name: "len", Arguments: []ast.Node{n}}
	return claim(atom{kind: 'd', key: length.String(), bound: float64(most), whole: true})
}

// Value finds a part of an expression's value that may be missing and has no default: a field of contact or previous,
// which not every event has, or a value that may be nil. name is the part's name for people.
func (a *Absence) Value(n ast.Node) (at ast.Node, name string) {
	switch n := n.(type) {
	case *ast.ChainNode:
		return a.Value(n.Node)
	case *ast.SliceNode:
		return a.through(n.Node)
	case *ast.BinaryNode:
		switch n.Operator {
		case "??":
			return a.Value(n.Right)
		case "+":
			if at, name = a.through(n.Left); at == nil {
				at, name = a.through(n.Right)
			}
		}
		return at, name
	case *ast.ConditionalNode:
		if a.under([]ast.Node{n.Cond}, true, func() { at, name = a.Value(n.Exp1) }); at == nil {
			a.under([]ast.Node{n.Cond}, false, func() { at, name = a.Value(n.Exp2) })
		}
		return at, name
	case *ast.IdentifierNode:
		if l := a.c.let(n.Value); l != nil && l.Optional {
			return a.unless(n, n.Value)
		}
	case *ast.MemberNode:
		if object, field, ok := a.c.Env.fieldOf(n); ok && !a.c.hidden(object) {
			if t, _ := a.c.Env.field(object, field); a.c.Env.Objects[object].Optional && t.Kind != listKind {
				return a.unless(n, object+"."+field)
			}
			return nil, ""
		}
	case *ast.BuiltinNode, *ast.CallNode:
		name, args := CallOf(n)
		if f := functions[name]; f != nil && f.carries && len(args) > 0 {
			if f.missing == takesMissing {
				return a.Value(args[0])
			}
			return a.through(args[0])
		}
	default:
		return nil, ""
	}
	if a.c.Types[n].Type.missing {
		return a.unless(n, a.c.Source(n))
	}
	return nil, ""
}

// Optional reports whether the value of an expression may be missing.
func (t Term) Optional() bool {
	at, _ := (&Absence{c: t.Checker}).Value(t.Node)
	return at != nil
}

// through is [Absence.Value] for an operand without which n fails. If the operand may be nil, the failure is reported
// elsewhere.
func (a *Absence) through(n ast.Node) (ast.Node, string) {
	if a.c.Types[n].Type.missing {
		return nil, ""
	}
	return a.Value(n)
}

// unless returns n if it may be missing where it is used and that has not been reported.
func (a *Absence) unless(n ast.Node, name string) (ast.Node, string) {
	a.Unsure = true
	if a.found[n] || len(a.given) > 0 && present(a.c.Term(n).Expand(), a.given, true) {
		return nil, ""
	}
	return n, name
}
