package lang

import (
	"slices"

	"github.com/expr-lang/expr/ast"
)

// An overload is one way in which an operator calculates. [Any] stands for an operand of which nothing is known.
type overload struct {
	left, right Type
	result      Type   // numberType: the type that both operands have in common
	run         string // the operation that does it; "" if expr does
}

// arithmetic are the operators that calculate. The first overload that takes the operands is used.
var arithmetic = map[string][]overload{
	"+": {
		{numberType, numberType, numberType, ""},
		{Text, Text, Text, "$add"},
		{Time, durationType, Time, ""},
		{durationType, Time, Time, ""},
		{durationType, durationType, durationType, ""},
		{Any, Text, Text, "$add"},
		{Text, Any, Text, "$add"},
		{Any, anything, Any, "$add"},
		{anything, Any, Any, "$add"},
	},
	"-": {
		{numberType, numberType, numberType, ""},
		{Time, Time, durationType, ""},
		{Time, durationType, Time, ""},
		{durationType, durationType, durationType, ""},
		{Any, anything, Any, ""},
		{anything, Any, Any, ""},
	},
	"*": {
		{numberType, numberType, numberType, ""},
		{numberType, durationType, durationType, "$times"},
		{durationType, numberType, durationType, "$times"},
		{Any, durationType, durationType, "$times"},
		{durationType, Any, durationType, "$times"},
		{Any, numberType, Any, "$times"},
		{numberType, Any, Any, "$times"},
		{Any, Any, Any, "$times"},
	},
	"/": {
		{durationType, durationType, floatType, "$divide"},
		{durationType, numberType, durationType, "$divide"},
		{durationType, Any, Any, "$divide"},
		{Any, durationType, Any, "$divide"},
		{Any, Any, Any, "$divide"},
		{numberType, numberType, floatType, ""},
		{numberType, Any, floatType, ""},
		{Any, numberType, floatType, ""},
	},
	"%": {
		{intType, intType, intType, ""},
		{intType, Any, intType, ""},
		{Any, intType, intType, ""},
		{Any, Any, intType, ""},
	},
	"**": powers,
	"^":  powers,
}

var powers = []overload{
	{numberType, numberType, floatType, ""},
	{numberType, Any, floatType, ""},
	{Any, numberType, floatType, ""},
	{Any, Any, floatType, ""},
}

// anything is an operand of any type.
var anything = Type{Kind: sameKind}

// takes reports whether an operand of type t suits an operand of an overload.
func (o Type) takes(t Type) bool {
	switch o.Kind {
	case sameKind:
		return true
	case AnyKind:
		return t.Open()
	case numberKind:
		return t.Number()
	}
	return t.Kind == o.Kind
}

func (c *Checker) calculation(n *ast.BinaryNode, overloads []overload, l, r checked, out ast.Node) checked {
	i := slices.IndexFunc(overloads, func(o overload) bool { return o.left.takes(l.Type) && o.right.takes(r.Type) })
	switch {
	case i < 0 && n.Operator == "+":
		return c.addition(n, l.Type, r.Type)
	case i < 0 && n.Operator == "-" && l.Type.Kind == TimeKind:
		return c.wantsDuration(n, n.Right, r.Type, l.Type)
	case i < 0:
		return c.mismatch(n, l.Type, r.Type)
	}
	o := overloads[i]
	if by, ok := n.Right.(*ast.IntegerNode); ok && by.Value == 0 {
		switch {
		case n.Operator == "%":
			return c.FailAt(by, "zero", "", "a number cannot be divided by 0")
		case n.Operator == "/" && l.Type.Kind == DurationKind:
			return c.FailAt(by, "zero", "", "a duration cannot be divided by 0")
		}
	}
	if o.result.Kind == numberKind {
		o.result = join(l.Type, r.Type)
	}
	if o.run != "" {
		out = call(n, o.run, l.node, r.node)
	}
	return checked{out, o.result}
}

func (c *Checker) addition(n *ast.BinaryNode, l, r Type) checked {
	for _, side := range []struct {
		node       ast.Node
		typ, other Type
	}{{n.Left, l, r}, {n.Right, r, l}} {
		if side.other.Kind == TextKind && side.typ.Kind != TextKind {
			return c.FailAt(side.node, "type", "string("+c.Source(side.node)+")", "a text can only be joined with a text, but this is %s", side.typ)
		}
		if side.other.Kind == TimeKind {
			return c.wantsDuration(n, side.node, side.typ, Time)
		}
	}
	return c.mismatch(n, l, r)
}

// wantsDuration reports a number or a text where a duration is needed.
func (c *Checker) wantsDuration(n *ast.BinaryNode, at ast.Node, t, of Type) checked {
	suggestion := ""
	if s, ok := at.(*ast.StringNode); ok {
		if _, err := parseDuration(s.Value); err == nil {
			suggestion = "duration(" + c.Source(at) + ")"
		}
	}
	const example = `such as duration("90m")`
	switch {
	case of.Kind == TimeKind && n.Operator == "-":
		return c.FailAt(at, "type", suggestion, "take a duration from a time, %s; this is %s", example, t)
	case of.Kind == TimeKind:
		return c.FailAt(at, "type", suggestion, "add a duration to a time, %s; this is %s", example, t)
	case n.Operator == "+" || n.Operator == "-":
		return c.FailAt(at, "type", suggestion, "add a duration to a duration, %s; this is %s", example, t)
	case t.Number():
		return c.FailAt(at, "type", suggestion, "compare a duration with a duration, %s; this is a number. hours( ) and minutes( ) make a number of a duration", example)
	}
	return c.FailAt(at, "type", suggestion, "compare a duration with a duration, %s; this is %s", example, t)
}
