package lang

import (
	"iter"
	"math"
	"reflect"
	"time"

	"bellhop/rules/text"
)

// Describe returns what a value is, for people.
func Describe(v any) string {
	switch k := kindOf(v); k {
	case nilKind:
		return "nothing (the value is missing)"
	case TextKind:
		return "the text " + text.Quote(v.(string))
	case BadKind:
		return "something else"
	default:
		return Type{Kind: k}.String()
	}
}

// kindOf returns the kind of a value; [BadKind] if no expression has such a value.
func kindOf(v any) kind {
	switch v := v.(type) {
	case nil:
		return nilKind
	case string:
		return TextKind
	case bool:
		return BoolKind
	case int:
		return intKind
	case float64:
		if _, ok := wholeNumber(v); ok {
			return intKind
		}
		return floatKind
	case time.Time:
		return TimeKind
	case time.Duration:
		return DurationKind
	case *time.Location:
		return zoneKind
	}
	switch reflect.ValueOf(v).Kind() {
	case reflect.Slice, reflect.Array:
		return listKind
	case reflect.Map:
		return mapKind
	}
	return BadKind
}

// The functions below return a value as what is needed, or stop the program that runs. name is for the message.

func wantText(name string, v any) string {
	s, ok := v.(string)
	if !ok {
		panic(Errorf("%s needs a text, but got %s", name, Describe(v)))
	}
	return s
}

func wantInt(name string, v any) int {
	i, ok := wholeNumber(v)
	if !ok {
		panic(Errorf("%s needs a whole number, but got %s", name, Describe(v)))
	}
	return i
}

// wantTime also refuses a time that is missing.
func wantTime(name string, v any) time.Time {
	t, ok := v.(time.Time)
	switch {
	case !ok:
		panic(Errorf("%s needs a time, but got %s", name, Describe(v)))
	case t.IsZero():
		panic(Errorf("%s needs a time, but the time is missing", name))
	}
	return t
}

func wantList(name string, v any) reflect.Value {
	if kindOf(v) != listKind {
		panic(Errorf("%s needs a list, but got %s", name, Describe(v)))
	}
	return reflect.ValueOf(v)
}

func wholeNumber(v any) (int, bool) {
	switch v := v.(type) {
	case int:
		return v, true
	case float64:
		return int(v), v == math.Trunc(v) && math.Abs(v) < 1<<53
	}
	return 0, false
}

func number(v any) (float64, bool) {
	switch v := v.(type) {
	case int:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}

// flat iterates over values, and over the elements of those that are lists.
func flat(args []any) iter.Seq[any] {
	return func(yield func(any) bool) {
		for _, a := range args {
			if kindOf(a) != listKind {
				if !yield(a) {
					return
				}
				continue
			}
			list := reflect.ValueOf(a)
			for i := range list.Len() {
				if !yield(list.Index(i).Interface()) {
					return
				}
			}
		}
	}
}

// textKeys returns a map with texts as its keys. Maps made by groupBy have keys of any type.
func textKeys(v any) map[string]any {
	if m, ok := v.(map[string]any); ok {
		return m
	}
	rv := reflect.ValueOf(v)
	m := make(map[string]any, rv.Len())
	for it := rv.MapRange(); it.Next(); {
		m[Print(it.Key().Interface())] = it.Value().Interface()
	}
	return m
}
