package rules

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser/lexer"

	"bellhop/actions"
	"bellhop/rules/text"
)

// What one rendered text and one rendered request may be, in bytes.
const (
	maxText    = 64 << 10
	maxRequest = 256 << 10
)

// A template is a text with {{ expressions }}, compiled. It is immutable.
type template struct {
	parts []part
	place string // file:line:column of its beginning
}

// A part is a literal, or an expression and what its value must be made safe for.
type part struct {
	literal string
	program *program // nil in a literal
	escape  escape
	nilOK   bool // the expression gives nil as its own default: x ?? nil
}

// single is the expression of a template that is one expression alone.
func (t *template) single() (part, bool) {
	var found part
	n := 0
	for _, p := range t.parts {
		switch {
		case p.program != nil:
			found = p
			n++
		case strings.TrimSpace(p.literal) != "":
			return part{}, false
		}
	}
	return found, n == 1
}

// A scope is what the expressions of one rule may use.
type scope struct {
	report *text.Document
	lets   []letVar
	trees  []term         // of lets
	when   term           // the condition; without a node if there is none
	zone   string         // see [Rule.zoneName]
	naive  *time.Location // where texts without an offset are read; nil if that depends on the event
	prover *prover
	later  []string
	used   map[int]bool // the lets that something uses
	absent map[int]bool // the lets whose value may be missing
	slips  int          // suggestions that the expression being read already contains
}

// expression compiles one expression. The tree is as written, for what is to be told from it.
func (s *scope) expression(p piece) (*program, ast.Node, *checker) {
	c := &checker{env: world, report: s.report, piece: p, lets: s.lets, trees: s.trees, later: s.later, zone: s.zone, naive: s.naive}
	tree, ok := c.parse(parseConfig)
	if !ok {
		s.afterSlip(c)
		return nil, nil, c
	}
	done := c.visit(tree)
	for i := range c.uses {
		s.used[i] = true
	}
	if c.bad {
		return nil, tree, c
	}
	out := c.finish(done)
	if out != nil {
		c.doubts(tree)
	}
	return out, tree, c
}

// maxSlips bounds how often an expression is read again.
const maxSlips = 8

// afterSlip checks an expression that could not be read again, with the suggestion in its place.
func (s *scope) afterSlip(c *checker) {
	if c.slip == nil || s.slips >= maxSlips {
		return
	}
	s.slips++
	defer func() { s.slips-- }()
	p := c.piece
	s.expression(piece{c.slip, p.off, c.slip.Value[p.off : p.off+len(p.src)+len(c.slip.Value)-len(p.text.Value)]})
}

// bracesAround reports {{ }} around the whole of a field that is an expression already, and looks at what is in it.
func (s *scope) bracesAround(t *text.Scalar, inner string) {
	at := t.Span(strings.Index(t.Value, "{{"), len(strings.TrimRight(t.Value, " \t\r\n")))
	s.report.Mendf(text.Error, "braces", t, at, inner, "%s", noBraces)
	for t != nil && t.Value != inner { // what is left keeps its place
		i := strings.Index(t.Value, "{{")
		if i < 0 {
			if i = strings.Index(t.Value, "}}"); i < 0 {
				break
			}
		}
		t = t.With(t.Span(i, i+2), "")
	}
	if t != nil {
		s.expression(piece{t, 0, t.Value})
	}
}

const noBraces = "this field is an expression already; leave out the {{ }}"

// template compiles the texts [from:to] of t's value. recipient is true where a missing value has a meaning of
// its own. It is nil after a mistake.
func (s *scope) template(t *text.Scalar, from, to int, esc string, recipient bool) *template {
	out := &template{}
	ok := true
	value := t.Value[:to]
	page := newContext(esc)
	open := 0 // braces of the text itself
	for i := from; i < to; {
		next := strings.Index(value[i:], "{{")
		if next < 0 {
			next = to - i
		}
		if next > 0 {
			literal := value[i : i+next]
			open += strings.Count(literal, "{") - strings.Count(literal, "}")
			s.suspectLiteral(t, i, literal)
			page.literal(literal)
			out.parts = append(out.parts, part{literal: literal})
			i += next
			continue
		}
		if m := tripleBraces.FindStringSubmatch(value[i:]); m != nil {
			ok = false
			s.report.Mendf(text.Error, "template", t, t.Span(i, i+len(m[0])), "{{ "+m[1]+" }}", "two braces are enough: {{ %s }}", m[1])
			i += len(m[0])
			continue
		}
		if m := statement.FindString(value[i:]); m != "" {
			s.report.Errorf("template", t.Span(i, i+len(m)), "", `there are no such blocks here; write a choice as {{ condition ? "one text" : "another" }}`)
			return nil
		}
		length, problem := expressionEnd(value[i+2:])
		if problem != "" {
			ok = false
			at := t.Span(i, min(i+2+length, to))
			if problem == oneBrace {
				at = t.Span(i+2+length, i+3+length)
				s.report.Mendf(text.Error, "template", t, at, "}}", "%s", problem)
				i += 3 + length
				continue
			}
			s.report.Errorf("template", at, "", "%s", problem)
			break
		}
		p := piece{t, i + 2, value[i+2 : i+2+length]}
		i += length + 4
		if i < to && value[i] == '}' && open <= 0 {
			s.report.Warnf("braces", t.Span(i, i+1), "", "this } is sent as it is: two braces close {{")
		}
		program, tree, c := s.expression(p)
		if program == nil {
			ok = false
			continue
		}
		page.rest = literalsOf(value[i:to])
		e, why := page.expression()
		if why != "" {
			ok = false
			s.report.Errorf("escape", p.whole(), "", "%s", why)
			continue
		}
		absent := c.absences(tree, s.asked(), "this step fails with an error", "")
		if n, name := absent.value(s, tree); n != nil && !recipient {
			suggestion := c.source(n) + ` ?? ""`
			if n != tree {
				suggestion = "(" + suggestion + ")"
			}
			if name == "contact.email" || name == "contact.phone" { // nobody is reached at an empty one
				c.warnAt(n, "missing-value", "", `%s may be missing; ask for it in the condition, as in when: %s != "", or give a default with ??`, name, name)
			} else {
				c.warnAt(n, "missing-value", suggestion, "%s may be missing; give a default with ??", name)
			}
		}
		out.parts = append(out.parts, part{program: program, escape: e, nilOK: endsInNil(tree)})
	}
	if !ok {
		return nil
	}
	out.place = s.report.Place(t.Span(from, from))
	return out
}

const (
	oneBrace   = "one } is missing here"
	unclosed   = "this {{ is never closed with }}"
	twiceBrace = "this {{ is not closed before the next one; }} is missing"
)

// expressionEnd finds the length of the expression that s begins with, up to its }}. Braces and }} inside
// its texts do not count.
func expressionEnd(s string) (length int, problem string) {
	l := lexer.New()
	l.Reset(file.NewSource(s))
	depth := 0
	last, lastEnd := 0, 0 // bytes and characters up to the last token
	advance := func(to int) int {
		last += byteOffset(s[last:], to-lastEnd)
		lastEnd = to
		return last
	}
	for {
		t, err := l.Next()
		if errors.Is(err, io.EOF) || err == nil && t.Kind == lexer.EOF {
			return 0, unclosedAt(s)
		}
		if err != nil { // a mistake inside the expression: take it up to the next }} and let it be explained there
			end := strings.Index(s, "}}")
			if end < 0 {
				return 0, unclosedAt(s)
			}
			if next := strings.Index(s, "{{"); next >= 0 && next < end {
				return 0, twiceBrace
			}
			return end, ""
		}
		if t.Kind != lexer.Bracket {
			continue
		}
		switch t.Value {
		case "{":
			depth++
		case "}":
			if depth > 0 {
				depth--
				continue
			}
			at := advance(t.From)
			if strings.HasPrefix(s[at:], "}}") {
				return at, ""
			}
			return at, oneBrace
		}
	}
}

func unclosedAt(s string) string {
	if strings.Contains(s, "{{") {
		return twiceBrace
	}
	return unclosed
}

var (
	tripleBraces = regexp.MustCompile(`^\{\{\{\s*([A-Za-z_][\w.]*)\s*\}\}\}`)
	statement    = regexp.MustCompile(`^\{\{-?\s*(?:[#/]\s*\w+|(?:if|end|else|elif|endif|range|each|for|endfor|with)\b)[^{}?]*\}\}`)
	otherMarks   = regexp.MustCompile(`\{%.*?%\}|\{#.*?#\}|<%.*?%>`)
)

var almostTemplate = regexp.MustCompile(`\$?\{\s*((?:appointment|contact|previous|custom|raw)\.[\w.]+)\s*\}|\$\{\s*([A-Za-z_][\w.]*)\s*\}|%(?:appointment|contact)\.\w+%`)

// suspectLiteral warns about what was probably meant to be an expression.
func (s *scope) suspectLiteral(t *text.Scalar, off int, literal string) {
	for _, m := range almostTemplate.FindAllStringSubmatchIndex(literal, 5) {
		name := ""
		for g := 2; g+1 < len(m); g += 2 {
			if m[g] >= 0 {
				name = literal[m[g]:m[g+1]]
			}
		}
		if name == "" {
			name = strings.Trim(literal[m[0]:m[1]], "%")
		}
		written := "{{ " + name + " }}"
		if root, _, _ := strings.Cut(name, "."); !world.has(root) && !slices.ContainsFunc(s.lets, func(l letVar) bool { return l.name == root }) {
			written = "" // that would be an error
		}
		s.report.Mendf(text.Warning, "braces", t, t.Span(off+m[0], off+m[1]), written, "%s is sent as it is; write a value as {{ %s }}", literal[m[0]:m[1]], name)
	}
	if m := otherMarks.FindStringIndex(literal); m != nil {
		s.report.Warnf("braces", t.Span(off+m[0], off+m[1]), "", `%s is sent as it is; write a choice as {{ condition ? "one text" : "another" }}`, literal[m[0]:m[1]])
	}
}

func endsInNil(n ast.Node) bool {
	b, ok := n.(*ast.BinaryNode)
	if !ok || b.Operator != "??" {
		return false
	}
	_, ok = b.Right.(*ast.NilNode)
	return ok
}

// value evaluates an expression of a template.
func (p part) value(r *run) (any, error) {
	v, err := r.eval(p.program)
	if err != nil {
		return nil, err
	}
	if t, ok := v.(time.Time); (v == nil || ok && t.IsZero()) && !p.nilOK {
		return nil, p.program.failed(evalErrorf("the value is missing; a default is given with ??"))
	}
	return v, nil
}

// render makes the text for one event.
func (t *template) render(r *run) (string, error) {
	if len(t.parts) == 1 && t.parts[0].program == nil {
		return t.parts[0].literal, nil
	}
	var b strings.Builder
	for _, p := range t.parts {
		if p.program == nil {
			b.WriteString(p.literal)
		} else {
			v, err := p.value(r)
			if err != nil {
				return "", err
			}
			units, bytes, err := r.measure(v)
			if err == nil {
				err = r.charge(10*units, bytes)
			}
			if err != nil {
				return "", p.program.failed(err)
			}
			text, err := p.escape.putValue(v)
			if err != nil {
				return "", p.program.failed(err)
			}
			b.WriteString(text)
		}
		if b.Len() > maxText {
			return "", fmt.Errorf("%s: the text is longer than %d KiB", t.place, maxText>>10)
		}
	}
	return b.String(), nil
}

// literalsOf is a text without its expressions, roughly: what is written in them may look like more of it.
func literalsOf(s string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(s, "{{")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		if _, s, found = strings.Cut(after, "}}"); !found {
			return b.String()
		}
	}
}

// printValue writes a value as text: a time as RFC 3339 with its own offset, a list with commas, a map as JSON.
func printValue(v any) string {
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
		texts := make([]string, rv.Len())
		for i := range texts {
			texts[i] = printValue(rv.Index(i).Interface())
		}
		return strings.Join(texts, ", ")
	}
	data, err := marshal(v)
	if err != nil {
		return describe(v)
	}
	return string(data)
}

// jsonValue makes of a value what JSON has: times, durations and zones become texts.
func jsonValue(v any) any {
	switch v := v.(type) {
	case nil, string, bool, int, float64, []string, []int:
		return v
	case time.Time:
		if v.IsZero() {
			return nil
		}
		return v.Format(time.RFC3339)
	case time.Duration, *time.Location:
		return printValue(v)
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = jsonValue(e)
		}
		return out
	}
	switch rv := reflect.ValueOf(v); rv.Kind() {
	case reflect.Slice, reflect.Array:
		out := make([]any, rv.Len())
		for i := range out {
			out[i] = jsonValue(rv.Index(i).Interface())
		}
		return out
	case reflect.Map:
		out := make(map[string]any, rv.Len())
		for it := rv.MapRange(); it.Next(); {
			out[printValue(it.Key().Interface())] = jsonValue(it.Value().Interface())
		}
		return out
	}
	return v
}

// marshal writes JSON as people expect to read it: without escapes for HTML.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(jsonValue(v)); err != nil {
		return nil, err
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

// validText replaces what is no UTF-8: a payload may hold anything, a message must not.
func validText(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
