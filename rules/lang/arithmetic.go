package lang

import (
	"errors"
	"slices"

	"github.com/expr-lang/expr/ast"

	"bellhop/actions"
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
		{Any, Any, Any, "$add"},
		{or(Text), or(Text), Text, "$add"},
		{Time, durationType, Time, ""},
		{durationType, Time, Time, ""},
		{durationType, durationType, durationType, ""},
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
		{or(numberType), durationType, durationType, "$times"},
		{durationType, or(numberType), durationType, "$times"},
		{or(numberType), or(numberType), Any, "$times"},
	},
	"/": {
		{durationType, durationType, floatType, "$divide"},
		{durationType, numberType, durationType, "$divide"},
		{durationType, Any, Any, "$divide"},
		{Any, durationType, Any, "$divide"},
		{Any, Any, Any, "$divide"},
		{or(numberType), or(numberType), floatType, ""},
	},
	"%":  {{or(intType), or(intType), intType, ""}},
	"**": {{or(numberType), or(numberType), floatType, ""}},
	"^":  {{or(numberType), or(numberType), floatType, ""}},
}

// anything is an operand of any type.
var anything = Type{Kind: sameKind}

// or is an operand of a type, or one of which nothing is known.
func or(t Type) Type { return t.OrNil() }

// takes reports whether an operand of type t suits an operand of an overload.
func (o Type) takes(t Type) bool {
	return o.Kind == sameKind || (o.missing || o.Kind == AnyKind) && t.Open() || o.Kind == numberKind && t.Number() || t.Kind == o.Kind
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
	divided := map[string]Type{"%": numberType, "/": durationType}[n.Operator]
	if by, ok := n.Right.(*ast.IntegerNode); ok && by.Value == 0 && (n.Operator == "%" || n.Operator == "/" && l.Type.Kind == DurationKind) {
		return c.FailAt(by, "zero", "", "%s cannot be divided by 0", divided)
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
	for _, side := range sidesOf(n, l, r) {
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
	do, hint := "compare a duration with a duration", ""
	switch {
	case of.Kind == TimeKind && n.Operator == "-":
		do = "take a duration from a time"
	case of.Kind == TimeKind:
		do = "add a duration to a time"
	case n.Operator == "+" || n.Operator == "-":
		do = "add a duration to a duration"
	case t.Number():
		hint = ". hours( ) and minutes( ) make a number of a duration"
	}
	return c.FailAt(at, "type", c.asDuration(at), `%s, such as duration("90m"); this is %s%s`, do, t, hint)
}

// asDuration returns the call that makes a duration of a text literal, "" if it is not even nearly one.
func (c *Checker) asDuration(n ast.Node) string {
	s, ok := n.(*ast.StringNode)
	if !ok {
		return ""
	}
	if _, err := parseDuration(s.Value); err == nil {
		return "duration(" + c.Source(n) + ")"
	} else if near := nearDuration(err); near != "" {
		return "duration(" + quoteLike(c.Source(n), near) + ")"
	}
	return ""
}

// nearDuration returns the duration that a text which cannot be read as one was probably meant to be, or "".
func nearDuration(err error) string {
	if d, ok := errors.AsType[*actions.DurationError](err); ok {
		return d.Suggestion
	}
	return ""
}
