package lang

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/expr-lang/expr/ast"

	"bellhop/actions"
	"bellhop/rules/text"
)

func (c *Checker) unary(n *ast.UnaryNode) checked {
	v := c.visit(n.Node)
	out := *n
	out.Node = v.node
	switch not := operatorOf(n) == "!"; {
	case not && v.Type.Kind == TextKind:
		s := c.Source(n.Node) + ` == ""`
		return c.FailAt(n, "type", s, "%s needs true or false after it, but this is a text; to ask whether it is empty, write %s", n.Operator, s)
	case not && !v.Type.Is(BoolKind):
		return c.FailAt(n.Node, "type", "", "%s needs true or false after it, but this is %s", n.Operator, v.Type)
	case not:
		return checked{&out, Bool}
	case v.Type.Number():
		return checked{&out, v.Type}
	case v.Type.Kind != DurationKind && !v.Type.Open():
		return c.FailAt(n.Node, "type", "", "%s needs a number or a duration after it, but this is %s", n.Operator, v.Type)
	case n.Operator == "+":
		return v
	}
	return checked{call(n, "$negate", v.node), v.Type}
}

func (c *Checker) binary(n *ast.BinaryNode) checked {
	if c.bareWords(n) {
		return checked{n, Bool}
	}
	l, r := c.visit(n.Left), c.visit(n.Right)
	// A new node, because in a < b < c both comparisons share b, and the tree is rewritten.
	out := placed(&ast.BinaryNode{Operator: n.Operator, Left: l.node, Right: r.node}, n)
	if l.Type.Kind == BadKind || r.Type.Kind == BadKind {
		if isCondition(n) || n.Operator == "matches" {
			return checked{out, Bool} // a mistake in an operand does not cause another finding
		}
		return checked{out, Bad}
	}
	switch operatorOf(n) {
	case "&&", "||":
		return c.connective(n, l.Type, r.Type, out)
	case "==", "!=":
		return c.equality(n, l, r, out)
	case "<", ">", "<=", ">=":
		return c.order(n, l, r, out)
	case "in":
		return c.in(n, l, r)
	case "contains", "startsWith", "endsWith":
		return c.part(n, l, r)
	case "matches":
		return c.pattern(n, l, r)
	case "..":
		return c.numbers(n, l, r)
	case "??":
		return c.fallback(n, l, r, out)
	}
	if overloads, ok := arithmetic[n.Operator]; ok {
		return c.calculation(n, overloads, l, r, out)
	}
	return c.FailAt(n, "unsupported", "", "the operator %s is not supported in a rule", n.Operator)
}

// operatorOf returns the operator of a node as a sign: && for and. It returns "" if the node has none.
func operatorOf(n ast.Node) string {
	op := ""
	switch n := n.(type) {
	case *ast.BinaryNode:
		op = n.Operator
	case *ast.UnaryNode:
		op = n.Operator
	}
	switch op {
	case "and":
		return "&&"
	case "or":
		return "||"
	case "not":
		return "!"
	}
	return op
}

// sides reports the first operand that is not of a kind, and then returns false with the result of the operation. needs
// says what the operator does with such operands.
func (c *Checker) sides(n *ast.BinaryNode, l, r Type, k kind, needs string) (wrong checked, ok bool) {
	at, t := n.Left, l
	if l.Is(k) {
		at, t = n.Right, r
	}
	if t.Is(k) {
		return checked{}, true
	}
	return c.FailAt(at, "type", "", "%s %s, but this is %s", n.Operator, needs, t), false
}

func (c *Checker) connective(n *ast.BinaryNode, l, r Type, out ast.Node) checked {
	if l.Is(BoolKind) && r.Is(BoolKind) {
		return checked{out, Bool}
	}
	if operatorOf(n) == "||" && l.Kind == TextKind && r.Kind == TextKind {
		s := c.Source(n.Left) + " ?? " + c.Source(n.Right)
		return c.FailAt(n, "type", s, "%s joins conditions, but these are texts; write a default as %s", n.Operator, s)
	}
	if word, ok := n.Right.(*ast.StringNode); ok && l.Is(BoolKind) { // status == "a" || "b"
		before := n.Left
		for Connective(before) != "" {
			before = before.(*ast.BinaryNode).Right
		}
		if op := operatorOf(before); op == "==" || op == "!=" {
			s := c.Source(before.(*ast.BinaryNode).Left) + " " + op + " " + c.Source(word)
			return c.FailAt(word, "type", s, "%s joins conditions, but this is %s", n.Operator, r)
		}
	}
	wrong, _ := c.sides(n, l, r, BoolKind, "joins conditions")
	return wrong
}

// order checks <, <=, > and >=.
func (c *Checker) order(n *ast.BinaryNode, l, r checked, out ast.Node) checked {
	ordered := l.Type.Number() && r.Type.Number() || l.Type.Kind == r.Type.Kind && slices.Contains([]kind{TextKind, TimeKind, DurationKind}, l.Type.Kind)
	if !ordered && !l.Type.Open() && !r.Type.Open() {
		return c.mismatch(n, l.Type, r.Type)
	}
	wrong := func(t Type, other ast.Node) bool { return t.words != nil && t.words.ordered && !c.word(t, other) }
	if wrong(l.Type, n.Right) || wrong(r.Type, n.Left) || l.Type.scalar() && r.Type.scalar() {
		return checked{out, Bool}
	}
	name := map[string]string{"<": "$less", "<=": "$lessEq", ">": "$more", ">=": "$moreEq"}[n.Operator]
	return checked{call(n, name, l.node, r.node), Bool}
}

// part checks contains, startsWith and endsWith.
func (c *Checker) part(n *ast.BinaryNode, l, r checked) checked {
	if n.Operator == "contains" && l.Type.Kind == listKind && !r.Type.Is(listKind) {
		s := c.Source(n.Right) + " in " + c.Source(n.Left)
		return c.FailAt(n, "type", s, "contains looks inside a text; to ask whether a list has an element, write %s", s)
	}
	if wrong, ok := c.sides(n, l.Type, r.Type, TextKind, "compares texts"); !ok {
		return wrong
	}
	return checked{call(n, "$"+n.Operator, l.node, r.node), Bool}
}

// pattern checks matches.
func (c *Checker) pattern(n *ast.BinaryNode, l, r checked) checked {
	if wrong, ok := c.sides(n, l.Type, r.Type, TextKind, "compares a text with a pattern"); !ok {
		return wrong
	}
	if s, ok := n.Right.(*ast.StringNode); ok {
		p, err := compilePattern(s.Value)
		if err != nil {
			return c.FailAt(s, "pattern", "", "%s", err)
		}
		r.node = constant(s, p)
	}
	return checked{call(n, "$matches", l.node, r.node), Bool}
}

// numbers checks the range a..b.
func (c *Checker) numbers(n *ast.BinaryNode, l, r checked) checked {
	if wrong, ok := c.sides(n, l.Type, r.Type, intKind, "makes a list of whole numbers"); !ok {
		return wrong
	}
	a, aOK := constantInt(n.Left)
	b, bOK := constantInt(n.Right)
	if aOK && bOK && b-a >= maxRange {
		return c.FailAt(n, "bound", "", "this range has %d numbers, more than the %d that are allowed", b-a+1, maxRange)
	}
	return checked{call(n, "$range", l.node, r.node), intsType}
}

// fallback checks ??.
func (c *Checker) fallback(n *ast.BinaryNode, l, r checked, out *ast.BinaryNode) checked {
	if k := l.Type.Kind; k != TextKind && k != TimeKind && k != AnyKind && k != nilKind && !l.Type.missing {
		c.WarnAt(n, "needless-default", "", "%s is never missing, so the default after ?? is never used", text.Quote(c.Source(n.Left)))
	}
	out.Left = call(n.Left, "$present", l.node)
	if l.Type.Kind == nilKind {
		return checked{out, r.Type}
	}
	return checked{out, join(l.Type.sure(), r.Type)}
}

func (c *Checker) equality(n *ast.BinaryNode, l, r checked, out *ast.BinaryNode) checked {
	if !l.Type.comparable(r.Type) {
		return c.mismatch(n, l.Type, r.Type)
	}
	if !c.word(l.Type, n.Right) || !c.word(r.Type, n.Left) {
		return checked{out, Bool}
	}
	if l.Type.scalar() || r.Type.scalar() || IsLiteral(n.Left) || IsLiteral(n.Right) {
		return checked{out, Bool}
	}
	eq := call(n, "$eq", l.node, r.node)
	if n.Operator == "!=" {
		return checked{placed(&ast.UnaryNode{Operator: "!", Node: eq}, n), Bool}
	}
	return checked{eq, Bool}
}

func (c *Checker) in(n *ast.BinaryNode, l, r checked) checked {
	switch r.Type.Kind {
	case TextKind:
		if words, ok := n.Right.(*ast.StringNode); ok && strings.Contains(words.Value, ",") {
			var list []string
			for _, w := range actions.SplitList(words.Value) {
				list = append(list, quoteLike(c.Source(words), w))
			}
			s := "[" + strings.Join(list, ", ") + "]"
			return c.FailAt(words, "type", s, "in needs a list: write %s", s)
		}
		s := c.Source(n.Right) + " contains " + c.Source(n.Left)
		return c.FailAt(n, "type", s, "in looks inside a list; to ask whether a text has a part, write %s", s)
	case listKind:
		elem := r.Type.element()
		if !l.Type.comparable(elem) {
			if l.Type.Kind == listKind {
				return c.FailAt(n.Left, "type", "", "in looks for one element, but this is %s; write any(%s, # in …)", l.Type, c.Source(n.Left))
			}
			return c.FailAt(n, "type", "", "%s is never in %s, whose elements are of another kind", l.Type, r.Type)
		}
	case mapKind, ObjectKind, AnyKind:
		if r.Type.Kind != AnyKind && !l.Type.Is(TextKind) {
			return c.FailAt(n.Left, "type", "", "in looks for a key of a map, a text, but this is %s", l.Type)
		}
	case nilKind:
		return c.FailAt(n.Right, "type", "", "in needs a list after it")
	default:
		return c.FailAt(n.Right, "type", "", "in needs a list after it, but this is %s", r.Type)
	}
	right := r.node
	if list, ok := n.Right.(*ast.ArrayNode); ok {
		set := &wordSet{words: map[string]struct{}{}}
		for _, e := range list.Nodes {
			s, ok := e.(*ast.StringNode)
			if !ok {
				set = nil
				break
			}
			if !c.word(l.Type, s) {
				return checked{n, Bool}
			}
			set.words[s.Value] = struct{}{}
			set.longest = max(set.longest, len(s.Value))
		}
		if set != nil {
			right = constant(n.Right, set)
		}
	}
	if !c.word(r.Type.element(), n.Left) {
		return checked{n, Bool}
	}
	return checked{call(n, "$in", l.node, right), Bool}
}

// A side is an operand and its type, with those of the other operand.
type side struct {
	node, against ast.Node
	typ, other    Type
}

func sidesOf(n *ast.BinaryNode, l, r Type) []side {
	return []side{{n.Left, n.Right, l, r}, {n.Right, n.Left, r, l}}
}

// mismatch reports two values that an operator cannot join, with a suggestion where there is one.
func (c *Checker) mismatch(n *ast.BinaryNode, l, r Type) checked {
	verb := "compare"
	if _, ok := arithmetic[n.Operator]; ok {
		verb = "calculate with"
	}
	equality := n.Operator == "==" || n.Operator == "!="
	for _, side := range sidesOf(n, l, r) {
		s, literal := side.node.(*ast.StringNode)
		source, suggestion := c.Source(side.node), ""
		switch of, other := side.typ, side.other; {
		case of.Kind == TextKind && other.Kind == TimeKind:
			suggestion = "date(" + source + ")"
			if literal {
				if _, err := ParseDate(time.UTC, s.Value, nil); err != nil {
					suggestion = ""
				}
			}
			return c.FailAt(side.node, "type", suggestion, `%s cannot %s a time and a text; write a time as date("2026-01-31 15:04:05")`, n.Operator, verb)
		case of.Kind == TextKind && other.Kind == DurationKind:
			return c.FailAt(side.node, "type", c.asDuration(side.node), `%s cannot %s a duration and a text; write a duration as duration("90m")`, n.Operator, verb)
		case of.Kind == TextKind && other.Number() && literal:
			if _, err := strconv.ParseFloat(s.Value, 64); err == nil {
				suggestion = s.Value
			}
			return c.FailAt(side.node, "type", suggestion, "%s cannot %s a number and a text", n.Operator, verb)
		case of.Number() && other.Kind == TextKind && (isCallOf(side.node, "weekday") || isCallOf(side.against, "weekday")):
			return c.FailAt(side.node, "type", "", `weekday( ) is the English name of the day, such as "Monday"`)
		case literal && other.Kind == BoolKind && n.Operator == "==":
			eq, ok := side.against.(*ast.BinaryNode)
			if !ok || eq.Operator != "==" {
				break
			}
			if _, ok := eq.Right.(*ast.StringNode); ok {
				s := c.Source(eq.Left) + " in [" + c.Source(eq.Right) + ", " + source + "]"
				return c.FailAt(n, "type", s, "to compare with several values, write %s", s)
			}
		case of.Number() && other.Kind == TextKind && IsLiteral(side.node):
			return c.FailAt(side.node, "type", `"`+source+`"`, "%s cannot %s a text and a number; a text is written in quotes", n.Operator, verb)
		case of.Kind == listKind && other.Kind == TextKind && equality:
			in := " in "
			if n.Operator == "!=" {
				in = " not in "
			}
			s := c.Source(side.against) + in + source
			return c.FailAt(n, "type", s, "a list is never equal to a text; to ask whether it has this element, write %s", s)
		case of.Number() && other.Kind == TimeKind && verb == "compare":
			if isoDate.MatchString(source) {
				suggestion = `date("` + source + `")`
			}
			return c.FailAt(side.node, "type", suggestion, `a time can only be compared with a time, such as now() or date("2026-01-31"), but this is a number`)
		case of.Kind == ObjectKind && c.Env.Objects[of.Name].Moment != "" && (other.Kind == DurationKind || other.Kind == TimeKind):
			suggestion = source + "." + c.Env.Objects[of.Name].Moment
			return c.FailAt(side.node, "type", suggestion, "%s cannot %s %s; use a time of it, such as %s", n.Operator, verb, of, suggestion)
		case of.Kind == ObjectKind && other.Kind == TextKind && c.Env.Objects[of.Name].Fields["id"].Kind == TextKind:
			suggestion = source + ".id"
			return c.FailAt(side.node, "type", suggestion, "%s cannot %s %s and a text; use a text of it, such as %s", n.Operator, verb, of, suggestion)
		case of.Number() && (other.Kind == DurationKind || other.Kind == TimeKind) && (verb == "compare" || n.Operator == "+" || n.Operator == "-"):
			return c.wantsDuration(n, side.node, of, other)
		}
	}
	return c.FailAt(n, "type", "", "%s cannot %s %s and %s", n.Operator, verb, l, r)
}

var isoDate = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}$`)
