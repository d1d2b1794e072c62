package lang

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"

	"bellhop/actions"
	"bellhop/rules/text"
)

// A Piece is an expression as it stands in a file: a part of a text.
type Piece struct {
	text *text.Scalar
	off  int    // where in the text's value it begins
	src  string // the expression
}

// NewPiece is the expression in a range of a text's value.
func NewPiece(t *text.Scalar, from, to int) Piece { return Piece{t, from, t.Value[from:to]} }

// WholeOf is a text that is an expression.
func WholeOf(t *text.Scalar) Piece { return NewPiece(t, 0, len(t.Value)) }

// span maps a range of the expression's characters to the file.
func (p Piece) span(from, to int) text.Span {
	return p.text.Span(p.off+byteOffset(p.src, from), p.off+byteOffset(p.src, to))
}

func (p Piece) Whole() text.Span { return p.text.Span(p.off, p.off+len(p.src)) }

func byteOffset(s string, runes int) int {
	for i := range s {
		if runes <= 0 {
			return i
		}
		runes--
	}
	return len(s)
}

// A Checker finds the mistakes in one expression, and rewrites it on the way: fields become plain names of
// the environment, and what needs a bound becomes a call of one of our functions, which charges for its work.
type Checker struct {
	Scope
	piece Piece

	preds  []predicateScope
	locals []Let
	Types  map[ast.Node]checked // a < b < c shares b, so nodes are met more than once
	bad    bool                 // an error was reported
	slip   *text.Scalar         // with what was suggested for the last one, nil if nothing was
	Prover *Prover              // that has thought about the expression, once it is compiled
}

type predicateScope struct {
	elem Type
	acc  bool
}

type checked struct {
	node ast.Node
	Type Type
}

// Term is a part of the expression, or something with the names that it may use.
func (c *Checker) Term(n ast.Node) Term { return Term{n, c} }

// Whole is the place of the whole expression.
func (c *Checker) Whole() text.Span { return c.piece.Whole() }

func (c *Checker) span(n ast.Node) text.Span {
	from, to := c.extent(n)
	return c.piece.span(from, to)
}

// extent is the range of characters that a node's tokens cover. The parser keeps one token for each node, so
// closing brackets are added by looking for them.
func (c *Checker) extent(n ast.Node) (from, to int) {
	if n == nil {
		return 0, 0
	}
	loc := n.Location()
	from, to = loc.From, loc.To
	grow := func(nodes ...ast.Node) {
		for _, k := range nodes {
			if k == nil {
				continue
			}
			f, t := c.extent(k)
			from, to = min(from, f), max(to, t)
		}
	}
	switch n := n.(type) {
	case *ast.UnaryNode:
		grow(n.Node)
	case *ast.BinaryNode:
		grow(n.Left, n.Right)
	case *ast.ChainNode:
		grow(n.Node)
	case *ast.MemberNode:
		grow(n.Node, n.Property)
		if _, ok := n.Property.(*ast.StringNode); !ok || n.Location() != n.Property.Location() {
			to = c.closing(to, ']')
		}
	case *ast.SliceNode:
		grow(n.Node, n.From, n.To)
		to = c.closing(to, ']')
	case *ast.CallNode:
		grow(n.Callee)
		grow(n.Arguments...)
		to = c.closing(to, ')')
	case *ast.BuiltinNode:
		grow(n.Arguments...)
		to = c.closing(to, ')')
	case *ast.PredicateNode:
		grow(n.Node)
	case *ast.ConditionalNode:
		from, to = c.extent(n.Cond)
		grow(n.Exp1, n.Exp2)
	case *ast.ArrayNode:
		grow(n.Nodes...)
		to = c.closing(to, ']')
	case *ast.MapNode:
		grow(n.Pairs...)
		to = c.closing(to, '}')
	case *ast.PairNode:
		grow(n.Key, n.Value)
	case *ast.VariableDeclaratorNode:
		grow(n.Value, n.Expr)
	case *ast.SequenceNode:
		grow(n.Nodes...)
	}
	return from, to
}

// closing is the end of the bracket that follows character to, if only blanks, commas and brackets that were
// opened inside stand between.
func (c *Checker) closing(to int, bracket rune) int {
	i := byteOffset(c.piece.src, to)
	n := to
	for _, r := range c.piece.src[i:] {
		n++
		switch {
		case r == bracket:
			return n
		case r == ' ' || r == '\n' || r == '\t' || r == ',' || r == '(' || r == ')':
		default:
			return to
		}
	}
	return to
}

func (c *Checker) Source(n ast.Node) string {
	from, to := c.extent(n)
	return c.piece.src[byteOffset(c.piece.src, from):byteOffset(c.piece.src, to)]
}

func (c *Checker) fail(code string, at text.Span, suggestion, format string, args ...any) checked {
	c.bad, c.slip = true, nil
	if suggestion != "" {
		c.slip = c.piece.text.With(at, suggestion)
	}
	at, suggestion = c.mend(at, suggestion)
	c.Doc.Errorf(code, at, suggestion, format, args...)
	return checked{&ast.NilNode{}, Bad}
}

func (c *Checker) FailAt(n ast.Node, code, suggestion, format string, args ...any) checked {
	return c.fail(code, c.span(n), suggestion, format, args...)
}

func (c *Checker) WarnAt(n ast.Node, code, suggestion, format string, args ...any) {
	at, suggestion := c.mend(c.span(n), suggestion)
	c.Doc.Warnf(code, at, suggestion, format, args...)
}

// mend is [text.Scalar.Mend] for a suggestion that is an expression, or part of one.
func (c *Checker) mend(at text.Span, suggestion string) (text.Span, string) {
	if strings.ContainsAny(suggestion, "\r\n") && !strings.ContainsAny(suggestion, "`#") && !strings.Contains(suggestion, "/*") && !strings.Contains(suggestion, "//") {
		suggestion = aroundBreaks.ReplaceAllString(suggestion, " ")
	}
	return c.piece.text.Mend(at, suggestion)
}

var aroundBreaks = regexp.MustCompile(`[ \t]*[\r\n]\s*`)

// call makes a call of one of our functions, at the place of the node it stands for.
func call(at ast.Node, name string, args ...ast.Node) ast.Node {
	callee := &ast.IdentifierNode{Value: name}
	callee.SetLocation(at.Location())
	machine := &ast.IdentifierNode{Value: machineName}
	machine.SetLocation(at.Location())
	n := &ast.CallNode{Callee: callee, Arguments: append([]ast.Node{machine}, args...)}
	n.SetLocation(at.Location())
	return n
}

func constant(at ast.Node, v any) ast.Node {
	var n ast.Node
	switch v := v.(type) {
	case nil:
		n = &ast.NilNode{}
	case string:
		n = &ast.StringNode{Value: v}
	case int:
		n = &ast.IntegerNode{Value: v}
	default:
		n = &ast.ConstantNode{Value: v}
	}
	n.SetLocation(at.Location())
	return n
}

func (c *Checker) visit(n ast.Node) checked {
	if done, ok := c.Types[n]; ok {
		return done
	}
	out := c.check(n)
	if c.Types == nil {
		c.Types = map[ast.Node]checked{}
	}
	c.Types[n] = out
	return out
}

func (c *Checker) check(n ast.Node) checked {
	switch n := n.(type) {
	case *ast.NilNode:
		return checked{n, nilType}
	case *ast.IntegerNode:
		return checked{n, intType}
	case *ast.FloatNode:
		return checked{n, floatType}
	case *ast.BoolNode:
		return checked{n, boolType}
	case *ast.StringNode:
		return checked{n, Text}
	case *ast.IdentifierNode:
		return c.identifier(n)
	case *ast.UnaryNode:
		return c.unary(n)
	case *ast.BinaryNode:
		return c.binary(n)
	case *ast.ChainNode: // what is not there is nil anyway, see fnGet
		return c.visit(n.Node)
	case *ast.MemberNode:
		return c.member(n)
	case *ast.SliceNode:
		return c.slice(n)
	case *ast.CallNode:
		return c.call(n)
	case *ast.BuiltinNode:
		if functions[n.Name].isPredicate() {
			return c.predicate(n)
		}
		return c.function(n, n.Name, n.Arguments)
	case *ast.PointerNode:
		return c.pointer(n)
	case *ast.VariableDeclaratorNode:
		return c.declaration(n)
	case *ast.SequenceNode:
		return c.sequence(n)
	case *ast.ConditionalNode:
		return c.conditional(n)
	case *ast.ArrayNode:
		elem := Type{}
		out := *n
		out.Nodes = make([]ast.Node, len(n.Nodes))
		for i := range n.Nodes {
			e := c.visit(n.Nodes[i])
			out.Nodes[i] = e.node
			if i == 0 {
				elem = e.Type
			} else {
				elem = join(elem, e.Type)
			}
		}
		return checked{&out, ListOf(elem)}
	case *ast.MapNode:
		out := *n
		out.Pairs = make([]ast.Node, len(n.Pairs))
		for i, p := range n.Pairs {
			pair, ok := p.(*ast.PairNode)
			if !ok {
				return c.FailAt(n, "unsupported", "", "%s is not supported in a rule", text.Quote(c.Source(n)))
			}
			key := c.visit(pair.Key)
			if !key.Type.Is(TextKind) {
				c.FailAt(pair.Key, "type", "", "the key of a map must be a text, but this is %s", key.Type)
			}
			copied := *pair
			copied.Key, copied.Value = key.node, c.visit(pair.Value).node
			out.Pairs[i] = &copied
		}
		return checked{&out, mapType}
	}
	return c.FailAt(n, "unsupported", "", "%s is not supported in a rule", text.Quote(c.Source(n)))
}

func (c *Checker) identifier(n *ast.IdentifierNode) checked {
	name := n.Value
	for _, l := range slices.Backward(c.locals) {
		if l.Name == name {
			local := &ast.IdentifierNode{Value: localName(name)}
			local.SetLocation(n.Location())
			return checked{local, l.Type}
		}
	}
	for i, l := range c.Lets {
		if l.Name == name {
			if c.Used != nil {
				c.Used[i] = true
			}
			return checked{call(n, "$let", constant(n, i)), l.Type}
		}
	}
	if t, ok := c.Env.Variables[name]; ok {
		if slices.Contains(c.Env.Lazy, name) {
			return checked{call(n, "$lazy", constant(n, name)), t}
		}
		return checked{n, t}
	}
	if _, ok := c.Env.Objects[name]; ok {
		return checked{call(n, "$object", constant(n, name)), Type{Kind: ObjectKind, Name: name}}
	}
	if slices.Contains(c.Later, name) {
		return c.FailAt(n, "let-order", "", "%s is defined further down, or is this one itself; a named value can only use those above it", name)
	}
	if f := functions[name]; f != nil && !f.isPredicate() {
		if name == "now" {
			return c.FailAt(n, "function", "now()", "for the present time write now()")
		}
		return c.FailAt(n, "function", name+"()", "%s is a function: call it as %s(…)", name, name)
	}
	switch strings.ToLower(name) {
	case "true", "false", "nil":
		return c.FailAt(n, "unknown-name", strings.ToLower(name), "write %s in small letters: %s", name, strings.ToLower(name))
	case "yes", "on":
		return c.FailAt(n, "unknown-name", "true", "in an expression write true, not %s", name)
	case "no", "off":
		return c.FailAt(n, "unknown-name", "false", "in an expression write false, not %s", name)
	case "null", "none", "undefined":
		return c.FailAt(n, "unknown-name", "nil", "%s is written nil here", name)
	}
	suggestion := c.similarName(name)
	return c.FailAt(n, "unknown-name", suggestion, "there is no %s%s", text.Quote(name), text.DidYouMean(suggestion))
}

// similarName finds what an unknown name was probably meant to be.
func (c *Checker) similarName(name string) string {
	candidates := c.Env.Names()
	for _, l := range c.Lets {
		candidates = append(candidates, l.Name)
	}
	for _, l := range c.locals {
		candidates = append(candidates, l.Name)
	}
	if s := text.Closest(name, candidates); s != "" && text.FoldWord(s) == text.FoldWord(name) {
		return s
	}
	for _, object := range c.Env.Main {
		if _, ok := c.Env.field(object, name); ok {
			return object + "." + name
		}
	}
	if s := text.Closest(name, candidates); s != "" {
		return s
	}
	for _, object := range c.Env.Main {
		if s := text.Closest(name, text.SortedKeys(c.Env.Objects[object].Fields)); s != "" {
			return object + "." + s
		}
	}
	return ""
}

func (c *Checker) unary(n *ast.UnaryNode) checked {
	v := c.visit(n.Node)
	out := *n
	out.Node = v.node
	switch n.Operator {
	case "!", "not":
		if v.Type.Kind == TextKind {
			s := c.Source(n.Node) + ` == ""`
			return c.FailAt(n, "type", s, "%s needs true or false after it, but this is a text; to ask whether it is empty, write %s", n.Operator, s)
		}
		if !v.Type.Is(BoolKind) {
			return c.FailAt(n.Node, "type", "", "%s needs true or false after it, but this is %s", n.Operator, v.Type)
		}
		return checked{&out, boolType}
	default:
		switch {
		case v.Type.Number():
			return checked{&out, v.Type}
		case v.Type.Kind != DurationKind && !v.Type.Open():
			return c.FailAt(n.Node, "type", "", "%s needs a number or a duration after it, but this is %s", n.Operator, v.Type)
		case n.Operator == "+":
			return v
		}
		return checked{call(n, "$negate", v.node), v.Type}
	}
}

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
			flat := &ast.IdentifierNode{Value: id.Value + "." + property.Value}
			flat.SetLocation(n.Location())
			return checked{flat, t}
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
	at := n.Node
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
		if property == nil {
			if !prop.Type.Is(TextKind) {
				return c.FailAt(n.Property, "type", "", "pick a field by its name, a text; this is %s", prop.Type)
			}
			return get(Any.OrNil())
		}
		t, ok := c.Env.field(base.Type.Name, property.Value)
		if !ok {
			return c.unknownField(property, base.Type.Name)
		}
		return get(t)
	case listKind:
		if property != nil {
			if property.Value == "length" || property.Value == "size" || property.Value == "count" {
				return c.FailAt(n, "unknown-field", "len("+c.Source(at)+")", "the number of elements is len(%s)", c.Source(at))
			}
			return c.FailAt(n.Property, "unknown-field", "", "a list has no field %s; its elements are [0], [1] and so on", text.Quote(property.Value))
		}
		if prop.Type.Kind != intKind && !prop.Type.Open() {
			return c.FailAt(n.Property, "type", "", "pick an element by a whole number; this is %s", prop.Type)
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
		if property != nil && (property.Value == "length" || property.Value == "size") {
			return c.FailAt(n, "unknown-field", "len("+c.Source(at)+")", "the number of characters is len(%s)", c.Source(at))
		}
		if property == nil {
			return c.FailAt(n.Property, "type", "", "a text has no elements; for a part of a text write [0:3]")
		}
	case nilKind:
		return c.FailAt(at, "type", "", "nil has no fields")
	}
	if property != nil {
		return c.FailAt(n.Property, "unknown-field", "", "%s has no field %s", base.Type, text.Quote(property.Value))
	}
	return c.FailAt(n.Property, "type", "", "%s has no elements", base.Type)
}

// writtenEntry says whether a map is written out in the rule, and has an entry.
func (c *Checker) writtenEntry(of ast.Node, key string) bool {
	m, ok := new(Prover).Expand(Term{of, c}).Node.(*ast.MapNode)
	return ok && slices.ContainsFunc(m.Pairs, func(n ast.Node) bool {
		pair, ok := n.(*ast.PairNode)
		if !ok {
			return false
		}
		name, ok := pair.Key.(*ast.StringNode)
		_, none := pair.Value.(*ast.NilNode)
		return ok && name.Value == key && !none
	})
}

// elementAt is the type of an element of a list, which need not have it.
func (c *Checker) elementAt(list, index ast.Node, t Type) Type {
	i, fixed := constantInt(index)
	least := 0 // elements there are
	switch n := list.(type) {
	case *ast.ArrayNode:
		least = len(n.Nodes)
	default:
		if name, args := CallOf(n); (name == "split" || name == "splitAfter") && len(args) == 2 {
			if separator, ok := args[1].(*ast.StringNode); ok && separator.Value != "" {
				least = 1
			}
		}
	}
	if fixed && max(i+1, -i) <= least {
		return t.element()
	}
	return t.element().OrNil()
}

// hidden says whether a local name stands before the environment's.
func (c *Checker) hidden(name string) bool {
	return slices.ContainsFunc(c.locals, func(l Let) bool { return l.Name == name })
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

// methodList is for people: ".Day(), .Hour() or …".
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

func (c *Checker) call(n *ast.CallNode) checked {
	switch callee := n.Callee.(type) {
	case *ast.IdentifierNode:
		if !c.hidden(callee.Value) {
			return c.function(n, callee.Value, n.Arguments)
		}
	case *ast.MemberNode:
		return c.method(n, callee)
	}
	for _, a := range n.Arguments {
		c.visit(a)
	}
	return c.FailAt(n.Callee, "function", "", "%s is not a function", text.Quote(c.Source(n.Callee)))
}

// methodWords are what people write as methods because other languages have them.
var methodWords = map[string]string{
	"contains": "contains", "includes": "contains", "startsWith": "startsWith", "startswith": "startsWith", "hasPrefix": "startsWith",
	"endsWith": "endsWith", "endswith": "endsWith", "hasSuffix": "endsWith", "matches": "matches", "match": "matches", "test": "matches",
	"toLowerCase": "lower", "toLower": "lower", "lower": "lower", "toUpperCase": "upper", "toUpper": "upper", "upper": "upper",
	"trim": "trim", "strip": "trim", "split": "split", "replace": "replace", "join": "join", "length": "len", "size": "len",
	"format": "date", "Format": "date", "strftime": "date", "In": "tz", "Weekday": "weekday",
}

func (c *Checker) method(n *ast.CallNode, callee *ast.MemberNode) checked {
	base := c.visit(callee.Node)
	for _, a := range n.Arguments {
		c.visit(a)
	}
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
	var args []string
	for _, a := range n.Arguments {
		args = append(args, c.Source(a))
	}
	if word, ok := methodWords[property.Value]; ok {
		switch word {
		case "contains", "startsWith", "endsWith", "matches":
			if len(args) == 1 {
				s := on + " " + word + " " + args[0]
				if base.Type.Kind == listKind {
					s = args[0] + " in " + on
				}
				return c.FailAt(n, "method", s, "write %s", s)
			}
		default:
			if layout, ok := c.literal(n, 0); ok && word == "date" {
				args[0] = quoteLike(args[0], fixLayout(layout))
			}
			s := word + "(" + strings.Join(append([]string{on}, args...), ", ") + ")"
			if !functions[word].takes(len(args) + 1) {
				return c.FailAt(n, "method", "", "use the function %s: %s", word, s)
			}
			return c.FailAt(n, "method", s, "write %s", s)
		}
	}
	if base.Type.Kind == TimeKind {
		if m := addMethod.FindStringSubmatch(property.Value); m != nil && len(n.Arguments) == 1 {
			s, ok := c.moved(on, m, n.Arguments[0])
			if !ok {
				return c.FailAt(property, "method", "", `a time has no method %s; add a duration with + and subtract it with -, such as %s %s duration("24h")`, text.Quote(property.Value), on, signOf(m))
			}
			return c.FailAt(n, "method", s, "write %s", s)
		}
		suggestion := text.Closest(property.Value, methodNames())
		return c.FailAt(property, "method", suggestion, "a time has no method %s; there are %s", text.Quote(property.Value), methodList())
	}
	return c.FailAt(property, "method", "", "%s has no method %s", base.Type, text.Quote(property.Value))
}

// literal is an argument of a call that is written out as a text.
func (c *Checker) literal(n *ast.CallNode, i int) (string, bool) {
	if i >= len(n.Arguments) {
		return "", false
	}
	s, ok := n.Arguments[i].(*ast.StringNode)
	if !ok {
		return "", false
	}
	return s.Value, true
}

// addMethod are the names that other languages have for + and - of times.
var addMethod = regexp.MustCompile(`^(?i)(add|plus|minus|subtract|sub)([a-z]*)$`)

func signOf(add []string) string {
	return cmp.Or(map[string]string{"add": "+", "plus": "+"}[strings.ToLower(add[1])], "-")
}

// moved is how it is written that a time is moved, as addDays(t, 1) and t.plusHours(2) say in other languages. add is
// what [addMethod] found.
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

// durationUnit is the unit that a function of another language is named for.
func durationUnit(name string) string {
	switch strings.TrimSuffix(strings.ToLower(name), "s") {
	case "hour":
		return "h"
	case "minute", "min":
		return "m"
	case "second", "sec":
		return "s"
	case "day":
		return "d"
	case "week":
		return "w"
	}
	return ""
}

func (c *Checker) function(n ast.Node, name string, args []ast.Node) checked {
	f := functions[name]
	if f == nil || f.isPredicate() {
		for _, a := range args {
			c.visit(a)
		}
		at := c.piece.span(n.Location().From, n.Location().From+utf8.RuneCountInString(name))
		if c.Env.Has(name) {
			return c.fail("function", at, "", "%s is a value, not a function", name)
		}
		if m := addMethod.FindStringSubmatch(name); m != nil && len(args) == 2 {
			if s, ok := c.moved(c.Source(args[0]), m, args[1]); ok {
				return c.FailAt(n, "unknown-function", s, "there is no function %s; write %s", text.Quote(name), s)
			}
		}
		if unit := durationUnit(name); unit != "" && len(args) == 1 {
			if i, ok := args[0].(*ast.IntegerNode); ok {
				s := fmt.Sprintf(`duration("%d%s")`, i.Value, unit)
				return c.FailAt(n, "unknown-function", s, "there is no function %s; write %s", text.Quote(name), s)
			}
		}
		suggestion := functionAliases[name]
		if suggestion == "" {
			suggestion = text.Closest(name, append(text.SortedKeys(functions), text.SortedKeys(functionAliases)...))
			if meant, ok := functionAliases[suggestion]; ok {
				suggestion = meant
			}
		}
		return c.fail("unknown-function", at, suggestion, "there is no function %s%s", text.Quote(name), text.DidYouMean(suggestion))
	}
	out := make([]ast.Node, len(args))
	types := make([]Type, len(args))
	for i, a := range args {
		if name == "date" && i == 2 && types[0].Kind == TimeKind {
			zone := c.Source(a)
			if _, ok := LoadZone(zone); ok {
				zone = `"` + zone + `"`
			}
			s := "date(tz(" + c.Source(args[0]) + ", " + zone + "), " + c.Source(args[1]) + ")"
			return c.FailAt(n, "arguments", s, "the zone that a time is printed in is that of the time: write %s", s)
		}
		if i == f.zone-1 && c.bareZone(a) {
			return checked{n, Bad}
		}
		v := c.visit(a)
		out[i], types[i] = v.node, v.Type
		if v.Type.Kind == BadKind {
			for _, a := range args[i+1:] {
				c.visit(a)
			}
			return checked{n, Bad}
		}
	}
	result, ok := c.arguments(n, f, args, types)
	if !ok || f.constant != nil && !f.constant(c, n, args) {
		return checked{n, Bad}
	}
	if (name == "first" || name == "last") && !c.elementAt(args[0], &ast.IntegerNode{}, types[0]).missing {
		result = result.sure()
	}
	return checked{call(n, name, out...), result}
}

// bareZone reports the name of a time zone without quotes, where a function takes one.
func (c *Checker) bareZone(arg ast.Node) bool {
	written := c.Source(arg)
	if !zoneName.MatchString(written) {
		return false
	}
	if id, ok := arg.(*ast.IdentifierNode); ok && c.known(id.Value) {
		return false
	}
	if _, ok := LoadZone(written); !ok && !strings.Contains(written, "/") {
		return false
	}
	zone := written
	if _, ok := LoadZone(written); !ok {
		zone = cmp.Or(ClosestZone(written), written)
	}
	c.FailAt(arg, "quote", `"`+zone+`"`, "the name of a time zone is a text: write \"%s\"", zone)
	return true
}

var zoneName = regexp.MustCompile(`^[A-Za-z]+(?:[/_+-][A-Za-z0-9]+)*$`)

// arguments finds the form of a function that fits its arguments, or says what does not.
func (c *Checker) arguments(n ast.Node, f *function, args []ast.Node, types []Type) (Type, bool) {
	var results []Type
	var counts []int
	best, more := -1, false
	var nearest form
	for _, form := range f.forms {
		counts = append(counts, len(form.args))
		more = more || form.more
		if !form.takes(len(args)) {
			continue
		}
		fit := 0
		for fit < len(args) && types[fit].fits(form.arg(fit)) {
			fit++
		}
		if fit == len(args) {
			results = append(results, form.of(types))
		} else if fit > best {
			best, nearest = fit, form
		}
	}
	switch {
	case len(results) > 0:
		t := results[0]
		for _, other := range results[1:] { // an argument that is known only later leaves it open
			t = join(t, other)
		}
		return t, true
	case best >= 0:
		c.argument(n, f.name, args, types, best, nearest.arg(best))
	case f.name == "date" && len(args) == 1 && types[0].Kind == TimeKind:
		c.FailAt(n, "arguments", "date("+c.Source(args[0])+`, "Mon 2 Jan 15:04")`, `date needs a layout too, such as "Mon 2 Jan 15:04"`)
	default:
		slices.Sort(counts)
		c.FailAt(n, "arguments", "", "%s takes %s; %s given", f.name, countOf(slices.Compact(counts), more), given(len(args)))
	}
	return Bad, false
}

// argument reports an argument that is of another type than the function takes.
func (c *Checker) argument(n ast.Node, name string, args []ast.Node, types []Type, i int, want Type) {
	at, of := args[i], types[i]
	number, isNumber := at.(*ast.IntegerNode)
	unit := durationUnit(name)
	suggestion := ""
	switch {
	case unit != "" && of.Number():
		if isNumber {
			suggestion = fmt.Sprintf(`duration("%d%s")`, number.Value, unit)
		}
		c.FailAt(n, "type", suggestion, `%s( ) turns a duration into a number; for a duration of so many %[1]s write %s`, name, cmp.Or(suggestion, `duration("2`+unit+`")`))
		return
	case isNumber && name == "duration":
		c.FailAt(at, "duration", fmt.Sprintf(`"%dh"`, number.Value), `duration takes a text with a unit, such as duration("%dh")`, number.Value)
		return
	case isNumber && name == "clock":
		if number.Value >= 0 && number.Value < 24 {
			suggestion = fmt.Sprintf(`"%02d:00"`, number.Value)
		}
		c.FailAt(at, "type", suggestion, `clock needs a time of the day, a text such as "09:00", but this is a number`)
		return
	case want.Kind == intKind && of.Kind == DurationKind && strings.HasPrefix(name, "add"):
		s := c.Source(args[0]) + " + " + c.Source(at)
		c.FailAt(n, "type", s, "%s needs a whole number; to add a duration, write %s", name, s)
		return
	case want.Kind == TimeKind && of.Kind == TextKind:
		suggestion = "date(" + c.Source(at) + ")"
	case want.Kind == TextKind && (of.Number() || of.Kind == TimeKind):
		suggestion = "string(" + c.Source(at) + ")"
	}
	c.FailAt(at, "type", suggestion, "%s needs %s here, but this is %s", name, want.wanted(), of)
}

func plural(one bool, singular, plural string) string {
	if one {
		return singular
	}
	return plural
}

// countOf says how many arguments a function takes, in rising order: "1 to 3 arguments". With more it takes any
// number from the first on.
func countOf(counts []int, more bool) string {
	first, last := counts[0], counts[len(counts)-1]
	switch {
	case more:
		return fmt.Sprintf("at least %d %s", first, plural(first == 1, "argument", "arguments"))
	case last == 0:
		return "no arguments"
	case last == 1 && first == 1:
		return "1 argument"
	case first == last:
		return fmt.Sprintf("%d arguments", first)
	case len(counts) == 2 && last == first+1:
		return fmt.Sprintf("%d or %d arguments", first, last)
	}
	return fmt.Sprintf("%d to %d arguments", first, last)
}

func given(n int) string {
	if n == 0 {
		return "none"
	}
	return strconv.Itoa(n)
}

// writtenText is an argument that is written out as a text, nil if it is not.
func writtenText(args []ast.Node, i int) *ast.StringNode {
	if i >= len(args) {
		return nil
	}
	s, _ := args[i].(*ast.StringNode)
	return s
}

// The constants of functions are arguments that are written out, such as a layout or the name of a time zone.

// zoneConstant is for the name of a zone in one of the arguments.
func zoneConstant(i int) func(*Checker, ast.Node, []ast.Node) bool {
	return func(c *Checker, _ ast.Node, args []ast.Node) bool {
		s := writtenText(args, i)
		if s == nil {
			return true
		}
		if _, ok := LoadZone(s.Value); !ok {
			suggestion := ClosestZone(s.Value)
			c.FailAt(s, "time-zone", quoteLike(c.Source(s), suggestion), "%s is not a time zone%s", text.Quote(s.Value), text.DidYouMean(suggestion))
			return false
		}
		if place, why := NoSummer(s.Value); why != "" {
			c.WarnAt(s, "time-zone", quoteLike(c.Source(s), place), "%s", why)
		}
		return true
	}
}

func durationConstant(c *Checker, _ ast.Node, args []ast.Node) bool {
	s := writtenText(args, 0)
	if s == nil {
		return true
	}
	_, err := parseDuration(s.Value)
	if err == nil {
		return true
	}
	suggestion := ""
	if d, ok := errors.AsType[*actions.DurationError](err); ok {
		suggestion = d.Suggestion
	}
	c.FailAt(s, "duration", quoteLike(c.Source(s), suggestion), "%s", err)
	return false
}

func dateConstants(c *Checker, n ast.Node, args []ast.Node) bool {
	if s := writtenText(args, 1); s != nil && !c.layout(s) {
		return false
	}
	if !zoneConstant(2)(c, n, args) {
		return false
	}
	s := writtenText(args, 0)
	if s == nil || len(args) > 1 {
		return true
	}
	v, err := ParseDate(time.UTC, s.Value, nil)
	switch t, _ := v.(time.Time); {
	case err != nil:
		c.FailAt(s, "date", "", `%s cannot be read as a date; write it as "2026-01-31" or "2026-01-31 15:04:05"`, text.Quote(s.Value))
		return false
	case t.Year() == 0:
		c.FailAt(s, "date", "", `%s has no day; compare times of the day as texts, as in timeOfDay(appointment.startTime) < "12:00"`, text.Quote(s.Value))
		return false
	}
	return true
}

func clockConstant(c *Checker, _ ast.Node, args []ast.Node) bool {
	s := writtenText(args, 1)
	if s == nil {
		return true
	}
	if _, _, ok := timeOfDay(s.Value); ok {
		return true
	}
	suggestion, _ := ClockTime(strings.TrimSpace(s.Value))
	c.FailAt(s, "time-of-day", quoteLike(c.Source(s), suggestion), `%s is not a time of the day; write %s`, text.Quote(s.Value), text.Quote(cmp.Or(suggestion, "09:00")))
	return false
}

func orderConstant(c *Checker, _ ast.Node, args []ast.Node) bool {
	s := writtenText(args, 1)
	if s == nil || s.Value == "asc" || s.Value == "desc" {
		return true
	}
	c.FailAt(s, "arguments", quoteLike(c.Source(s), "desc"), `the order is "asc" or "desc"`)
	return false
}

// quoteLike puts a suggestion into the quotes of the text it replaces.
func quoteLike(original, suggestion string) string {
	if suggestion == "" || original == "" {
		return ""
	}
	q := original[:1]
	if q != "'" && q != "`" {
		q = `"`
	}
	return q + suggestion + q
}

func (c *Checker) layout(s *ast.StringNode) bool {
	if fixed := fixLayout(s.Value); fixed != s.Value {
		c.FailAt(s, "layout", quoteLike(c.Source(s), fixed),
			"write a layout with the parts of Monday, 2 January 2006, 15:04:05: %s", text.Quote(fixed))
		return false
	}
	a := time.Date(2017, 3, 8, 19, 27, 43, 0, time.FixedZone("AAA", 3600))
	b := time.Date(1988, 11, 24, 8, 51, 12, 0, time.FixedZone("BBB", -7200)) // no part is the same, nor the day of the week
	if a.Format(s.Value) == b.Format(s.Value) {
		c.FailAt(s, "layout", "", `the layout %s prints the same for every time; write one with the parts of Monday, 2 January 2006, 15:04:05, such as "Mon 2 Jan 15:04"`, text.Quote(s.Value))
		return false
	}
	if run, part := mixedDigits(s.Value); run != "" {
		c.FailAt(s, "layout", "", "%s is not printed as it is, because %s in it stands for a part of the time (of Monday, 2 January 2006, 15:04:05); add a fixed text with +",
			text.Quote(run), part)
		return false
	}
	var word, part string
	fixed := layoutWords.ReplaceAllStringFunc(s.Value, func(w string) string {
		p := layoutName(w)
		if p == "" {
			return w
		}
		word, part = cmp.Or(word, w), cmp.Or(part, p)
		return p
	})
	if word != "" {
		c.WarnAt(s, "layout", quoteLike(c.Source(s), fixed),
			"%s is printed as it is; write %s there, which is printed in the configured language", text.Quote(word), part)
	}
	return true
}

// layoutName is what stands in a layout for the name of a day or a month, in any language; "" if word is no such name,
// or the right one.
func layoutName(word string) string {
	if utf8.RuneCountInString(word) < 4 || word == "Monday" || word == "January" {
		return ""
	}
	is := func(names []string) bool {
		return slices.ContainsFunc(names, func(name string) bool { return strings.EqualFold(name, word) })
	}
	if is(weekdays) {
		return "Monday"
	}
	for m := time.January; m <= time.December; m++ {
		if strings.EqualFold(m.String(), word) {
			return "January"
		}
	}
	for _, l := range languages {
		switch {
		case l == nil:
		case is(l.days[:]):
			return "Monday"
		case is(l.months[:]):
			return "January"
		}
	}
	return ""
}

var (
	layoutDigits = regexp.MustCompile(`[0-9]+`)
	layoutPart   = regexp.MustCompile(`^(2006|002|0[1-7]|15|[1-5])`)
)

// mixedDigits finds digits of a layout of which some are a part of the time and others are not, or are one that is
// written with a single digit and cannot stand beside another: 18:00, 24h, 2025.
func mixedDigits(layout string) (run, part string) {
	for _, run := range layoutDigits.FindAllString(layout, -1) {
		literal, single, first := false, false, ""
		for rest := run; rest != ""; {
			p := layoutPart.FindString(rest)
			if p == "" {
				literal, rest = true, rest[1:]
				continue
			}
			first = cmp.Or(first, p)
			single = single || len(p) == 1
			rest = rest[len(p):]
		}
		if first != "" && run != "0700" && run != "070000" && (literal || single && len(run) > 1) {
			return run, first
		}
	}
	return "", ""
}

// fixLayout turns layouts of other programs (YYYY-MM-DD, %Y-%m-%d) into one of Go's. Words that are text stay as they
// are: what is no run of another program's letters is none of its layouts.
func fixLayout(layout string) string {
	foreign := false
	fixed := layoutWords.ReplaceAllStringFunc(layout, func(word string) string {
		to, sure := fixLayoutWord(word)
		foreign = foreign || sure
		return to
	})
	if !foreign {
		return layout
	}
	return fixed
}

var (
	layoutWords   = regexp.MustCompile(`%[A-Za-z]|[\pL]+`)
	layoutPercent = map[string]string{
		"%Y": "2006", "%y": "06", "%m": "01", "%d": "02", "%e": "2", "%H": "15", "%I": "03", "%M": "04", "%S": "05", "%p": "PM",
		"%A": "Monday", "%a": "Mon", "%B": "January", "%b": "Jan", "%Z": "MST", "%z": "-0700", "%F": "2006-01-02", "%T": "15:04:05",
	}
	layoutLetters = []struct{ from, to string }{
		{"YYYY", "2006"}, {"yyyy", "2006"}, {"MMMM", "January"}, {"dddd", "Monday"}, {"EEEE", "Monday"}, {"MMM", "Jan"}, {"ddd", "Mon"}, {"EEE", "Mon"},
		{"YY", "06"}, {"yy", "06"}, {"MM", "01"}, {"DD", "02"}, {"dd", "02"}, {"HH", "15"}, {"hh", "03"}, {"mm", "04"}, {"ss", "05"},
		{"D", "2"}, {"d", "2"}, {"M", "1"}, {"H", "15"}, {"h", "3"}, {"m", "4"}, {"A", "PM"}, {"a", "pm"}, {"T", "T"}, {"Z", "Z"},
	}
)

// fixLayoutWord says what a word of another program's layout is in one of Go's, and whether it surely is one: a single
// letter might be a word.
func fixLayoutWord(word string) (to string, sure bool) {
	if to, ok := layoutPercent[word]; ok {
		return to, true
	}
	rest := word
	for rest != "" {
		i := slices.IndexFunc(layoutLetters, func(l struct{ from, to string }) bool { return strings.HasPrefix(rest, l.from) })
		if i < 0 || strings.EqualFold(layoutLetters[i].from, "a") && len(rest) > 1 { // am or pm stands last
			return word, false
		}
		sure = sure || len(layoutLetters[i].from) > 1
		to += layoutLetters[i].to
		rest = rest[len(layoutLetters[i].from):]
	}
	if !sure && len(word) > 1 {
		return word, false
	}
	return to, sure
}

func (c *Checker) pointer(n *ast.PointerNode) checked {
	if len(c.preds) == 0 {
		return c.FailAt(n, "unsupported", "", "# stands for an element, and works only inside filter, map, any and the like")
	}
	p := c.preds[len(c.preds)-1]
	switch n.Name {
	case "":
		return checked{n, p.elem}
	case "index":
		if p.acc {
			return checked{n, intType}
		}
		return c.FailAt(n, "unsupported", "", "#index works only inside reduce")
	case "acc":
		if p.acc {
			return checked{n, Any}
		}
		return c.FailAt(n, "unsupported", "", "#acc works only inside reduce")
	}
	return c.FailAt(n, "unknown-name", "", "there is no %s; # alone is the element", text.Quote("#"+n.Name))
}

// predicate checks all, filter, map and the like. The work of the loop is counted in its body.
func (c *Checker) predicate(n *ast.BuiltinNode) checked {
	f := functions[n.Name]
	list := c.visit(n.Arguments[0])
	if !list.Type.Is(listKind) { // its body cannot be judged
		return c.FailAt(n.Arguments[0], "type", "", "%s needs a list, but this is %s", n.Name, list.Type)
	}
	out := *n
	out.Arguments = slices.Clone(n.Arguments)
	out.Arguments[0] = list.node
	var body Type
	if len(n.Arguments) > 1 {
		p, ok := n.Arguments[1].(*ast.PredicateNode)
		if !ok {
			return c.FailAt(n, "unsupported", "", "%s is not supported in a rule", text.Quote(c.Source(n)))
		}
		c.preds = append(c.preds, predicateScope{list.Type.element(), n.Name == "reduce"})
		v := c.visit(p.Node)
		c.preds = c.preds[:len(c.preds)-1]
		body = v.Type
		switch {
		case f.each.Kind == BoolKind && !v.Type.Is(BoolKind):
			return c.FailAt(p.Node, "type", "", "%s needs true or false for each element, but this is %s", n.Name, v.Type)
		case f.each.Kind == numberKind && !v.Type.fits(f.each):
			return c.FailAt(p.Node, "type", "", "sum adds numbers, but this is %s", v.Type)
		}
		seq := &ast.SequenceNode{Nodes: []ast.Node{call(p, "$step", constant(p, 25+25*treeSize(v.node, 10_000))), v.node}}
		seq.SetLocation(v.node.Location())
		loop := *p
		loop.Node = seq
		out.Arguments[1] = &loop
	} else { // count(list) and sum(list): each element costs the same
		body = list.Type.element()
		if n.Name == "count" && !body.Is(BoolKind) {
			return c.FailAt(n, "type", "len("+c.Source(n.Arguments[0])+")", "count needs a condition; for the number of all elements write len(%s)", c.Source(n.Arguments[0]))
		}
		out.Arguments[0] = call(n, "$walked", list.node)
	}
	if len(n.Arguments) > 2 {
		out.Arguments[2] = c.visit(n.Arguments[2]).node
	}
	done := checked{&out, f.result(list.Type, body)}
	switch n.Name {
	// The language's own findLast and findLastIndex leave a value behind where nothing is found. The last is the first
	// from the other end.
	case "findLast":
		out.Name, out.Arguments[0] = "find", call(n, "reverse", list.node)
	case "findLastIndex":
		out.Name, out.Arguments[0] = "findIndex", call(n, "reverse", list.node)
		done.node = call(n, "$mirrored", list.node, &out)
	case "reduce": // the language believes its value to be of the body's type, which the first value need not be
		done.node = call(n, "$same", &out)
	}
	return done
}

// treeSize counts the nodes of an expression, each as often as it is met, up to a limit.
func treeSize(n ast.Node, limit int) int {
	v := &sizer{limit: limit}
	v.walk(n)
	return v.n
}

type sizer struct{ n, limit int }

func (s *sizer) walk(n ast.Node) {
	if n == nil || s.n > s.limit {
		return
	}
	s.n++
	for _, k := range children(n) {
		s.walk(k)
	}
}

// children are the nodes below a node, in the order they are written.
func children(n ast.Node) []ast.Node {
	switch n := n.(type) {
	case *ast.UnaryNode:
		return []ast.Node{n.Node}
	case *ast.BinaryNode:
		return []ast.Node{n.Left, n.Right}
	case *ast.ChainNode:
		return []ast.Node{n.Node}
	case *ast.MemberNode:
		return []ast.Node{n.Node, n.Property}
	case *ast.SliceNode:
		return []ast.Node{n.Node, n.From, n.To}
	case *ast.CallNode:
		return append([]ast.Node{n.Callee}, n.Arguments...)
	case *ast.BuiltinNode:
		return n.Arguments
	case *ast.PredicateNode:
		return []ast.Node{n.Node}
	case *ast.VariableDeclaratorNode:
		return []ast.Node{n.Value, n.Expr}
	case *ast.SequenceNode:
		return n.Nodes
	case *ast.ConditionalNode:
		return []ast.Node{n.Cond, n.Exp1, n.Exp2}
	case *ast.ArrayNode:
		return n.Nodes
	case *ast.MapNode:
		return n.Pairs
	case *ast.PairNode:
		return []ast.Node{n.Key, n.Value}
	}
	return nil
}

func (c *Checker) declaration(n *ast.VariableDeclaratorNode) checked {
	if why := c.Taken(n.Name); why != "" {
		c.visit(n.Value)
		return c.fail("let-name", c.piece.span(n.Location().From, n.Location().To), "", "%s cannot be used as a name: %s", text.Quote(n.Name), why)
	}
	value := c.visit(n.Value)
	c.locals = append(c.locals, Let{Name: n.Name, Type: value.Type})
	body := c.visit(n.Expr)
	c.locals = c.locals[:len(c.locals)-1]
	out := *n
	out.Name, out.Value, out.Expr = localName(n.Name), value.node, body.node
	return checked{&out, body.Type}
}

// localName keeps the name of a value apart from a function's, which the language would not.
func localName(name string) string {
	if f := functions[name]; f != nil && f.newer {
		return name + "$"
	}
	return name
}

// Taken says why a name cannot be given to a value, "" if it can.
func (c *Checker) Taken(name string) string {
	if c.Env.Has(name) {
		return "it is a name of the event"
	}
	if f := functions[name]; f != nil && !f.newer {
		return "it is a function"
	}
	for _, l := range c.Lets {
		if l.Name == name {
			return "it is defined above"
		}
	}
	for _, l := range c.locals {
		if l.Name == name {
			return "it is defined above"
		}
	}
	return ""
}

func (c *Checker) sequence(n *ast.SequenceNode) checked {
	last := Any
	out := *n
	out.Nodes = make([]ast.Node, len(n.Nodes))
	for i := range n.Nodes {
		v := c.visit(n.Nodes[i])
		out.Nodes[i], last = v.node, v.Type
	}
	return checked{&out, last}
}

func (c *Checker) conditional(n *ast.ConditionalNode) checked {
	cond, a, b := c.visit(n.Cond), c.visit(n.Exp1), c.visit(n.Exp2)
	if !cond.Type.Is(BoolKind) {
		return c.FailAt(n.Cond, "type", "", "before ? there must be true or false, but this is %s", cond.Type)
	}
	out := &ast.ConditionalNode{Ternary: n.Ternary, Cond: cond.node, Exp1: a.node, Exp2: b.node}
	out.SetLocation(n.Location())
	return checked{out, join(a.Type, b.Type)}
}

func (c *Checker) binary(n *ast.BinaryNode) checked {
	if c.bareWords(n) {
		return checked{n, boolType}
	}
	l, r := c.visit(n.Left), c.visit(n.Right)
	left, right := n.Left, n.Right
	// A new node, because a < b < c has b in both comparisons and the tree is rewritten.
	out := &ast.BinaryNode{Operator: n.Operator, Left: l.node, Right: r.node}
	out.SetLocation(n.Location())
	if l.Type.Kind == BadKind || r.Type.Kind == BadKind {
		t := Bad
		switch n.Operator {
		case "&&", "and", "||", "or", "==", "!=", "<", ">", "<=", ">=", "in", "contains", "startsWith", "endsWith", "matches":
			t = boolType // a mistake inside is no reason for another finding outside
		}
		return checked{out, t}
	}
	op := func(name string) ast.Node { return call(n, name, l.node, r.node) }
	switch n.Operator {
	case "&&", "and", "||", "or":
		for i, side := range []Type{l.Type, r.Type} {
			if side.Is(BoolKind) {
				continue
			}
			at := []ast.Node{left, right}[i]
			suggestion := ""
			before := left // status == "a" || "b"
			for {
				b, ok := before.(*ast.BinaryNode)
				if !ok || b.Operator != "&&" && b.Operator != "and" && b.Operator != "||" && b.Operator != "or" {
					break
				}
				before = b.Right
			}
			if cmp, ok := before.(*ast.BinaryNode); ok && i == 1 && (cmp.Operator == "==" || cmp.Operator == "!=") {
				if _, ok := right.(*ast.StringNode); ok {
					suggestion = c.Source(cmp.Left) + " " + cmp.Operator + " " + c.Source(right)
				}
			}
			if suggestion == "" && (n.Operator == "||" || n.Operator == "or") && l.Type.Kind == TextKind && r.Type.Kind == TextKind {
				s := c.Source(left) + " ?? " + c.Source(right)
				return c.FailAt(n, "type", s, "%s joins conditions, but these are texts; write a default as %s", n.Operator, s)
			}
			return c.FailAt(at, "type", suggestion, "%s joins conditions, but this is %s", n.Operator, side)
		}
		return checked{out, boolType}

	case "==", "!=":
		return c.equality(n, l, r, out)

	case "<", ">", "<=", ">=":
		switch {
		case l.Type.Open() || r.Type.Open():
		case l.Type.Number() && r.Type.Number():
		case l.Type.Kind == r.Type.Kind && (l.Type.Kind == TextKind || l.Type.Kind == TimeKind || l.Type.Kind == DurationKind):
		default:
			return c.mismatch(n, l.Type, r.Type, left, right)
		}
		if w := l.Type.words; w != nil && w.ordered && !c.word(l.Type, right) {
			return checked{out, boolType}
		}
		if w := r.Type.words; w != nil && w.ordered && !c.word(r.Type, left) {
			return checked{out, boolType}
		}
		if l.Type.scalar() && r.Type.scalar() {
			return checked{out, boolType}
		}
		return checked{op(map[string]string{"<": "$less", "<=": "$lessEq", ">": "$more", ">=": "$moreEq"}[n.Operator]), boolType}

	case "+":
		switch {
		case l.Type.Number() && r.Type.Number():
			return checked{out, join(l.Type, r.Type)}
		case l.Type.Kind == TextKind && r.Type.Kind == TextKind:
			return checked{op("$add"), Text}
		case l.Type.Kind == TimeKind && r.Type.Kind == DurationKind, l.Type.Kind == DurationKind && r.Type.Kind == TimeKind:
			return checked{out, Time}
		case l.Type.Kind == DurationKind && r.Type.Kind == DurationKind:
			return checked{out, durationType}
		case l.Type.Open() || r.Type.Open():
			t := Any
			if l.Type.Kind == TextKind || r.Type.Kind == TextKind {
				t = Text
			}
			return checked{op("$add"), t}
		}
		return c.addition(n, l.Type, r.Type, left, right)

	case "-":
		switch {
		case l.Type.Number() && r.Type.Number():
			return checked{out, join(l.Type, r.Type)}
		case l.Type.Kind == TimeKind && r.Type.Kind == TimeKind:
			return checked{out, durationType}
		case l.Type.Kind == TimeKind && r.Type.Kind == DurationKind:
			return checked{out, Time}
		case l.Type.Kind == DurationKind && r.Type.Kind == DurationKind:
			return checked{out, durationType}
		case l.Type.Open() || r.Type.Open():
			return checked{out, Any}
		}
		if l.Type.Kind == TimeKind {
			return c.wantsDuration(n, right, r.Type, l.Type)
		}
		return c.mismatch(n, l.Type, r.Type, left, right)

	case "*":
		switch {
		case l.Type.Number() && r.Type.Number():
			return checked{out, join(l.Type, r.Type)}
		case l.Type.Number() && r.Type.Kind == DurationKind, l.Type.Kind == DurationKind && r.Type.Number():
			return checked{op("$times"), durationType}
		case l.Type.Open() && r.Type.Kind == DurationKind, l.Type.Kind == DurationKind && r.Type.Open():
			return checked{op("$times"), durationType}
		case (l.Type.Open() || l.Type.Number()) && (r.Type.Open() || r.Type.Number()):
			return checked{op("$times"), Any}
		}
		return c.mismatch(n, l.Type, r.Type, left, right)

	case "/", "**", "^", "%":
		if n.Operator == "/" {
			switch {
			case l.Type.Kind == DurationKind && r.Type.Kind == DurationKind:
				return checked{op("$divide"), floatType}
			case l.Type.Kind == DurationKind && r.Type.Number():
				if i, ok := right.(*ast.IntegerNode); ok && i.Value == 0 {
					return c.FailAt(right, "zero", "", "a duration cannot be divided by 0")
				}
				return checked{op("$divide"), durationType}
			case l.Type.Kind == DurationKind && r.Type.Open(), l.Type.Open() && (r.Type.Open() || r.Type.Kind == DurationKind):
				return checked{op("$divide"), Any}
			}
		}
		if (l.Type.Number() || l.Type.Open()) && (r.Type.Number() || r.Type.Open()) {
			if n.Operator != "%" {
				return checked{out, floatType}
			}
			if i, ok := right.(*ast.IntegerNode); ok && i.Value == 0 {
				return c.FailAt(right, "zero", "", "a number cannot be divided by 0")
			}
			if l.Type.Kind != floatKind && r.Type.Kind != floatKind {
				return checked{out, intType}
			}
		}
		return c.mismatch(n, l.Type, r.Type, left, right)

	case "in":
		return c.in(n, l, r)

	case "contains", "startsWith", "endsWith":
		if n.Operator == "contains" && l.Type.Kind == listKind && !r.Type.Is(listKind) {
			s := c.Source(right) + " in " + c.Source(left)
			return c.FailAt(n, "type", s, "contains looks inside a text; to ask whether a list has an element, write %s", s)
		}
		for i, side := range []Type{l.Type, r.Type} {
			if !side.Is(TextKind) {
				return c.FailAt([]ast.Node{left, right}[i], "type", "", "%s compares texts, but this is %s", n.Operator, side)
			}
		}
		return checked{op("$" + n.Operator), boolType}

	case "matches":
		for i, side := range []Type{l.Type, r.Type} {
			if !side.Is(TextKind) {
				return c.FailAt([]ast.Node{left, right}[i], "type", "", "matches compares a text with a pattern, but this is %s", side)
			}
		}
		if s, ok := right.(*ast.StringNode); ok {
			p, err := compilePattern(s.Value)
			if err != nil {
				return c.FailAt(right, "pattern", "", "%s", err)
			}
			return checked{call(n, "$matches", l.node, constant(right, p)), boolType}
		}
		return checked{op("$matches"), boolType}

	case "..":
		for i, side := range []Type{l.Type, r.Type} {
			if !side.Is(intKind) {
				return c.FailAt([]ast.Node{left, right}[i], "type", "", ".. makes a list of whole numbers, but this is %s", side)
			}
		}
		a, aOK := constantInt(left)
		b, bOK := constantInt(right)
		if aOK && bOK && b-a >= maxRange {
			return c.FailAt(n, "bound", "", "this range has %d numbers, more than the %d that are allowed", b-a+1, maxRange)
		}
		return checked{op("$range"), intsType}

	case "??":
		switch {
		case l.Type.Kind == TextKind, l.Type.Kind == TimeKind, l.Type.Kind == AnyKind, l.Type.Kind == nilKind, l.Type.missing:
		default:
			c.WarnAt(n, "needless-default", "", "%s is never missing, so the default after ?? is never used", text.Quote(c.Source(left)))
		}
		out.Left = call(left, "$present", l.node)
		if l.Type.Kind == nilKind {
			return checked{out, r.Type}
		}
		return checked{out, join(l.Type.sure(), r.Type)}
	}
	return c.FailAt(n, "unsupported", "", "the operator %s is not supported in a rule", n.Operator)
}

func constantInt(n ast.Node) (int, bool) {
	switch n := n.(type) {
	case *ast.IntegerNode:
		return n.Value, true
	case *ast.UnaryNode:
		if i, ok := n.Node.(*ast.IntegerNode); ok && n.Operator == "-" {
			return -i.Value, true
		}
	}
	return 0, false
}

func (c *Checker) equality(n *ast.BinaryNode, l, r checked, out *ast.BinaryNode) checked {
	if !l.Type.comparable(r.Type) {
		return c.mismatch(n, l.Type, r.Type, n.Left, n.Right)
	}
	if !c.word(l.Type, n.Right) || !c.word(r.Type, n.Left) {
		return checked{out, boolType}
	}
	if l.Type.scalar() || r.Type.scalar() || IsLiteral(n.Left) || IsLiteral(n.Right) {
		return checked{out, boolType}
	}
	eq := call(n, "$eq", l.node, r.node)
	if n.Operator == "!=" {
		not := &ast.UnaryNode{Operator: "!", Node: eq}
		not.SetLocation(n.Location())
		return checked{not, boolType}
	}
	return checked{eq, boolType}
}

// bareWords reports a word without quotes where a text of the event is compared.
func (c *Checker) bareWords(n *ast.BinaryNode) bool {
	if n.Operator != "==" && n.Operator != "!=" && n.Operator != "in" {
		return false
	}
	var t Type
	if object, field, ok := c.Env.fieldOf(n.Left); ok {
		t, _ = c.Env.field(object, field)
	} else if id, ok := n.Left.(*ast.IdentifierNode); ok {
		t = c.Env.Variables[id.Value]
	}
	if t.Kind != TextKind {
		return false
	}
	words := []ast.Node{n.Right}
	if list, ok := n.Right.(*ast.ArrayNode); ok {
		words = list.Nodes
	}
	found := false
	for _, w := range words {
		id, ok := w.(*ast.IdentifierNode)
		if !ok || c.known(id.Value) {
			continue
		}
		found = true
		word := id.Value
		if t.words != nil && !t.words.Valid(word) {
			word = cmp.Or(t.words.Near(word), word)
		}
		c.FailAt(id, "quote", `"`+word+`"`, "write the text %s in quotes", text.Quote(word))
	}
	return found
}

// known says whether a name means anything here, or looks like one that does.
func (c *Checker) known(name string) bool {
	if functions[name] != nil && !functions[name].isPredicate() || c.hidden(name) || slices.Contains(c.Later, name) || slices.ContainsFunc(c.Lets, func(l Let) bool { return l.Name == name }) {
		return true
	}
	switch strings.ToLower(name) {
	case "true", "false", "nil", "null", "none", "undefined":
		return true
	}
	return c.Env.Has(name)
}

func IsLiteral(n ast.Node) bool {
	switch n.(type) {
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NilNode:
		return true
	}
	return false
}

// word checks a text that a value is compared with. It is false if the value is never that text, which has been reported.
func (c *Checker) word(of Type, n ast.Node) bool {
	s, ok := n.(*ast.StringNode)
	if !ok || of.words == nil || of.words.Valid(s.Value) {
		return true
	}
	suggestion := of.words.Near(s.Value)
	if suggestion == "" && of.words.Lenient {
		return true
	}
	message := of.words.Message
	if strings.Contains(message, "%s") {
		message = fmt.Sprintf(message, text.Quote(s.Value))
	}
	if suggestion == "" {
		message += of.words.Others
	}
	c.FailAt(s, of.words.Code, quoteLike(c.Source(s), suggestion), "%s%s", message, text.DidYouMean(suggestion))
	return false
}

func isCallOf(n ast.Node, function string) bool {
	name, _ := CallOf(n)
	return name == function
}

func isName(n ast.Node, name string) bool {
	id, ok := n.(*ast.IdentifierNode)
	return ok && id.Value == name
}

// fieldOf recognises appointment.title and appointment["title"], as written.
func (e *Env) fieldOf(n ast.Node) (object, field string, ok bool) {
	if ch, isChain := n.(*ast.ChainNode); isChain {
		n = ch.Node
	}
	m, ok := n.(*ast.MemberNode)
	if !ok {
		return "", "", false
	}
	id, ok := m.Node.(*ast.IdentifierNode)
	if !ok || e.Objects[id.Value].Fields == nil {
		return "", "", false
	}
	p, ok := m.Property.(*ast.StringNode)
	if !ok {
		return "", "", false
	}
	return id.Value, p.Value, true
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
				return checked{n, boolType}
			}
			set.words[s.Value] = struct{}{}
			set.longest = max(set.longest, len(s.Value))
		}
		if set != nil {
			right = constant(n.Right, set)
		}
	}
	if !c.word(r.Type.element(), n.Left) {
		return checked{n, boolType}
	}
	return checked{call(n, "$in", l.node, right), boolType}
}

// mismatch reports two values that an operator cannot join, with the way out where there is one.
func (c *Checker) mismatch(n *ast.BinaryNode, l, r Type, left, right ast.Node) checked {
	verb := "compare"
	switch n.Operator {
	case "+", "-", "*", "/", "%", "**", "^":
		verb = "calculate with"
	}
	for _, side := range []struct {
		node  ast.Node
		typ   Type
		other Type
	}{{left, l, r}, {right, r, l}} {
		s, literal := side.node.(*ast.StringNode)
		switch {
		case side.typ.Kind == TextKind && side.other.Kind == TimeKind:
			suggestion := ""
			if literal {
				if _, err := ParseDate(time.UTC, s.Value, nil); err == nil {
					suggestion = "date(" + c.Source(side.node) + ")"
				}
			} else {
				suggestion = "date(" + c.Source(side.node) + ")"
			}
			return c.FailAt(side.node, "type", suggestion, `%s cannot %s a time and a text; write a time as date("2026-01-31 15:04:05")`, n.Operator, verb)
		case side.typ.Kind == TextKind && side.other.Kind == DurationKind:
			suggestion := ""
			if literal {
				if _, err := parseDuration(s.Value); err == nil {
					suggestion = "duration(" + c.Source(side.node) + ")"
				} else if d, ok := errors.AsType[*actions.DurationError](err); ok && d.Suggestion != "" {
					suggestion = "duration(" + quoteLike(c.Source(side.node), d.Suggestion) + ")"
				}
			}
			return c.FailAt(side.node, "type", suggestion, `%s cannot %s a duration and a text; write a duration as duration("90m")`, n.Operator, verb)
		case side.typ.Kind == TextKind && side.other.Number() && literal:
			suggestion := ""
			if _, err := strconv.ParseFloat(s.Value, 64); err == nil {
				suggestion = s.Value
			}
			return c.FailAt(side.node, "type", suggestion, "%s cannot %s a number and a text", n.Operator, verb)
		case side.typ.Number() && side.other.Kind == TextKind && (isCallOf(left, "weekday") || isCallOf(right, "weekday")):
			return c.FailAt(side.node, "type", "", `weekday( ) is the English name of the day, such as "Monday"`)
		case side.typ.Kind == TextKind && side.other.Kind == BoolKind && (n.Operator == "==" || n.Operator == "!="):
			other := left
			if side.node == left {
				other = right
			}
			if eq, ok := other.(*ast.BinaryNode); ok && eq.Operator == "==" && n.Operator == "==" && literal {
				if _, ok := eq.Right.(*ast.StringNode); ok {
					s := c.Source(eq.Left) + " in [" + c.Source(eq.Right) + ", " + c.Source(side.node) + "]"
					return c.FailAt(n, "type", s, "to compare with several values, write %s", s)
				}
			}
			return c.FailAt(n, "type", "", "%s cannot %s %s and %s", n.Operator, verb, l, r)
		case side.typ.Number() && side.other.Kind == TextKind && IsLiteral(side.node):
			return c.FailAt(side.node, "type", `"`+c.Source(side.node)+`"`, "%s cannot %s a text and a number; a text is written in quotes", n.Operator, verb)
		case side.typ.Kind == listKind && side.other.Kind == TextKind && (n.Operator == "==" || n.Operator == "!="):
			not := ""
			if n.Operator == "!=" {
				not = "not "
			}
			other := left
			if side.node == left {
				other = right
			}
			s := c.Source(other) + " " + not + "in " + c.Source(side.node)
			return c.FailAt(n, "type", s, "a list is never equal to a text; to ask whether it has this element, write %s", s)
		case side.typ.Number() && side.other.Kind == TimeKind && verb == "compare":
			suggestion := ""
			if s := c.Source(side.node); isoDate.MatchString(s) {
				suggestion = `date("` + s + `")`
			}
			return c.FailAt(side.node, "type", suggestion, `a time can only be compared with a time, such as now() or date("2026-01-31"), but this is a number`)
		case side.typ.Kind == ObjectKind && c.Env.Objects[side.typ.Name].Moment != "" && (side.other.Kind == DurationKind || side.other.Kind == TimeKind):
			suggestion := c.Source(side.node) + "." + c.Env.Objects[side.typ.Name].Moment
			return c.FailAt(side.node, "type", suggestion, "%s cannot %s %s; use a time of it, such as %s", n.Operator, verb, side.typ, suggestion)
		case side.typ.Number() && (side.other.Kind == DurationKind || side.other.Kind == TimeKind) && (verb == "compare" || n.Operator == "+" || n.Operator == "-"):
			return c.wantsDuration(n, side.node, side.typ, side.other)
		}
	}
	return c.FailAt(n, "type", "", "%s cannot %s %s and %s", n.Operator, verb, l, r)
}

var isoDate = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}$`)

// wantsDuration reports a number or a text where only a duration can be.
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

func (c *Checker) addition(n *ast.BinaryNode, l, r Type, left, right ast.Node) checked {
	for _, side := range []struct {
		node       ast.Node
		typ, other Type
	}{{left, l, r}, {right, r, l}} {
		if side.other.Kind == TextKind && side.typ.Kind != TextKind {
			return c.FailAt(side.node, "type", "string("+c.Source(side.node)+")", "a text can only be joined with a text, but this is %s", side.typ)
		}
		if side.other.Kind == TimeKind {
			return c.wantsDuration(n, side.node, side.typ, Time)
		}
	}
	return c.mismatch(n, l, r, left, right)
}
