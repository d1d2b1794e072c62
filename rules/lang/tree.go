package lang

import (
	"slices"

	"github.com/expr-lang/expr/ast"

	"bellhop/rules/text"
)

// A Piece is an expression in a file: a part of a text.
type Piece struct {
	text *text.Scalar
	off  int    // where it begins in the text's value
	src  string // the expression
}

// NewPiece returns the expression in a range of a text's value.
func NewPiece(t *text.Scalar, from, to int) Piece { return Piece{t, from, t.Value[from:to]} }

// WholeOf returns the expression that is a whole text.
func WholeOf(t *text.Scalar) Piece { return NewPiece(t, 0, len(t.Value)) }

// span converts a range of the expression's characters to a range of the file.
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

func (c *Checker) span(n ast.Node) text.Span {
	from, to := c.extent(n)
	return c.piece.span(from, to)
}

// extent returns the range of characters of a node. The parser keeps one token for each node, so closing brackets are
// found by looking for them.
func (c *Checker) extent(n ast.Node) (from, to int) {
	if n == nil {
		return 0, 0
	}
	loc := n.Location()
	from, to = loc.From, loc.To
	if cond, ok := n.(*ast.ConditionalNode); ok { // its own token is the ?
		from, to = c.extent(cond.Cond)
	}
	for _, k := range children(n) {
		f, t := c.extent(k)
		from, to = min(from, f), max(to, t)
	}
	switch n := n.(type) {
	case *ast.MemberNode:
		if _, ok := n.Property.(*ast.StringNode); !ok || n.Location() != n.Property.Location() {
			to = c.closing(to, ']')
		}
	case *ast.SliceNode, *ast.ArrayNode:
		to = c.closing(to, ']')
	case *ast.CallNode, *ast.BuiltinNode:
		to = c.closing(to, ')')
	case *ast.MapNode:
		to = c.closing(to, '}')
	}
	return from, to
}

// closing returns the end of the bracket that follows character to, if only blanks, commas and closing parentheses
// come before it.
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

// call returns a call of one of our functions, at the place of the node it replaces.
func call(at ast.Node, name string, args ...ast.Node) ast.Node {
	callee, machine := placed(&ast.IdentifierNode{Value: name}, at), placed(&ast.IdentifierNode{Value: machineName}, at)
	return placed(&ast.CallNode{Callee: callee, Arguments: append([]ast.Node{machine}, args...)}, at)
}

// placed puts a new node at the place of another.
func placed[N ast.Node](n N, at ast.Node) N {
	n.SetLocation(at.Location())
	return n
}

func constant(at ast.Node, v any) ast.Node {
	switch v := v.(type) {
	case nil:
		return placed(&ast.NilNode{}, at)
	case string:
		return placed(&ast.StringNode{Value: v}, at)
	case int:
		return placed(&ast.IntegerNode{Value: v}, at)
	}
	return placed(&ast.ConstantNode{Value: v}, at)
}

// treeSize counts the nodes of an expression, each as often as it occurs, up to a limit.
func treeSize(n ast.Node, limit int) (size int) {
	if limit < 0 {
		return 0
	}
	size = 1
	for _, k := range children(n) {
		size += treeSize(k, limit-size)
	}
	return size
}

// children returns the nodes directly below a node, in the order they are written.
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
		return slices.DeleteFunc([]ast.Node{n.Node, n.From, n.To}, func(k ast.Node) bool { return k == nil })
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

// listed returns the elements of a list that is written out, else the node itself.
func listed(n ast.Node) []ast.Node {
	if list, ok := n.(*ast.ArrayNode); ok {
		return list.Nodes
	}
	return []ast.Node{n}
}

func IsLiteral(n ast.Node) bool {
	switch n.(type) {
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NilNode:
		return true
	}
	return false
}

func isCallOf(n ast.Node, function string) bool {
	name, _ := CallOf(n)
	return name == function
}

func CallOf(n ast.Node) (string, []ast.Node) {
	switch n := n.(type) {
	case *ast.BuiltinNode:
		return n.Name, n.Arguments
	case *ast.CallNode:
		if id, ok := n.Callee.(*ast.IdentifierNode); ok {
			return id.Value, n.Arguments
		}
	}
	return "", nil
}

// Connective returns "&&" or "||" if the node is such an operation, else "".
func Connective(n ast.Node) string {
	if op := operatorOf(n); op == "&&" || op == "||" {
		return op
	}
	return ""
}

// Operands returns the operands of a chain of the same connective.
func Operands(n ast.Node, op string, into []ast.Node) []ast.Node {
	if b, ok := n.(*ast.BinaryNode); ok && Connective(n) == op {
		return Operands(b.Right, op, Operands(b.Left, op, into))
	}
	return append(into, n)
}
