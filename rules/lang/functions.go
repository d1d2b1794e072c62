package lang

import (
	"math"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/builtin"

	"bellhop/rules/text"
)

// A function is everything about one function of expressions. The checker, the machine, the prover, the warnings
// about missing values and the help in editors read it here. To add a function, add a value to the list in the file
// it belongs to: times.go, texts.go, lists.go, numbers.go or predicates.go.
type function struct {
	name    string
	doc     string // one sentence for people
	example string // an expression that calls it
	forms   []form // the ways to call it; none for a function with each

	// call computes the value and charges for the work. If it is nil, the function is expr's own, and price charges
	// for it.
	call  operation
	price func(r *Machine, args []any)

	// each is the type that the second argument must have, which is evaluated for each element of a list. result
	// returns the type of the value, for the list and the type of the second argument.
	each   Type
	result func(list, each Type) Type

	missing   onMissing
	carries   bool                                   // if its first argument is missing, so is its value
	keepsZone bool                                   // the time it returns is seen in the zone of its arguments
	zone      int                                    // which argument is the name of a time zone, from 1; 0 for none
	natural   bool                                   // its value is a number that is never negative
	constant  func(c *Checker, args []ast.Node) bool // checks literal arguments; false if it reported a mistake
	aliases   []string                               // its names in other languages
	newer     bool                                   // it was added later, so older rules may have a named value with its name
}

// onMissing says what a function does with an argument that is nil.
type onMissing uint8

const (
	failsOnMissing onMissing = iota
	takesMissing             // it accepts nil
	nilOfMissing             // it returns nil if its first argument is nil
)

// A form is one way to call a function.
type form struct {
	result Type
	args   []Type
	more   bool // the last argument may be repeated
}

// to returns a form; toAny returns one whose last argument may be repeated.
func to(result Type, args ...Type) form    { return form{result: result, args: args} }
func toAny(result Type, args ...Type) form { return form{result: result, args: args, more: true} }

// takes reports whether the form has n arguments.
func (f form) takes(n int) bool { return n == len(f.args) || f.more && n > len(f.args) }

// arg returns the type of an argument.
func (f form) arg(i int) Type { return f.args[min(i, len(f.args)-1)] }

// of returns the type of the result for some arguments.
func (f form) of(args []Type) Type {
	switch f.result.Kind {
	case sameKind:
		if args[0].Kind == listKind {
			return args[0]
		}
		return Any
	case elementKind:
		return args[0].element().OrNil()
	case elementsKind:
		elements := make([]Type, len(args))
		for i, a := range args {
			elements[i] = a.element()
		}
		return joined(elements)
	}
	return f.result
}

// spell returns the form for people: "max(number, …) → number".
func (f form) spell(name string) string {
	var words []string
	for _, a := range f.args {
		words = append(words, a.noun())
	}
	if f.more {
		words = append(words, "…")
	}
	return spelled(name, words, f.result)
}

func spelled(name string, args []string, result Type) string {
	noun := result.noun()
	if result.Kind == AnyKind {
		noun = result.String()
	}
	return name + "(" + strings.Join(args, ", ") + ") → " + noun
}

// spellPredicate is [form.spell] for a function that looks at each element: "filter(list, condition with #) → list".
func (f *function) spellPredicate() string {
	each := "value with #"
	if f.each.Kind == BoolKind {
		each = "condition with #"
	}
	if f.name == "reduce" {
		each += " and #acc, first value"
	}
	return spelled(f.name, []string{"list", each}, f.result(listType, f.each))
}

// functions are the functions of expressions, by name.
var functions = func() map[string]*function {
	out := map[string]*function{}
	for _, list := range [][]function{timeFunctions, textFunctions, listFunctions, numberFunctions, predicates} {
		for _, f := range list {
			out[f.name] = &f
		}
	}
	return out
}()

// functionAliases are the names that other languages have for functions, and the functions.
var functionAliases = func() map[string]string {
	out := map[string]string{}
	for _, f := range functions {
		for _, alias := range f.aliases {
			out[alias] = f.name
		}
	}
	return out
}()

// isPredicate reports whether the function evaluates its second argument for each element of a list.
func (f *function) isPredicate() bool { return f != nil && f.result != nil }

// takes reports whether the function can be called with n arguments.
func (f *function) takes(n int) bool {
	return slices.ContainsFunc(f.forms, func(form form) bool { return form.takes(n) })
}

// run calls the function. Its arguments fit one of the forms, each by itself.
func (f *function) run(r *Machine, args []any) any {
	for i, v := range args {
		f.accept(i, len(args), v)
	}
	if f.call != nil {
		return f.call(r, args)
	}
	f.price(r, args)
	return callBuiltin(f.name, args)
}

// accept stops the program if a value cannot be the ith of n arguments.
func (f *function) accept(i, n int, v any) {
	if v == nil && i == 0 && f.missing == nilOfMissing {
		return
	}
	var wanted []string
	for _, form := range f.forms {
		switch {
		case !form.takes(n):
		case form.arg(i).holds(v):
			return
		case !slices.Contains(wanted, form.arg(i).wanted()):
			wanted = append(wanted, form.arg(i).wanted())
		}
	}
	panic(Errorf("%s needs %s, but got %s", f.name, text.OneOf(wanted), Describe(v)))
}

// callBuiltin calls one of expr's own functions, which may panic as well as fail.
func callBuiltin(name string, args []any) any {
	defer func() {
		if recover() != nil {
			panic(Errorf("%s cannot work with %s", name, describeAll(args)))
		}
	}()
	f := builtin.Builtins[builtin.Index[name]]
	switch {
	case f.Fast != nil:
		return f.Fast(args[0])
	case f.Safe != nil:
		v, _, err := f.Safe(args...)
		return must(v, err)
	}
	return must(f.Func(args...))
}

func describeAll(args []any) string {
	words := make([]string, len(args))
	for i, a := range args {
		words[i] = Describe(a)
	}
	return strings.Join(words, " and ")
}

// perByte is a price that grows with the texts among the arguments: units for each byte.
func perByte(units int) func(*Machine, []any) {
	return func(r *Machine, args []any) {
		size := 0
		for _, a := range args {
			if s, ok := a.(string); ok {
				size += len(s)
			}
		}
		r.charge(50+size*units, min(units, 3)*size)
	}
}

// walks is a price for walking all the arguments, in quarters of the cost of doing so.
func walks(quarters int) func(*Machine, []any) {
	return func(r *Machine, args []any) {
		for _, a := range args {
			c := must(r.measure(a))
			r.charge(c.units*quarters/4, c.bytes)
		}
	}
}

// Functions returns the functions of expressions, sorted by name.
func Functions() []Word {
	var words []Word
	for _, name := range text.SortedKeys(functions) {
		f := functions[name]
		w := Word{Name: name, Doc: f.doc, Example: f.example}
		for _, form := range f.forms {
			w.Uses = append(w.Uses, form.spell(name))
		}
		if f.isPredicate() {
			w.Uses = []string{f.spellPredicate()}
		}
		words = append(words, w)
	}
	return words
}

// rangeOf returns the range of a number, if that is known.
func rangeOf(n ast.Node) (low, high float64, ok bool) {
	if name, _ := CallOf(n); name != "" {
		f := functions[name]
		return 0, math.Inf(1), f != nil && f.natural
	}
	if m := timeMethodOf(n); m != nil && m.high > 0 {
		return m.low, m.high, true
	}
	return 0, 0, false
}
