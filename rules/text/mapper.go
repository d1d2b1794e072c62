package text

import (
	"math"
	"strconv"
	"unicode/utf8"
)

// A mapper reads one scalar again, the way the YAML reader does, and records where each byte came from.
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

// lineBreak returns the line break at m.pos as it is in the value: "\n" for most, unchanged for two rare ones.
func (m *mapper) lineBreak() (string, int) {
	w := breakLen(m.data, m.pos)
	if w == 3 {
		return string(m.data[m.pos : m.pos+3]), 3
	}
	return "\n", w
}

// flow reads a quoted scalar (quote is its quotation mark) or a plain one (quote is 0) to its end.
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

// fold reads blanks and line breaks between two words. Blanks stay, a single line break becomes a space, and of
// several line breaks all but the first stay.
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

	// With an indentation indicator, the indentation also depends on the parent; only the value tells which it was.
	// Without one, it is the indentation of the first line of text, written as 0 here, unless what follows the blank
	// lines belongs to the parent: then no line is deep enough.
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
