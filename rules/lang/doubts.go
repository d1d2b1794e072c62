package lang

import "github.com/expr-lang/expr/ast"

// A doubt looks for something in an expression that is not a mistake but is surely not meant. To add a doubt, add a
// value to the list, in a file of its own. A test checks that its example raises it.
type doubt struct {
	code    string // of its warning
	example string // an expression that raises it
	// look judges one node. done means that no doubt needs to look below it.
	look func(d *doubter, n ast.Node) (done bool)
}

var doubts = []doubt{alwaysSame, letterZ, otherZone}

// A doubter looks for doubts in one expression.
type doubter struct {
	c *Checker
	p *Prover
}

func (c *Checker) doubts(tree ast.Node) {
	d := &doubter{c: c, p: NewProver(1)}
	c.Prover = d.p
	d.walk(tree, 0)
}

// walk looks at the largest conditions first. If a condition is always the same, its parts are not judged.
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
