package rules

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"bellhop/actions"
	"bellhop/rules/text"
)

type fieldValue struct {
	field *actions.Field
	value value
	place string
	skips bool // if it renders to nothing, the step is skipped
}

// A value is the content of a field of a step: a fixed value, a text, a list or a map of values.
type value struct {
	form   form
	fixed  any // also the content of the file, for the sketch that the action checks
	text   *template
	list   []value
	keys   []string // of a map, parallel to list
	source string   // of a text, including its {{ }}
}

type form uint8

const (
	fixedForm form = iota
	textForm       // renders to a text
	treeForm       // a text in a tree: a single expression keeps its type
	listForm
	mapForm
)

// field compiles the value of one field, by its Go type.
func (s *scope) field(f actions.Field, p text.Pair) (value, bool) {
	r, n := s.Doc, p.Value
	if !r.Tag(n) {
		return value{}, false
	}
	switch f.Type {
	case reflect.TypeFor[string]():
		return s.text(f, n)
	case reflect.TypeFor[actions.List]():
		return s.texts(f, n)
	case reflect.TypeFor[bool]():
		b, ok := text.Bool(n)
		if !ok {
			r.Errorf("type", r.At(n), "", "%s takes true or false, but this is %s", text.Quote(f.Name), text.KindName(n))
		}
		return value{fixed: b}, ok
	case reflect.TypeFor[actions.Duration]():
		return s.duration(f, n)
	case reflect.TypeFor[[]int]():
		return s.numbers(f, n)
	case reflect.TypeFor[map[string]string]():
		if n.Kind != yaml.MappingNode || text.LooksLikeTemplate(n) {
			if text.LooksLikeTemplate(n) {
				r.Unquoted(n)
			} else {
				r.Errorf("type", r.At(n), "", "%s takes entries of the form key: value, but this is %s", text.Quote(f.Name), text.KindName(n))
			}
			return value{}, false
		}
		out, ok := value{form: mapForm}, true
		for _, e := range r.Pairs(n) {
			v, good := s.text(f, e.Value)
			ok = ok && good
			out.keys, out.list = append(out.keys, e.Name), append(out.list, v)
		}
		return out, ok
	}
	if f.Type.Kind() == reflect.Interface {
		return s.tree(f, n)
	}
	r.Errorf("type", r.At(n), "", "%s cannot be set in a rule", text.Quote(f.Name))
	return value{}, false
}

// text compiles a field that is one text.
func (s *scope) text(f actions.Field, n *yaml.Node) (value, bool) {
	t, ok := s.Doc.Scalar(n, text.Quote(f.Name))
	if !ok {
		return value{}, false
	}
	return s.textRange(f, t, 0, len(t.Value))
}

func (s *scope) textRange(f actions.Field, t *text.Scalar, from, to int) (value, bool) {
	if f.Literal {
		if i := strings.Index(t.Value[from:to], "{{"); i >= 0 {
			s.Doc.Errorf("literal", t.Span(from+i, to), "", "%s is fixed when the rule is loaded and cannot hold {{ }}", text.Quote(f.Name))
			return value{}, false
		}
		return value{fixed: t.Value[from:to]}, true
	}
	tm := s.template(t, from, to, f.Escape, f.Recipient)
	return value{form: textForm, text: tm, source: t.Value[from:to]}, tm != nil
}

// texts compiles a field that is a list of texts, or one text with commas.
func (s *scope) texts(f actions.Field, n *yaml.Node) (value, bool) {
	r := s.Doc
	out, ok := value{form: listForm}, true
	if n.Kind == yaml.SequenceNode {
		for _, e := range n.Content {
			v, good := s.text(f, text.Resolve(e))
			ok = ok && good
			out.list = append(out.list, v)
		}
		return out, ok
	}
	if n.Kind == yaml.MappingNode && !text.LooksLikeTemplate(n) {
		r.Errorf("type", r.At(n), "", "%s takes a text or a list of texts, but this is a map (key: value)", text.Quote(f.Name))
		return value{}, false
	}
	t, ok := r.Scalar(n, text.Quote(f.Name))
	if !ok {
		return value{}, false
	}
	if f.Recipient && strings.Contains(t.Value, ";") && !strings.Contains(t.Value, "{{") && !strings.Contains(t.Value, "\"") {
		r.Mendf(text.Error, "mail-address", t, t.Span(0, len(t.Value)), strings.ReplaceAll(t.Value, ";", ","), "several addresses are separated by commas, not by semicolons")
		return value{}, false
	}
	from := 0
	for _, item := range actions.SplitList(t.Value) {
		i := strings.Index(t.Value[from:], item)
		if i < 0 { // the item does not occur in the text as it was split
			return s.textRange(f, t, 0, len(t.Value))
		}
		v, good := s.textRange(f, t, from+i, from+i+len(item))
		ok = ok && good
		out.list = append(out.list, v)
		from += i + len(item)
	}
	return out, ok
}

func (s *scope) duration(f actions.Field, n *yaml.Node) (value, bool) {
	t, ok := s.Doc.Scalar(n, text.Quote(f.Name))
	if !ok {
		return value{}, false
	}
	if _, err := actions.ParseDuration(t.Value); err != nil {
		suggestion := ""
		if d, ok := errors.AsType[*actions.DurationError](err); ok {
			suggestion = d.Suggestion
		}
		s.Doc.Mendf(text.Error, "duration", t, t.Span(0, len(t.Value)), suggestion, "%s", err)
		return value{}, false
	}
	return value{fixed: t.Value}, true
}

func (s *scope) numbers(f actions.Field, n *yaml.Node) (value, bool) {
	items := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		items = n.Content
	}
	var out []int
	for _, e := range items {
		e = text.Resolve(e)
		i, err := strconv.Atoi(e.Value)
		if e.Kind != yaml.ScalarNode || err != nil {
			s.Doc.Errorf("type", s.Doc.At(e), "", "%s takes whole numbers, but this is %s", text.Quote(f.Name), text.KindName(e))
			return value{}, false
		}
		out = append(out, i)
	}
	return value{fixed: out}, true
}

// tree compiles any YAML. The texts in it are templates.
func (s *scope) tree(f actions.Field, n *yaml.Node) (value, bool) {
	r := s.Doc
	n = text.Resolve(n)
	if !r.Tag(n) {
		return value{}, false
	}
	ok := true
	switch {
	case n.Kind == yaml.SequenceNode:
		out := value{form: listForm, list: []value{}}
		for _, e := range n.Content {
			v, good := s.tree(f, e)
			ok = ok && good
			out.list = append(out.list, v)
		}
		return out, ok
	case text.LooksLikeTemplate(n):
		r.Unquoted(n)
		return value{}, false
	case n.Kind == yaml.MappingNode:
		out := value{form: mapForm}
		entries := r.Pairs(n)
		for _, e := range entries {
			of := f
			if f.Escape == "blocks" && text.Resolve(e.Value).Kind == yaml.ScalarNode {
				of.Escape = blockEscape(entries, e.Name)
			}
			v, good := s.tree(of, e.Value)
			ok = ok && good
			out.keys, out.list = append(out.keys, e.Name), append(out.list, v)
		}
		return out, ok
	}
	switch n.Tag {
	case "!!null":
		return value{}, true
	case "!!bool":
		b, _ := text.Bool(n)
		return value{fixed: b}, true
	case "!!int", "!!float":
		digits := strings.TrimLeft(n.Value, "+-")
		if len(digits) > 1 && digits[0] == '0' && strings.Trim(digits, "0123456789") == "" {
			return value{fixed: n.Value}, true // 01234 is a post code, not the number that YAML reads
		}
		if number := strings.TrimPrefix(n.Value, "+"); json.Valid([]byte(number)) { // keep the digits as written
			return value{fixed: json.Number(number)}, true
		}
		var i int64
		if n.Tag == "!!int" && n.Decode(&i) == nil { // it would be 0 for .5
			suggestion := text.Quoted(n.Value)
			if strings.Contains(n.Value, "_") {
				suggestion = strconv.FormatInt(i, 10)
			}
			r.Warnf("number", r.At(n), suggestion, "YAML reads %s as the number %d: write that, or put it in quotes", n.Value, i)
			return value{fixed: i}, true
		}
		var v float64
		if n.Decode(&v) == nil && v-v == 0 { // neither infinite nor NaN
			if strings.Contains(n.Value, "_") {
				number := strconv.FormatFloat(v, 'g', -1, 64)
				r.Warnf("number", r.At(n), number, "YAML reads %s as the number %s: write that, or put it in quotes", n.Value, number)
			}
			return value{fixed: v}, true
		}
	}
	t, ok := r.Scalar(n, "this")
	if !ok {
		return value{}, false
	}
	if whole := strings.TrimSpace(t.Value); f.Name == "json" && strings.Contains(whole, "{{ ") && (strings.HasPrefix(whole, "{ ") || strings.HasPrefix(whole, "{\"")) {
		r.Warnf("json-text", t.Span(0, len(t.Value)), "", "this is sent as one text; write JSON here as YAML, without quotes around the whole, so that each value is escaped")
	}
	v, ok := s.textRange(f, t, 0, len(t.Value))
	if v.form == textForm {
		v.form = treeForm
	}
	return v, ok
}

// blockEscape returns how the values of a field in a Slack block are escaped: only text objects of type mrkdwn are,
// and URLs as URLs (https://docs.slack.dev/reference/block-kit/composition-objects/text-object).
func blockEscape(entries []text.Pair, key string) string {
	switch {
	case strings.HasSuffix(key, "url"):
		return "address"
	case key == "text" && slices.ContainsFunc(entries, func(e text.Pair) bool { return e.Name == "type" && e.Value.Value == "mrkdwn" }):
		return "slack"
	}
	return ""
}

// sketch returns the value with its {{ }} in place.
func (v value) sketch() any {
	switch v.form {
	case textForm, treeForm:
		return v.source
	case listForm:
		out := make([]any, len(v.list))
		for i, e := range v.list {
			out[i] = e.sketch()
		}
		return out
	case mapForm:
		out := make(map[string]any, len(v.list))
		for i, e := range v.list {
			out[v.keys[i]] = e.sketch()
		}
		return out
	}
	return v.fixed
}
