package lang

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"bellhop/actions"
)

// Print returns a value as text: a time as RFC 3339 with its own offset, a list with commas, a map as JSON.
func Print(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case int:
		return strconv.Itoa(v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case time.Time:
		if v.IsZero() {
			return ""
		}
		return v.Format(time.RFC3339)
	case time.Duration:
		if v < 0 {
			return "-" + actions.Duration(-v).String()
		}
		return actions.Duration(v).String()
	case *time.Location:
		return v.String()
	case []string:
		return strings.Join(v, ", ")
	}
	rv := reflect.ValueOf(v)
	if rv.Kind() == reflect.Slice || rv.Kind() == reflect.Array {
		return printed(rv, ", ")
	}
	data, err := marshal(v)
	if err != nil {
		return Describe(v)
	}
	return string(data)
}

// printed returns the elements of a list as text.
func printed(list reflect.Value, glue string) string {
	texts := make([]string, list.Len())
	for i := range texts {
		texts[i] = Print(list.Index(i).Interface())
	}
	return strings.Join(texts, glue)
}

// JSON converts a value to types that JSON has: times, durations and zones become texts.
func JSON(v any) any {
	switch v := v.(type) {
	case nil, string, bool, int, float64, []string, []int:
		return v
	case time.Time:
		if v.IsZero() {
			return nil
		}
		return v.Format(time.RFC3339)
	case time.Duration, *time.Location:
		return Print(v)
	}
	switch rv := reflect.ValueOf(v); rv.Kind() {
	case reflect.Slice, reflect.Array:
		out := make([]any, rv.Len())
		for i := range out {
			out[i] = JSON(rv.Index(i).Interface())
		}
		return out
	case reflect.Map:
		out := make(map[string]any, rv.Len())
		for k, e := range textKeys(v) {
			out[k] = JSON(e)
		}
		return out
	}
	return v
}

// marshal returns JSON without escapes for HTML.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(JSON(v)); err != nil {
		return nil, err
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

// ValidText replaces invalid UTF-8: a payload may contain anything, a message must not.
func ValidText(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
