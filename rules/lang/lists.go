package lang

import (
	"maps"
	"math/bits"
	"reflect"
	"slices"
)

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
		forms: []form{to(listType, mapType)}, call: fnEntries(func(_ string, v any) any { return v }),
	},
	{
		name: "toPairs", doc: "The entries of a map as lists of key and value.", example: "toPairs(custom)",
		forms: []form{to(listType, mapType)}, call: fnEntries(func(k string, v any) any { return []any{k, v} }),
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
		forms: []form{to(sameType, listType), to(sameType, listType, Text)}, price: sorting, constant: literal(1, orderLiteral),
	},
}

func fnElement(i int) operation {
	return func(r *Machine, args []any) any { return fnGet(r, []any{args[0], i}) }
}

// fnGet returns an element or an entry. What does not exist is nil, at every depth: raw.a.b is nil if raw.a is.
func fnGet(_ *Machine, args []any) any {
	if m, ok := args[0].(map[string]any); ok {
		if key, ok := args[1].(string); ok {
			return m[key]
		}
		return nil
	}
	switch rv := reflect.ValueOf(args[0]); rv.Kind() {
	case reflect.Slice, reflect.Array:
		i, ok := wholeNumber(args[1])
		if i < 0 { // from the end
			i += rv.Len()
		}
		if ok && i >= 0 && i < rv.Len() {
			return rv.Index(i).Interface()
		}
	case reflect.Map: // made by groupBy
		if key := reflect.ValueOf(args[1]); key.IsValid() && key.Type().AssignableTo(rv.Type().Key()) && key.Comparable() {
			if v := rv.MapIndex(key); v.IsValid() {
				return v.Interface()
			}
		}
	}
	return nil
}

func fnTake(r *Machine, args []any) any { return opSlice(r, []any{args[0], 0, args[1]}) }

func (r *Machine) chargeMap(v any) (m map[string]any, keys []string) {
	m = textKeys(v)
	r.charge(50+300*len(m), 64*len(m))
	return m, slices.Sorted(maps.Keys(m))
}

func fnKeys(r *Machine, args []any) any {
	_, keys := r.chargeMap(args[0])
	return keys
}

// fnEntries returns what it makes of each entry of a map, in the order of the keys.
func fnEntries(of func(key string, value any) any) operation {
	return func(r *Machine, args []any) any {
		m, keys := r.chargeMap(args[0])
		out := make([]any, len(keys))
		for i, k := range keys {
			out[i] = of(k, m[k])
		}
		return out
	}
}

func fnFromPairs(r *Machine, args []any) any {
	pairs := slices.Collect(flat(args))
	r.charge(50+300*len(pairs), 64*len(pairs))
	out := make(map[string]any, len(pairs))
	for _, p := range pairs {
		pair := wantList("fromPairs", p)
		if pair.Len() != 2 {
			panic(Errorf("fromPairs needs lists of a key and a value"))
		}
		out[Print(pair.Index(0).Interface())] = pair.Index(1).Interface()
	}
	return out
}

func fnConcat(r *Machine, args []any) any {
	size := 0
	for _, a := range args {
		size += reflect.ValueOf(a).Len()
	}
	r.charge(50+50*size, 32*size)
	return slices.AppendSeq(make([]any, 0, size), flat(args))
}

// comparingAll is the price of comparing each element with every other.
func comparingAll(r *Machine, args []any) {
	c := must(r.measure(args[0]))
	n := reflect.ValueOf(args[0]).Len()
	if n > maxElements {
		panic(errTooMuch)
	}
	r.charge(n*n*20+n*c.units/4, c.bytes)
}

// sorting is the price of sorting a list.
func sorting(r *Machine, args []any) {
	c := must(r.measure(args[0]))
	r.charge(c.units*max(1, bits.Len(uint(reflect.ValueOf(args[0]).Len())))*4, c.bytes)
}
