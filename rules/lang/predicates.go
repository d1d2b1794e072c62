package lang

import (
	"slices"

	"github.com/expr-lang/expr/ast"

	"bellhop/rules/text"
)

// predicates are the functions whose second argument is evaluated for each element of a list, with the element as #.
var predicates = []function{
	{name: "all", doc: "Whether it holds for every element.", example: `all(contact.tags, # != "blocked")`, each: Bool, result: yields(Bool), aliases: []string{"every"}},
	{name: "none", doc: "Whether it holds for no element.", example: `none(contact.tags, # == "blocked")`, each: Bool, result: yields(Bool)},
	{name: "any", doc: "Whether it holds for an element.", example: `any(contact.tags, # startsWith "vip")`, each: Bool, result: yields(Bool), aliases: []string{"some"}},
	{name: "one", doc: "Whether it holds for exactly one element.", example: `one(contact.tags, # startsWith "vip")`, each: Bool, result: yields(Bool)},
	{name: "filter", doc: "The elements for which it holds.", example: `filter(contact.tags, # startsWith "vip")`, each: Bool, result: sameList},
	{name: "map", doc: "What it gives for each element.", example: "map(contact.tags, upper(#))", each: Any, result: func(_, each Type) Type { return ListOf(each) }},
	{name: "count", doc: "The number of elements for which it holds.", example: `count(contact.tags, # startsWith "vip")`, each: Bool, result: yields(intType), natural: true},
	{name: "sum", doc: "The sum of what it gives.", example: "sum(contact.tags, len(#))", each: numberType, result: sumOf},
	{name: "find", doc: "The first element for which it holds.", example: `find(contact.tags, # startsWith "vip")`, each: Bool, result: someElement},
	{name: "findIndex", doc: "Where the first such element stands.", example: `findIndex(contact.tags, # == "vip")`, each: Bool, result: yields(intType.OrNil())},
	{name: "findLast", doc: "The last element for which it holds.", example: `findLast(contact.tags, # startsWith "vip")`, each: Bool, result: someElement},
	{name: "findLastIndex", doc: "Where the last such element stands.", example: `findLastIndex(contact.tags, # == "vip")`, each: Bool, result: yields(intType.OrNil())},
	{name: "groupBy", doc: "The elements by what it gives.", example: "groupBy(contact.tags, len(#))", each: Any, result: yields(mapType)},
	{name: "sortBy", doc: "The elements in the order of what it gives.", example: "sortBy(contact.tags, len(#))", each: Any, result: sameList},
	{name: "reduce", doc: "One value from all elements.", example: `reduce(contact.tags, #acc + #, "")`, each: Any, result: yields(Any)},
}

func yields(t Type) func(list, each Type) Type { return func(_, _ Type) Type { return t } }

func sameList(list, _ Type) Type    { return list }
func someElement(list, _ Type) Type { return list.element().OrNil() }

func sumOf(_, each Type) Type {
	if each.Number() {
		return each
	}
	return Any
}

type predicateScope struct {
	elem Type
	acc  bool
}

func (c *Checker) pointer(n *ast.PointerNode) checked {
	if len(c.preds) == 0 {
		return c.FailAt(n, "unsupported", "", "# stands for an element, and works only inside filter, map, any and the like")
	}
	p := c.preds[len(c.preds)-1]
	switch n.Name {
	case "":
		return checked{n, p.elem}
	case "index", "acc":
		if !p.acc {
			return c.FailAt(n, "unsupported", "", "#%s works only inside reduce", n.Name)
		}
		return checked{n, map[string]Type{"index": intType, "acc": Any}[n.Name]}
	}
	return c.FailAt(n, "unknown-name", "", "there is no %s; # alone is the element", text.Quote("#"+n.Name))
}

// predicate checks all, filter, map and the like. The cost of the loop is charged in its body.
func (c *Checker) predicate(n *ast.BuiltinNode) checked {
	f := functions[n.Name]
	list := c.visit(n.Arguments[0])
	if !list.Type.Is(listKind) { // then the body cannot be checked
		return c.FailAt(n.Arguments[0], "type", "", "%s needs a list, but this is %s", n.Name, list.Type)
	}
	out := *n
	out.Arguments = slices.Clone(n.Arguments)
	out.Arguments[0] = list.node
	var body Type
	if len(n.Arguments) > 1 {
		p := n.Arguments[1].(*ast.PredicateNode)
		c.preds = append(c.preds, predicateScope{list.Type.element(), n.Name == "reduce"})
		v := c.visit(p.Node)
		c.preds = c.preds[:len(c.preds)-1]
		body = v.Type
		switch {
		case f.each.Kind == BoolKind && !v.Type.Is(BoolKind):
			return c.FailAt(p.Node, "type", "", "%s needs true or false for each element, but this is %s", n.Name, v.Type)
		case f.each.Kind == numberKind && !v.Type.fits(f.each):
			return c.FailAt(p.Node, "type", "", "sum adds numbers, but this is %s", v.Type)
		}
		step := call(p, "$step", constant(p, 25+25*treeSize(v.node, 10_000)))
		loop := *p
		loop.Node = placed(&ast.SequenceNode{Nodes: []ast.Node{step, v.node}}, v.node)
		out.Arguments[1] = &loop
	} else { // count(list) and sum(list): each element costs the same
		body = list.Type.element()
		if n.Name == "count" && !body.Is(BoolKind) {
			return c.FailAt(n, "type", "len("+c.Source(n.Arguments[0])+")", "count needs a condition; for the number of all elements write len(%s)", c.Source(n.Arguments[0]))
		}
		out.Arguments[0] = call(n, "$walked", list.node)
	}
	if len(n.Arguments) > 2 {
		out.Arguments[2] = c.visit(n.Arguments[2]).node
	}
	done := checked{&out, f.result(list.Type, body)}
	switch n.Name {
	// The original findLast and findLastIndex leave a value on the stack if nothing is found. Find the first in the
	// reversed list instead.
	case "findLast":
		out.Name, out.Arguments[0] = "find", call(n, "reverse", list.node)
	case "findLastIndex":
		out.Name, out.Arguments[0] = "findIndex", call(n, "reverse", list.node)
		done.node = call(n, "$mirrored", list.node, &out)
	case "reduce": // expr would assume the body's type for the result, but the first value may have another
		done.node = call(n, "$same", &out)
	}
	return done
}
