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

// verdict returns the code and the words for such a condition.
func verdict(holds bool) (code, words string) {
	if holds {
		return "always-true", "always true"
	}
	return "never-true", "never true"
}

// explain reports the smallest part of n that makes it always true, or never.
func (c *Checker) explain(n ast.Node, holds bool) {
	code, words := verdict(holds)
	if u, ok := n.(*ast.UnaryNode); ok {
		c.explain(u.Node, !holds)
		return
	}
	op := Connective(n)
	if op == "" {
		c.plain(n, holds)
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
			from, _ := c.extent(all[j])
			_, to := c.extent(all[i])
			suggestion := ""
			at := c.span(all[i])
			if j == i-1 {
				at = c.piece.span(from, to)
				at, suggestion = c.mend(at, c.either(all[j], all[i]))
			}
			a, b := c.Source(all[j]), c.Source(all[i])
			if holds {
				c.Doc.Warnf(code, at, suggestion, "this condition is always true, because one of %s and %s always is", a, b)
			} else {
				c.Doc.Warnf(code, at, suggestion, "this condition is never true, because %s and %s cannot be true together", a, b)
			}
			return
		}
	}
	c.WarnAt(n, code, "", "this condition is %s", words)
}

// either returns what was probably meant by x == a && x == b, or by x != a || x != b.
func (c *Checker) either(a, b ast.Node) string {
	first, ok1 := a.(*ast.BinaryNode)
	second, ok2 := b.(*ast.BinaryNode)
	if !ok1 || !ok2 || first.Operator != second.Operator || first.Left.String() != second.Left.String() {
		return ""
	}
	_, ok1 = first.Right.(*ast.StringNode)
	_, ok2 = second.Right.(*ast.StringNode)
	if !ok1 || !ok2 {
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
func (c *Checker) plain(n ast.Node, holds bool) {
	code, words := verdict(holds)
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
			switch t.typ().Kind {
			case TextKind:
				c.WarnAt(n, code, c.Source(of)+" "+b.Operator+` ""`, `this is %s: %s is never nil, a missing text is ""`, words, c.Source(of))
			case TimeKind:
				c.WarnAt(n, code, "("+c.Source(of)+" ?? nil) "+b.Operator+" nil", "this is %s: a time is never nil by itself; %s ?? nil is, where it is missing", words, c.Source(of))
			default:
				c.WarnAt(n, code, "", "this is %s: %s is never nil", words, c.Source(of))
			}
			return
		}
		texts := []ast.Node{value}
		if list, isList := value.(*ast.ArrayNode); isList {
			texts = list.Nodes
		}
		for _, v := range texts {
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
