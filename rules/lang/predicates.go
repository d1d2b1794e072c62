package lang

// predicates are the functions whose second argument is looked at for each element of a list, which is # in it.
var predicates = []function{
	{name: "all", doc: "Whether it holds for every element.", example: `all(contact.tags, # != "blocked")`, each: boolType, result: yields(boolType), aliases: []string{"every"}},
	{name: "none", doc: "Whether it holds for no element.", example: `none(contact.tags, # == "blocked")`, each: boolType, result: yields(boolType)},
	{name: "any", doc: "Whether it holds for an element.", example: `any(contact.tags, # startsWith "vip")`, each: boolType, result: yields(boolType), aliases: []string{"some"}},
	{name: "one", doc: "Whether it holds for exactly one element.", example: `one(contact.tags, # startsWith "vip")`, each: boolType, result: yields(boolType)},
	{name: "filter", doc: "The elements for which it holds.", example: `filter(contact.tags, # startsWith "vip")`, each: boolType, result: sameList},
	{name: "map", doc: "What it gives for each element.", example: "map(contact.tags, upper(#))", each: Any, result: func(_, each Type) Type { return ListOf(each) }},
	{name: "count", doc: "The number of elements for which it holds.", example: `count(contact.tags, # startsWith "vip")`, each: boolType, result: yields(intType), natural: true},
	{name: "sum", doc: "The sum of what it gives.", example: "sum(contact.tags, len(#))", each: numberType, result: sumOf},
	{name: "find", doc: "The first element for which it holds.", example: `find(contact.tags, # startsWith "vip")`, each: boolType, result: someElement},
	{name: "findIndex", doc: "Where the first such element stands.", example: `findIndex(contact.tags, # == "vip")`, each: boolType, result: yields(intType.OrNil())},
	{name: "findLast", doc: "The last element for which it holds.", example: `findLast(contact.tags, # startsWith "vip")`, each: boolType, result: someElement},
	{name: "findLastIndex", doc: "Where the last such element stands.", example: `findLastIndex(contact.tags, # == "vip")`, each: boolType, result: yields(intType.OrNil())},
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
