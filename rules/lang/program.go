package lang

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"time"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/builtin"
	exprcheck "github.com/expr-lang/expr/checker"
	"github.com/expr-lang/expr/compiler"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/optimizer"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/types"
)

// A Program is a compiled expression. It is immutable.
type Program struct {
	*compiled
	Type  Type
	Place string // file:line:column of its beginning, for errors at run time
}

// config describes the environment to expr. The types only select machine instructions: our own checker has found all
// mistakes before. A configuration must not be used by two goroutines at once, and making one costs more than
// compiling an expression with it.
func (e *Env) config() *conf.Config {
	if c, ok := e.configs.Get().(*conf.Config); ok {
		return c
	}
	env := types.Map{machineName: types.Any}
	known := map[kind]types.Type{TextKind: types.String, TimeKind: types.TypeOf(time.Time{}), listKind: types.TypeOf([]string{})}
	add := func(name string, t Type) {
		if env[name] = types.Any; known[t.Kind] != nil {
			env[name] = known[t.Kind]
		}
	}
	for name, t := range e.Variables {
		add(name, t)
	}
	for name, object := range e.Objects {
		env[name] = types.Any
		for field, t := range object.Fields {
			add(name+"."+field, t)
		}
	}
	c := conf.CreateNew()
	c.MaxNodes = 4 * maxNodes
	c.WithEnv(env)
	define := func(name string, f operation) {
		c.Functions[name] = &builtin.Function{Name: name, Func: func(args ...any) (any, error) {
			return f(args[0].(*Machine), args[1:]), nil
		}}
	}
	for name, f := range functions {
		if !f.isPredicate() {
			define(name, f.run)
		}
	}
	for _, m := range timeMethods {
		define(m.operation(), m.run)
	}
	for name, f := range operations {
		define(name, f)
	}
	for _, name := range truths {
		c.Functions[name].Types = []reflect.Type{reflect.TypeFor[func(...any) bool]()}
	}
	return c
}

// parseConfig is used for parsing only. None of our functions hides one of expr's own in it.
var parseConfig = func() *conf.Config {
	c := conf.CreateNew()
	c.MaxNodes = maxNodes
	return c
}()

// program checks and compiles the expression or a part of it, with [Checker.share] or [Checker.assemble]. It returns nil
// after a mistake, or if the part has no meaning on its own.
func (c *Checker) program(n ast.Node, place string, compile func(ast.Node) *compiled) *Program {
	done := c.visit(n)
	if c.bad {
		return nil
	}
	if code := compile(done.node); code != nil {
		return &Program{code, done.Type, place}
	}
	return nil
}

// assemble compiles a checked expression. It returns nil for one that expr refuses.
func (c *Checker) assemble(node ast.Node) *compiled {
	config := c.Env.config()
	defer c.Env.configs.Put(config)
	cost := 20 * treeSize(node, 20_000)
	root := &ast.SequenceNode{Nodes: []ast.Node{node}}
	tree := &parser.Tree{Node: root, Source: file.NewSource(c.piece.src)}
	if _, err := exprcheck.Check(tree, config); err != nil || optimizer.Optimize(&tree.Node, config) != nil {
		return nil
	}
	code, err := compiler.Compile(tree, config)
	if err != nil {
		return nil
	}
	root.Nodes = nil // the program refers to its tree, which is not needed any more
	return &compiled{code, cost}
}

var (
	missingOperand  = regexp.MustCompile(`^invalid operation: (?:<nil> (\S+) .*|.* (\S+) <nil>)$`)
	invalidOperands = regexp.MustCompile(`^invalid operation: (\S+) (\S+) (\S+)$`)
)

// At returns an error with the place of the program.
func (p *Program) At(err error) error { return fmt.Errorf("%s: %w", p.Place, err) }

// Failed says in words why a program failed.
func (p *Program) Failed(err error) error {
	if unknown, ok := UnknownIn(err); ok {
		return unknown
	}
	if own, ok := errors.AsType[*Error](err); ok {
		return p.At(own)
	}
	message := err.Error()
	if fe, ok := errors.AsType[*file.Error](err); ok {
		message = fe.Message
	}
	return p.At(&Error{plainRuntime(message)})
}

// plainRuntime translates the messages of expr's machine.
func plainRuntime(message string) string {
	switch {
	case strings.Contains(message, "memory budget"):
		return errTooMuch.Error()
	case strings.Contains(message, "is nil, not bool"):
		return "true or false is needed, but the value is missing"
	case strings.HasSuffix(message, "not bool"):
		return "true or false is needed, but the value is something else"
	case strings.Contains(message, "interface conversion") && strings.Contains(message, "is nil"):
		return "a value is missing"
	case strings.Contains(message, "interface conversion"):
		return "a value is of another kind than is needed here"
	case strings.Contains(message, "divide by zero"):
		return "a number is divided by 0"
	case strings.Contains(message, "reduce of empty"):
		return "reduce was given an empty list and no first value"
	case strings.Contains(message, "unhashable"), strings.Contains(message, "hash of"):
		return "a list or a map cannot be used as a key"
	case missingOperand.MatchString(message):
		m := missingOperand.FindStringSubmatch(message)
		return "a value before or after " + m[1] + m[2] + " is missing"
	case invalidOperands.MatchString(message):
		m := invalidOperands.FindStringSubmatch(message)
		return m[2] + " cannot work with values of these kinds"
	case strings.Contains(message, "reflect"), strings.Contains(message, "zero Value"):
		return "a list is needed, but the value is missing or something else"
	}
	return "the values do not fit the operation"
}
