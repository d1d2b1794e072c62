package text

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// quote returns the end of the quoted text at pos, which belongs to a key or dash in column indent. If it has no end,
// quote reports that and returns -1.
func (y *layout) quote(pos, indent int) int {
	data := y.src.data
	q := data[pos]
	for i := pos + 1; i < len(data); i++ {
		switch {
		case data[i] == '\\' && q == '"':
			i++
		case data[i] == q && q == '\'' && i+1 < len(data) && data[i+1] == q:
			i++
		case data[i] == q:
			return i + 1
		case data[i] == '\n' && y.leaves(i+1, indent):
			return y.open(pos)
		}
	}
	return y.open(pos)
}

// leaves reports whether the line at pos no longer belongs to a quote or bracket that was opened below a key or dash
// in that column.
func (y *layout) leaves(pos, indent int) bool {
	line := string(y.src.data[pos:endOfLine(y.src.data, pos)])
	return indentOf(line) <= indent && keyLike.MatchString(strings.TrimSpace(line)) && strings.TrimSpace(line)[0] != '#'
}

// open reports a quote that is never closed.
func (y *layout) open(pos int) int {
	line := string(y.src.data[pos:endOfLine(y.src.data, pos)])
	text := strings.TrimRight(line, " \t")
	q := text[:1]
	mends := []string{text + q}
	if i := strings.IndexAny(text, ",]}"); i > 0 {
		mends = append(mends, text[:i]+q+text[i:])
	}
	if i := strings.Index(text, " #"); i > 0 {
		mends = append(mends, strings.TrimRight(text[:i], " ")+q+text[i:])
	}
	y.found = misreading{"yaml", Span{pos, pos + len(text)}, "the quote that opens here is never closed", mends}
	return -1
}

// flow returns the end of the bracket at pos, which belongs to a key or dash in column indent. After a mistake, which
// it reports, it returns -1.
func (y *layout) flow(pos, indent int) int {
	data := y.src.data
	var open []int
	done := -1       // where the last value ended, -1 if a value is expected
	barely := false  // the last value has no quotes or brackets
	afterColon := -1 // where the plain value of a key begins
	plain := pos     // where the last text without quotes begins
	last := pos      // the end of the part read so far
	comma := func(at, next int) int {
		y.found = misreading{"yaml", Span{at, at}, fmt.Sprintf("a comma is missing between %s and %s", lastWord.Find(data[pos:at]), firstWord.Find(data[next:])), []string{","}}
		return -1
	}
	for i := pos; i < len(data); {
		c := data[i]
		switch {
		case c == '\n':
			if y.leaves(i+1, indent) {
				return y.unclosed(open, last)
			}
			i++
			continue
		case c == ' ' || c == '\t' || c == '\r':
			i++
			continue
		case c == '#' && i > 0 && bytes.IndexByte([]byte(" \t\n"), data[i-1]) >= 0:
			i = endOfLine(y.src.data, i)
			continue
		case c == '[' || c == '{':
			if barely && (done == i || done >= 0 && c == '[') {
				text := string(data[plain:textEnd(data, i)])
				y.found = misreading{"yaml", Span{plain, plain + len(text)}, fmt.Sprintf("a text with %c in it must be in quotes here", c), []string{Quoted(text)}}
				return -1
			}
			if done >= 0 {
				return comma(done, i)
			}
			open = append(open, i)
			done, afterColon = -1, -1
			i++
		case c == ']' || c == '}':
			if want := byte(']'); len(open) > 0 {
				if data[open[len(open)-1]] == '{' {
					want = '}'
				}
				if c != want {
					y.found = misreading{"yaml", Span{i, i + 1}, fmt.Sprintf("the %c in column %d is closed by this %c; write %c", data[open[len(open)-1]], y.column(open[len(open)-1]), c, want), []string{string(want), string(want) + string(c)}}
					return -1
				}
			}
			open = open[:len(open)-1]
			i++
			if len(open) == 0 {
				return i
			}
			done, barely, afterColon = i, false, -1
		case c == ',':
			done, afterColon = -1, -1
			i++
		case c == ':' && (done >= 0 && !barely || i+1 < len(data) && strings.IndexByte(" \t\r\n,]}[{", data[i+1]) >= 0):
			if afterColon >= 0 && done >= 0 { // a: b c: d
				from := max(bytes.LastIndexAny(data[afterColon:done], " \t\n")+afterColon, afterColon)
				if from > afterColon {
					gap := from
					for gap > afterColon && bytes.IndexByte([]byte(" \t\r\n"), data[gap-1]) >= 0 {
						gap--
					}
					return comma(gap, from+1)
				}
			}
			done = -1
			i++
			afterColon = i
		case c == '"' || c == '\'':
			if done >= 0 {
				return comma(done, i)
			}
			end := y.quote(i, indent)
			if end < 0 {
				return -1
			}
			i, done, barely, afterColon = end, end, false, -1
		default:
			if done >= 0 && !barely {
				return comma(done, i)
			}
			if afterColon >= 0 && done < 0 {
				afterColon = i
			}
			if done < 0 {
				plain = i
			}
			for i++; i < len(data) && bytes.IndexByte([]byte(",[]{}\n\r"), data[i]) < 0 && !(data[i] == '#' && (data[i-1] == ' ' || data[i-1] == '\t')); i++ {
				if data[i] == ':' && (i+1 == len(data) || strings.IndexByte(" \t\r\n,]}[{", data[i+1]) >= 0) {
					break
				}
			}
			done = len(bytes.TrimRight(data[:i], " \t"))
			barely = true
		}
		last = i
	}
	return y.unclosed(open, last)
}

// textEnd returns the end of a text inside brackets that has brackets of its own, the first at from.
func textEnd(data []byte, from int) int {
	depth := 0
	i := from
	for ; i < len(data) && data[i] != '\n'; i++ {
		switch data[i] {
		case '[', '{':
			depth++
		case ']', '}':
			if depth--; depth < 0 {
				return i
			}
		case ',':
			if depth == 0 {
				return i
			}
		}
	}
	return from + len(bytes.TrimRight(data[from:i], " \t\r"))
}

var (
	leadingComma = regexp.MustCompile(`^,[ ]*[^\s:]*`)
	indicated    = regexp.MustCompile(`^.[-+]?[1-9]`)
	lastWord     = regexp.MustCompile(`[^\s,:]{1,30}$`)
	firstWord    = regexp.MustCompile(`^[^\s,:\]}]{1,30}`)
)

func (y *layout) column(pos int) int {
	_, column := y.src.position(pos)
	return column
}

// unclosed reports the innermost of the brackets that are never closed. last is the end of their content.
func (y *layout) unclosed(open []int, last int) int {
	data := y.src.data
	from := open[len(open)-1]
	last = len(bytes.TrimRight(data[:last], " \t\r\n"))
	var closing strings.Builder
	for _, o := range slices.Backward(open) {
		closing.WriteByte(data[o] + 2) // "]" for "[", "}" for "{"
	}
	y.found = misreading{"yaml", Span{from, from + 1}, fmt.Sprintf("this %c is never closed", data[from]), nil}
	if line := endOfLine(y.src.data, from); last <= line && last > from {
		y.found.at.To = last
		y.found.mends = []string{string(data[from:last]) + closing.String()}
	}
	return -1
}
