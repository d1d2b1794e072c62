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

// A piece is a part of the value, with the range of the file that it stands for.
type piece struct {
	s        string
	from, to int
}

func (m *mapper) emit(pieces ...piece) {
	for _, p := range pieces {
		for i := range len(p.s) {
			m.out = append(m.out, p.s[i])
			m.beg = append(m.beg, p.from)
			m.end = append(m.end, p.to)
		}
	}
}

func (m *mapper) at(i int) byte {
	if i < len(m.data) {
		return m.data[i]
	}
	return 0
}

// read takes the next bytes of the file as they are.
func (m *mapper) read(width int) piece {
	m.pos += width
	return piece{string(m.data[m.pos-width : m.pos]), m.pos - width, m.pos}
}

// readAs takes the next bytes of the file for a part of the value that is written otherwise.
func (m *mapper) readAs(s string, width int) piece {
	m.pos += width
	return piece{s, m.pos - width, m.pos}
}

func (m *mapper) readRune() piece {
	_, width := utf8.DecodeRune(m.data[m.pos:])
	return m.read(width)
}

// readBreak reads a line break as it is in the value: "\n" for most, unchanged for two rare ones.
func (m *mapper) readBreak() piece {
	width := breakLen(m.data, m.pos)
	if width == 3 {
		return m.read(width)
	}
	return m.readAs("\n", width)
}

// flow reads a quoted scalar (quote is its quotation mark) or a plain one (quote is 0) to its end.
func (m *mapper) flow(quote byte) {
	for m.pos < len(m.data) {
		switch c := m.data[m.pos]; {
		case quote == 0 && len(m.out) >= m.want:
			return
		case m.blankOrBreak():
			m.fold(false)
		case quote == '\'' && c == '\'' && m.at(m.pos+1) == '\'':
			m.emit(m.readAs("'", 2))
		case quote != 0 && c == quote:
			return
		case quote == '"' && c == '\\':
			if width := breakLen(m.data, m.pos+1); width > 0 {
				m.pos += 1 + width
				m.fold(true)
			} else if !m.escape() {
				return
			}
		default:
			m.emit(m.readRune())
		}
	}
}

func (m *mapper) blankOrBreak() bool {
	return m.data[m.pos] == ' ' || m.data[m.pos] == '\t' || breakLen(m.data, m.pos) > 0
}

// fold reads blanks and line breaks between two words. Blanks stay, a single line break becomes a space, and of
// several line breaks all but the first stay.
func (m *mapper) fold(escapedBreak bool) {
	var blanks, breaks []piece
	for m.pos < len(m.data) && m.blankOrBreak() {
		if breakLen(m.data, m.pos) > 0 {
			breaks = append(breaks, m.readBreak())
		} else if blank := m.read(1); len(breaks) == 0 && !escapedBreak {
			blanks = append(blanks, blank)
		}
	}
	switch {
	case len(breaks) == 0:
		m.emit(blanks...)
	case escapedBreak, breaks[0].s != "\n":
		m.emit(breaks...)
	case len(breaks) == 1:
		m.emit(piece{" ", append(blanks, breaks...)[0].from, breaks[0].to})
	default:
		m.emit(breaks[1:]...)
	}
}

// escapes are the values of the escapes of one character.
var escapes = map[byte]string{
	'0': "\x00", 'a': "\a", 'b': "\b", 't': "\t", '\t': "\t", 'n': "\n", 'v': "\v", 'f': "\f", 'r': "\r",
	'e': "\x1b", ' ': " ", '"': `"`, '\'': "'", '\\': `\`, 'N': "\u0085", '_': "\u00a0", 'L': "\u2028", 'P': "\u2029",
}

// escape reads an escape, and reports whether it is one.
func (m *mapper) escape() bool {
	c := m.at(m.pos + 1)
	if s, ok := escapes[c]; ok {
		m.emit(m.readAs(s, 2))
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
	m.emit(m.readAs(string(rune(v)), 2+width))
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
	m.pos = breakAfter(m.data, m.pos)
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
	var leading, trailing []piece
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
			if breakLen(m.data, m.pos) == 0 {
				break
			}
			trailing = append(trailing, m.readBreak())
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
				m.emit(piece{" ", leading[0].from, leading[0].to})
			}
		} else {
			m.emit(leading...)
		}
		m.emit(trailing...)
		leading, trailing = nil, nil
		leadingBlank = blank
		for m.pos < len(m.data) && breakLen(m.data, m.pos) == 0 {
			m.emit(m.readRune())
		}
		last = m.pos
		if breakLen(m.data, m.pos) > 0 {
			leading = []piece{m.readBreak()}
		}
		breaks()
	}
	if chomp != '-' {
		m.emit(leading...)
	}
	if chomp == '+' {
		m.emit(trailing...)
	}
	m.pos = last
}
