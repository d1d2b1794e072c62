package text

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

var bom = []byte("\xef\xbb\xbf")

// A source is the text of a file. It converts offsets to lines and columns.
type source struct {
	name  string
	data  []byte   // without the byte order mark, which does not count as a column
	keys  []string // the keys with which lines of such a file may begin
	lines []int    // where lines begin, as editors count them
	yaml  []int    // where lines begin for the YAML reader, which knows three more line breaks

	// For a file in which a mistake was mended: the file before, the range of it that was replaced, and for each byte
	// of the replacement its place in the file before.
	of   *source
	at   Span
	back []int

	skipped int // length of the byte order mark
	above   int // lines of the file above the data, if that is only a part of the file

	root *yaml.Node          // the document, after reading
	flow map[*yaml.Node]bool // see inFlow; filled on first use
}

// A Span is a range of a source's bytes.
type Span struct{ From, To int }

func newSource(name string, data []byte) *source {
	written := bytes.TrimPrefix(data, bom)
	return &source{name: name, data: written, skipped: len(data) - len(written)}
}

// with returns the file with other text in place of the bytes at.
func (s *source) with(at Span, with string) *source {
	out := &source{name: s.name, keys: s.keys, skipped: s.skipped, data: slices.Concat(s.data[:at.From], []byte(with), s.data[at.To:]), of: s, at: at}
	i := at.From
	for _, c := range []byte(with) {
		out.back = append(out.back, i)
		if i < at.To && s.data[i] == c {
			i++
		}
	}
	return out
}

// written converts an offset to the file as people wrote it, before anything was mended.
func (s *source) written(off int) int {
	for ; s.of != nil; s = s.of {
		switch behind := s.at.From + len(s.back); {
		case off >= behind:
			off += s.at.To - behind
		case off > s.at.From:
			off = s.back[off-s.at.From]
		}
	}
	return off
}

// holdsMend reports whether any of the bytes at were mended.
func (s *source) holdsMend(at Span) bool {
	for ; s.of != nil; s = s.of {
		if at.From <= s.at.From+len(s.back) && at.To >= s.at.From {
			return true
		}
		if at.From > s.at.From {
			shift := s.at.To - s.at.From - len(s.back)
			at = Span{at.From + shift, at.To + shift}
		}
	}
	return false
}

// breakLen returns the length of the YAML line break at data[i], 0 if there is none.
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

// breakAfter returns the offset of the first YAML line break from i on, or the length of the data.
func breakAfter(data []byte, i int) int {
	for i < len(data) && breakLen(data, i) == 0 {
		i++
	}
	return i
}

// skipBlanks returns the offset of the first byte from i on that is neither a space nor a tab.
func skipBlanks(data []byte, i int) int {
	for i < len(data) && (data[i] == ' ' || data[i] == '\t') {
		i++
	}
	return i
}

// position returns the line and column of a byte offset. Both count from 1; columns count characters.
func (s *source) position(off int) (line, column int) {
	if off <= 0 {
		return s.above + 1, 1 // so a file that is refused for its size is not read to its end
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
	return s.above + i + 1, utf8.RuneCount(s.data[lines[i]:off]) + 1
}

// lineOffsets returns the offsets at which lines begin, as editors count them.
func (s *source) lineOffsets() []int {
	if s.lines == nil {
		s.lines = []int{0}
		for i := endOfLine(s.data, 0); i < len(s.data); i = endOfLine(s.data, i) {
			if i++; s.data[i-1] == '\r' && i < len(s.data) && s.data[i] == '\n' {
				i++
			}
			s.lines = append(s.lines, i)
		}
	}
	return s.lines
}

// line returns a line, counted from 0 as in editors, without its line break.
func (s *source) line(n int) (from int, written string) {
	from = s.lineOffsets()[n]
	return from, string(s.data[from:endOfLine(s.data, from)])
}

// endOfLine returns the offset of the first line break from i on, as editors count lines, or the length of the data.
func endOfLine(data []byte, i int) int {
	if n := bytes.IndexAny(data[i:], "\r\n"); n >= 0 {
		return i + n
	}
	return len(data)
}

// lineSpan returns a line, counted from 1 as in editors, without the blanks around it.
func (s *source) lineSpan(line int) Span {
	from, written := s.line(min(max(line, 1), len(s.lineOffsets())) - 1)
	trimmed := strings.TrimRight(written, " \t")
	blank := len(trimmed) - len(strings.TrimLeft(trimmed, " \t"))
	return Span{from + blank, from + len(trimmed)}
}

// offset returns where a node begins, including its anchor and tag.
func (s *source) offset(n *yaml.Node) int {
	if s.yaml == nil {
		s.yaml = []int{0}
		for i := breakAfter(s.data, 0); i < len(s.data); i = breakAfter(s.data, i) {
			i += breakLen(s.data, i)
			s.yaml = append(s.yaml, i)
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

// content returns where a node's text begins, after its anchor and tag.
func (s *source) content(n *yaml.Node) int {
	off := s.offset(n)
	if n.Anchor == "" && n.Style&yaml.TaggedStyle == 0 && (off >= len(s.data) || s.data[off] != '!') {
		return off
	}
	for off < len(s.data) && (s.data[off] == '&' || s.data[off] == '!') {
		anchor := s.data[off] == '&' // an anchor ends at the first other sign, a tag at a blank
		off++
		for off < len(s.data) && s.data[off] != ' ' && s.data[off] != '\t' && breakLen(s.data, off) == 0 && (!anchor || wordByte(s.data[off])) {
			off++
		}
		for begin := -1; begin != off; {
			begin = off
			if off = skipBlanks(s.data, off); off < len(s.data) && s.data[off] == '#' {
				off = breakAfter(s.data, off)
			}
			off += breakLen(s.data, off)
		}
	}
	return off
}

func wordByte(b byte) bool {
	return b|0x20 >= 'a' && b|0x20 <= 'z' || b >= '0' && b <= '9' || b == '_' || b == '-'
}

// span returns the range to point at for a node: a scalar including quotes, or the first line of a list or map.
func (s *source) span(n *yaml.Node) Span {
	if n.Kind == yaml.ScalarNode {
		return newScalar(s, n).whole()
	}
	at := s.lineFrom(s.offset(n))
	if n.Kind == yaml.AliasNode {
		at.To = min(at.To, at.From+1+len(n.Value))
	}
	return at
}

// lineFrom returns the rest of a line from an offset on, without blanks at its end.
func (s *source) lineFrom(from int) Span {
	return Span{from, from + len(bytes.TrimRight(s.data[from:breakAfter(s.data, from)], " \t"))}
}

// in returns the text of a range.
func (s *source) in(at Span) string { return string(s.data[at.From:at.To]) }

// extent returns the range of a node, see [Document.Range].
func (s *source) extent(n *yaml.Node) Span {
	at := s.span(n)
	if n.Kind != yaml.MappingNode && n.Kind != yaml.SequenceNode {
		return at
	}
	at.To = s.content(n)
	flow := n.Style&yaml.FlowStyle != 0
	if flow {
		at.To = min(at.To+1, len(s.data))
	}
	for _, c := range n.Content {
		at.To = max(at.To, s.extent(c).To)
	}
	if flow { // up to the closing bracket only blanks, line breaks, a comma and comments are left
		for at.To < len(s.data) {
			c := s.data[at.To]
			at.To++
			if c == ']' || c == '}' {
				break
			}
			if c == '#' {
				at.To = breakAfter(s.data, at.To)
			}
		}
	}
	return at
}

// inFlow reports whether a node is inside brackets: [a, b] or {a: b}.
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

// comment returns the comment that follows an offset on its line.
func (s *source) comment(off int) Span {
	i := skipBlanks(s.data, off)
	if i >= len(s.data) || s.data[i] != '#' {
		return Span{off, off}
	}
	return s.lineFrom(i)
}
