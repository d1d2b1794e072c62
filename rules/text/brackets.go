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
	return y.mistake(Span{pos, pos + len(text)}, mends, "the quote that opens here is never closed")
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
		return y.mistake(Span{at, at}, []string{","}, "a comma is missing between %s and %s", lastWord.Find(data[pos:at]), firstWord.Find(data[next:]))
	}
	for i := pos; i < len(data); {
		c := data[i]
		switch {
		case c == '\n' && y.leaves(i+1, indent):
			return y.unclosed(open, last)
		case isOneOf(c, " \t\r\n"):
			i++
			continue
		case c == '#' && isOneOf(data[i-1], " \t\n"):
			i = endOfLine(data, i)
			continue
		case c == '[' || c == '{':
			if barely && (done == i || done >= 0 && c == '[') {
				at := Span{plain, textEnd(data, i)}
				return y.mistake(at, []string{Quoted(y.src.in(at))}, "a text with %c in it must be in quotes here", c)
			}
			if done >= 0 {
				return comma(done, i)
			}
			open = append(open, i)
			done, afterColon = -1, -1
			i++
		case c == ']' || c == '}':
			opened := open[len(open)-1]
			if want := closing(data[opened]); c != want {
				_, column := y.src.position(opened)
				return y.mistake(Span{i, i + 1}, []string{string(want), string(want) + string(c)},
					"the %c in column %d is closed by this %c; write %c", data[opened], column, c, want)
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
		case c == ':' && (done >= 0 && !barely || i+1 < len(data) && isOneOf(data[i+1], " \t\r\n,]}[{")):
			if afterColon >= 0 && done >= 0 { // a: b c: d
				if value := data[afterColon:done]; bytes.LastIndexAny(value, " \t\n") > 0 {
					last := bytes.LastIndexAny(value, " \t\n")
					return comma(afterColon+len(bytes.TrimRight(value[:last], " \t\r\n")), afterColon+last+1)
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
			for i++; i < len(data) && !isOneOf(data[i], ",[]{}\n\r") && !(data[i] == '#' && isOneOf(data[i-1], " \t")); i++ {
				if data[i] == ':' && (i+1 == len(data) || isOneOf(data[i+1], " \t\r\n,]}[{")) {
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

func isOneOf(c byte, set string) bool { return strings.IndexByte(set, c) >= 0 }

// closing returns the bracket that closes one.
func closing(bracket byte) byte { return bracket + 2 } // "]" for "[", "}" for "{"

// mistake records a mistake, and returns -1 as the end of what has it.
func (y *layout) mistake(at Span, mends []string, format string, args ...any) int {
	y.found = misreading{"yaml", at, fmt.Sprintf(format, args...), mends}
	return -1
}

// unclosed reports the innermost of the brackets that are never closed. last is the end of their content.
func (y *layout) unclosed(open []int, last int) int {
	data := y.src.data
	from := open[len(open)-1]
	last = len(bytes.TrimRight(data[:last], " \t\r\n"))
	at, mends := Span{from, from + 1}, []string(nil)
	if last > from && last <= endOfLine(data, from) {
		at.To = last
		mend := y.src.in(at)
		for _, o := range slices.Backward(open) {
			mend += string(closing(data[o]))
		}
		mends = []string{mend}
	}
	return y.mistake(at, mends, "this %c is never closed", data[from])
}
