package ruletest

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"bellhop/actions"
	"bellhop/rules/text"
)

// plain returns the value of a node as encoding/json represents it. A time stays the text that was written.
func plain(n *yaml.Node) any {
	switch n.Kind {
	case yaml.AliasNode:
		return plain(n.Alias)
	case yaml.MappingNode:
		m := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, value := n.Content[i], plain(n.Content[i+1])
			if key.Tag != "!!merge" {
				m[key.Value] = value
				continue
			}
			merged, _ := value.(map[string]any)
			for k, v := range merged {
				if _, own := m[k]; !own {
					m[k] = v
				}
			}
		}
		return m
	case yaml.SequenceNode:
		list := make([]any, len(n.Content))
		for i, c := range n.Content {
			list[i] = plain(c)
		}
		return list
	}
	switch n.Tag {
	case "!!null":
		return nil
	case "!!bool":
		return strings.EqualFold(n.Value, "true")
	case "!!int", "!!float":
		if json.Valid([]byte(n.Value)) {
			return json.Number(n.Value)
		}
		var number float64
		if n.Decode(&number) == nil && !math.IsInf(number, 0) && !math.IsNaN(number) {
			return number
		}
	}
	return n.Value
}

// decode reads JSON, keeping numbers as they were written.
func decode(data []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	return dec.Decode(into)
}

// expected returns the value that a test expects of a field, in the form in which the field is rendered.
func expected(f actions.Field, n *yaml.Node) any {
	n = text.Resolve(n)
	value, isBool := text.Bool(n)
	switch kind := f.Type.Kind(); {
	case text.IsNull(n), kind == reflect.Bool && isBool && !value: // false is left out of what is rendered
		return nil
	case kind == reflect.Bool && isBool:
		return true
	case kind == reflect.String && n.Kind == yaml.ScalarNode:
		return n.Value
	case f.Type == reflect.TypeFor[actions.List]() && n.Kind == yaml.ScalarNode:
		return list(actions.SplitList(n.Value))
	case f.Type == reflect.TypeFor[actions.Duration]() && n.Kind == yaml.ScalarNode:
		if d, err := actions.ParseDuration(n.Value); err == nil {
			return actions.Duration(d).String()
		}
	case kind == reflect.Map && n.Kind == yaml.MappingNode:
		m, _ := plain(n).(map[string]any)
		for key, value := range m {
			if number, ok := value.(json.Number); ok {
				m[key] = number.String()
			}
		}
		return m
	}
	return plain(n)
}

func list(texts []string) []any {
	out := make([]any, len(texts))
	for i, t := range texts {
		out[i] = t
	}
	return out
}

// same says whether two JSON values are equal. Numbers are compared by value.
func same(a, b any) bool { return reflect.DeepEqual(toCompare(a), toCompare(b)) }

// A number is a number in a form that can be compared: 2 and 2.0 are the same, and long ids keep all their digits.
type number string

// toCompare returns a JSON value with a number for each of its numbers.
func toCompare(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, value := range v {
			out[key] = toCompare(value)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, value := range v {
			out[i] = toCompare(value)
		}
		return out
	case json.Number:
		if !strings.ContainsAny(v.String(), ".eE") {
			return number(v)
		}
		if f, err := v.Float64(); err == nil {
			return toCompare(f)
		}
	case float64:
		return number(strconv.FormatFloat(v, 'f', -1, 64))
	}
	return v
}
