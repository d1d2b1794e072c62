package lang

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"

	"bellhop/rules/text"
)

func (c *Checker) member(n *ast.MemberNode) checked {
	property, _ := n.Property.(*ast.StringNode)
	if id, ok := n.Node.(*ast.IdentifierNode); ok && property != nil && !c.hidden(id.Value) {
		if id.Value == "$env" {
			return c.FailAt(n, "unsupported", "", "$env is not available in rules")
		}
		if object, ok := c.Env.Objects[id.Value]; ok {
			t, ok := object.Fields[property.Value]
			if !ok {
				return c.unknownField(property, id.Value)
			}
			name := id.Value + "." + property.Value
			if object.Lazy {
				return checked{call(n, "$lazy", constant(n, name)), t}
			}
			return checked{placed(&ast.IdentifierNode{Value: name}, n), t}
		}
	}
	if object, field, ok := c.Env.fieldOf(n.Node); ok && object != field && property != nil {
		if _, ok := c.Env.field(field, property.Value); ok {
			s := field + "." + property.Value
			return c.FailAt(n, "unknown-field", s, "%s has no field %s; the %s is beside it: write %s", object, text.Quote(field), field, s)
		}
	}
	base := c.visit(n.Node)
	prop := c.visit(n.Property)
	if base.Type.Kind == BadKind || prop.Type.Kind == BadKind {
		return checked{n, Bad}
	}
	if property != nil && c.length(n, base.Type, property.Value) {
		return checked{n, Bad}
	}
	get := func(t Type) checked { return checked{call(n, "$get", base.node, prop.node), t} }
	switch base.Type.Kind {
	case AnyKind, mapKind:
		if n.Method {
			return c.FailAt(n, "method", "", "only times have methods, such as .Hour()")
		}
		if property != nil && c.writtenEntry(n.Node, property.Value) {
			return get(Any)
		}
		return get(Any.OrNil())
	case ObjectKind:
		switch {
		case property != nil:
			if t, ok := c.Env.field(base.Type.Name, property.Value); ok {
				t.missing = t.missing || base.Type.missing
				return get(t)
			}
			return c.unknownField(property, base.Type.Name)
		case !prop.Type.Is(TextKind):
			return c.FailAt(n.Property, "type", "", "pick a field by its name, a text; this is %s", prop.Type)
		}
		return get(Any.OrNil())
	case listKind:
		if !c.listElement(n, property, base, prop) {
			return checked{n, Bad}
		}
		return get(c.elementAt(n.Node, n.Property, base.Type))
	case TimeKind:
		if property != nil {
			for _, m := range methodNames() {
				if text.FoldWord(m) == text.FoldWord(property.Value) {
					return c.FailAt(n.Property, "unknown-field", m+"()", "write .%s() to get it from a time", m)
				}
			}
			return c.FailAt(n.Property, "unknown-field", "", "a time has no field %s; there are %s", text.Quote(property.Value), methodList())
		}
	case TextKind:
		if property == nil {
			return c.FailAt(n.Property, "type", "", "a text has no elements; for a part of a text write [0:3]")
		}
	case nilKind:
		return c.FailAt(n.Node, "type", "", "nil has no fields")
	}
	if property != nil {
		return c.FailAt(n.Property, "unknown-field", "", "%s has no field %s", base.Type, text.Quote(property.Value))
	}
	return c.FailAt(n.Property, "type", "", "%s has no elements", base.Type)
}

// listElement reports whether an element of a list is picked by its number, and what is wrong if not.
func (c *Checker) listElement(n *ast.MemberNode, property *ast.StringNode, list, index checked) bool {
	element := list.Type.element()
	switch {
	case property != nil && element.Kind == ObjectKind:
		if _, ok := c.Env.field(element.Name, property.Value); !ok {
			c.unknownField(property, element.Name)
			return false
		}
		s := "map(" + c.Source(n.Node) + ", ." + property.Value + ")"
		c.FailAt(n, "unknown-field", s, "a list has no field %s; for a list of what its elements have, write %s", text.Quote(property.Value), s)
	case property != nil:
		c.FailAt(n.Property, "unknown-field", "", "a list has no field %s; its elements are [0], [1] and so on", text.Quote(property.Value))
	case !index.Type.Is(intKind):
		c.FailAt(n.Property, "type", "", "pick an element by a whole number; this is %s", index.Type)
	default:
		return true
	}
	return false
}

// length reports a field of a list or a text that other languages have for its length.
func (c *Checker) length(n *ast.MemberNode, t Type, field string) bool {
	parts := map[kind]string{listKind: "elements", TextKind: "characters"}[t.Kind]
	found := parts != "" && (field == "length" || field == "size" || field == "count" && t.Kind == listKind)
	if found {
		c.FailAt(n, "unknown-field", "len("+c.Source(n.Node)+")", "the number of %s is len(%s)", parts, c.Source(n.Node))
	}
	return found
}

// writtenEntry reports whether a node is a map literal that has an entry other than nil.
func (c *Checker) writtenEntry(of ast.Node, key string) bool {
	m, ok := Term{of, c}.Expand().Node.(*ast.MapNode)
	return ok && slices.ContainsFunc(m.Pairs, func(n ast.Node) bool {
		pair := n.(*ast.PairNode)
		name, ok := pair.Key.(*ast.StringNode)
		_, none := pair.Value.(*ast.NilNode)
		return ok && name.Value == key && !none
	})
}

// elementAt returns the type of an element of a list, which may be missing.
func (c *Checker) elementAt(list, index ast.Node, t Type) Type {
	i, fixed := constantInt(index)
	least := 0 // the list has at least this many elements
	if literal, ok := list.(*ast.ArrayNode); ok {
		least = len(literal.Nodes)
	}
	if name, args := CallOf(list); (name == "split" || name == "splitAfter") && len(args) == 2 {
		if separator := writtenText(args, 1); separator != nil && separator.Value != "" {
			least = 1
		}
	}
	if fixed && max(i+1, -i) <= least {
		return t.element()
	}
	return t.element().OrNil()
}

func (c *Checker) unknownField(property *ast.StringNode, object string) checked {
	suggestion := text.Closest(property.Value, text.SortedKeys(c.Env.Objects[object].Fields))
	if s, ok := c.Env.Aliases[property.Value]; ok {
		if _, ok := c.Env.field(object, s); ok {
			suggestion = s
		}
	}
	if suggestion == "" {
		for _, other := range c.Env.Main {
			if _, ok := c.Env.field(other, property.Value); ok && other != object && slices.Contains(c.Env.Main, object) {
				return c.FailAt(property, "unknown-field", "", "%s has no field %s, but %s has: %s.%s", object, text.Quote(property.Value), other, other, property.Value)
			}
		}
	}
	return c.FailAt(property, "unknown-field", suggestion, "%s has no field %s%s", object, text.Quote(property.Value), text.DidYouMean(suggestion))
}

// methodList returns the methods for people: ".Day(), .Hour() or …".
func methodList() string {
	names := methodNames()
	for i := range names {
		names[i] = "." + names[i] + "()"
	}
	return text.OneOf(names)
}

func (c *Checker) slice(n *ast.SliceNode) checked {
	base := c.visit(n.Node)
	if k := base.Type.Kind; k != listKind && k != TextKind && !base.Type.Open() {
		return c.FailAt(n.Node, "type", "", "[from:to] takes a part of a text or a list, but this is %s", base.Type)
	}
	bound := func(b ast.Node) ast.Node {
		if b == nil {
			return constant(n, nil)
		}
		v := c.visit(b)
		if !v.Type.Is(intKind) {
			c.FailAt(b, "type", "", "a whole number is needed here, but this is %s", v.Type)
		}
		return v.node
	}
	from, to := bound(n.From), bound(n.To)
	return checked{call(n, "$slice", base.node, from, to), base.Type}
}

// methodWords are methods of other languages, and what to use instead.
var methodWords = map[string]string{
	"contains": "contains", "includes": "contains", "startsWith": "startsWith", "startswith": "startsWith", "hasPrefix": "startsWith",
	"endsWith": "endsWith", "endswith": "endsWith", "hasSuffix": "endsWith", "matches": "matches", "match": "matches", "test": "matches",
	"toLowerCase": "lower", "toLower": "lower", "lower": "lower", "toUpperCase": "upper", "toUpper": "upper", "upper": "upper",
	"trim": "trim", "strip": "trim", "split": "split", "replace": "replace", "join": "join", "length": "len", "size": "len",
	"format": "date", "Format": "date", "strftime": "date", "In": "tz", "Weekday": "weekday",
}

func (c *Checker) method(n *ast.CallNode, callee *ast.MemberNode) checked {
	base := c.visit(callee.Node)
	c.all(n.Arguments)
	if base.Type.Kind == BadKind {
		return checked{n, Bad}
	}
	property, ok := callee.Property.(*ast.StringNode)
	if !ok {
		return c.FailAt(callee, "function", "", "%s is not a function", text.Quote(c.Source(callee)))
	}
	if base.Type.Is(TimeKind) {
		if m := findMethod(property.Value); m != nil {
			if len(n.Arguments) > 0 {
				return c.FailAt(n.Arguments[0], "arguments", "", ".%s() takes no arguments", property.Value)
			}
			return checked{call(n, m.operation(), base.node), intType}
		}
	}
	on := c.Source(callee.Node)
	args := []string{on}
	for _, a := range n.Arguments {
		args = append(args, c.Source(a))
	}
	word := methodWords[property.Value]
	f := functions[word]
	if layout := writtenText(n.Arguments, 0); layout != nil && word == "date" {
		args[1] = quoteLike(args[1], fixLayout(layout.Value))
	}
	s := word + "(" + strings.Join(args, ", ") + ")"
	switch {
	case f != nil && !f.takes(len(args)):
		return c.FailAt(n, "method", "", "use the function %s: %s", word, s)
	case f == nil && word != "" && len(args) == 2 && base.Type.Kind == listKind:
		s = args[1] + " in " + on
	case f == nil && word != "" && len(args) == 2:
		s = on + " " + word + " " + args[1]
	case f == nil:
		s = ""
	}
	if s != "" {
		return c.FailAt(n, "method", s, "write %s", s)
	}
	if base.Type.Kind == TimeKind {
		if m := addMethod.FindStringSubmatch(property.Value); m != nil && len(n.Arguments) == 1 {
			if s, ok := c.moved(on, m, n.Arguments[0]); ok {
				return c.FailAt(n, "method", s, "write %s", s)
			}
			return c.FailAt(property, "method", "", `a time has no method %s; add a duration with + and subtract it with -, such as %s %s duration("24h")`, text.Quote(property.Value), on, signOf(m))
		}
		suggestion := text.Closest(property.Value, methodNames())
		return c.FailAt(property, "method", suggestion, "a time has no method %s; there are %s", text.Quote(property.Value), methodList())
	}
	return c.FailAt(property, "method", "", "%s has no method %s", base.Type, text.Quote(property.Value))
}

// addMethod matches the names that other languages have for + and - of times.
var addMethod = regexp.MustCompile(`^(?i)(add|plus|minus|subtract|sub)([a-z]*)$`)

func signOf(add []string) string {
	return cmp.Or(map[string]string{"add": "+", "plus": "+"}[strings.ToLower(add[1])], "-")
}

// moved returns the expression for a time that is moved, written as addDays(t, 1) or t.plusHours(2) in other
// languages. add is the match of [addMethod].
func (c *Checker) moved(on string, add []string, by ast.Node) (string, bool) {
	written := c.Source(by)
	if c.Types[by].Type.Kind == DurationKind {
		return on + " " + signOf(add) + " " + written, true
	}
	if _, fixed := constantInt(by); fixed {
		if s, ok := (Stretch{signOf(add), written + add[2]}).From(on); ok {
			return s, true
		}
	}
	f := map[string]string{"day": "addDays", "month": "addMonths", "workday": "addWorkdays", "businessday": "addWorkdays"}[strings.TrimSuffix(strings.ToLower(add[2]), "s")]
	if f == "" || !c.Types[by].Type.Is(intKind) {
		return "", false
	}
	if signOf(add) == "-" {
		written = "-(" + written + ")"
	}
	return f + "(" + on + ", " + written + ")", true
}

// durationUnit returns the unit that a function of another language is named after.
func durationUnit(name string) string {
	units := map[string]string{"hour": "h", "minute": "m", "min": "m", "second": "s", "sec": "s", "day": "d", "week": "w"}
	return units[strings.TrimSuffix(strings.ToLower(name), "s")]
}
