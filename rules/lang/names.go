package lang

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"

	"bellhop/rules/text"
)

func (c *Checker) identifier(n *ast.IdentifierNode) checked {
	name := n.Value
	if i := named(c.locals, name); i >= 0 {
		return checked{placed(&ast.IdentifierNode{Value: localName(name)}, n), c.locals[i].Type}
	}
	if i := named(c.Lets, name); i >= 0 {
		if c.uses == nil {
			c.uses = map[int]bool{}
		}
		c.uses[i] = true
		return checked{call(n, "$let", constant(n, i)), c.Lets[i].Type}
	}
	if t, ok := c.Env.Variables[name]; ok {
		if slices.Contains(c.Env.Lazy, name) {
			return checked{call(n, "$lazy", constant(n, name)), t}
		}
		return checked{n, t}
	}
	if object, ok := c.Env.Objects[name]; ok {
		whole := "$object"
		if object.Lazy {
			whole = "$lazy"
		}
		return checked{call(n, whole, constant(n, name)), Type{Kind: ObjectKind, Name: name}}
	}
	switch f := functions[name]; {
	case slices.Contains(c.Later, name):
		return c.FailAt(n, "let-order", "", "%s is defined further down, or is this one itself; a named value can only use those above it", name)
	case name == "now":
		return c.FailAt(n, "function", "now()", writeNow)
	case f != nil && !f.isPredicate():
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

// similarName returns what an unknown name was probably meant to be.
func (c *Checker) similarName(name string) string {
	candidates := c.Env.Names()
	for _, l := range slices.Concat(c.Lets, c.locals) {
		candidates = append(candidates, l.Name)
	}
	closest := text.Closest(name, candidates)
	if closest != "" && text.FoldWord(closest) == text.FoldWord(name) {
		return closest
	}
	for _, object := range c.Env.Main {
		if _, ok := c.Env.field(object, name); ok {
			return object + "." + name
		}
	}
	if closest != "" {
		return closest
	}
	for _, object := range c.Env.Main {
		if s := text.Closest(name, text.SortedKeys(c.Env.Objects[object].Fields)); s != "" {
			return object + "." + s
		}
	}
	return ""
}

// let returns the named value with a name, nil if there is none.
func (c *Checker) let(name string) *Let {
	i := named(c.Lets, name)
	if i < 0 {
		return nil
	}
	return &c.Lets[i]
}

// hidden reports whether a local name hides one of the environment.
func (c *Checker) hidden(name string) bool {
	return named(c.locals, name) >= 0
}

// named returns the index of the value with a name, -1 if there is none.
func named(list []Let, name string) int {
	return slices.IndexFunc(list, func(l Let) bool { return l.Name == name })
}

// localName returns a name for a local value that is not the name of a function, because expr does not tell the two
// apart.
func localName(name string) string {
	if f := functions[name]; f != nil && f.newer {
		return name + "$"
	}
	return name
}

// Taken says why a name cannot be given to a value. It returns "" if it can.
func (c *Checker) Taken(name string) string {
	switch f := functions[name]; {
	case c.Env.Has(name):
		return "it is a name of the event"
	case f != nil && !f.newer:
		return "it is a function"
	case c.let(name) != nil || c.hidden(name):
		return "it is defined above"
	}
	return ""
}

// bareWords reports words without quotes that are compared with a text of the event.
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
	found := false
	for _, w := range listed(n.Right) {
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

// known reports whether a name means something here, or is close to one that does.
func (c *Checker) known(name string) bool {
	values := []string{"true", "false", "nil", "null", "none", "undefined"}
	f := functions[name]
	return f != nil && !f.isPredicate() || c.hidden(name) || c.let(name) != nil || c.Env.Has(name) || slices.Contains(c.Later, name) ||
		slices.Contains(values, strings.ToLower(name))
}

// word checks a text literal that a value is compared with. It reports a text that the value never is, and then
// returns false.
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

// fieldOf recognises appointment.title and appointment["title"].
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
