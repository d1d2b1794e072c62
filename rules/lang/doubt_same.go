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
	look:    (*doubter).judge,
}

func (d *doubter) judge(n ast.Node) bool {
	if !isCondition(n) {
		return false
	}
	t := Term{n, d.c}
	switch {
	case !d.p.Possible(d.p.Claim(t, true)):
		d.explain(n, false)
	case !d.p.Possible(d.p.Claim(t, false)):
		d.explain(n, true)
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
func (d *doubter) explain(n ast.Node, holds bool) {
	code, words := verdict(holds)
	if u, ok := n.(*ast.UnaryNode); ok {
		d.explain(u.Node, !holds)
		return
	}
	op := Connective(n)
	if op == "" {
		d.plain(n, holds)
		return
	}
	all := Operands(n, op, nil)
	if (op == "&&") == holds { // then each operand is always so
		for _, o := range all {
			d.explain(o, holds)
		}
		return
	}
	impossible := func(n ...ast.Node) bool {
		formulas := make([]*Formula, len(n))
		for i := range n {
			formulas[i] = d.p.Claim(Term{n[i], d.c}, !holds)
		}
		return !d.p.Possible(formulas...)
	}
	for _, o := range all {
		if impossible(o) {
			d.explain(o, holds)
			return
		}
	}
	for i := 1; i < len(all) && i < 60; i++ {
		for j := range i {
			if !impossible(all[j], all[i]) {
				continue
			}
			from, _ := d.c.extent(all[j])
			_, to := d.c.extent(all[i])
			suggestion := ""
			at := d.c.span(all[i])
			if j == i-1 {
				at = d.c.piece.span(from, to)
				at, suggestion = d.c.mend(at, d.either(all[j], all[i]))
			}
			a, b := d.c.Source(all[j]), d.c.Source(all[i])
			if holds {
				d.c.Doc.Warnf(code, at, suggestion, "this condition is always true, because one of %s and %s always is", a, b)
			} else {
				d.c.Doc.Warnf(code, at, suggestion, "this condition is never true, because %s and %s cannot be true together", a, b)
			}
			return
		}
	}
	d.c.WarnAt(n, code, "", "this condition is %s", words)
}

// either returns what was probably meant by x == a && x == b, or by x != a || x != b.
func (d *doubter) either(a, b ast.Node) string {
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
	list := " in [" + d.c.Source(first.Right) + ", " + d.c.Source(second.Right) + "]"
	switch first.Operator {
	case "==":
		return d.c.Source(first.Left) + list
	case "!=":
		return d.c.Source(first.Left) + " not" + list
	}
	return ""
}

// plain reports a single comparison that is always the same.
func (d *doubter) plain(n ast.Node, holds bool) {
	code, words := verdict(holds)
	if id, ok := n.(*ast.IdentifierNode); ok && d.c.Term(id).Expand().Node != ast.Node(id) {
		return // reported where the named value is defined
	}
	b, ok := n.(*ast.BinaryNode)
	if !ok {
		d.c.WarnAt(n, code, "", "this condition is %s", words)
		return
	}
	for _, side := range [][2]ast.Node{{b.Left, b.Right}, {b.Right, b.Left}} {
		of, value := side[0], side[1]
		t := d.c.Term(of).Expand()
		if _, isNil := value.(*ast.NilNode); isNil {
			switch t.typ().Kind {
			case TextKind:
				d.c.WarnAt(n, code, d.c.Source(of)+" "+b.Operator+` ""`, `this is %s: %s is never nil, a missing text is ""`, words, d.c.Source(of))
			case TimeKind:
				d.c.WarnAt(n, code, "("+d.c.Source(of)+" ?? nil) "+b.Operator+" nil", "this is %s: a time is never nil by itself; %s ?? nil is, where it is missing", words, d.c.Source(of))
			default:
				d.c.WarnAt(n, code, "", "this is %s: %s is never nil", words, d.c.Source(of))
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
				d.c.WarnAt(v, code, quoteLike(d.c.Source(v), fold), "this is %s: %s( ) gives %s only", words, name, letters)
				return
			}
		}
	}
	d.c.WarnAt(n, code, "", "this is %s", words)
}
