package lang

import (
	"regexp"
	"strings"

	"github.com/expr-lang/expr/ast"

	"bellhop/rules/text"
)

// A Checker finds the mistakes in one expression and rewrites it: fields become plain names of the environment, and
// operations that need a limit become calls of our functions, which charge for their work.
type Checker struct {
	Scope
	piece Piece

	preds  []predicateScope
	locals []Let
	Types  map[ast.Node]checked // of every node that was checked; in a < b < c, b occurs twice
	uses   map[int]bool         // the named values that the expression uses, by index
	bad    bool                 // an error has been reported
	slip   *text.Scalar         // the text with the last error's suggestion in place, nil if there was none
	Prover *Prover              // the prover that was used for the warnings
}

type checked struct {
	node ast.Node
	Type Type
}

// Term returns a part of the expression, or another node that uses the same names.
func (c *Checker) Term(n ast.Node) Term { return Term{n, c} }

// Whole returns the place of the whole expression.
func (c *Checker) Whole() text.Span { return c.piece.Whole() }

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

// mend is [text.Scalar.Mend] for a suggestion that is an expression or part of one.
func (c *Checker) mend(at text.Span, suggestion string) (text.Span, string) {
	if strings.ContainsAny(suggestion, "\r\n") && !strings.ContainsAny(suggestion, "`#") && !strings.Contains(suggestion, "/*") && !strings.Contains(suggestion, "//") {
		suggestion = aroundBreaks.ReplaceAllString(suggestion, " ")
	}
	return c.piece.text.Mend(at, suggestion)
}

var aroundBreaks = regexp.MustCompile(`[ \t]*[\r\n]\s*`)

func (c *Checker) visit(n ast.Node) checked {
	if done, ok := c.Types[n]; ok {
		return done
	}
	out := c.check(n)
	c.Types[n] = out
	return out
}

// all checks several nodes.
func (c *Checker) all(nodes []ast.Node) (out []ast.Node, types []Type) {
	for _, n := range nodes {
		v := c.visit(n)
		out, types = append(out, v.node), append(types, v.Type)
	}
	return out, types
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
		return checked{n, Bool}
	case *ast.StringNode:
		return checked{n, Text}
	case *ast.IdentifierNode:
		return c.identifier(n)
	case *ast.UnaryNode:
		return c.unary(n)
	case *ast.BinaryNode:
		return c.binary(n)
	case *ast.ChainNode: // a missing value is nil anyway, see fnGet
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
		nodes, types := c.all(n.Nodes)
		out := *n
		out.Nodes = nodes
		return checked{&out, ListOf(joined(types))}
	case *ast.MapNode:
		out := *n
		out.Pairs = make([]ast.Node, len(n.Pairs))
		for i, p := range n.Pairs {
			pair := *p.(*ast.PairNode)
			key := c.visit(pair.Key)
			if !key.Type.Is(TextKind) {
				c.FailAt(pair.Key, "type", "", "the key of a map must be a text, but this is %s", key.Type)
			}
			pair.Key, pair.Value = key.node, c.visit(pair.Value).node
			out.Pairs[i] = &pair
		}
		return checked{&out, mapType}
	}
	return c.FailAt(n, "unsupported", "", "%s is not supported in a rule", text.Quote(c.Source(n)))
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

func (c *Checker) sequence(n *ast.SequenceNode) checked {
	nodes, types := c.all(n.Nodes)
	out := *n
	out.Nodes = nodes
	return checked{&out, types[len(types)-1]}
}

func (c *Checker) conditional(n *ast.ConditionalNode) checked {
	cond, a, b := c.visit(n.Cond), c.visit(n.Exp1), c.visit(n.Exp2)
	if !cond.Type.Is(BoolKind) {
		return c.FailAt(n.Cond, "type", "", "before ? there must be true or false, but this is %s", cond.Type)
	}
	out := *n
	out.Cond, out.Exp1, out.Exp2 = cond.node, a.node, b.node
	return checked{&out, join(a.Type, b.Type)}
}
