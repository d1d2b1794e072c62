package lang

import (
	"math"
	"reflect"
	"time"

	"bellhop/rules/text"
)

func Describe(v any) string {
	switch v := v.(type) {
	case nil:
		return "nothing (the value is missing)"
	case string:
		return "the text " + text.Quote(v)
	case bool:
		return "true or false"
	case int, int64, float64:
		return "a number"
	case time.Time:
		return "a time"
	case time.Duration:
		return "a duration"
	case *time.Location:
		return "a time zone"
	}
	switch reflect.ValueOf(v).Kind() {
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Map:
		return "a map"
	}
	return "something else"
}

func wantText(name string, v any) (string, error) {
	s, ok := v.(string)
	if !ok {
		return "", Errorf("%s needs a text, but got %s", name, Describe(v))
	}
	return s, nil
}

func wantInt(name string, v any) (int, error) {
	switch v := v.(type) {
	case int:
		return v, nil
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			return int(v), nil
		}
	}
	return 0, Errorf("%s needs a whole number, but got %s", name, Describe(v))
}

func wantTime(name string, v any) (time.Time, error) {
	t, ok := v.(time.Time)
	switch {
	case !ok:
		return t, Errorf("%s needs a time, but got %s", name, Describe(v))
	case t.IsZero():
		return t, Errorf("%s needs a time, but the time is missing", name)
	}
	return t, nil
}

func wantList(name string, v any) (reflect.Value, error) {
	rv := reflect.ValueOf(v)
	if v == nil || rv.Kind() != reflect.Slice && rv.Kind() != reflect.Array {
		return rv, Errorf("%s needs a list, but got %s", name, Describe(v))
	}
	return rv, nil
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
