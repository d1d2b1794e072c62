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

func fnElement(i int) func(*Machine, []any) (any, error) {
	return func(r *Machine, args []any) (any, error) { return fnGet(r, []any{args[0], i}) }
}

// fnGet returns an element or an entry. What does not exist is nil, at every depth: raw.a.b is nil if raw.a is.
func fnGet(_ *Machine, args []any) (any, error) {
	switch from := args[0].(type) {
	case nil:
		return nil, nil
	case map[string]any:
		if key, ok := args[1].(string); ok {
			return from[key], nil
		}
		return nil, nil
	case []string:
		if i, ok := index(args[1], len(from)); ok {
			return from[i], nil
		}
		return nil, nil
	case []any:
		if i, ok := index(args[1], len(from)); ok {
			return from[i], nil
		}
		return nil, nil
	}
	switch rv := reflect.ValueOf(args[0]); rv.Kind() {
	case reflect.Slice, reflect.Array:
		if i, ok := index(args[1], rv.Len()); ok {
			return rv.Index(i).Interface(), nil
		}
	case reflect.Map:
		if key := reflect.ValueOf(args[1]); key.IsValid() && key.Type().AssignableTo(rv.Type().Key()) && key.Comparable() {
			if v := rv.MapIndex(key); v.IsValid() {
				return v.Interface(), nil
			}
		}
	}
	return nil, nil
}

// index reads the index of an element; negative ones count from the end.
func index(v any, length int) (int, bool) {
	i, err := wantInt("", v)
	if err != nil {
		return 0, false
	}
	if i < 0 {
		i += length
	}
	return i, i >= 0 && i < length
}

func fnTake(r *Machine, args []any) (any, error) {
	return opSlice(r, []any{args[0], 0, args[1]})
}

func (r *Machine) chargeMap(v any) (map[string]any, []string, error) {
	m := textKeys(v)
	if err := r.charge(50+300*len(m), 64*len(m)); err != nil {
		return nil, nil, err
	}
	return m, slices.Sorted(maps.Keys(m)), nil
}

func fnKeys(r *Machine, args []any) (any, error) {
	_, keys, err := r.chargeMap(args[0])
	return keys, err
}

func fnValues(r *Machine, args []any) (any, error) {
	m, keys, err := r.chargeMap(args[0])
	if err != nil {
		return nil, err
	}
	out := make([]any, len(keys))
	for i, k := range keys {
		out[i] = m[k]
	}
	return out, nil
}

func fnToPairs(r *Machine, args []any) (any, error) {
	m, keys, err := r.chargeMap(args[0])
	if err != nil {
		return nil, err
	}
	out := make([]any, len(keys))
	for i, k := range keys {
		out[i] = []any{k, m[k]}
	}
	return out, nil
}

func fnFromPairs(r *Machine, args []any) (any, error) {
	list := reflect.ValueOf(args[0])
	if err := r.charge(50+300*list.Len(), 64*list.Len()); err != nil {
		return nil, err
	}
	out := make(map[string]any, list.Len())
	for i := range list.Len() {
		pair, err := wantList("fromPairs", list.Index(i).Interface())
		if err != nil {
			return nil, err
		}
		if pair.Len() != 2 {
			return nil, Errorf("fromPairs needs lists of a key and a value")
		}
		out[Print(pair.Index(0).Interface())] = pair.Index(1).Interface()
	}
	return out, nil
}

func fnConcat(r *Machine, args []any) (any, error) {
	size := 0
	for _, a := range args {
		size += reflect.ValueOf(a).Len()
	}
	if err := r.charge(50+50*size, 32*size); err != nil {
		return nil, err
	}
	out := make([]any, 0, size)
	for _, a := range args {
		list := reflect.ValueOf(a)
		for i := range list.Len() {
			out = append(out, list.Index(i).Interface())
		}
	}
	return out, nil
}

// comparingAll is the price of comparing each element with every other.
func comparingAll(r *Machine, args []any) error {
	units, bytes, err := r.measure(args[0])
	if err != nil {
		return err
	}
	n := reflect.ValueOf(args[0]).Len()
	if n > maxElements {
		return errTooMuch
	}
	return r.charge(n*n*20+n*units/4, bytes)
}

// sorting is the price of sorting a list.
func sorting(r *Machine, args []any) error {
	units, bytes, err := r.measure(args[0])
	if err != nil {
		return err
	}
	return r.charge(units*max(1, bits.Len(uint(reflect.ValueOf(args[0]).Len())))*4, bytes)
}
