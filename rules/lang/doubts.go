package lang

import "github.com/expr-lang/expr/ast"

// A doubt looks for something in an expression that is no mistake, but surely not meant. One more doubt is one more value in
// the list, in a file of its own. A test sees that the example of each raises it.
type doubt struct {
	code    string // of its warning
	example string // an expression that raises it
	// look judges one node. done says that what is below the node needs no look, by this doubt or another.
	look func(d *doubter, n ast.Node) (done bool)
}

var doubts = []doubt{alwaysSame, letterZ, otherZone}

// A doubter doubts one expression.
type doubter struct {
	c *Checker
	p *Prover
}

func (c *Checker) doubts(tree ast.Node) {
	d := &doubter{c: c, p: NewProver(1)}
	c.Prover = d.p
	d.walk(tree, 0)
}

// walk looks at the largest conditions first: of one that is always the same, its parts are not judged again.
func (d *doubter) walk(n ast.Node, depth int) {
	if n == nil || depth > maxNodes {
		return
	}
	for _, doubt := range doubts {
		if doubt.look(d, n) {
			return
		}
	}
	below := children(n)
	if op := Connective(n); op != "" {
		below = Operands(n, op, nil)
	}
	for _, k := range below {
		d.walk(k, depth+1)
	}
}
