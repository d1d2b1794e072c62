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
	by sync.Map // from text to weak.Pointer[compiled]
}

// get returns the compiled expression for a key, nil if there is none.
func (p *programs) get(key string) *compiled {
	kept, ok := p.by.Load(key)
	if !ok {
		return nil
	}
	return kept.(weak.Pointer[compiled]).Value()
}

// share compiles the checked expression as [Checker.assemble] does, unless that was done for another rule.
func (c *Checker) share(node ast.Node) *compiled {
	p, key := &c.Env.programs, c.sharedKey()
	if kept := p.get(key); kept != nil {
		return kept
	}
	out := c.assemble(node)
	if kept := p.get(key); kept != nil || out == nil { // another goroutine may have been faster
		return kept
	}
	kept := weak.Make(out)
	p.by.Store(key, kept)
	runtime.AddCleanup(out, func(key string) { p.by.CompareAndDelete(key, kept) }, key)
	return out
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
