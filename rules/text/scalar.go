package text

import (
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// A Scalar is a text of a YAML file: its value, and where in the file each byte of the value stands.
type Scalar struct {
	Value    string
	node     *yaml.Node
	src      *source
	beg, end []int // for each byte of value, where its source begins and ends in the file; filled on first use
	outer    Span  // the whole scalar in the file, including quotes or block header
	slip     *Span // the range that With replaced
	mapped   bool
	straight int // where the value begins if it stands in the file as it is, so beg and end are not needed yet; else 0
}

// blockStyle is the style of texts after | and >.
const blockStyle = yaml.LiteralStyle | yaml.FoldedStyle

func newScalar(src *source, n *yaml.Node) *Scalar {
	return &Scalar{Value: n.Value, node: n, src: src}
}

// whole returns the range of the scalar in the file, including quotes.
func (t *Scalar) whole() Span {
	t.locate()
	return t.outer
}

// Span converts a range of the value's bytes to a range of the file.
func (t *Scalar) Span(from, to int) Span {
	t.locate()
	from, to = min(max(from, 0), len(t.Value)), min(max(to, 0), len(t.Value))
	if t.straight > 0 {
		return Span{t.straight + from, t.straight + max(from, to)}
	}
	if len(t.beg) != len(t.Value) || len(t.Value) == 0 {
		return t.outer
	}
	var s Span
	if from < len(t.Value) {
		s.From = t.beg[from]
	} else {
		s.From = t.end[len(t.Value)-1]
	}
	s.To = s.From
	if to > from {
		s.To = max(s.From, t.end[to-1])
	}
	return s
}

// With returns the text with s in place of the file's bytes at, so that the rest can be checked in spite of a
// mistake. It returns nil if the place in the value is not known.
func (t *Scalar) With(at Span, s string) *Scalar {
	t.spread()
	if len(t.beg) != len(t.Value) || at.From < t.outer.From || at.To > t.outer.To {
		return nil
	}
	from, _ := slices.BinarySearch(t.beg, at.From)
	to, _ := slices.BinarySearch(t.beg, at.To)
	to = max(from, to)
	return &Scalar{
		Value: t.Value[:from] + s + t.Value[to:], node: t.node, src: t.src, outer: t.outer, mapped: true, slip: &at,
		beg: slices.Concat(t.beg[:from], slices.Repeat([]int{at.From}, len(s)), t.beg[to:]),
		end: slices.Concat(t.end[:from], slices.Repeat([]int{at.To}, len(s)), t.end[to:]),
	}
}

// As returns the text with another value. Every place in it is then the whole text.
func (t *Scalar) As(value string) *Scalar {
	return &Scalar{Value: value, node: t.node, src: t.src, mapped: true, outer: t.whole()}
}

// CutOff returns the range of the text together with the comment behind it on its line, which an unquoted # begins.
// ok is false if there is no comment.
func (t *Scalar) CutOff() (at Span, ok bool) {
	if t.node == nil || t.node.Style != 0 || t.node.Kind != yaml.ScalarNode {
		return at, false
	}
	t.locate()
	at = Span{t.outer.From, t.src.comment(t.outer.To).To}
	return at, at.To > t.outer.To && !strings.ContainsAny(t.src.in(at), "\n\r")
}

// Mend returns what to write in the file, and in which range, so that the text holds s in place of the bytes at. This
// is s itself if the text's style allows it, else the whole text in quotes. It returns "" if s is empty or no single
// replacement works.
func (t *Scalar) Mend(at Span, s string) (Span, string) {
	if s == "" || t.slip != nil && at.From >= t.slip.From && at.To <= t.slip.To {
		return at, ""
	}
	t.spread()
	style := t.node.Style
	if style&blockStyle != 0 {
		for at.To > at.From && breakLen(t.src.data, at.To-1) > 0 {
			at.To-- // the last line break belongs to the block
		}
	}
	control := strings.ContainsFunc(s, func(c rune) bool { return c < ' ' && c != '\t' })
	switch {
	case style&yaml.DoubleQuotedStyle != 0:
		if at == t.outer {
			return at, doubleQuoted(s)
		}
		return at, escapeDouble(s)
	case control:
		return at, ""
	case style&yaml.SingleQuotedStyle != 0:
		if at == t.outer {
			return at, Quoted(s)
		}
		return at, strings.ReplaceAll(s, "'", "''")
	case style&blockStyle != 0:
		if at == t.outer {
			return at, t.PlainOrQuoted(s)
		}
		if first := at.From == 0 || breakLen(t.src.data, at.From-1) > 0 || t.src.data[at.From-1] == ' '; first && s[0] == ' ' {
			return at, "" // a leading space would be indentation
		}
		return at, s
	}
	raw := string(t.src.data[t.outer.From:max(t.outer.From, min(at.From, t.outer.To))]) + s + string(t.src.data[min(max(at.To, t.outer.From), t.outer.To):t.outer.To])
	if isPlain(raw, t.src.inFlow(t.node)) {
		return at, s
	}
	if at == t.outer {
		return at, Quoted(s)
	}
	if len(t.beg) != len(t.Value) {
		return at, ""
	}
	from, _ := slices.BinarySearch(t.beg, at.From)
	to, _ := slices.BinarySearch(t.beg, at.To)
	return t.outer, Quoted(t.Value[:from] + s + t.Value[max(from, to):])
}

// PlainOrQuoted returns s as a replacement for the whole text, in quotes only if they are needed there.
func (t *Scalar) PlainOrQuoted(s string) string {
	if isPlain(s, t.src.inFlow(t.node)) {
		return s
	}
	return Quoted(s)
}

var (
	plainStart = regexp.MustCompile("^(?:[^\\s\\-?:,\\[\\]{}#&*!|>'\"%@`]|[-?:][^\\s,\\[\\]{}])")
	plainBreak = regexp.MustCompile(`:(?:\s|$)|(?:^|\s)#|\s$`)
	flowBreak  = regexp.MustCompile(`[,?\[\]{}]|:["']`)
)

// isPlain reports whether YAML reads s, written without quotes, as exactly that text.
func isPlain(s string, flow bool) bool {
	switch s {
	case "", "~", "null", "Null", "NULL", "<<":
		return false
	}
	return plainStart.MatchString(s) && !plainBreak.MatchString(s) && !(flow && flowBreak.MatchString(s))
}

// straighten looks whether the value stands in the file as it is, as most do. from is where the scalar begins.
func (t *Scalar) straighten(from int) bool {
	quote := ""
	switch style := t.node.Style; {
	case style&blockStyle != 0 || t.Value == "":
		return false
	case style&yaml.DoubleQuotedStyle != 0:
		quote = `"`
	case style&yaml.SingleQuotedStyle != 0:
		quote = "'"
	}
	written := quote + t.Value + quote
	to := from + len(written)
	if to > len(t.src.data) || string(t.src.data[from:to]) != written || quote != "" && strings.ContainsAny(t.Value, quote+`\`) {
		return false
	}
	t.outer, t.straight = Span{from, to}, from+len(quote)
	return t.straight > 0
}

// spread fills beg and end.
func (t *Scalar) spread() {
	t.locate()
	if t.straight == 0 {
		return
	}
	for i := range len(t.Value) {
		t.beg, t.end = append(t.beg, t.straight+i), append(t.end, t.straight+i+1)
	}
	t.straight = 0
}

func (t *Scalar) locate() {
	if t.mapped {
		return
	}
	t.mapped = true
	from := t.src.content(t.node)
	t.outer = Span{from, from}
	if t.straighten(from) {
		return
	}
	m := mapper{data: t.src.data, pos: from, rest: t.Value}
	switch style := t.node.Style; {
	case style&blockStyle != 0:
		m.pos = m.block(style&yaml.FoldedStyle != 0)
	case style&yaml.DoubleQuotedStyle != 0:
		m.pos++
		m.flow('"')
		m.pos++
	case style&yaml.SingleQuotedStyle != 0:
		m.pos++
		m.flow('\'')
		m.pos++
	default:
		m.flow(0)
	}
	t.outer.To = min(max(from, m.pos), len(t.src.data))
	if !m.lost && m.rest == "" {
		t.beg, t.end = m.beg, m.end
		return
	}
	// The result differs from the YAML reader's: point at the first line of the text.
	t.outer.To = breakAfter(t.src.data, from)
}

// Quoted returns s as a YAML text in quotes: single quotes where s needs no escaping in them.
func Quoted(s string) string {
	if !strings.ContainsAny(s, `"\`) || strings.ContainsFunc(s, func(c rune) bool { return c < ' ' && c != '\t' }) {
		return doubleQuoted(s)
	}
	return SingleQuoted(s)
}

func SingleQuoted(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

func doubleQuoted(s string) string { return `"` + escapeDouble(s) + `"` }

func escapeDouble(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`).Replace(s)
}

// unwrapped returns a text without the quotes around it.
func unwrapped(s string) string {
	if len(s) > 2 && s[0] == s[len(s)-1] && (s[0] == '"' || s[0] == '\'') {
		return s[1 : len(s)-1]
	}
	if inner, ok := uncurled(s); ok {
		return inner
	}
	return s
}

// uncurled returns a text without the curly quotes around it.
func uncurled(s string) (string, bool) {
	first, n := utf8.DecodeRuneInString(s)
	last, w := utf8.DecodeLastRuneInString(s)
	if len(s) <= n+w || !strings.ContainsRune(curlyQuotes, first) || !strings.ContainsRune(curlyQuotes, last) || strings.ContainsAny(s[n:len(s)-w], curlyQuotes[:12]) {
		return s, false
	}
	return s[n : len(s)-w], true
}

const curlyQuotes = "“”„‟‘’‚‛«»"
