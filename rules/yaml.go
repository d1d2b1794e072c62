package rules

import (
	"bytes"
	"errors"
	"iter"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// Limits of one rule file.
const (
	MaxFileSize  = 1 << 20 // bytes
	maxYAMLDepth = 64      // nested lists and maps, aliases followed
	maxMends     = 20      // mistakes that keep a file from being read, before reading stops
	maxYAMLNodes = 100_000 // values, aliases followed: 10 aliases of 10 aliases of … count as what they stand for
)

var bom = []byte("\xef\xbb\xbf")

// A source is a rule file's text and the way from offsets in it to lines and columns.
type source struct {
	name  string
	data  []byte // without a byte order mark, which has no column
	lines []int  // where the lines of an editor begin
	yaml  []int  // where the lines of the YAML reader begin, which breaks lines at three more characters

	// If this is a file in which a mistake was mended: the file before, the range that was replaced in it, and for each
	// byte of the replacement its place in the file before.
	of   *source
	at   span
	back []int

	root *yaml.Node          // the document, once it is read
	flow map[*yaml.Node]bool // see inFlow; filled when first asked for
}

// A span is a range of a source's bytes.
type span struct{ from, to int }

func newSource(name string, data []byte) *source {
	return &source{name: name, data: bytes.TrimPrefix(data, bom)}
}

// with returns the file with other text in place of the bytes at.
func (s *source) with(at span, with string) *source {
	out := &source{name: s.name, data: slices.Concat(s.data[:at.from], []byte(with), s.data[at.to:]), of: s, at: at}
	i := at.from
	for _, c := range []byte(with) {
		out.back = append(out.back, i)
		if i < at.to && s.data[i] == c {
			i++
		}
	}
	return out
}

// written is the place of an offset in the file that people wrote, before anything was mended.
func (s *source) written(off int) int {
	for ; s.of != nil; s = s.of {
		switch behind := s.at.from + len(s.back); {
		case off >= behind:
			off += s.at.to - behind
		case off > s.at.from:
			off = s.back[off-s.at.from]
		}
	}
	return off
}

// holdsMend says whether any of the bytes at were mended.
func (s *source) holdsMend(at span) bool {
	for ; s.of != nil; s = s.of {
		if at.from <= s.at.from+len(s.back) && at.to >= s.at.from {
			return true
		}
		if at.from > s.at.from {
			shift := s.at.to - s.at.from - len(s.back)
			at = span{at.from + shift, at.to + shift}
		}
	}
	return false
}

// lineStarts returns the offsets at which lines begin, as editors count them.
func lineStarts(data []byte) iter.Seq[int] {
	return func(yield func(int) bool) {
		if !yield(0) {
			return
		}
		for i := 0; i < len(data); i++ {
			switch {
			case data[i] == '\r' && i+1 < len(data) && data[i+1] == '\n':
				continue
			case data[i] == '\n' || data[i] == '\r':
				if !yield(i + 1) {
					return
				}
			}
		}
	}
}

// breakLen is the length of the YAML line break at data[i], 0 if there is none.
func breakLen(data []byte, i int) int {
	if i >= len(data) {
		return 0
	}
	switch data[i] {
	case '\n':
		return 1
	case '\r':
		if i+1 < len(data) && data[i+1] == '\n' {
			return 2
		}
		return 1
	case 0xC2:
		if i+1 < len(data) && data[i+1] == 0x85 {
			return 2
		}
	case 0xE2:
		if i+2 < len(data) && data[i+1] == 0x80 && (data[i+2] == 0xA8 || data[i+2] == 0xA9) {
			return 3
		}
	}
	return 0
}

// position is the 1-based line and column, in characters, of a byte offset.
func (s *source) position(off int) (line, column int) {
	if off <= 0 {
		return 1, 1 // also keeps a file of 100 MB, refused by its size, from being read
	}
	off = s.written(off)
	for s.of != nil {
		s = s.of
	}
	off = min(off, len(s.data))
	lines := s.lineOffsets()
	i, found := slices.BinarySearch(lines, off)
	if !found {
		i--
	}
	return i + 1, utf8.RuneCount(s.data[lines[i]:off]) + 1
}

func (s *source) lineOffsets() []int {
	if s.lines == nil {
		s.lines = slices.Collect(lineStarts(s.data))
	}
	return s.lines
}

// lineSpan is a whole line (1-based, as editors count) without the blanks around it.
func (s *source) lineSpan(line int) span {
	s.lineOffsets()
	if len(s.data) == 0 {
		return span{}
	}
	line = min(max(line, 1), len(s.lines))
	from := s.lines[line-1]
	to := len(s.data)
	if line < len(s.lines) {
		to = s.lines[line]
	}
	text := s.data[from:to]
	trimmed := bytes.TrimRight(text, " \t\r\n")
	to = from + len(trimmed)
	from += len(trimmed) - len(bytes.TrimLeft(trimmed, " \t"))
	return span{from, max(from, to)}
}

// offset is where a node begins, anchors and tags included.
func (s *source) offset(n *yaml.Node) int {
	if s.yaml == nil {
		s.yaml = append(s.yaml, 0)
		for i := 0; i < len(s.data); {
			if w := breakLen(s.data, i); w > 0 {
				i += w
				s.yaml = append(s.yaml, i)
			} else {
				i++
			}
		}
	}
	if n.Line < 1 || n.Line > len(s.yaml) {
		return len(s.data)
	}
	off := s.yaml[n.Line-1]
	for range n.Column - 1 {
		if off >= len(s.data) {
			return len(s.data)
		}
		_, w := utf8.DecodeRune(s.data[off:])
		off += w
	}
	return min(off, len(s.data))
}

// content is where a node's own text begins, after its anchor and tag.
func (s *source) content(n *yaml.Node) int {
	off := s.offset(n)
	if n.Anchor == "" && n.Style&yaml.TaggedStyle == 0 && (off >= len(s.data) || s.data[off] != '!') {
		return off
	}
	for off < len(s.data) && (s.data[off] == '&' || s.data[off] == '!') {
		anchor := s.data[off] == '&' // ends at the first sign; a tag ends at a blank
		off++
		for off < len(s.data) && s.data[off] != ' ' && s.data[off] != '\t' && breakLen(s.data, off) == 0 && (!anchor || wordByte(s.data[off])) {
			off++
		}
		for off < len(s.data) {
			if w := breakLen(s.data, off); w > 0 {
				off += w
			} else if s.data[off] == ' ' || s.data[off] == '\t' {
				off++
			} else if s.data[off] == '#' {
				for off < len(s.data) && breakLen(s.data, off) == 0 {
					off++
				}
			} else {
				break
			}
		}
	}
	return off
}

func wordByte(b byte) bool { return isLetter(b) || b >= '0' && b <= '9' || b == '_' || b == '-' }

// span is the range to point at for a node: a scalar's text, quotes included; of a list or map its first line.
func (s *source) span(n *yaml.Node) span {
	if n.Kind == yaml.ScalarNode {
		return newText(s, n).whole()
	}
	from := s.offset(n)
	to := from
	for to < len(s.data) && breakLen(s.data, to) == 0 {
		to++
	}
	to = from + len(bytes.TrimRight(s.data[from:to], " \t"))
	if n.Kind == yaml.AliasNode {
		to = min(to, from+1+len(n.Value))
	}
	return span{from, to}
}

// extent is where a node stands, see [Document.Range].
func (s *source) extent(n *yaml.Node) span {
	at := s.span(n)
	if n.Kind != yaml.MappingNode && n.Kind != yaml.SequenceNode {
		return at
	}
	at.to = s.content(n)
	flow := n.Style&yaml.FlowStyle != 0
	if flow {
		at.to = min(at.to+1, len(s.data))
	}
	for _, c := range n.Content {
		at.to = max(at.to, s.extent(c).to)
	}
	if flow { // what is left up to the closing bracket are blanks, line breaks, a comma and comments
		for at.to < len(s.data) {
			c := s.data[at.to]
			at.to++
			if c == ']' || c == '}' {
				break
			}
			if c == '#' {
				for at.to < len(s.data) && breakLen(s.data, at.to) == 0 {
					at.to++
				}
			}
		}
	}
	return at
}

// A text is a scalar of a rule file: its value, and for each byte of the value where in the file it stands.
type text struct {
	value    string
	node     *yaml.Node
	src      *source
	beg, end []int // for each byte of value, the file's bytes it was read from; filled when first asked for
	outer    span  // the scalar in the file, quotes or block header included
	slip     *span // the range that with replaced
	mapped   bool
}

func newText(src *source, n *yaml.Node) *text { return &text{value: n.Value, node: n, src: src} }

// whole is the scalar as it stands in the file, quotes included.
func (t *text) whole() span {
	t.locate()
	return t.outer
}

// span maps a range of the value's bytes to the file.
func (t *text) span(from, to int) span {
	t.locate()
	if len(t.beg) != len(t.value) || len(t.value) == 0 {
		return t.outer
	}
	from, to = min(max(from, 0), len(t.value)), min(max(to, 0), len(t.value))
	var s span
	if from < len(t.value) {
		s.from = t.beg[from]
	} else {
		s.from = t.end[len(t.value)-1]
	}
	s.to = s.from
	if to > from {
		s.to = max(s.from, t.end[to-1])
	}
	return s
}

// with returns the text with s in place of the file's bytes at, so that the rest can be checked in spite of a mistake.
// It is nil if that place is not known.
func (t *text) with(at span, s string) *text {
	t.locate()
	if len(t.beg) != len(t.value) || at.from < t.outer.from || at.to > t.outer.to {
		return nil
	}
	from, _ := slices.BinarySearch(t.beg, at.from)
	to, _ := slices.BinarySearch(t.beg, at.to)
	to = max(from, to)
	return &text{
		value: t.value[:from] + s + t.value[to:], node: t.node, src: t.src, outer: t.outer, mapped: true, slip: &at,
		beg: slices.Concat(t.beg[:from], slices.Repeat([]int{at.from}, len(s)), t.beg[to:]),
		end: slices.Concat(t.end[:from], slices.Repeat([]int{at.to}, len(s)), t.end[to:]),
	}
}

// mend returns what to write in the file, and in which range, so that the text has s where it now has the bytes at. This
// is s itself if the text's style allows it, else the whole text in quotes. It is "" if s is, and if no single text will
// do.
func (t *text) mend(at span, s string) (span, string) {
	if s == "" || t.slip != nil && at.from >= t.slip.from && at.to <= t.slip.to {
		return at, ""
	}
	t.locate()
	style := t.node.Style
	if style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		for at.to > at.from && breakLen(t.src.data, at.to-1) > 0 {
			at.to-- // the line break behind it is the block's
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
			return at, quoted(s)
		}
		return at, strings.ReplaceAll(s, "'", "''")
	case style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		if at == t.outer {
			return at, t.plainOrQuoted(s)
		}
		if first := at.from == 0 || breakLen(t.src.data, at.from-1) > 0 || t.src.data[at.from-1] == ' '; first && s[0] == ' ' {
			return at, "" // which would be indentation
		}
		return at, s
	}
	raw := string(t.src.data[t.outer.from:max(t.outer.from, min(at.from, t.outer.to))]) + s + string(t.src.data[min(max(at.to, t.outer.from), t.outer.to):t.outer.to])
	if isPlain(raw, t.src.inFlow(t.node)) {
		return at, s
	}
	if at == t.outer {
		return at, quoted(s)
	}
	if len(t.beg) != len(t.value) {
		return at, ""
	}
	from, _ := slices.BinarySearch(t.beg, at.from)
	to, _ := slices.BinarySearch(t.beg, at.to)
	return t.outer, quoted(t.value[:from] + s + t.value[max(from, to):])
}

// plainOrQuoted writes s in place of the whole text, with quotes only if they are needed there.
func (t *text) plainOrQuoted(s string) string {
	if isPlain(s, t.src.inFlow(t.node)) {
		return s
	}
	return quoted(s)
}

var (
	plainStart = regexp.MustCompile("^(?:[^\\s\\-?:,\\[\\]{}#&*!|>'\"%@`]|[-?:][^\\s,\\[\\]{}])")
	plainBreak = regexp.MustCompile(`:(?:\s|$)|(?:^|\s)#|\s$`)
	flowBreak  = regexp.MustCompile(`[,?\[\]{}]|:["']`)
)

// isPlain says whether YAML reads s, written without quotes, as that text.
func isPlain(s string, flow bool) bool {
	switch s {
	case "", "~", "null", "Null", "NULL", "<<":
		return false
	}
	return plainStart.MatchString(s) && !plainBreak.MatchString(s) && !(flow && flowBreak.MatchString(s))
}

// inFlow says whether a node is inside brackets: [a, b] or {a: b}.
func (s *source) inFlow(n *yaml.Node) bool {
	if s.flow == nil {
		s.flow = map[*yaml.Node]bool{}
		var walk func(n *yaml.Node, flow bool)
		walk = func(n *yaml.Node, flow bool) {
			s.flow[n] = flow
			for _, c := range n.Content {
				walk(c, flow || n.Style&yaml.FlowStyle != 0)
			}
		}
		if s.root != nil {
			walk(s.root, false)
		}
	}
	return s.flow[n]
}

func (t *text) locate() {
	if t.mapped {
		return
	}
	t.mapped = true
	from := t.src.content(t.node)
	t.outer = span{from, from}
	n := len(t.value)
	m := mapper{data: t.src.data, pos: from, want: n, out: make([]byte, 0, n), beg: make([]int, 0, n), end: make([]int, 0, n)}
	switch style := t.node.Style; {
	case style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		m.block(t.value, style&yaml.LiteralStyle != 0)
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
	t.outer.to = min(max(from, m.pos), len(t.src.data))
	if string(m.out) == t.value {
		t.beg, t.end = m.beg, m.end
		return
	}
	// Not what the YAML reader made of it: point at the first line of the whole.
	to := from
	for to < len(t.src.data) && breakLen(t.src.data, to) == 0 {
		to++
	}
	t.outer.to = max(from, to)
}

// A mapper reads one scalar again, as the YAML reader does, and notes where each byte came from.
type mapper struct {
	data     []byte
	pos      int
	want     int // the length of the value, at which a plain scalar ends
	out      []byte
	beg, end []int
}

func (m *mapper) emit(s string, from, to int) {
	for i := range len(s) {
		m.out = append(m.out, s[i])
		m.beg = append(m.beg, from)
		m.end = append(m.end, to)
	}
}

func (m *mapper) at(i int) byte {
	if i < len(m.data) {
		return m.data[i]
	}
	return 0
}

// lineBreak is the line break at m.pos as the value has it: "\n" for most, itself for two odd ones.
func (m *mapper) lineBreak() (string, int) {
	w := breakLen(m.data, m.pos)
	if w == 3 {
		return string(m.data[m.pos : m.pos+3]), 3
	}
	return "\n", w
}

// flow reads a quoted (quote is its sign) or plain (quote is 0) scalar up to its end.
func (m *mapper) flow(quote byte) {
	for m.pos < len(m.data) && (quote != 0 || len(m.out) < m.want) {
		escapedBreak := false
		// Visible characters.
		for m.pos < len(m.data) && !m.blankOrBreak() {
			c := m.data[m.pos]
			if quote == 0 && len(m.out) >= m.want {
				return
			}
			if quote == '\'' && c == '\'' && m.at(m.pos+1) == '\'' {
				m.emit("'", m.pos, m.pos+2)
				m.pos += 2
				continue
			}
			if quote != 0 && c == quote {
				return
			}
			if quote == '"' && c == '\\' {
				if w := breakLen(m.data, m.pos+1); w > 0 {
					m.pos += 1 + w
					escapedBreak = true
					break
				}
				if !m.escape() {
					return
				}
				continue
			}
			_, w := utf8.DecodeRune(m.data[m.pos:])
			m.emit(string(m.data[m.pos:m.pos+w]), m.pos, m.pos+w)
			m.pos += w
		}
		if quote != 0 && m.at(m.pos) == quote || quote == 0 && len(m.out) >= m.want {
			return
		}
		m.fold(escapedBreak)
	}
}

func (m *mapper) blankOrBreak() bool {
	return m.data[m.pos] == ' ' || m.data[m.pos] == '\t' || breakLen(m.data, m.pos) > 0
}

// fold reads blanks and line breaks between two words: blanks alone stay, one break is a space, of several
// breaks all but the first stay.
func (m *mapper) fold(escapedBreak bool) {
	type piece struct {
		s        string
		from, to int
	}
	var blanks, breaks []piece
	for m.pos < len(m.data) && m.blankOrBreak() {
		if w := breakLen(m.data, m.pos); w > 0 {
			s, _ := m.lineBreak()
			breaks = append(breaks, piece{s, m.pos, m.pos + w})
			m.pos += w
			continue
		}
		if len(breaks) == 0 && !escapedBreak {
			blanks = append(blanks, piece{string(m.data[m.pos : m.pos+1]), m.pos, m.pos + 1})
		}
		m.pos++
	}
	switch {
	case escapedBreak:
		for _, p := range breaks {
			m.emit(p.s, p.from, p.to)
		}
	case len(breaks) == 0:
		for _, p := range blanks {
			m.emit(p.s, p.from, p.to)
		}
	case breaks[0].s != "\n":
		for _, p := range breaks {
			m.emit(p.s, p.from, p.to)
		}
	case len(breaks) == 1:
		from := breaks[0].from
		if len(blanks) > 0 {
			from = blanks[0].from
		}
		m.emit(" ", from, breaks[0].to)
	default:
		for _, p := range breaks[1:] {
			m.emit(p.s, p.from, p.to)
		}
	}
}

func (m *mapper) escape() bool {
	from := m.pos
	simple := map[byte]string{
		'0': "\x00", 'a': "\a", 'b': "\b", 't': "\t", '\t': "\t", 'n': "\n", 'v': "\v", 'f': "\f", 'r': "\r",
		'e': "\x1b", ' ': " ", '"': `"`, '\'': "'", '\\': `\`, 'N': "\u0085", '_': "\u00a0", 'L': "\u2028", 'P': "\u2029",
	}
	c := m.at(m.pos + 1)
	if s, ok := simple[c]; ok {
		m.pos += 2
		m.emit(s, from, m.pos)
		return true
	}
	width := map[byte]int{'x': 2, 'u': 4, 'U': 8}[c]
	if width == 0 || m.pos+2+width > len(m.data) {
		return false
	}
	v, err := strconv.ParseUint(string(m.data[m.pos+2:m.pos+2+width]), 16, 32)
	if err != nil {
		return false
	}
	m.pos += 2 + width
	m.emit(string(rune(v)), from, m.pos)
	return true
}

// block reads a literal (|) or folded (>) scalar.
func (m *mapper) block(value string, literal bool) {
	m.pos++
	chomp, increment := byte(0), 0
	for range 2 {
		switch c := m.at(m.pos); {
		case c == '+' || c == '-':
			chomp = c
			m.pos++
		case c >= '1' && c <= '9':
			increment = int(c - '0')
			m.pos++
		}
	}
	for m.pos < len(m.data) && breakLen(m.data, m.pos) == 0 {
		m.pos++
	}
	m.pos += breakLen(m.data, m.pos)
	body := m.pos

	// With an indentation indicator the indentation also depends on the parent's; the value tells which it was.
	// Without one it is that of the first line of text (0 stands for it), unless what follows the blank lines
	// belongs to the parent: then no indentation is deep enough.
	indents := []int{0, math.MaxInt}
	if increment > 0 {
		indents = nil
		for deeper := range maxYAMLDepth*10 + 1 {
			indents = append(indents, increment+deeper)
		}
	}
	for _, indent := range indents {
		m.pos = body
		m.out, m.beg, m.end = m.out[:0], m.beg[:0], m.end[:0]
		m.blockLines(indent, chomp, literal)
		if string(m.out) == value {
			return
		}
	}
}

func (m *mapper) blockLines(indent int, chomp byte, literal bool) {
	type piece struct {
		s        string
		from, to int
	}
	var leading, trailing []piece
	put := func(ps []piece) {
		for _, p := range ps {
			m.emit(p.s, p.from, p.to)
		}
	}
	column := 0
	breaks := func() {
		deepest := 0
		for {
			column = 0
			for (indent == 0 || column < indent) && m.at(m.pos) == ' ' && m.pos < len(m.data) {
				m.pos++
				column++
			}
			deepest = max(deepest, column)
			w := breakLen(m.data, m.pos)
			if w == 0 {
				break
			}
			s, _ := m.lineBreak()
			trailing = append(trailing, piece{s, m.pos, m.pos + w})
			m.pos += w
		}
		if indent == 0 {
			indent = max(deepest, 1)
		}
	}
	breaks()
	last := m.pos
	leadingBlank := false
	for column == indent && m.pos < len(m.data) {
		blank := m.at(m.pos) == ' ' || m.at(m.pos) == '\t'
		if !literal && !leadingBlank && !blank && len(leading) > 0 && leading[0].s == "\n" {
			if len(trailing) == 0 {
				m.emit(" ", leading[0].from, leading[0].to)
			}
		} else {
			put(leading)
		}
		leading = nil
		put(trailing)
		trailing = nil
		leadingBlank = blank
		from := m.pos
		for m.pos < len(m.data) && breakLen(m.data, m.pos) == 0 {
			m.pos++
		}
		for i := from; i < m.pos; {
			_, w := utf8.DecodeRune(m.data[i:])
			m.emit(string(m.data[i:i+w]), i, i+w)
			i += w
		}
		last = m.pos
		if w := breakLen(m.data, m.pos); w > 0 {
			s, _ := m.lineBreak()
			leading = []piece{{s, m.pos, m.pos + w}}
			m.pos += w
		}
		breaks()
	}
	if chomp != '-' {
		put(leading)
	}
	if chomp == '+' {
		put(trailing)
	}
	m.pos = last
}

// readYAML parses a file into its one document. It returns nil for a file without content, and for one that cannot be
// read, which it has reported. Mistakes that can be mended are reported, and the rest is read as if they had been: r.src
// is then the mended file, which knows the places in the file that people wrote.
func readYAML(r *report) (root *yaml.Node) {
	src := r.src
	if !readable(src, r) {
		return nil
	}
	doc, second, err := decode(src.data)
	budget := 4 * MaxFileSize
	for n := 0; err != nil; n++ {
		m := misread(src, err)
		suggestion, next := m.mend(src, &budget)
		r.errorf(m.code, m.at, suggestion, "%s", m.message)
		if next == nil || n == maxMends {
			return nil
		}
		src, r.src = next, next
		doc, second, err = decode(src.data)
	}
	if second != nil {
		from := src.offset(second)
		at := span{from, from}
		if bytes.HasPrefix(src.data[from:], []byte("---")) {
			at.to += 3
		}
		r.errorf("second-document", at, "", "a rule file has one document: what follows this --- would be lost; put it in a file of its own")
	}
	if len(doc.Content) == 0 {
		return nil
	}
	root = doc.Content[0]
	src.root = root
	if !bounded(src, r, root) || oddIndent(src, r, root) {
		return nil
	}
	return root
}

// decode reads a file's first document, and the second if there is one.
func decode(data []byte) (first, second *yaml.Node, err error) {
	defer func() { // the YAML reader is not ours: whatever it does with odd input, the file is refused
		if p := recover(); p != nil {
			err = errors.New("yaml: this file cannot be read")
		}
	}()
	dec := yaml.NewDecoder(bytes.NewReader(data))
	first, second = &yaml.Node{}, &yaml.Node{}
	if err := dec.Decode(first); err != nil {
		if isEOF(err) {
			err = nil
		}
		return first, nil, err
	}
	if err := dec.Decode(second); err != nil {
		if isEOF(err) {
			err = nil
		}
		return first, nil, err
	}
	return first, second, nil
}

// oddIndent reports a key that begins with a blank that YAML does not take for one, such as a no-break space.
func oddIndent(src *source, r *report, n *yaml.Node) bool {
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 && c.Kind == yaml.ScalarNode && c.Style == 0 {
			trimmed := strings.TrimLeftFunc(c.Value, func(r rune) bool { return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) })
			if blank := len(c.Value) - len(trimmed); blank > 0 {
				from := src.content(c)
				at := bytes.IndexFunc(src.data[from:], func(r rune) bool { return r > 0x7f })
				_, w := utf8.DecodeRune(src.data[from+max(at, 0):])
				r.errorf("indentation", span{from + max(at, 0), from + max(at, 0) + w}, " ", "there is a special blank in the indentation, such as a copied web page has; use plain ones")
				return true
			}
		}
		if oddIndent(src, r, c) {
			return true
		}
	}
	return false
}

func isEOF(err error) bool { return err != nil && err.Error() == "EOF" }

// readable refuses what is not text before anything reads it.
func readable(src *source, r *report) bool {
	if len(src.data) > MaxFileSize {
		r.errorf("too-large", span{0, 0}, "", "this file is larger than %d KiB, which is more than a rule file may have; split it", MaxFileSize>>10)
		return false
	}
	for i := 0; i < len(src.data); {
		c, w := utf8.DecodeRune(src.data[i:])
		if c == utf8.RuneError && w == 1 {
			r.errorf("not-text", span{i, i + 1}, "", "this file is not UTF-8 text; save it as UTF-8")
			return false
		}
		if c < ' ' && c != '\t' && c != '\n' && c != '\r' || c == 0x7f || c == 0xFFFE || c == 0xFFFF {
			r.errorf("not-text", span{i, i + w}, "", "there is an invisible control character here; remove it")
			return false
		}
		i += w
	}
	return true
}

// bounded walks the document as aliases expand it, and refuses one that grows too large or nests too deep.
func bounded(src *source, r *report, root *yaml.Node) bool {
	nodes := 0
	var walk func(n *yaml.Node, depth int, top *yaml.Node) bool
	walk = func(n *yaml.Node, depth int, top *yaml.Node) bool {
		if nodes++; nodes > maxYAMLNodes {
			r.errorf("too-large", src.span(top), "", "with its aliases written out this file has more than %d values; it is refused", maxYAMLNodes)
			return false
		}
		if depth > maxYAMLDepth {
			r.errorf("too-deep", src.span(top), "", "lists and maps are nested more than %d deep here", maxYAMLDepth)
			return false
		}
		if n.Kind == yaml.AliasNode {
			if n.Alias == nil {
				return true
			}
			return walk(n.Alias, depth+1, top)
		}
		for _, c := range n.Content {
			at := top
			if top == nil || c.Line > 0 && top == root {
				at = c
			}
			if !walk(c, depth+1, at) {
				return false
			}
		}
		return true
	}
	return walk(root, 0, root)
}

// resolve follows an alias.
func resolve(n *yaml.Node) *yaml.Node {
	for range maxYAMLDepth {
		if n == nil || n.Kind != yaml.AliasNode || n.Alias == nil {
			return n
		}
		n = n.Alias
	}
	return n
}

// A pair is one entry of a map.
type pair struct {
	name       string
	key, value *yaml.Node
}

// pairs are the entries of a map, merge keys written out, in the order of the file. Keys given twice and keys
// that are not texts are reported.
func pairs(src *source, r *report, n *yaml.Node) []pair {
	var out []pair
	own := map[string]*yaml.Node{}
	var merged []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := resolve(n.Content[i]), resolve(n.Content[i+1])
		if key.Kind == yaml.ScalarNode && key.Tag == "!!merge" {
			merged = append(merged, value)
			if value.Kind != yaml.MappingNode && value.Kind != yaml.SequenceNode {
				r.errorf("merge", src.span(value), "", "<< takes the alias of a map, such as *name")
			}
			continue
		}
		if key.Kind != yaml.ScalarNode {
			r.errorf("key", src.span(key), "", "a key must be a text; if this is a text that begins with { or [, put it in quotes")
			continue
		}
		if first, ok := own[key.Value]; ok {
			line, _ := src.position(src.offset(first))
			r.errorf("duplicate-key", src.span(key), "", "the key %s is given twice, first in line %d", quote(key.Value), line)
			continue
		}
		own[key.Value] = key
		out = append(out, pair{key.Value, key, value})
	}
	for _, m := range merged {
		maps := []*yaml.Node{m}
		if m.Kind == yaml.SequenceNode {
			maps = m.Content
		}
		for _, m := range maps {
			m = resolve(m)
			if m.Kind != yaml.MappingNode {
				r.errorf("merge", src.span(m), "", "<< takes the alias of a map, such as *name")
				continue
			}
			for _, p := range pairs(src, r, m) {
				if _, ok := own[p.name]; !ok {
					own[p.name] = p.key
					out = append(out, p)
				}
			}
		}
	}
	return out
}

// isNull says whether a node is an empty value.
func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// standardTags are the tags that the YAML specification knows.
var standardTags = []string{"", "!", "!!str", "!!int", "!!float", "!!bool", "!!null", "!!map", "!!seq", "!!timestamp", "!!merge", "!!binary"}

// checkTag reports a tag that means nothing here. An unquoted text that begins with "!" looks like one.
func checkTag(src *source, r *report, n *yaml.Node) bool {
	if n.Style&yaml.TaggedStyle == 0 || slices.Contains(standardTags, n.Tag) {
		return true
	}
	from := src.offset(n)
	to := from
	for to < len(src.data) && breakLen(src.data, to) == 0 {
		to++
	}
	at := span{from, from + len(bytes.TrimRight(src.data[from:to], " \t"))}
	written := string(src.data[at.from:at.to])
	if looksLikeTemplate(n) || n.Kind == yaml.ScalarNode && n.Style&(yaml.LiteralStyle|yaml.FoldedStyle|yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) == 0 {
		written = strings.TrimRight(written, " \t")
		r.errorf("unknown-tag", at, "'"+strings.ReplaceAll(written, "'", "''")+"'", "a text that begins with ! must be in quotes")
		return false
	}
	r.errorf("unknown-tag", at, "", "the tag %s is not known here", quote(n.Tag))
	return false
}

// scalarText returns a scalar as a text. What is not a text is reported.
func scalarText(src *source, r *report, n *yaml.Node, what string) (*text, bool) {
	if !checkTag(src, r, n) {
		return nil, false
	}
	switch {
	case n.Kind == yaml.MappingNode && looksLikeTemplate(n):
		suggestQuoting(src, r, n)
		return nil, false
	case n.Kind != yaml.ScalarNode:
		r.errorf("type", src.span(n), "", "%s takes a text, not %s", what, kindName(n))
		return nil, false
	case isNull(n) && n.Value == "":
		at := src.span(n)
		if strings.HasPrefix(n.LineComment, "#") || commentFollows(src, at.from) {
			c := lineComment(src, at.from)
			written := strings.TrimRight(string(src.data[c.from:c.to]), " \t")
			r.errorf("comment", span{c.from, c.from + len(written)}, `"`+strings.ReplaceAll(written, `"`, `\"`)+`"`,
				"%s is empty: an unquoted # begins a comment; put the text in quotes", what)
			return nil, false
		}
		r.errorf("empty", at, "", "%s is empty", what)
		return nil, false
	case isNull(n):
		r.errorf("empty", src.span(n), "", "%s is empty (%s means no value)", what, n.Value)
		return nil, false
	case n.Tag == "!!binary":
		r.errorf("type", src.span(n), "", "%s takes a text, not binary data", what)
		return nil, false
	}
	t := newText(src, n)
	if inner, ok := uncurled(n.Value); ok && n.Style == 0 && what != quote("on") { // of an event that is reported anyway
		first, last := []rune(n.Value)[0], []rune(n.Value)[len([]rune(n.Value))-1]
		r.mendf(Warning, "quote", t, t.whole(), inner, "%c and %c are part of this text; use straight quotes around a text, or none", first, last)
	}
	if n.Style == 0 && n.LineComment != "" {
		t.locate()
		c := lineComment(src, t.outer.to)
		if c.to > c.from && !strings.Contains(string(src.data[t.outer.to:c.from]), "\n") && cutsOff(string(src.data[c.from:c.to])) {
			written := strings.TrimRight(string(src.data[t.outer.from:c.to]), " \t\r")
			r.warnf("comment", c, `"`+strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(written)+`"`,
				"an unquoted # begins a comment, so the text ends before it; if it belongs to the text, put the text in quotes")
			// The suggestion replaces the text together with its comment.
			fixLast(r, src, span{t.outer.from, t.outer.from + len(written)}, c)
		}
	}
	return t, true
}

// fixLast widens the range of the finding just added at c.
func fixLast(r *report, src *source, at, c span) {
	line, column := src.position(c.from)
	for i := len(r.findings) - 1; i >= 0; i-- {
		if f := &r.findings[i]; f.Code == "comment" && f.Line == line && f.Column == column {
			f.Line, f.Column = src.position(at.from)
			f.EndLine, f.EndColumn = src.position(at.to)
			return
		}
	}
}

// cutsOff guesses whether a comment behind an unquoted text was meant as part of it: "# 4", "#12".
func cutsOff(comment string) bool {
	rest := strings.TrimLeft(comment, "#")
	if rest == comment || rest == "" {
		return false
	}
	if rest[0] != ' ' {
		return true
	}
	rest = strings.TrimSpace(rest)
	return rest != "" && (rest[0] >= '0' && rest[0] <= '9' || strings.Contains(rest, "{{") || strings.Contains(rest, "}}"))
}

func commentFollows(src *source, off int) bool {
	c := lineComment(src, off)
	return c.to > c.from
}

// lineComment is the comment that follows off on its line.
func lineComment(src *source, off int) span {
	i := off
	for i < len(src.data) && (src.data[i] == ' ' || src.data[i] == '\t') {
		i++
	}
	if i >= len(src.data) || src.data[i] != '#' {
		return span{off, off}
	}
	to := i
	for to < len(src.data) && breakLen(src.data, to) == 0 {
		to++
	}
	return span{i, to}
}

// looksLikeTemplate recognises `{{ x }}` written without quotes, which YAML reads as a map.
func looksLikeTemplate(n *yaml.Node) bool {
	return n.Kind == yaml.MappingNode && n.Style&yaml.FlowStyle != 0 && len(n.Content) == 2 &&
		n.Content[0].Kind == yaml.MappingNode && n.Content[0].Style&yaml.FlowStyle != 0
}

func suggestQuoting(src *source, r *report, n *yaml.Node) {
	at := src.span(n)
	if i := bytes.Index(src.data[at.from:at.to], []byte("}}")); i >= 0 {
		at.to = at.from + i + 2
	}
	begin := "{{"
	if n.Anchor != "" {
		begin = "&"
	}
	r.errorf("unquoted-template", at, quoted(string(src.data[at.from:at.to])), "a text that begins with %s must be in quotes", begin)
}

// quoted writes s as a YAML text in quotes, single ones where that needs no escaping.
func quoted(s string) string {
	if !strings.ContainsAny(s, `"\`) || strings.ContainsFunc(s, func(c rune) bool { return c < ' ' && c != '\t' }) {
		return doubleQuoted(s)
	}
	return "'" + strings.ReplaceAll(s, "'", "''") + "'"
}

func doubleQuoted(s string) string { return `"` + escapeDouble(s) + `"` }

func escapeDouble(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`).Replace(s)
}

func kindName(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a map (key: value)"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.Tag {
	case "!!null":
		return "nothing"
	case "!!int", "!!float":
		return "a number"
	case "!!bool":
		return "true or false"
	}
	return "a text"
}

// yamlBool reads true and false in all the spellings people use.
func yamlBool(n *yaml.Node) (value, ok bool) {
	if n.Kind != yaml.ScalarNode {
		return false, false
	}
	switch strings.ToLower(n.Value) {
	case "true", "yes", "on":
		return true, true
	case "false", "no", "off":
		return false, true
	}
	return false, false
}
