package lang

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"weak"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/vm"
)

// A compiled is what a program runs. Many rules hold the same expressions, so programs share it. It is immutable.
type compiled struct {
	code *vm.Program
	cost int // units of what it does outside loops
}

// programs are the compiled expressions in use, by what they depend on. They are dropped when no rule uses them any
// more. It is safe for concurrent use.
type programs struct {
	mu sync.Mutex
	by map[string]weak.Pointer[compiled]
}

// get returns the compiled expression for a key. If there is none, it compiles one.
func (p *programs) get(key string, compile func() (*compiled, error)) (*compiled, error) {
	p.mu.Lock()
	if c := p.by[key].Value(); c != nil {
		p.mu.Unlock()
		return c, nil
	}
	p.mu.Unlock()
	c, err := compile()
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if other := p.by[key].Value(); other != nil { // another goroutine was faster
		return other, nil
	}
	if p.by == nil {
		p.by = map[string]weak.Pointer[compiled]{}
	}
	p.by[key] = weak.Make(c)
	runtime.AddCleanup(c, p.drop, key)
	return c, nil
}

// drop removes a key whose expression is not in use. By now it can be in use again.
func (p *programs) drop(key string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.by[key].Value() == nil {
		delete(p.by, key)
	}
}

// share compiles the checked expression, unless that was done for another rule.
func (c *Checker) share(node ast.Node) (*compiled, error) {
	return c.Env.programs.get(c.sharedKey(), func() (*compiled, error) { return c.assemble(node) })
}

// sharedKey identifies what a checked expression compiles to: its text, and the position and type of each named value
// that it uses.
func (c *Checker) sharedKey() string {
	var b strings.Builder
	b.WriteString(c.piece.src)
	for i, l := range c.Lets {
		if !c.uses[i] {
			continue
		}
		fmt.Fprintf(&b, "\x00%d %s %s", i, l.Name, l.Type.id())
		if l.Term.Node != nil {
			if _, ok := l.Term.Expand().Node.(*ast.MapNode); ok { // see writtenEntry
				b.WriteString(l.Term.Node.String())
			}
		}
	}
	return b.String()
}

// id returns a text that differs for types that differ.
func (t Type) id() string {
	elem := ""
	if t.elem != nil {
		elem = t.elem.id()
	}
	return fmt.Sprintf("%d(%s)%s%v%p", t.Kind, elem, t.Name, t.missing, t.words)
}
