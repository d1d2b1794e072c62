package rules

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

// A piece is an expression as it stands in a file: a part of a text.
type piece struct {
	text *text.Scalar
	off  int    // where in the text's value it begins
	src  string // the expression
}

// span maps a range of the expression's characters to the file.
func (p piece) span(from, to int) text.Span {
	return p.text.Span(p.off+byteOffset(p.src, from), p.off+byteOffset(p.src, to))
}

func (p piece) whole() text.Span { return p.text.Span(p.off, p.off+len(p.src)) }

func byteOffset(s string, runes int) int {
	for i := range s {
		if runes <= 0 {
			return i
		}
		runes--
	}
	return len(s)
}

// A checker finds the mistakes in one expression, and rewrites it on the way: fields become plain names of
// the environment, and what needs a bound becomes a call of one of our functions, which charges for its work.
type checker struct {
	vocabulary
	piece piece

	preds  []predicateScope
	locals []letVar
	memo   map[ast.Node]checked // a < b < c shares b, so nodes are met more than once
	bad    bool                 // an error was reported
	slip   *text.Scalar         // with what was suggested for the last one, nil if nothing was
	prover *prover              // that has thought about the expression, once it is compiled
}

type predicateScope struct {
	elem typ
	acc  bool
}

type checked struct {
	node ast.Node
	typ  typ
}

func (c *checker) span(n ast.Node) text.Span {
	from, to := c.extent(n)
	return c.piece.span(from, to)
}

// extent is the range of characters that a node's tokens cover. The parser keeps one token for each node, so
// closing brackets are added by looking for them.
func (c *checker) extent(n ast.Node) (from, to int) {
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
func (c *checker) closing(to int, bracket rune) int {
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

func (c *checker) source(n ast.Node) string {
	from, to := c.extent(n)
	return c.piece.src[byteOffset(c.piece.src, from):byteOffset(c.piece.src, to)]
}

func (c *checker) fail(code string, at text.Span, suggestion, format string, args ...any) checked {
	c.bad, c.slip = true, nil
	if suggestion != "" {
		c.slip = c.piece.text.With(at, suggestion)
	}
	at, suggestion = c.mend(at, suggestion)
	c.doc.Errorf(code, at, suggestion, format, args...)
	return checked{&ast.NilNode{}, badType}
}

func (c *checker) failAt(n ast.Node, code, suggestion, format string, args ...any) checked {
	return c.fail(code, c.span(n), suggestion, format, args...)
}

func (c *checker) warnAt(n ast.Node, code, suggestion, format string, args ...any) {
	at, suggestion := c.mend(c.span(n), suggestion)
	c.doc.Warnf(code, at, suggestion, format, args...)
}

// mend is [text.Scalar.Mend] for a suggestion that is an expression, or part of one.
func (c *checker) mend(at text.Span, suggestion string) (text.Span, string) {
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

func (c *checker) visit(n ast.Node) checked {
	if done, ok := c.memo[n]; ok {
		return done
	}
	out := c.check(n)
	if c.memo == nil {
		c.memo = map[ast.Node]checked{}
	}
	c.memo[n] = out
	return out
}

func (c *checker) check(n ast.Node) checked {
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
		return checked{n, textType}
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
		if _, ok := predicates[n.Name]; ok {
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
		elem := typ{}
		out := *n
		out.Nodes = make([]ast.Node, len(n.Nodes))
		for i := range n.Nodes {
			e := c.visit(n.Nodes[i])
			out.Nodes[i] = e.node
			if i == 0 {
				elem = e.typ
			} else {
				elem = join(elem, e.typ)
			}
		}
		return checked{&out, listOf(elem)}
	case *ast.MapNode:
		out := *n
		out.Pairs = make([]ast.Node, len(n.Pairs))
		for i, p := range n.Pairs {
			pair, ok := p.(*ast.PairNode)
			if !ok {
				return c.failAt(n, "unsupported", "", "%s is not supported in a rule", text.Quote(c.source(n)))
			}
			key := c.visit(pair.Key)
			if !key.typ.is(textKind) {
				c.failAt(pair.Key, "type", "", "the key of a map must be a text, but this is %s", key.typ)
			}
			copied := *pair
			copied.Key, copied.Value = key.node, c.visit(pair.Value).node
			out.Pairs[i] = &copied
		}
		return checked{&out, mapType}
	}
	return c.failAt(n, "unsupported", "", "%s is not supported in a rule", text.Quote(c.source(n)))
}

func (c *checker) identifier(n *ast.IdentifierNode) checked {
	name := n.Value
	for _, l := range slices.Backward(c.locals) {
		if l.name == name {
			local := &ast.IdentifierNode{Value: localName(name)}
			local.SetLocation(n.Location())
			return checked{local, l.typ}
		}
	}
	for i, l := range c.lets {
		if l.name == name {
			if c.used != nil {
				c.used[i] = true
			}
			return checked{call(n, "$let", constant(n, i)), l.typ}
		}
	}
	if t, ok := c.env.variables[name]; ok {
		if slices.Contains(c.env.lazy, name) {
			return checked{call(n, "$lazy", constant(n, name)), t}
		}
		return checked{n, t}
	}
	if _, ok := c.env.objects[name]; ok {
		return checked{call(n, "$object", constant(n, name)), typ{kind: objectKind, name: name}}
	}
	if slices.Contains(c.later, name) {
		return c.failAt(n, "let-order", "", "%s is defined further down, or is this one itself; a named value can only use those above it", name)
	}
	if _, ok := functions[name]; ok {
		if name == "now" {
			return c.failAt(n, "function", "now()", "for the present time write now()")
		}
		return c.failAt(n, "function", name+"()", "%s is a function: call it as %s(…)", name, name)
	}
	switch strings.ToLower(name) {
	case "true", "false", "nil":
		return c.failAt(n, "unknown-name", strings.ToLower(name), "write %s in small letters: %s", name, strings.ToLower(name))
	case "yes", "on":
		return c.failAt(n, "unknown-name", "true", "in an expression write true, not %s", name)
	case "no", "off":
		return c.failAt(n, "unknown-name", "false", "in an expression write false, not %s", name)
	case "null", "none", "undefined":
		return c.failAt(n, "unknown-name", "nil", "%s is written nil here", name)
	}
	suggestion := c.similarName(name)
	return c.failAt(n, "unknown-name", suggestion, "there is no %s%s", text.Quote(name), text.DidYouMean(suggestion))
}

// similarName finds what an unknown name was probably meant to be.
func (c *checker) similarName(name string) string {
	candidates := c.env.names()
	for _, l := range c.lets {
		candidates = append(candidates, l.name)
	}
	for _, l := range c.locals {
		candidates = append(candidates, l.name)
	}
	if s := text.Closest(name, candidates); s != "" && text.FoldWord(s) == text.FoldWord(name) {
		return s
	}
	for _, object := range c.env.main {
		if _, ok := c.env.field(object, name); ok {
			return object + "." + name
		}
	}
	if s := text.Closest(name, candidates); s != "" {
		return s
	}
	for _, object := range c.env.main {
		if s := text.Closest(name, text.SortedKeys(c.env.objects[object].fields)); s != "" {
			return object + "." + s
		}
	}
	return ""
}

func (c *checker) unary(n *ast.UnaryNode) checked {
	v := c.visit(n.Node)
	out := *n
	out.Node = v.node
	switch n.Operator {
	case "!", "not":
		if v.typ.kind == textKind {
			s := c.source(n.Node) + ` == ""`
			return c.failAt(n, "type", s, "%s needs true or false after it, but this is a text; to ask whether it is empty, write %s", n.Operator, s)
		}
		if !v.typ.is(boolKind) {
			return c.failAt(n.Node, "type", "", "%s needs true or false after it, but this is %s", n.Operator, v.typ)
		}
		return checked{&out, boolType}
	default:
		switch {
		case v.typ.number():
			return checked{&out, v.typ}
		case v.typ.kind != durationKind && !v.typ.open():
			return c.failAt(n.Node, "type", "", "%s needs a number or a duration after it, but this is %s", n.Operator, v.typ)
		case n.Operator == "+":
			return v
		}
		return checked{call(n, "$negate", v.node), v.typ}
	}
}

func (c *checker) member(n *ast.MemberNode) checked {
	property, _ := n.Property.(*ast.StringNode)
	if id, ok := n.Node.(*ast.IdentifierNode); ok && property != nil && !c.hidden(id.Value) {
		if id.Value == "$env" {
			return c.failAt(n, "unsupported", "", "$env is not available in rules")
		}
		if object, ok := c.env.objects[id.Value]; ok {
			t, ok := object.fields[property.Value]
			if !ok {
				return c.unknownField(property, id.Value)
			}
			flat := &ast.IdentifierNode{Value: id.Value + "." + property.Value}
			flat.SetLocation(n.Location())
			return checked{flat, t}
		}
	}
	if object, field, ok := c.env.fieldOf(n.Node); ok && object != field && property != nil {
		if _, ok := c.env.field(field, property.Value); ok {
			s := field + "." + property.Value
			return c.failAt(n, "unknown-field", s, "%s has no field %s; the %s is beside it: write %s", object, text.Quote(field), field, s)
		}
	}
	base := c.visit(n.Node)
	prop := c.visit(n.Property)
	if base.typ.kind == badKind || prop.typ.kind == badKind {
		return checked{n, badType}
	}
	at := n.Node
	get := func(t typ) checked { return checked{call(n, "$get", base.node, prop.node), t} }
	switch base.typ.kind {
	case anyKind, mapKind:
		if n.Method {
			return c.failAt(n, "method", "", "only times have methods, such as .Hour()")
		}
		if property != nil && c.writtenEntry(n.Node, property.Value) {
			return get(anyType)
		}
		return get(anyType.orNil())
	case objectKind:
		if property == nil {
			if !prop.typ.is(textKind) {
				return c.failAt(n.Property, "type", "", "pick a field by its name, a text; this is %s", prop.typ)
			}
			return get(anyType.orNil())
		}
		t, ok := c.env.field(base.typ.name, property.Value)
		if !ok {
			return c.unknownField(property, base.typ.name)
		}
		return get(t)
	case listKind:
		if property != nil {
			if property.Value == "length" || property.Value == "size" || property.Value == "count" {
				return c.failAt(n, "unknown-field", "len("+c.source(at)+")", "the number of elements is len(%s)", c.source(at))
			}
			return c.failAt(n.Property, "unknown-field", "", "a list has no field %s; its elements are [0], [1] and so on", text.Quote(property.Value))
		}
		if prop.typ.kind != intKind && !prop.typ.open() {
			return c.failAt(n.Property, "type", "", "pick an element by a whole number; this is %s", prop.typ)
		}
		return get(c.elementAt(n.Node, n.Property, base.typ))
	case timeKind:
		if property != nil {
			for _, m := range text.SortedKeys(timeMethods) {
				if text.FoldWord(m) == text.FoldWord(property.Value) {
					return c.failAt(n.Property, "unknown-field", m+"()", "write .%s() to get it from a time", m)
				}
			}
			return c.failAt(n.Property, "unknown-field", "", "a time has no field %s; there are %s", text.Quote(property.Value), text.OneOf(methodNames()))
		}
	case textKind:
		if property != nil && (property.Value == "length" || property.Value == "size") {
			return c.failAt(n, "unknown-field", "len("+c.source(at)+")", "the number of characters is len(%s)", c.source(at))
		}
		if property == nil {
			return c.failAt(n.Property, "type", "", "a text has no elements; for a part of a text write [0:3]")
		}
	case nilKind:
		return c.failAt(at, "type", "", "nil has no fields")
	}
	if property != nil {
		return c.failAt(n.Property, "unknown-field", "", "%s has no field %s", base.typ, text.Quote(property.Value))
	}
	return c.failAt(n.Property, "type", "", "%s has no elements", base.typ)
}

// writtenEntry says whether a map is written out in the rule, and has an entry.
func (c *checker) writtenEntry(of ast.Node, key string) bool {
	m, ok := new(prover).expand(term{of, c}).node.(*ast.MapNode)
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
func (c *checker) elementAt(list, index ast.Node, t typ) typ {
	i, fixed := constantInt(index)
	least := 0 // elements there are
	switch n := list.(type) {
	case *ast.ArrayNode:
		least = len(n.Nodes)
	default:
		if name, args := callOf(n); (name == "split" || name == "splitAfter") && len(args) == 2 {
			if separator, ok := args[1].(*ast.StringNode); ok && separator.Value != "" {
				least = 1
			}
		}
	}
	if fixed && max(i+1, -i) <= least {
		return t.element()
	}
	return t.element().orNil()
}

// hidden says whether a local name stands before the environment's.
func (c *checker) hidden(name string) bool {
	return slices.ContainsFunc(c.locals, func(l letVar) bool { return l.name == name })
}

func (c *checker) unknownField(property *ast.StringNode, object string) checked {
	suggestion := text.Closest(property.Value, text.SortedKeys(c.env.objects[object].fields))
	if s, ok := c.env.aliases[property.Value]; ok {
		if _, ok := c.env.field(object, s); ok {
			suggestion = s
		}
	}
	if suggestion == "" {
		for _, other := range c.env.main {
			if _, ok := c.env.field(other, property.Value); ok && other != object && slices.Contains(c.env.main, object) {
				return c.failAt(property, "unknown-field", "", "%s has no field %s, but %s has: %s.%s", object, text.Quote(property.Value), other, other, property.Value)
			}
		}
	}
	return c.failAt(property, "unknown-field", suggestion, "%s has no field %s%s", object, text.Quote(property.Value), text.DidYouMean(suggestion))
}

func methodNames() []string {
	names := text.SortedKeys(timeMethods)
	for i := range names {
		names[i] = "." + names[i] + "()"
	}
	return names
}

func (c *checker) slice(n *ast.SliceNode) checked {
	base := c.visit(n.Node)
	if k := base.typ.kind; k != listKind && k != textKind && !base.typ.open() {
		return c.failAt(n.Node, "type", "", "[from:to] takes a part of a text or a list, but this is %s", base.typ)
	}
	bound := func(b ast.Node) ast.Node {
		if b == nil {
			return constant(n, nil)
		}
		v := c.visit(b)
		if !v.typ.is(intKind) {
			c.failAt(b, "type", "", "a whole number is needed here, but this is %s", v.typ)
		}
		return v.node
	}
	from, to := bound(n.From), bound(n.To)
	return checked{call(n, "$slice", base.node, from, to), base.typ}
}

func (c *checker) call(n *ast.CallNode) checked {
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
	return c.failAt(n.Callee, "function", "", "%s is not a function", text.Quote(c.source(n.Callee)))
}

// methodWords are what people write as methods because other languages have them.
var methodWords = map[string]string{
	"contains": "contains", "includes": "contains", "startsWith": "startsWith", "startswith": "startsWith", "hasPrefix": "startsWith",
	"endsWith": "endsWith", "endswith": "endsWith", "hasSuffix": "endsWith", "matches": "matches", "match": "matches", "test": "matches",
	"toLowerCase": "lower", "toLower": "lower", "lower": "lower", "toUpperCase": "upper", "toUpper": "upper", "upper": "upper",
	"trim": "trim", "strip": "trim", "split": "split", "replace": "replace", "join": "join", "length": "len", "size": "len",
	"format": "date", "Format": "date", "strftime": "date", "In": "tz", "Weekday": "weekday",
}

func (c *checker) method(n *ast.CallNode, callee *ast.MemberNode) checked {
	base := c.visit(callee.Node)
	for _, a := range n.Arguments {
		c.visit(a)
	}
	if base.typ.kind == badKind {
		return checked{n, badType}
	}
	property, ok := callee.Property.(*ast.StringNode)
	if !ok {
		return c.failAt(callee, "function", "", "%s is not a function", text.Quote(c.source(callee)))
	}
	if base.typ.is(timeKind) {
		if op, ok := timeMethods[property.Value]; ok {
			if len(n.Arguments) > 0 {
				return c.failAt(n.Arguments[0], "arguments", "", ".%s() takes no arguments", property.Value)
			}
			return checked{call(n, op, base.node), intType}
		}
	}
	on := c.source(callee.Node)
	var args []string
	for _, a := range n.Arguments {
		args = append(args, c.source(a))
	}
	if word, ok := methodWords[property.Value]; ok {
		switch word {
		case "contains", "startsWith", "endsWith", "matches":
			if len(args) == 1 {
				s := on + " " + word + " " + args[0]
				if base.typ.kind == listKind {
					s = args[0] + " in " + on
				}
				return c.failAt(n, "method", s, "write %s", s)
			}
		default:
			if layout, ok := c.literal(n, 0); ok && word == "date" {
				args[0] = quoteLike(args[0], fixLayout(layout))
			}
			s := word + "(" + strings.Join(append([]string{on}, args...), ", ") + ")"
			if !takes(word, len(args)+1) {
				return c.failAt(n, "method", "", "use the function %s: %s", word, s)
			}
			return c.failAt(n, "method", s, "write %s", s)
		}
	}
	if base.typ.kind == timeKind {
		if m := addMethod.FindStringSubmatch(property.Value); m != nil && len(n.Arguments) == 1 {
			s, ok := c.moved(on, m, n.Arguments[0])
			if !ok {
				return c.failAt(property, "method", "", `a time has no method %s; add a duration with + and subtract it with -, such as %s %s duration("24h")`, text.Quote(property.Value), on, signOf(m))
			}
			return c.failAt(n, "method", s, "write %s", s)
		}
		suggestion := text.Closest(property.Value, text.SortedKeys(timeMethods))
		return c.failAt(property, "method", suggestion, "a time has no method %s; there are %s", text.Quote(property.Value), text.OneOf(methodNames()))
	}
	return c.failAt(property, "method", "", "%s has no method %s", base.typ, text.Quote(property.Value))
}

// literal is an argument of a call that is written out as a text.
func (c *checker) literal(n *ast.CallNode, i int) (string, bool) {
	if i >= len(n.Arguments) {
		return "", false
	}
	s, ok := n.Arguments[i].(*ast.StringNode)
	if !ok {
		return "", false
	}
	return s.Value, true
}

// takes says whether a function can be called with so many arguments.
func takes(function string, arguments int) bool {
	return slices.ContainsFunc(functions[function].forms, func(form string) bool {
		params, _ := splitForm(form)
		return arguments == len(params) || arguments > len(params) && strings.HasSuffix(form[:strings.IndexByte(form, '>')], "*")
	})
}

// addMethod are the names that other languages have for + and - of times.
var addMethod = regexp.MustCompile(`^(?i)(add|plus|minus|subtract|sub)([a-z]*)$`)

func signOf(add []string) string {
	return cmp.Or(map[string]string{"add": "+", "plus": "+"}[strings.ToLower(add[1])], "-")
}

// moved is how it is written that a time is moved, as addDays(t, 1) and t.plusHours(2) say in other languages. add is
// what [addMethod] found.
func (c *checker) moved(on string, add []string, by ast.Node) (string, bool) {
	written := c.source(by)
	if c.memo[by].typ.kind == durationKind {
		return on + " " + signOf(add) + " " + written, true
	}
	if _, fixed := constantInt(by); fixed {
		if s, ok := (stretch{signOf(add), written + add[2]}).from(on); ok {
			return s, true
		}
	}
	f := map[string]string{"day": "addDays", "month": "addMonths", "workday": "addWorkdays", "businessday": "addWorkdays"}[strings.TrimSuffix(strings.ToLower(add[2]), "s")]
	if f == "" || !c.memo[by].typ.is(intKind) {
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

// functionAliases are names that other languages have for these functions.
var functionAliases = map[string]string{
	"length": "len", "size": "len", "toUpper": "upper", "toLower": "lower", "uppercase": "upper", "lowercase": "lower", "ucase": "upper", "lcase": "lower",
	"format": "date", "formatDate": "date", "strftime": "date", "dateFormat": "date", "today": "now", "str": "string", "toString": "string", "text": "string",
	"parseInt": "int", "number": "float", "avg": "mean", "average": "mean", "unique": "uniq", "distinct": "uniq", "concatenate": "concat",
	"timezone": "tz", "dayOfWeek": "weekday", "day": "weekday", "every": "all", "some": "any", "days": "duration", "setTime": "clock", "atTime": "clock", "midnight": "startOfDay",
	"beginningOfDay": "startOfDay", "dateDiff": "daysBetween", "diffDays": "daysBetween", "daysUntil": "daysBetween", "addBusinessDays": "addWorkdays",
	"addWeekdays": "addWorkdays", "inHours": "hours", "inMinutes": "minutes", "latest": "max", "earliest": "min",
}

func (c *checker) function(n ast.Node, name string, args []ast.Node) checked {
	f, ok := functions[name]
	if !ok {
		for _, a := range args {
			c.visit(a)
		}
		at := c.piece.span(n.Location().From, n.Location().From+utf8.RuneCountInString(name))
		if c.env.has(name) {
			return c.fail("function", at, "", "%s is a value, not a function", name)
		}
		if m := addMethod.FindStringSubmatch(name); m != nil && len(args) == 2 {
			if s, ok := c.moved(c.source(args[0]), m, args[1]); ok {
				return c.failAt(n, "unknown-function", s, "there is no function %s; write %s", text.Quote(name), s)
			}
		}
		if unit := durationUnit(name); unit != "" && len(args) == 1 {
			if i, ok := args[0].(*ast.IntegerNode); ok {
				s := fmt.Sprintf(`duration("%d%s")`, i.Value, unit)
				return c.failAt(n, "unknown-function", s, "there is no function %s; write %s", text.Quote(name), s)
			}
		}
		suggestion := functionAliases[name]
		if suggestion == "" {
			suggestion = text.Closest(name, append(functionNames(), text.SortedKeys(functionAliases)...))
			if meant, ok := functionAliases[suggestion]; ok {
				suggestion = meant
			}
		}
		return c.fail("unknown-function", at, suggestion, "there is no function %s%s", text.Quote(name), text.DidYouMean(suggestion))
	}
	out := make([]ast.Node, len(args))
	types := make([]typ, len(args))
	for i, a := range args {
		if name == "date" && i == 2 && types[0].kind == timeKind {
			zone := c.source(a)
			if _, ok := loadZone(zone); ok {
				zone = `"` + zone + `"`
			}
			s := "date(tz(" + c.source(args[0]) + ", " + zone + "), " + c.source(args[1]) + ")"
			return c.failAt(n, "arguments", s, "the zone that a time is printed in is that of the time: write %s", s)
		}
		if c.bareZone(name, i, a) {
			return checked{n, badType}
		}
		v := c.visit(a)
		out[i], types[i] = v.node, v.typ
		if v.typ.kind == badKind {
			for _, a := range args[i+1:] {
				c.visit(a)
			}
			return checked{n, badType}
		}
	}
	result, ok := c.arguments(n, name, f.forms, args, types)
	if !ok || !c.constants(n, name, args, types) {
		return checked{n, badType}
	}
	if (name == "first" || name == "last") && !c.elementAt(args[0], &ast.IntegerNode{}, types[0]).missing {
		result = result.sure()
	}
	switch name {
	case "weekday":
		result = weekdayType
	case "timeOfDay":
		result = clockType
	}
	return checked{call(n, name, out...), result}
}

// bareZone reports the name of a time zone without quotes, where a function takes one.
func (c *checker) bareZone(function string, i int, arg ast.Node) bool {
	written := c.source(arg)
	if at, ok := zoneArguments[function]; !ok || at != i || !zoneName.MatchString(written) {
		return false
	}
	if id, ok := arg.(*ast.IdentifierNode); ok && c.known(id.Value) {
		return false
	}
	if _, ok := loadZone(written); !ok && !strings.Contains(written, "/") {
		return false
	}
	zone := written
	if _, ok := loadZone(written); !ok {
		zone = cmp.Or(closestZone(written), written)
	}
	c.failAt(arg, "quote", `"`+zone+`"`, "the name of a time zone is a text: write \"%s\"", zone)
	return true
}

// zoneArguments are the functions that take the name of a time zone, and which argument it is.
var zoneArguments = map[string]int{"timezone": 0, "tz": 1, "date": 2}

var zoneName = regexp.MustCompile(`^[A-Za-z]+(?:[/_+-][A-Za-z0-9]+)*$`)

// arguments finds the form of a function that fits its arguments, or says what does not.
func (c *checker) arguments(n ast.Node, name string, forms []string, args []ast.Node, types []typ) (typ, bool) {
	var results []typ
	counts := map[int]bool{}
	best, bestForm, more := -1, "", false
	for _, form := range forms {
		params, result := splitForm(form)
		variadic := strings.HasSuffix(form[:strings.IndexByte(form, '>')], "*")
		counts[len(params)] = true
		more = more || variadic
		if len(args) != len(params) && !(variadic && len(args) >= len(params)) {
			continue
		}
		fit := 0
		for i := range args {
			if !fits(types[i], params[min(i, len(params)-1)]) {
				break
			}
			fit++
		}
		if fit == len(args) {
			results = append(results, resultType(result, types))
		} else if fit > best {
			best, bestForm = fit, form
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
		params, _ := splitForm(bestForm)
		want := params[min(best, len(params)-1)]
		suggestion := ""
		if want == "M" && types[best].kind == textKind {
			suggestion = "date(" + c.source(args[best]) + ")"
		}
		if unit := durationUnit(name); unit != "" && types[best].number() {
			suggestion := ""
			if i, ok := args[best].(*ast.IntegerNode); ok {
				suggestion = fmt.Sprintf(`duration("%d%s")`, i.Value, unit)
			}
			c.failAt(n, "type", suggestion, `%s( ) turns a duration into a number; for a duration of so many %[1]s write %s`, name, cmp.Or(suggestion, `duration("2`+unit+`")`))
			return badType, false
		}
		if i, ok := args[best].(*ast.IntegerNode); ok && name == "duration" {
			c.failAt(args[best], "duration", fmt.Sprintf(`"%dh"`, i.Value), `duration takes a text with a unit, such as duration("%dh")`, i.Value)
			return badType, false
		}
		if i, ok := args[best].(*ast.IntegerNode); ok && name == "clock" {
			if i.Value >= 0 && i.Value < 24 {
				suggestion = fmt.Sprintf(`"%02d:00"`, i.Value)
			}
			c.failAt(args[best], "type", suggestion, `clock needs a time of the day, a text such as "09:00", but this is a number`)
			return badType, false
		}
		if want == "I" && types[best].kind == durationKind && strings.HasPrefix(name, "add") {
			s := c.source(args[0]) + " + " + c.source(args[best])
			c.failAt(n, "type", s, "%s needs a whole number; to add a duration, write %s", name, s)
			return badType, false
		}
		if want == "T" && (types[best].number() || types[best].kind == timeKind) {
			suggestion = "string(" + c.source(args[best]) + ")"
		}
		c.failAt(args[best], "type", suggestion, "%s needs %s here, but this is %s", name, paramName(want), types[best])
	case name == "date" && len(args) == 1 && types[0].kind == timeKind:
		c.failAt(n, "arguments", "date("+c.source(args[0])+`, "Mon 2 Jan 15:04")`, `date needs a layout too, such as "Mon 2 Jan 15:04"`)
	default:
		c.failAt(n, "arguments", "", "%s takes %s; %s given", name, countOf(slices.Sorted(keysOf(counts)), more), given(len(args)))
	}
	return badType, false
}

func keysOf(m map[int]bool) func(func(int) bool) {
	return func(yield func(int) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
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

func splitForm(form string) (params []string, result string) {
	left, result, _ := strings.Cut(form, ">")
	if left == "" {
		return nil, result
	}
	return strings.Split(strings.TrimSuffix(left, "*"), ","), result
}

func paramName(p string) string {
	switch p {
	case "T":
		return "a text"
	case "N":
		return "a number"
	case "I":
		return "a whole number"
	case "B":
		return "true or false"
	case "M":
		return "a time"
	case "D":
		return "a duration"
	case "Z":
		return "a time zone"
	case "L":
		return "a list"
	case "P":
		return "a map"
	}
	return "a value"
}

func fits(t typ, p string) bool {
	if t.open() {
		return true
	}
	switch p {
	case "A":
		return true
	case "T":
		return t.kind == textKind
	case "N":
		return t.number()
	case "I":
		return t.kind == intKind
	case "B":
		return t.kind == boolKind
	case "M":
		return t.kind == timeKind
	case "D":
		return t.kind == durationKind
	case "Z":
		return t.kind == zoneKind
	case "L":
		return t.kind == listKind
	case "P":
		return t.kind == mapKind || t.kind == objectKind
	}
	return false
}

func resultType(result string, args []typ) typ {
	switch result {
	case "T":
		return textType
	case "N", "F":
		return floatType
	case "I":
		return intType
	case "B":
		return boolType
	case "M":
		return timeType
	case "D":
		return durationType
	case "Z":
		return zoneType
	case "L":
		return listType
	case "LT":
		return textsType
	case "P":
		return mapType
	case "S":
		if args[0].kind == listKind {
			return args[0]
		}
	case "E":
		return args[0].element().orNil()
	case "O":
		return anyType.orNil()
	case "J":
		t := args[0].element()
		for _, a := range args[1:] {
			t = join(t, a.element())
		}
		return t
	}
	return anyType
}

// constants checks arguments that are written out, such as a layout or the name of a time zone.
func (c *checker) constants(n ast.Node, name string, args []ast.Node, types []typ) bool {
	written := func(i int) (*ast.StringNode, bool) {
		if i >= len(args) {
			return nil, false
		}
		s, ok := args[i].(*ast.StringNode)
		return s, ok
	}
	zone := func(s *ast.StringNode) bool {
		if _, ok := loadZone(s.Value); !ok {
			suggestion := closestZone(s.Value)
			c.failAt(s, "time-zone", quoteLike(c.source(s), suggestion), "%s is not a time zone%s", text.Quote(s.Value), text.DidYouMean(suggestion))
			return false
		}
		if place, why := NoSummer(s.Value); why != "" {
			c.warnAt(s, "time-zone", quoteLike(c.source(s), place), "%s", why)
		}
		return true
	}
	switch name {
	case "duration":
		if s, ok := written(0); ok {
			if _, err := parseDuration(s.Value); err != nil {
				suggestion := ""
				if d, ok := errors.AsType[*actions.DurationError](err); ok {
					suggestion = d.Suggestion
				}
				c.failAt(s, "duration", quoteLike(c.source(s), suggestion), "%s", err)
				return false
			}
		}
	case "tz":
		if s, ok := written(1); ok {
			return zone(s)
		}
	case "timezone":
		if s, ok := written(0); ok {
			return zone(s)
		}
	case "date":
		if s, ok := written(1); ok {
			if !c.layout(s) {
				return false
			}
		}
		if s, ok := written(2); ok && !zone(s) {
			return false
		}
		if s, ok := written(0); ok && len(args) == 1 {
			v, err := parseDate(time.UTC, s.Value, nil)
			switch t, _ := v.(time.Time); {
			case err != nil:
				c.failAt(s, "date", "", `%s cannot be read as a date; write it as "2026-01-31" or "2026-01-31 15:04:05"`, text.Quote(s.Value))
				return false
			case t.Year() == 0:
				c.failAt(s, "date", "", `%s has no day; compare times of the day as texts, as in timeOfDay(appointment.startTime) < "12:00"`, text.Quote(s.Value))
				return false
			}
		}
	case "clock":
		if s, ok := written(1); ok {
			if _, _, ok := timeOfDay(s.Value); !ok {
				suggestion, _ := clockTime(strings.TrimSpace(s.Value))
				c.failAt(s, "time-of-day", quoteLike(c.source(s), suggestion), `%s is not a time of the day; write %s`, text.Quote(s.Value), text.Quote(cmp.Or(suggestion, "09:00")))
				return false
			}
		}
	case "sort":
		if s, ok := written(1); ok && s.Value != "asc" && s.Value != "desc" {
			c.failAt(s, "arguments", quoteLike(c.source(s), "desc"), `the order is "asc" or "desc"`)
			return false
		}
	}
	return true
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

func (c *checker) layout(s *ast.StringNode) bool {
	if fixed := fixLayout(s.Value); fixed != s.Value {
		c.failAt(s, "layout", quoteLike(c.source(s), fixed),
			"write a layout with the parts of Monday, 2 January 2006, 15:04:05: %s", text.Quote(fixed))
		return false
	}
	a := time.Date(2017, 3, 8, 19, 27, 43, 0, time.FixedZone("AAA", 3600))
	b := time.Date(1988, 11, 24, 8, 51, 12, 0, time.FixedZone("BBB", -7200)) // no part is the same, nor the day of the week
	if a.Format(s.Value) == b.Format(s.Value) {
		c.failAt(s, "layout", "", `the layout %s prints the same for every time; write one with the parts of Monday, 2 January 2006, 15:04:05, such as "Mon 2 Jan 15:04"`, text.Quote(s.Value))
		return false
	}
	if run, part := mixedDigits(s.Value); run != "" {
		c.failAt(s, "layout", "", "%s is not printed as it is, because %s in it stands for a part of the time (of Monday, 2 January 2006, 15:04:05); add a fixed text with +",
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
		c.warnAt(s, "layout", quoteLike(c.source(s), fixed),
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

func (c *checker) pointer(n *ast.PointerNode) checked {
	if len(c.preds) == 0 {
		return c.failAt(n, "unsupported", "", "# stands for an element, and works only inside filter, map, any and the like")
	}
	p := c.preds[len(c.preds)-1]
	switch n.Name {
	case "":
		return checked{n, p.elem}
	case "index":
		if p.acc {
			return checked{n, intType}
		}
		return c.failAt(n, "unsupported", "", "#index works only inside reduce")
	case "acc":
		if p.acc {
			return checked{n, anyType}
		}
		return c.failAt(n, "unsupported", "", "#acc works only inside reduce")
	}
	return c.failAt(n, "unknown-name", "", "there is no %s; # alone is the element", text.Quote("#"+n.Name))
}

// predicate checks all, filter, map and the like. The work of the loop is counted in its body.
func (c *checker) predicate(n *ast.BuiltinNode) checked {
	list := c.visit(n.Arguments[0])
	if !list.typ.is(listKind) { // its body cannot be judged
		return c.failAt(n.Arguments[0], "type", "", "%s needs a list, but this is %s", n.Name, list.typ)
	}
	out := *n
	out.Arguments = slices.Clone(n.Arguments)
	out.Arguments[0] = list.node
	var body typ
	if len(n.Arguments) > 1 {
		p, ok := n.Arguments[1].(*ast.PredicateNode)
		if !ok {
			return c.failAt(n, "unsupported", "", "%s is not supported in a rule", text.Quote(c.source(n)))
		}
		c.preds = append(c.preds, predicateScope{list.typ.element(), n.Name == "reduce"})
		v := c.visit(p.Node)
		c.preds = c.preds[:len(c.preds)-1]
		body = v.typ
		switch n.Name {
		case "map", "sum", "groupBy", "sortBy", "reduce":
		default:
			if !v.typ.is(boolKind) {
				return c.failAt(p.Node, "type", "", "%s needs true or false for each element, but this is %s", n.Name, v.typ)
			}
		}
		if n.Name == "sum" && !v.typ.number() && !v.typ.open() {
			return c.failAt(p.Node, "type", "", "sum adds numbers, but this is %s", v.typ)
		}
		seq := &ast.SequenceNode{Nodes: []ast.Node{call(p, "$step", constant(p, 25+25*treeSize(v.node, 10_000))), v.node}}
		seq.SetLocation(v.node.Location())
		loop := *p
		loop.Node = seq
		out.Arguments[1] = &loop
	} else { // count(list) and sum(list): each element costs the same
		body = list.typ.element()
		if n.Name == "count" && !body.is(boolKind) {
			return c.failAt(n, "type", "len("+c.source(n.Arguments[0])+")", "count needs a condition; for the number of all elements write len(%s)", c.source(n.Arguments[0]))
		}
		out.Arguments[0] = call(n, "$walked", list.node)
	}
	if len(n.Arguments) > 2 {
		out.Arguments[2] = c.visit(n.Arguments[2]).node
	}
	switch n.Name {
	case "all", "none", "any", "one":
		return checked{&out, boolType}
	case "filter", "sortBy":
		return checked{&out, list.typ}
	case "map":
		return checked{&out, listOf(body)}
	case "find":
		return checked{&out, list.typ.element().orNil()}
	// The language's own findLast and findLastIndex leave a value behind where nothing is found. The last is the first
	// from the other end.
	case "findLast":
		out.Name, out.Arguments[0] = "find", call(n, "reverse", list.node)
		return checked{&out, list.typ.element().orNil()}
	case "findLastIndex":
		out.Name, out.Arguments[0] = "findIndex", call(n, "reverse", list.node)
		return checked{call(n, "$mirrored", list.node, &out), intType.orNil()}
	case "count":
		return checked{&out, intType}
	case "sum":
		if body.number() {
			return checked{&out, body}
		}
		return checked{&out, anyType}
	case "groupBy":
		return checked{&out, mapType}
	}
	if n.Name == "reduce" { // the language believes its value to be of the body's type, which the first value need not be
		return checked{call(n, "$same", &out), anyType}
	}
	return checked{&out, intType.orNil()} // findIndex
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

func (c *checker) declaration(n *ast.VariableDeclaratorNode) checked {
	if why := c.taken(n.Name); why != "" {
		c.visit(n.Value)
		return c.fail("let-name", c.piece.span(n.Location().From, n.Location().To), "", "%s cannot be used as a name: %s", text.Quote(n.Name), why)
	}
	value := c.visit(n.Value)
	c.locals = append(c.locals, letVar{name: n.Name, typ: value.typ})
	body := c.visit(n.Expr)
	c.locals = c.locals[:len(c.locals)-1]
	out := *n
	out.Name, out.Value, out.Expr = localName(n.Name), value.node, body.node
	return checked{&out, body.typ}
}

// localName keeps the name of a value apart from a function's, which the language would not.
func localName(name string) string {
	if newerFunctions[name] {
		return name + "$"
	}
	return name
}

// taken says why a name cannot be given to a value, "" if it can.
func (c *checker) taken(name string) string {
	if c.env.has(name) {
		return "it is a name of the event"
	}
	if _, ok := functions[name]; ok && !newerFunctions[name] || predicates[name] != "" {
		return "it is a function"
	}
	for _, l := range c.lets {
		if l.name == name {
			return "it is defined above"
		}
	}
	for _, l := range c.locals {
		if l.name == name {
			return "it is defined above"
		}
	}
	return ""
}

func (c *checker) sequence(n *ast.SequenceNode) checked {
	last := anyType
	out := *n
	out.Nodes = make([]ast.Node, len(n.Nodes))
	for i := range n.Nodes {
		v := c.visit(n.Nodes[i])
		out.Nodes[i], last = v.node, v.typ
	}
	return checked{&out, last}
}

func (c *checker) conditional(n *ast.ConditionalNode) checked {
	cond, a, b := c.visit(n.Cond), c.visit(n.Exp1), c.visit(n.Exp2)
	if !cond.typ.is(boolKind) {
		return c.failAt(n.Cond, "type", "", "before ? there must be true or false, but this is %s", cond.typ)
	}
	out := &ast.ConditionalNode{Ternary: n.Ternary, Cond: cond.node, Exp1: a.node, Exp2: b.node}
	out.SetLocation(n.Location())
	return checked{out, join(a.typ, b.typ)}
}

func (c *checker) binary(n *ast.BinaryNode) checked {
	if c.bareWords(n) {
		return checked{n, boolType}
	}
	l, r := c.visit(n.Left), c.visit(n.Right)
	left, right := n.Left, n.Right
	// A new node, because a < b < c has b in both comparisons and the tree is rewritten.
	out := &ast.BinaryNode{Operator: n.Operator, Left: l.node, Right: r.node}
	out.SetLocation(n.Location())
	if l.typ.kind == badKind || r.typ.kind == badKind {
		t := badType
		switch n.Operator {
		case "&&", "and", "||", "or", "==", "!=", "<", ">", "<=", ">=", "in", "contains", "startsWith", "endsWith", "matches":
			t = boolType // a mistake inside is no reason for another finding outside
		}
		return checked{out, t}
	}
	op := func(name string) ast.Node { return call(n, name, l.node, r.node) }
	switch n.Operator {
	case "&&", "and", "||", "or":
		for i, side := range []typ{l.typ, r.typ} {
			if side.is(boolKind) {
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
					suggestion = c.source(cmp.Left) + " " + cmp.Operator + " " + c.source(right)
				}
			}
			if suggestion == "" && (n.Operator == "||" || n.Operator == "or") && l.typ.kind == textKind && r.typ.kind == textKind {
				s := c.source(left) + " ?? " + c.source(right)
				return c.failAt(n, "type", s, "%s joins conditions, but these are texts; write a default as %s", n.Operator, s)
			}
			return c.failAt(at, "type", suggestion, "%s joins conditions, but this is %s", n.Operator, side)
		}
		return checked{out, boolType}

	case "==", "!=":
		return c.equality(n, l, r, out)

	case "<", ">", "<=", ">=":
		switch {
		case l.typ.open() || r.typ.open():
		case l.typ.number() && r.typ.number():
		case l.typ.kind == r.typ.kind && (l.typ.kind == textKind || l.typ.kind == timeKind || l.typ.kind == durationKind):
		default:
			return c.mismatch(n, l.typ, r.typ, left, right)
		}
		if w := l.typ.words; w != nil && w.ordered && !c.word(l.typ, right) {
			return checked{out, boolType}
		}
		if w := r.typ.words; w != nil && w.ordered && !c.word(r.typ, left) {
			return checked{out, boolType}
		}
		if l.typ.scalar() && r.typ.scalar() {
			return checked{out, boolType}
		}
		return checked{op(map[string]string{"<": "$less", "<=": "$lessEq", ">": "$more", ">=": "$moreEq"}[n.Operator]), boolType}

	case "+":
		switch {
		case l.typ.number() && r.typ.number():
			return checked{out, join(l.typ, r.typ)}
		case l.typ.kind == textKind && r.typ.kind == textKind:
			return checked{op("$add"), textType}
		case l.typ.kind == timeKind && r.typ.kind == durationKind, l.typ.kind == durationKind && r.typ.kind == timeKind:
			return checked{out, timeType}
		case l.typ.kind == durationKind && r.typ.kind == durationKind:
			return checked{out, durationType}
		case l.typ.open() || r.typ.open():
			t := anyType
			if l.typ.kind == textKind || r.typ.kind == textKind {
				t = textType
			}
			return checked{op("$add"), t}
		}
		return c.addition(n, l.typ, r.typ, left, right)

	case "-":
		switch {
		case l.typ.number() && r.typ.number():
			return checked{out, join(l.typ, r.typ)}
		case l.typ.kind == timeKind && r.typ.kind == timeKind:
			return checked{out, durationType}
		case l.typ.kind == timeKind && r.typ.kind == durationKind:
			return checked{out, timeType}
		case l.typ.kind == durationKind && r.typ.kind == durationKind:
			return checked{out, durationType}
		case l.typ.open() || r.typ.open():
			return checked{out, anyType}
		}
		if l.typ.kind == timeKind {
			return c.wantsDuration(n, right, r.typ, l.typ)
		}
		return c.mismatch(n, l.typ, r.typ, left, right)

	case "*":
		switch {
		case l.typ.number() && r.typ.number():
			return checked{out, join(l.typ, r.typ)}
		case l.typ.number() && r.typ.kind == durationKind, l.typ.kind == durationKind && r.typ.number():
			return checked{op("$times"), durationType}
		case l.typ.open() && r.typ.kind == durationKind, l.typ.kind == durationKind && r.typ.open():
			return checked{op("$times"), durationType}
		case (l.typ.open() || l.typ.number()) && (r.typ.open() || r.typ.number()):
			return checked{op("$times"), anyType}
		}
		return c.mismatch(n, l.typ, r.typ, left, right)

	case "/", "**", "^", "%":
		if n.Operator == "/" {
			switch {
			case l.typ.kind == durationKind && r.typ.kind == durationKind:
				return checked{op("$divide"), floatType}
			case l.typ.kind == durationKind && r.typ.number():
				if i, ok := right.(*ast.IntegerNode); ok && i.Value == 0 {
					return c.failAt(right, "zero", "", "a duration cannot be divided by 0")
				}
				return checked{op("$divide"), durationType}
			case l.typ.kind == durationKind && r.typ.open(), l.typ.open() && (r.typ.open() || r.typ.kind == durationKind):
				return checked{op("$divide"), anyType}
			}
		}
		if (l.typ.number() || l.typ.open()) && (r.typ.number() || r.typ.open()) {
			if n.Operator != "%" {
				return checked{out, floatType}
			}
			if i, ok := right.(*ast.IntegerNode); ok && i.Value == 0 {
				return c.failAt(right, "zero", "", "a number cannot be divided by 0")
			}
			if l.typ.kind != floatKind && r.typ.kind != floatKind {
				return checked{out, intType}
			}
		}
		return c.mismatch(n, l.typ, r.typ, left, right)

	case "in":
		return c.in(n, l, r)

	case "contains", "startsWith", "endsWith":
		if n.Operator == "contains" && l.typ.kind == listKind && !r.typ.is(listKind) {
			s := c.source(right) + " in " + c.source(left)
			return c.failAt(n, "type", s, "contains looks inside a text; to ask whether a list has an element, write %s", s)
		}
		for i, side := range []typ{l.typ, r.typ} {
			if !side.is(textKind) {
				return c.failAt([]ast.Node{left, right}[i], "type", "", "%s compares texts, but this is %s", n.Operator, side)
			}
		}
		return checked{op("$" + n.Operator), boolType}

	case "matches":
		for i, side := range []typ{l.typ, r.typ} {
			if !side.is(textKind) {
				return c.failAt([]ast.Node{left, right}[i], "type", "", "matches compares a text with a pattern, but this is %s", side)
			}
		}
		if s, ok := right.(*ast.StringNode); ok {
			p, err := compilePattern(s.Value)
			if err != nil {
				return c.failAt(right, "pattern", "", "%s", err)
			}
			return checked{call(n, "$matches", l.node, constant(right, p)), boolType}
		}
		return checked{op("$matches"), boolType}

	case "..":
		for i, side := range []typ{l.typ, r.typ} {
			if !side.is(intKind) {
				return c.failAt([]ast.Node{left, right}[i], "type", "", ".. makes a list of whole numbers, but this is %s", side)
			}
		}
		a, aOK := constantInt(left)
		b, bOK := constantInt(right)
		if aOK && bOK && b-a >= maxRange {
			return c.failAt(n, "bound", "", "this range has %d numbers, more than the %d that are allowed", b-a+1, maxRange)
		}
		return checked{op("$range"), intsType}

	case "??":
		switch {
		case l.typ.kind == textKind, l.typ.kind == timeKind, l.typ.kind == anyKind, l.typ.kind == nilKind, l.typ.missing:
		default:
			c.warnAt(n, "needless-default", "", "%s is never missing, so the default after ?? is never used", text.Quote(c.source(left)))
		}
		out.Left = call(left, "$present", l.node)
		if l.typ.kind == nilKind {
			return checked{out, r.typ}
		}
		return checked{out, join(l.typ.sure(), r.typ)}
	}
	return c.failAt(n, "unsupported", "", "the operator %s is not supported in a rule", n.Operator)
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

func (c *checker) equality(n *ast.BinaryNode, l, r checked, out *ast.BinaryNode) checked {
	if !l.typ.comparable(r.typ) {
		return c.mismatch(n, l.typ, r.typ, n.Left, n.Right)
	}
	if !c.word(l.typ, n.Right) || !c.word(r.typ, n.Left) {
		return checked{out, boolType}
	}
	if l.typ.scalar() || r.typ.scalar() || isLiteral(n.Left) || isLiteral(n.Right) {
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
func (c *checker) bareWords(n *ast.BinaryNode) bool {
	if n.Operator != "==" && n.Operator != "!=" && n.Operator != "in" {
		return false
	}
	var t typ
	if object, field, ok := c.env.fieldOf(n.Left); ok {
		t, _ = c.env.field(object, field)
	} else if id, ok := n.Left.(*ast.IdentifierNode); ok {
		t = c.env.variables[id.Value]
	}
	if t.kind != textKind {
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
		if t.words != nil && !t.words.valid(word) {
			word = cmp.Or(t.words.near(word), word)
		}
		c.failAt(id, "quote", `"`+word+`"`, "write the text %s in quotes", text.Quote(word))
	}
	return found
}

// known says whether a name means anything here, or looks like one that does.
func (c *checker) known(name string) bool {
	if _, ok := functions[name]; ok || c.hidden(name) || slices.Contains(c.later, name) || slices.ContainsFunc(c.lets, func(l letVar) bool { return l.name == name }) {
		return true
	}
	switch strings.ToLower(name) {
	case "true", "false", "nil", "null", "none", "undefined":
		return true
	}
	return c.env.has(name)
}

func isLiteral(n ast.Node) bool {
	switch n.(type) {
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NilNode:
		return true
	}
	return false
}

// word checks a text that a value is compared with. It is false if the value is never that text, which has been reported.
func (c *checker) word(of typ, n ast.Node) bool {
	s, ok := n.(*ast.StringNode)
	if !ok || of.words == nil || of.words.valid(s.Value) {
		return true
	}
	suggestion := of.words.near(s.Value)
	if suggestion == "" && of.words.lenient {
		return true
	}
	message := of.words.message
	if strings.Contains(message, "%s") {
		message = fmt.Sprintf(message, text.Quote(s.Value))
	}
	if suggestion == "" {
		message += of.words.others
	}
	c.failAt(s, of.words.code, quoteLike(c.source(s), suggestion), "%s%s", message, text.DidYouMean(suggestion))
	return false
}

func isCallOf(n ast.Node, function string) bool {
	name, _ := callOf(n)
	return name == function
}

func isName(n ast.Node, name string) bool {
	id, ok := n.(*ast.IdentifierNode)
	return ok && id.Value == name
}

// fieldOf recognises appointment.title and appointment["title"], as written.
func (e *environment) fieldOf(n ast.Node) (object, field string, ok bool) {
	if ch, isChain := n.(*ast.ChainNode); isChain {
		n = ch.Node
	}
	m, ok := n.(*ast.MemberNode)
	if !ok {
		return "", "", false
	}
	id, ok := m.Node.(*ast.IdentifierNode)
	if !ok || e.objects[id.Value].fields == nil {
		return "", "", false
	}
	p, ok := m.Property.(*ast.StringNode)
	if !ok {
		return "", "", false
	}
	return id.Value, p.Value, true
}

func (c *checker) in(n *ast.BinaryNode, l, r checked) checked {
	switch r.typ.kind {
	case textKind:
		if words, ok := n.Right.(*ast.StringNode); ok && strings.Contains(words.Value, ",") {
			var list []string
			for _, w := range actions.SplitList(words.Value) {
				list = append(list, quoteLike(c.source(words), w))
			}
			s := "[" + strings.Join(list, ", ") + "]"
			return c.failAt(words, "type", s, "in needs a list: write %s", s)
		}
		s := c.source(n.Right) + " contains " + c.source(n.Left)
		return c.failAt(n, "type", s, "in looks inside a list; to ask whether a text has a part, write %s", s)
	case listKind:
		elem := r.typ.element()
		if !l.typ.comparable(elem) {
			if l.typ.kind == listKind {
				return c.failAt(n.Left, "type", "", "in looks for one element, but this is %s; write any(%s, # in …)", l.typ, c.source(n.Left))
			}
			return c.failAt(n, "type", "", "%s is never in %s, whose elements are of another kind", l.typ, r.typ)
		}
	case mapKind, objectKind, anyKind:
		if r.typ.kind != anyKind && !l.typ.is(textKind) {
			return c.failAt(n.Left, "type", "", "in looks for a key of a map, a text, but this is %s", l.typ)
		}
	case nilKind:
		return c.failAt(n.Right, "type", "", "in needs a list after it")
	default:
		return c.failAt(n.Right, "type", "", "in needs a list after it, but this is %s", r.typ)
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
			if !c.word(l.typ, s) {
				return checked{n, boolType}
			}
			set.words[s.Value] = struct{}{}
			set.longest = max(set.longest, len(s.Value))
		}
		if set != nil {
			right = constant(n.Right, set)
		}
	}
	if !c.word(r.typ.element(), n.Left) {
		return checked{n, boolType}
	}
	return checked{call(n, "$in", l.node, right), boolType}
}

// mismatch reports two values that an operator cannot join, with the way out where there is one.
func (c *checker) mismatch(n *ast.BinaryNode, l, r typ, left, right ast.Node) checked {
	verb := "compare"
	switch n.Operator {
	case "+", "-", "*", "/", "%", "**", "^":
		verb = "calculate with"
	}
	for _, side := range []struct {
		node  ast.Node
		typ   typ
		other typ
	}{{left, l, r}, {right, r, l}} {
		s, literal := side.node.(*ast.StringNode)
		switch {
		case side.typ.kind == textKind && side.other.kind == timeKind:
			suggestion := ""
			if literal {
				if _, err := parseDate(time.UTC, s.Value, nil); err == nil {
					suggestion = "date(" + c.source(side.node) + ")"
				}
			} else {
				suggestion = "date(" + c.source(side.node) + ")"
			}
			return c.failAt(side.node, "type", suggestion, `%s cannot %s a time and a text; write a time as date("2026-01-31 15:04:05")`, n.Operator, verb)
		case side.typ.kind == textKind && side.other.kind == durationKind:
			suggestion := ""
			if literal {
				if _, err := parseDuration(s.Value); err == nil {
					suggestion = "duration(" + c.source(side.node) + ")"
				} else if d, ok := errors.AsType[*actions.DurationError](err); ok && d.Suggestion != "" {
					suggestion = "duration(" + quoteLike(c.source(side.node), d.Suggestion) + ")"
				}
			}
			return c.failAt(side.node, "type", suggestion, `%s cannot %s a duration and a text; write a duration as duration("90m")`, n.Operator, verb)
		case side.typ.kind == textKind && side.other.number() && literal:
			suggestion := ""
			if _, err := strconv.ParseFloat(s.Value, 64); err == nil {
				suggestion = s.Value
			}
			return c.failAt(side.node, "type", suggestion, "%s cannot %s a number and a text", n.Operator, verb)
		case side.typ.number() && side.other.kind == textKind && (isCallOf(left, "weekday") || isCallOf(right, "weekday")):
			return c.failAt(side.node, "type", "", `weekday( ) is the English name of the day, such as "Monday"`)
		case side.typ.kind == textKind && side.other.kind == boolKind && (n.Operator == "==" || n.Operator == "!="):
			other := left
			if side.node == left {
				other = right
			}
			if eq, ok := other.(*ast.BinaryNode); ok && eq.Operator == "==" && n.Operator == "==" && literal {
				if _, ok := eq.Right.(*ast.StringNode); ok {
					s := c.source(eq.Left) + " in [" + c.source(eq.Right) + ", " + c.source(side.node) + "]"
					return c.failAt(n, "type", s, "to compare with several values, write %s", s)
				}
			}
			return c.failAt(n, "type", "", "%s cannot %s %s and %s", n.Operator, verb, l, r)
		case side.typ.number() && side.other.kind == textKind && isLiteral(side.node):
			return c.failAt(side.node, "type", `"`+c.source(side.node)+`"`, "%s cannot %s a text and a number; a text is written in quotes", n.Operator, verb)
		case side.typ.kind == listKind && side.other.kind == textKind && (n.Operator == "==" || n.Operator == "!="):
			not := ""
			if n.Operator == "!=" {
				not = "not "
			}
			other := left
			if side.node == left {
				other = right
			}
			s := c.source(other) + " " + not + "in " + c.source(side.node)
			return c.failAt(n, "type", s, "a list is never equal to a text; to ask whether it has this element, write %s", s)
		case side.typ.number() && side.other.kind == timeKind && verb == "compare":
			suggestion := ""
			if s := c.source(side.node); isoDate.MatchString(s) {
				suggestion = `date("` + s + `")`
			}
			return c.failAt(side.node, "type", suggestion, `a time can only be compared with a time, such as now() or date("2026-01-31"), but this is a number`)
		case side.typ.kind == objectKind && c.env.objects[side.typ.name].moment != "" && (side.other.kind == durationKind || side.other.kind == timeKind):
			suggestion := c.source(side.node) + "." + c.env.objects[side.typ.name].moment
			return c.failAt(side.node, "type", suggestion, "%s cannot %s %s; use a time of it, such as %s", n.Operator, verb, side.typ, suggestion)
		case side.typ.number() && (side.other.kind == durationKind || side.other.kind == timeKind) && (verb == "compare" || n.Operator == "+" || n.Operator == "-"):
			return c.wantsDuration(n, side.node, side.typ, side.other)
		}
	}
	return c.failAt(n, "type", "", "%s cannot %s %s and %s", n.Operator, verb, l, r)
}

var isoDate = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}$`)

// wantsDuration reports a number or a text where only a duration can be.
func (c *checker) wantsDuration(n *ast.BinaryNode, at ast.Node, t, of typ) checked {
	suggestion := ""
	if s, ok := at.(*ast.StringNode); ok {
		if _, err := parseDuration(s.Value); err == nil {
			suggestion = "duration(" + c.source(at) + ")"
		}
	}
	const example = `such as duration("90m")`
	switch {
	case of.kind == timeKind && n.Operator == "-":
		return c.failAt(at, "type", suggestion, "take a duration from a time, %s; this is %s", example, t)
	case of.kind == timeKind:
		return c.failAt(at, "type", suggestion, "add a duration to a time, %s; this is %s", example, t)
	case n.Operator == "+" || n.Operator == "-":
		return c.failAt(at, "type", suggestion, "add a duration to a duration, %s; this is %s", example, t)
	case t.number():
		return c.failAt(at, "type", suggestion, "compare a duration with a duration, %s; this is a number. hours( ) and minutes( ) make a number of a duration", example)
	}
	return c.failAt(at, "type", suggestion, "compare a duration with a duration, %s; this is %s", example, t)
}

func (c *checker) addition(n *ast.BinaryNode, l, r typ, left, right ast.Node) checked {
	for _, side := range []struct {
		node       ast.Node
		typ, other typ
	}{{left, l, r}, {right, r, l}} {
		if side.other.kind == textKind && side.typ.kind != textKind {
			return c.failAt(side.node, "type", "string("+c.source(side.node)+")", "a text can only be joined with a text, but this is %s", side.typ)
		}
		if side.other.kind == timeKind {
			return c.wantsDuration(n, side.node, side.typ, timeType)
		}
	}
	return c.mismatch(n, l, r, left, right)
}
