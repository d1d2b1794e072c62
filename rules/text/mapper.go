package text

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// A mapper finds each byte of a value, as the YAML reader made it, in the file again. It knows the value, so it need not
// know how the reader finds the indentation of a block, or what an escape stands for.
type mapper struct {
	data     []byte
	pos      int
	rest     string // what was not found yet of the value
	lost     bool   // the value is not what stands in the file
	beg, end []int
}

// take maps the next part of the value to a range of the file.
func (m *mapper) take(s string, at Span) {
	if m.lost = m.lost || !strings.HasPrefix(m.rest, s); m.lost {
		return
	}
	m.rest = m.rest[len(s):]
	for range len(s) {
		m.beg, m.end = append(m.beg, at.From), append(m.end, at.To)
	}
}

// takeAsWritten maps the characters up to an offset to themselves.
func (m *mapper) takeAsWritten(to int) {
	for m.pos < to {
		_, width := utf8.DecodeRune(m.data[m.pos:])
		m.take(string(m.data[m.pos:m.pos+width]), Span{m.pos, m.pos + width})
		m.pos += width
	}
}

// takeBreaks maps line breaks, until the value ends. In the value they are "\n", except two rare ones.
func (m *mapper) takeBreaks(breaks []Span) {
	for _, at := range breaks {
		switch {
		case m.rest == "":
			return
		case isRare(at):
			m.take(string(m.data[at.From:at.To]), at)
		default:
			m.take("\n", at)
		}
	}
}

// isRare recognises a line break that is never folded: U+2028 and U+2029.
func isRare(at Span) bool { return at.To-at.From == 3 }

// flow reads a text up to its closing quote or, without quotes (quote is 0), to the end of the value.
func (m *mapper) flow(quote byte) {
	for m.pos < len(m.data) && !m.lost && (quote != 0 || m.rest != "") {
		switch c := m.data[m.pos]; {
		case isOneOf(c, " \t") || breakLen(m.data, m.pos) > 0:
			m.fold(false)
		case quote == '\'' && bytes.HasPrefix(m.data[m.pos:], []byte("''")):
			m.take("'", Span{m.pos, m.pos + 2})
			m.pos += 2
		case quote != 0 && c == quote:
			return
		case quote == '"' && c == '\\':
			m.escape()
		default:
			_, width := utf8.DecodeRune(m.data[m.pos:])
			m.takeAsWritten(m.pos + width)
		}
	}
}

// escape reads an escape, which stands for one character or joins two lines.
func (m *mapper) escape() {
	if width := breakLen(m.data, m.pos+1); width > 0 {
		m.pos += 1 + width
		m.fold(true)
		return
	}
	from := m.pos
	if m.pos += 2; m.pos <= len(m.data) {
		m.pos += map[byte]int{'x': 2, 'u': 4, 'U': 8}[m.data[m.pos-1]]
	}
	m.pos = min(m.pos, len(m.data))
	_, width := utf8.DecodeRuneInString(m.rest)
	m.take(m.rest[:width], Span{from, m.pos})
}

// fold reads blanks and line breaks between two words. Blanks stay, a single line break becomes a space, and of
// several line breaks all but the first stay.
func (m *mapper) fold(afterEscapedBreak bool) {
	from := m.pos
	var breaks []Span
	for m.pos < len(m.data) {
		width := breakLen(m.data, m.pos)
		if width > 0 {
			breaks = append(breaks, Span{m.pos, m.pos + width})
		} else if !isOneOf(m.data[m.pos], " \t") {
			break
		}
		m.pos += max(width, 1)
	}
	switch {
	case afterEscapedBreak || len(breaks) > 0 && isRare(breaks[0]):
		m.takeBreaks(breaks)
	case len(breaks) == 0:
		to := m.pos
		m.pos = from
		m.takeAsWritten(to)
	case len(breaks) == 1:
		m.take(" ", Span{from, breaks[0].To})
	default:
		m.takeBreaks(breaks[1:])
	}
}

// block reads a text after | or >, and returns where its last line ends.
func (m *mapper) block(folded bool) (end int) {
	m.pos = breakAfter(m.data, m.pos)
	m.pos += breakLen(m.data, m.pos)
	body := *m
	for indent := range maxYAMLDepth*10 + 1 { // with the right one, the value is found
		*m = body
		if end = m.lines(indent, folded); !m.lost && m.rest == "" {
			break
		}
	}
	return end
}

// lines reads the lines of a block with an indentation.
func (m *mapper) lines(indent int, folded bool) (end int) {
	for end = m.pos; m.rest != "" && !m.lost && m.pos < len(m.data); end = m.pos {
		var breaks []Span // of the line before, and of empty lines
		for width := -1; width != 0; {
			for to := min(m.pos+indent, len(m.data)); m.pos < to && m.data[m.pos] == ' '; {
				m.pos++
			}
			if width = breakLen(m.data, m.pos); width > 0 {
				breaks = append(breaks, Span{m.pos, m.pos + width})
				m.pos += width
			}
		}
		after := strings.TrimLeft(m.rest, "\n\u2028\u2029")
		kept := utf8.RuneCountInString(m.rest[:len(m.rest)-len(after)])
		switch {
		case !folded || len(m.beg) == 0:
		case len(breaks) == 1 && strings.HasPrefix(after, " ") && kept == 0:
			m.take(" ", breaks[0])
			breaks = nil
		case kept == len(breaks)-1 && after != "":
			breaks = breaks[1:]
		}
		if m.takeBreaks(breaks); m.rest == "" {
			return end
		}
		m.takeAsWritten(breakAfter(m.data, m.pos))
	}
	return end
}
