package lang

import (
	"strings"

	"github.com/expr-lang/expr/ast"
)

func isCondition(n ast.Node) bool {
	switch operatorOf(n) {
	case "!", "&&", "||", "==", "!=", "<", "<=", ">", ">=", "in", "contains", "startsWith", "endsWith":
		return true
	}
	return false
}

// alwaysSame warns about a condition that is always true, or never.
var alwaysSame = doubt{
	code:    "never-true",
	example: `appointment.title == "a" && appointment.title == "b"`,
	look:    (*Checker).judge,
}

func (c *Checker) judge(n ast.Node) bool {
	if !isCondition(n) {
		return false
	}
	t := Term{n, c}
	switch {
	case !c.Prover.Possible(c.Prover.Claim(t, true)):
		c.explain(n, false)
	case !c.Prover.Possible(c.Prover.Claim(t, false)):
		c.explain(n, true)
	default:
		return false
	}
	return true
}

// A verdict is what is said of such a condition.
type verdict struct{ code, words, pair string }

var verdicts = map[bool]verdict{
	true:  {"always-true", "always true", "this condition is always true, because one of %s and %s always is"},
	false: {"never-true", "never true", "this condition is never true, because %s and %s cannot be true together"},
}

// explain reports the smallest part of n that makes it always true, or never.
func (c *Checker) explain(n ast.Node, holds bool) {
	v := verdicts[holds]
	if u, ok := n.(*ast.UnaryNode); ok {
		c.explain(u.Node, !holds)
		return
	}
	op := Connective(n)
	if op == "" {
		c.plain(n, v)
		return
	}
	all := Operands(n, op, nil)
	if (op == "&&") == holds { // then each operand is always so
		for _, o := range all {
			c.explain(o, holds)
		}
		return
	}
	impossible := func(n ...ast.Node) bool {
		formulas := make([]*Formula, len(n))
		for i := range n {
			formulas[i] = c.Prover.Claim(Term{n[i], c}, !holds)
		}
		return !c.Prover.Possible(formulas...)
	}
	for _, o := range all {
		if impossible(o) {
			c.explain(o, holds)
			return
		}
	}
	for i := 1; i < len(all) && i < 60; i++ {
		for j := range i {
			if !impossible(all[j], all[i]) {
				continue
			}
			at, suggestion := c.span(all[i]), ""
			if j == i-1 {
				from, _ := c.extent(all[j])
				_, to := c.extent(all[i])
				at, suggestion = c.mend(c.piece.span(from, to), c.either(all[j], all[i]))
			}
			c.Doc.Warnf(v.code, at, suggestion, v.pair, c.Source(all[j]), c.Source(all[i]))
			return
		}
	}
	c.WarnAt(n, v.code, "", "this condition is %s", v.words)
}

// either returns what was probably meant by x == a && x == b, or by x != a || x != b.
func (c *Checker) either(a, b ast.Node) string {
	first, ok1 := a.(*ast.BinaryNode)
	second, ok2 := b.(*ast.BinaryNode)
	if !ok1 || !ok2 || first.Operator != second.Operator || first.Left.String() != second.Left.String() ||
		writtenText(children(first), 1) == nil || writtenText(children(second), 1) == nil {
		return ""
	}
	list := " in [" + c.Source(first.Right) + ", " + c.Source(second.Right) + "]"
	switch first.Operator {
	case "==":
		return c.Source(first.Left) + list
	case "!=":
		return c.Source(first.Left) + " not" + list
	}
	return ""
}

// plain reports a single comparison that is always the same.
func (c *Checker) plain(n ast.Node, is verdict) {
	code, words := is.code, is.words
	if id, ok := n.(*ast.IdentifierNode); ok && c.Term(id).Expand().Node != ast.Node(id) {
		return // reported where the named value is defined
	}
	b, ok := n.(*ast.BinaryNode)
	if !ok {
		c.WarnAt(n, code, "", "this condition is %s", words)
		return
	}
	for _, side := range [][2]ast.Node{{b.Left, b.Right}, {b.Right, b.Left}} {
		of, value := side[0], side[1]
		t := c.Term(of).Expand()
		if _, isNil := value.(*ast.NilNode); isNil {
			source := c.Source(of)
			switch t.typ().Kind {
			case TextKind:
				c.WarnAt(n, code, source+" "+b.Operator+` ""`, `this is %s: %s is never nil, a missing text is ""`, words, source)
			case TimeKind:
				c.WarnAt(n, code, "("+source+" ?? nil) "+b.Operator+" nil", "this is %s: a time is never nil by itself; %s ?? nil is, where it is missing", words, source)
			default:
				c.WarnAt(n, code, "", "this is %s: %s is never nil", words, source)
			}
			return
		}
		for _, v := range listed(value) {
			if s, isText := v.(*ast.StringNode); isText && wrongCase(t, s.Value) {
				name, _ := CallOf(t.Node)
				fold, letters := strings.ToLower(s.Value), "small letters"
				if name == "upper" {
					fold, letters = strings.ToUpper(s.Value), "capitals"
				}
				c.WarnAt(v, code, quoteLike(c.Source(v), fold), "this is %s: %s( ) gives %s only", words, name, letters)
				return
			}
		}
	}
	c.WarnAt(n, code, "", "this is %s", words)
}
