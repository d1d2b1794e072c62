package lang

var listFunctions = []function{
	{
		name: "first", doc: "The first element.", example: "first(appointment.users)",
		forms: []form{to(elementType, listType)}, call: fnElement(0), missing: nilOfMissing,
	},
	{
		name: "last", doc: "The last element.", example: "last(appointment.users)",
		forms: []form{to(elementType, listType)}, call: fnElement(-1), missing: nilOfMissing,
	},
	{
		name: "get", doc: "An element or an entry, or nil.", example: `get(custom, "plan")`,
		forms: []form{to(elementType, listType, intType), to(Any.OrNil(), mapType, Text)}, call: fnGet, missing: nilOfMissing,
	},
	{
		name: "take", doc: "The first elements of a list.", example: "take(appointment.users, 3)",
		forms: []form{to(sameType, listType, intType)}, call: fnTake,
	},
	{
		name: "keys", doc: "The keys of a map, sorted.", example: "keys(custom)",
		forms: []form{to(Texts, mapType)}, call: fnKeys,
	},
	{
		name: "values", doc: "The values of a map, in the order of its keys.", example: "values(custom)",
		forms: []form{to(listType, mapType)}, call: fnValues,
	},
	{
		name: "toPairs", doc: "The entries of a map as lists of key and value.", example: "toPairs(custom)",
		forms: []form{to(listType, mapType)}, call: fnToPairs,
	},
	{
		name: "fromPairs", doc: "A map from lists of key and value.", example: `fromPairs([["a", 1], ["b", 2]])`,
		forms: []form{to(mapType, listType)}, call: fnFromPairs,
	},
	{
		name: "reverse", doc: "The list backwards.", example: "reverse(appointment.users)",
		forms: []form{to(sameType, listType)}, price: walks(20),
	},
	{
		name: "uniq", doc: "The list without repetitions.", example: "uniq(contact.tags)",
		forms: []form{to(sameType, listType)}, price: comparingAll, aliases: []string{"unique", "distinct"},
	},
	{
		name: "concat", doc: "Several lists as one.", example: "concat(appointment.users, contact.tags)",
		forms: []form{toAny(sameType, listType)}, call: fnConcat, aliases: []string{"concatenate"},
	},
	{
		name: "flatten", doc: "The list with the lists in it spread out.", example: "flatten([appointment.users, contact.tags])",
		forms: []form{to(listType, listType)}, price: walks(50),
	},
	{
		name: "sort", doc: `The list in order; with "desc", backwards.`, example: `sort(contact.tags, "desc")`,
		forms: []form{to(sameType, listType), to(sameType, listType, Text)}, price: sorting, constant: orderConstant,
	},
}
