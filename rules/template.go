package rules

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"bellhop/rules/lang"
	"bellhop/rules/text"
)

// The limits of one rendered text and one rendered request, in bytes.
const (
	maxText    = 64 << 10
	maxRequest = 256 << 10
)

// A template is a text with {{ expressions }}, compiled. It is immutable.
type template struct {
	parts []part
	place string // file:line:column of its beginning
}

// A part is a literal, or an expression and how its value is escaped.
type part struct {
	literal string
	program *lang.Program // nil in a literal
	escape  escape
	nilOK   bool // the expression ends in ?? nil
}

// single returns the expression of a template that consists of one expression only.
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

// bracesAround reports {{ }} around a field that is already an expression, and checks the expression inside.
func (s *scope) bracesAround(t *text.Scalar, inner string) {
	at := t.Span(strings.Index(t.Value, "{{"), len(strings.TrimRight(t.Value, " \t\r\n")))
	s.Doc.Mendf(text.Error, "braces", t, at, inner, "%s", lang.NoBraces)
	for t != nil && t.Value != inner { // the rest keeps its place
		i := strings.Index(t.Value, "{{")
		if i < 0 {
			if i = strings.Index(t.Value, "}}"); i < 0 {
				break
			}
		}
		t = t.With(t.Span(i, i+2), "")
	}
	if t != nil {
		s.Compile(lang.WholeOf(t))
	}
}

// template compiles the range [from:to] of t's value. recipient says that a missing value has its own meaning. It
// returns nil after a mistake. A text that was checked already returns an empty template.
func (s *scope) template(t *text.Scalar, from, to int, esc string, recipient bool) *template {
	if s.Checked {
		return s.parts(t, from, to, esc, recipient)
	}
	key := textKey{s.names, t.Value[from:to], esc, recipient}
	if used, ok := s.memo.texts[key]; ok {
		s.use(used)
		return &template{}
	}
	w := s.watch()
	out := s.parts(t, from, to, esc, recipient)
	if used, ok := w.end(); ok {
		s.memo.texts[key] = used
	}
	return out
}

// parts compiles a text.
func (s *scope) parts(t *text.Scalar, from, to int, esc string, recipient bool) *template {
	out := &template{}
	ok := true
	value := t.Value[:to]
	page := newContext(esc)
	open := 0 // open braces of the literal text
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
			s.Doc.Mendf(text.Error, "template", t, t.Span(i, i+len(m[0])), "{{ "+m[1]+" }}", "two braces are enough: {{ %s }}", m[1])
			i += len(m[0])
			continue
		}
		if m := statement.FindString(value[i:]); m != "" {
			s.Doc.Errorf("template", t.Span(i, i+len(m)), "", `there are no such blocks here; write a choice as {{ condition ? "one text" : "another" }}`)
			return nil
		}
		length, problem := lang.End(value[i+2:])
		if problem != "" {
			ok = false
			at := t.Span(i, min(i+2+length, to))
			if problem == lang.OneBrace {
				at = t.Span(i+2+length, i+3+length)
				s.Doc.Mendf(text.Error, "template", t, at, "}}", "%s", problem)
				i += 3 + length
				continue
			}
			s.Doc.Errorf("template", at, "", "%s", problem)
			break
		}
		p := lang.NewPiece(t, i+2, i+2+length)
		i += length + 4
		if i < to && value[i] == '}' && open <= 0 {
			s.Doc.Warnf("braces", t.Span(i, i+1), "", "this } is sent as it is: two braces close {{")
		}
		program, as := s.Compile(p)
		if program == nil {
			ok = false
			continue
		}
		page.rest = literalsOf(value[i:to])
		e, why := page.expression()
		if why != "" {
			ok = false
			s.Doc.Errorf("escape", p.Whole(), "", "%s", why)
			continue
		}
		s.warnMissing(as, recipient)
		out.parts = append(out.parts, part{program: program, escape: e, nilOK: lang.EndsInNil(as.Node)})
	}
	if !ok {
		return nil
	}
	out.place = s.Doc.Place(t.Span(from, from))
	return out
}

// warnMissing warns about values that an expression of a text needs and that may be missing.
func (s *scope) warnMissing(e lang.Term, recipient bool) {
	if s.Checked {
		return
	}
	c := e.Checker
	absent := c.Absences(e.Node, s.asked(), "this step fails with an error", "")
	n, name := absent.Value(e.Node)
	s.unsure = s.unsure || absent.Unsure
	if n == nil || recipient {
		return
	}
	if name == "contact.email" || name == "contact.phone" { // an empty address or number reaches nobody
		c.WarnAt(n, "missing-value", "", `%s may be missing; ask for it in the condition, as in when: %s != "", or give a default with ??`, name, name)
		return
	}
	suggestion := c.Source(n) + ` ?? ""`
	if n != e.Node {
		suggestion = "(" + suggestion + ")"
	}
	c.WarnAt(n, "missing-value", suggestion, "%s may be missing; give a default with ??", name)
}

var (
	tripleBraces = regexp.MustCompile(`^\{\{\{\s*([A-Za-z_][\w.]*)\s*\}\}\}`)
	statement    = regexp.MustCompile(`^\{\{-?\s*(?:[#/]\s*\w+|(?:if|end|else|elif|endif|range|each|for|endfor|with)\b)[^{}?]*\}\}`)
	otherMarks   = regexp.MustCompile(`\{%.*?%\}|\{#.*?#\}|<%.*?%>`)
)

var almostTemplate = regexp.MustCompile(`\$?\{\s*((?:appointment|contact|previous|custom|raw)\.[\w.]+)\s*\}|\$\{\s*([A-Za-z_][\w.]*)\s*\}|%(?:appointment|contact)\.\w+%`)

// suspectLiteral warns about literal text that was probably meant as an expression.
func (s *scope) suspectLiteral(t *text.Scalar, off int, literal string) {
	if s.Checked {
		return
	}
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
		if root, _, _ := strings.Cut(name, "."); !world.Has(root) && !slices.ContainsFunc(s.Lets, func(l lang.Let) bool { return l.Name == root }) {
			written = "" // there is no such name
		}
		s.Doc.Mendf(text.Warning, "braces", t, t.Span(off+m[0], off+m[1]), written, "%s is sent as it is; write a value as {{ %s }}", literal[m[0]:m[1]], name)
	}
	if m := otherMarks.FindStringIndex(literal); m != nil {
		s.Doc.Warnf("braces", t.Span(off+m[0], off+m[1]), "", `%s is sent as it is; write a choice as {{ condition ? "one text" : "another" }}`, literal[m[0]:m[1]])
	}
}

// value evaluates an expression of a template.
func (p part) value(r *run) (any, error) {
	v, err := r.Eval(p.program)
	if err != nil {
		return nil, err
	}
	if t, ok := v.(time.Time); (v == nil || ok && t.IsZero()) && !p.nilOK {
		return nil, p.program.Failed(lang.Errorf("the value is missing; a default is given with ??"))
	}
	return v, nil
}

// render renders the text for one event.
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
			if err := r.ChargeFor(v, 10, 1); err != nil {
				return "", p.program.Failed(err)
			}
			text, err := p.escape.putValue(v)
			if err != nil {
				return "", p.program.At(err)
			}
			b.WriteString(text)
		}
		if b.Len() > maxText {
			return "", fmt.Errorf("%s: the text is longer than %d KiB", t.place, maxText>>10)
		}
	}
	return b.String(), nil
}

// literalsOf returns a text roughly without its expressions, whose texts may look like literal text.
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
