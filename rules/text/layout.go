package text

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// A layout follows the lines of a file: their indentation, brackets and quotes.
type layout struct {
	src    *source
	levels []level
	opened bool // the line above ended in a key without a value, or in a dash
	found  misreading
}

// A level is a map or list that the next line may continue.
type level struct {
	column int // of its keys or dashes, counted from 0
	dash   bool
	word   string // its first key, for people
	lines  int    // number of lines with its keys
	from   int    // where its first line begins
}

// check returns the first mistake in indentation, brackets and quotes.
func (y *layout) check() (misreading, bool) {
	src, data := y.src, y.src.data
	lines := src.lineOffsets()
	block, deep := -1, -1 // the column of the block text's key or dash, and of the text
	y.opened = true
	for l := 0; l < len(lines); l++ {
		from, written := src.line(l)
		to := from + len(written)
		trimmed := strings.TrimLeft(written, " ")
		column := len(written) - len(trimmed)
		switch {
		case strings.TrimSpace(trimmed) == "":
			continue
		case block >= 0 && column > block:
			if deep < 0 {
				deep = column
			}
			if column >= deep {
				continue
			}
			word, _, _ := strings.Cut(trimmed, " ")
			y.shift(from, column, deep, word, "%s stands in column %d, further left than the text that it belongs to; put it in column %d",
				Quote(word), column+1, deep+1)
			return y.found, true
		case trimmed[0] == '#':
			continue
		case strings.HasPrefix(written, "---") || strings.HasPrefix(written, "..."):
			y.levels, y.opened, block = nil, true, -1
			continue
		case isOneOf(trimmed[0], ",]}"):
			at := Span{from + column, from + column + 1}
			if trimmed[0] == ',' {
				at.To = from + column + len(leadingComma.FindString(trimmed))
				return misreading{"yaml", at, "a comma cannot begin a line here", []string{strings.TrimLeft(string(data[at.From:at.To]), ", ")}}, true
			}
			return misreading{"yaml", at, fmt.Sprintf("this %c has no %c before it", trimmed[0], trimmed[0]-2), []string{" "}}, true
		case isOneOf(trimmed[0], "\t%?"):
			return misreading{}, false // reported elsewhere, or too complex for this
		}
		block = -1
		if y.place(from, column) {
			return y.found, true
		}
		// The line holds dashes, a key, a value.
		pos := from + column
		parent := column
		for y.dashAt(pos) {
			parent = pos - from
			pos = skipBlanks(data, pos+1)
		}
		if k := y.keyEnd(pos, to); k > pos {
			parent = pos - from
			pos = skipBlanks(data, k+1)
		}
		for pos < to && isOneOf(data[pos], "&!") {
			pos += len(firstPart.FindString(string(data[pos:to])))
		}
		y.opened = pos >= to || data[pos] == '#'
		if y.opened {
			continue
		}
		end := pos
		switch data[pos] {
		case '|', '>':
			block, deep = parent, -1
			if indicated.MatchString(string(data[pos:to])) {
				deep = 0
			}
		case '"', '\'':
			end = y.quote(pos, parent)
		case '[', '{':
			end = y.flow(pos, parent)
		}
		if end < 0 {
			return y.found, true
		}
		if line := endOfLine(data, end); end > pos {
			if rest := strings.TrimSpace(string(data[end:line])); rest != "" && rest[0] != '#' {
				what := "quote"
				if isOneOf(data[pos], "[{") {
					what = string(closing(data[pos]))
				}
				at := Span{pos, end + strings.Index(string(data[end:line]), rest) + len(rest)}
				y.mistake(at, []string{string(data[pos:end])}, "nothing can follow the closing %s here, but %s does", what, Quote(rest))
				return y.found, true
			}
		}
		for l+1 < len(lines) && lines[l+1] <= end {
			l++
		}
	}
	return misreading{}, false
}

func (y *layout) dashAt(pos int) bool {
	data := y.src.data
	return pos < len(data) && data[pos] == '-' && (pos+1 == len(data) || isOneOf(data[pos+1], " \t\r\n"))
}

// keyEnd returns where the colon of the key at pos stands, -1 if there is no key.
func (y *layout) keyEnd(pos, to int) int {
	data := y.src.data
	if pos >= to || isOneOf(data[pos], "[{|>@%`") {
		return -1
	}
	if isOneOf(data[pos], `"'`) {
		if key := quotedKey.Find(data[pos:to]); key != nil {
			return pos + len(key) - 1
		}
		return -1
	}
	for i := pos; i < to; i++ {
		switch {
		case data[i] == ':' && (i+1 == to || data[i+1] == ' ' || data[i+1] == '\t'):
			return i
		case data[i] == '#' && i > pos && data[i-1] == ' ':
			return -1
		}
	}
	return -1
}

// top returns the innermost level; its column is -1 if there is none.
func (y *layout) top() level {
	if len(y.levels) == 0 {
		return level{column: -1}
	}
	return y.levels[len(y.levels)-1]
}

// place reports whether a line stands in a column where it cannot. It then has recorded the mistake.
func (y *layout) place(from, column int) bool {
	data := y.src.data
	pos := from + column
	to := endOfLine(data, from)
	dash := y.dashAt(pos)
	key := y.keyEnd(pos, to)
	word := "-"
	if !dash && key > pos {
		word = string(data[pos:key])
	}
	var popped []level
	for y.top().column > column {
		popped = append(popped, y.top())
		y.levels = y.levels[:len(y.levels)-1]
	}
	top := y.top()
	if below := len(y.levels) - 2; column == top.column && top.dash && !dash && below >= 0 && y.levels[below].column == column && !y.levels[below].dash {
		y.levels = y.levels[:len(y.levels)-1] // the list stood in the column of its key
		top = y.top()
	}
	isFirst := top.column < 0 && len(popped) == 0
	if !dash && key < 0 {
		isValue := column > top.column && len(popped) == 0 || y.opened || top.column < 0 || top.dash // or its next line
		if isFirst || !isValue && column == top.column {
			y.noColon(pos, to)
			return true
		}
		return false
	}
	fits := column == top.column && (dash == top.dash || dash && y.opened) || column > top.column && len(popped) == 0 && y.opened || isFirst
	if !fits {
		y.misplaced(from, pos, word, dash, append(popped, y.levels...))
		return true
	}
	for dash {
		if top := y.top(); top.column != column || !top.dash {
			y.levels = append(y.levels, level{column: column, dash: true, word: "-"})
		}
		pos = skipBlanks(data, pos+1)
		column = pos - from
		dash = y.dashAt(pos)
	}
	if key = y.keyEnd(pos, to); key > pos {
		if top := y.top(); top.column != column || top.dash {
			y.levels = append(y.levels, level{column: column, word: string(data[pos:key]), from: from})
		}
		y.levels[len(y.levels)-1].lines++
	}
	return false
}

// misplaced reports a line whose column none of the maps and lists above has.
func (y *layout) misplaced(from, pos int, word string, dash bool, known []level) {
	column := pos - from
	best, found := level{}, false
	for _, k := range known {
		if k.dash == dash && (!found || absolute(k.column-column) < absolute(best.column-column)) {
			best, found = k, true
		}
	}
	what, like := Quote(word), fmt.Sprintf("where %s above begins", Quote(best.word))
	if dash {
		what, like = "this -", "where the - above stands"
	}
	switch {
	case !found:
		y.found = misreading{"indentation", Span{pos, pos + len(word)}, fmt.Sprintf("%s stands in column %d, where nothing above does", what, column+1), nil}
	case !dash && best.lines == 1 && y.blankFrom(best.from, column, best.column) && y.linesIn(from, column) > 1:
		// Only the first key stands in that column; the others agree.
		y.shift(best.from, best.column, column, best.word, "%s stands in column %d; put it in column %d, where %s below begins", Quote(best.word), best.column+1, column+1, what)
	default:
		y.shift(from, column, best.column, word, "%s stands in column %d; put it in column %d, %s", what, column+1, best.column+1, like)
	}
}

// shift reports that a word on the line that begins at from belongs in another column.
func (y *layout) shift(from, column, to int, word, format string, args ...any) {
	at := Span{from + min(column, to), from + column + len(word)}
	y.found = misreading{"indentation", at, fmt.Sprintf(format, args...), []string{strings.Repeat(" ", max(to-column, 0)) + word}}
}

// blankFrom reports whether a line has only blanks between two columns, and a blank before the first.
func (y *layout) blankFrom(line, from, to int) bool {
	return from < to && line+to <= len(y.src.data) && strings.Trim(string(y.src.data[line+max(from-1, 0):line+to]), " ") == ""
}

// linesIn counts the lines that begin in a column, from one line on up to the first line further left.
func (y *layout) linesIn(from, column int) (n int) {
	for _, line := range SplitLines(string(y.src.data[from:])) {
		switch indent := indentOf(line); {
		case strings.TrimSpace(line) == "":
		case indent < column:
			return n
		case indent == column:
			n++
		}
	}
	return n
}

func absolute(n int) int { return max(n, -n) }

// noColon reports a line that should be a key but has no colon.
func (y *layout) noColon(pos, to int) {
	written := strings.TrimRight(string(y.src.data[pos:to]), " \t")
	y.found = misreading{"yaml", Span{pos, pos + len(written)}, fmt.Sprintf("a key is followed by a colon and a space, and %s is not", Quote(written)), nil}
	if m := assignment.FindStringSubmatch(written); m != nil {
		y.found.message = fmt.Sprintf("a key is followed by a colon, not by =: write %s: and its value", m[1])
		y.found.mends = []string{m[1] + ": " + m[2], m[1] + ": " + Quoted(m[2])}
		return
	}
	word, rest, _ := strings.Cut(written, " ")
	if slices.Contains(y.src.keys, word) {
		rest = strings.TrimSpace(rest)
		y.found.mends = []string{strings.TrimSpace(word + ": " + rest)}
		if rest != "" {
			y.found.mends = append(y.found.mends, word+": "+Quoted(rest))
		}
	} else if strings.Contains(written, " ") {
		y.found.message += "; a comment begins with #"
	}
}

// quotedKey matches a key in quotes, with its colon.
var quotedKey = regexp.MustCompile(`^(?:"(?:[^"\\]|\\.)*"|'[^']*')[ \t]*:`)

// firstPart matches an anchor or a tag, with the blanks behind it.
var firstPart = regexp.MustCompile(`^[^ \t]*[ \t]*`)

var assignment = regexp.MustCompile(`^(\s*[A-Za-z_]\w*)\s*:?=\s*([^=\s].*?)\s*$`)

// Assignments rewrites lines such as day = 1 as entries of a map. It returns "" if any line is something else.
func Assignments(written string) string {
	lines := strings.Split(written, "\n")
	for i, l := range lines {
		m := assignment.FindStringSubmatch(l)
		if m == nil {
			return ""
		}
		value := m[2]
		if !isPlain(value, false) {
			value = Quoted(value)
		}
		lines[i] = m[1] + ": " + value
	}
	return strings.Join(lines, "\n")
}
