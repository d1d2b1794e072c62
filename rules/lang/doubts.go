package lang

import (
	"slices"

	"github.com/expr-lang/expr/ast"
)

// A doubt looks for something in an expression that is not a mistake but is surely not meant. To add a doubt, add a
// value to the list, in a file of its own. A test checks that its example raises it.
type doubt struct {
	code    string // of its warning
	example string // an expression that raises it
	// look judges one node. done means that no doubt needs to look below it.
	look func(c *Checker, n ast.Node) (done bool)
}

var doubts = []doubt{alwaysSame, letterZ, otherZone}

func (c *Checker) doubts(tree ast.Node) {
	c.Prover = NewProver(1)
	c.doubt(tree)
}

// doubt looks at the largest conditions first. If a condition is always the same, its parts are not judged.
func (c *Checker) doubt(n ast.Node) {
	if slices.ContainsFunc(doubts, func(d doubt) bool { return d.look(c, n) }) {
		return
	}
	below := children(n)
	if op := Connective(n); op != "" {
		below = Operands(n, op, nil)
	}
	for _, k := range below {
		c.doubt(k)
	}
}
