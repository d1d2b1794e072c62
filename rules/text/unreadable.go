package text

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// YAML's reader stops at the first thing it cannot read, often far behind the mistake, and explains it in its own terms.
// This file finds the mistake that people made.

// A misreading says why a file cannot be read as YAML, and where.
type misreading struct {
	code    string
	at      Span
	message string
	mends   []string // what may be meant there, most likely first
}

// mend returns the first of the mends with which the file can be read, at least up to a mistake further down, and the
// mended file. It returns "" and nil if there is none. Each try takes the file's size from the budget.
func (m misreading) mend(src *source, budget *int) (string, *source) {
	for _, with := range m.mends {
		if *budget -= len(src.data); *budget < 0 {
			break
		}
		next := src.with(m.at, with)
		_, _, err := decode(next.data)
		if err != nil {
			line, _ := src.position(m.at.To)
			if further, _ := next.position(misread(next, err).at.From); further <= line {
				continue
			}
		}
		return with, next
	}
	return "", nil
}

// inside reports whether m lies within brackets that the other finding reports as a whole.
func (m misreading) inside(whole misreading, src *source) bool {
	return m.at.From > whole.at.From && m.at.To <= whole.at.To && (src.data[whole.at.From] == '[' || src.data[whole.at.From] == '{')
}

// ExplainYAML says what is wrong in a file that the YAML reader refused with err, and where. It always returns a
// finding. keys are the keys with which lines of such a file may begin.
func ExplainYAML(path string, data []byte, keys []string, err error) []Finding {
	r := New(path, "file", data, keys)
	if r.readable() {
		m := misread(r.src, err)
		budget := 2 * MaxFileSize
		suggestion, _ := m.mend(r.src, &budget)
		r.Errorf(m.code, m.at, suggestion, "%s", m.message)
	}
	return r.Findings()
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

// misread finds the mistake in a file that the YAML reader refused with err.
func misread(src *source, err error) misreading {
	m := yamlLine.FindStringSubmatch(strings.SplitN(err.Error(), "\n", 2)[0])
	line, problem := 1, err.Error()
	if m != nil {
		problem = m[2]
		if n, convErr := strconv.Atoi(m[1]); convErr == nil {
			line = n
		}
	}
	if at := mergeMark.FindIndex(src.data); at != nil {
		return misreading{code: "merge-mark", at: Span{at[0], at[1]}, message: "two versions of this file were merged and this conflict was left open; " +
			"keep one side, and remove the lines that begin with <<<<<<<, ======= and >>>>>>>"}
	}
	if m := unknownAnchor.FindStringSubmatch(problem); m != nil {
		return unknownAlias(src, m[1])
	}
	at := src.lineSpan(line)
	if strings.Contains(problem, "unknown escape character") {
		if m, ok := oddEscapes(src, at); ok {
			return m
		}
	}
	if strings.Contains(problem, "exceeded max depth") {
		return misreading{code: "yaml", at: at, message: "lists and maps are nested too deep here"}
	}
	found, ok := suspect(src, line)
	if other, also := (&layout{src: src}).check(); also && (!ok || other.at.From < found.at.From || other.inside(found, src)) {
		found, ok = other, true
	}
	if ok {
		return found
	}
	for at.From == at.To && line > 1 { // an error at the end of the file: point at the last line with text
		line--
		at = src.lineSpan(line)
	}
	for _, known := range [][2]string{
		{"found unexpected end of stream", "a quote is opened here or above, and never closed"},
		{"did not find expected ',' or ']'", "a [ is opened here or above and never closed, or a comma is missing"},
		{"did not find expected ',' or '}'", "a { is opened here or above and never closed, or a comma is missing"},
		{"did not find expected key", "this line does not fit what stands above: check its indentation, and where the quotes above end"},
		{"did not find expected '-' indicator", "this line does not fit the list above: check its indentation"},
		{"could not find expected ':'", "a key is followed by a colon and a space, and one is missing here or just above"},
		{"mapping values are not allowed in this context", "there is one colon too many here, or this line is indented too far; a text with a colon and a space in it must be in quotes"},
		{"found character that cannot start any token", "a text cannot begin with this character; put the text in quotes"},
		{"block sequence entries are not allowed in this context", "a list cannot begin here; put it on a line of its own"},
		{"found a tab character", "there is a tab in the indentation; use spaces"},
		{"document contains excessive aliasing", "the aliases of this file stand for too many values"},
		{"found undefined tag handle", "a text that begins with ! must be in quotes"},
	} {
		if strings.Contains(problem, known[0]) {
			return misreading{code: "yaml", at: at, message: known[1]}
		}
	}
	return misreading{code: "yaml", at: at, message: fmt.Sprintf("%s cannot be read as YAML", Quote(string(src.data[at.From:at.To])))}
}

var (
	mergeMark     = regexp.MustCompile(`(?m)^(?:<{7} .*|>{7} .*|\|{7} .*)$`)
	unknownAnchor = regexp.MustCompile(`^unknown anchor '(.+)' referenced$`)
	anchors       = regexp.MustCompile(`(?m)(?:^|[\s\[{,])&([\w-]+)`)
)

// unknownAlias reports the first *name for which there is no &name.
func unknownAlias(src *source, name string) misreading {
	m := misreading{code: "yaml", at: Span{0, 0}}
	if at := regexp.MustCompile(`(?m)(?:^|[\s\[{,])(\*` + regexp.QuoteMeta(name) + `)(?:[\s,\]}]|$)`).FindSubmatchIndex(src.data); at != nil {
		m.at = Span{at[2], at[3]}
	}
	var known []string
	for _, a := range anchors.FindAllSubmatch(src.data[:m.at.From], -1) {
		known = append(known, string(a[1]))
	}
	m.message = fmt.Sprintf("*%s stands for what is marked &%[1]s further up, and nothing is", name)
	if near := Closest(name, known); near != "" {
		m.message += fmt.Sprintf("; did you mean *%s?", near)
		m.mends = []string{"*" + near}
	} else if len(known) == 0 {
		m.message += "; a text that begins with * must be in quotes"
		m.mends = []string{`"*` + name + `"`}
	}
	return m
}

// oddEscapes reports a \ between double quotes that does not begin an escape.
func oddEscapes(src *source, line Span) (misreading, bool) {
	bad := oddEscape.FindSubmatchIndex(src.data[line.From:line.To])
	if bad == nil {
		return misreading{}, false
	}
	m := misreading{code: "yaml", at: Span{line.From + bad[2], line.From + bad[3]}}
	written := string(src.data[m.at.From:m.at.To])
	m.message = fmt.Sprintf(`in double quotes \ begins an escape, and %s is none; write \\%s, or use single quotes`, written, written[1:])
	m.mends = []string{`\` + written}
	for _, at := range doubleQuotes.FindAllIndex(src.data[line.From:line.To], -1) {
		if at[0] > bad[2] || at[1] < bad[3] {
			continue
		}
		whole := string(src.data[line.From+at[0] : line.From+at[1]])
		if mended := eachEscape.ReplaceAllStringFunc(whole, func(s string) string {
			if oddEscape.MatchString(s) {
				return `\` + s
			}
			return s
		}); mended != whole && strings.Count(mended, `\\`) > strings.Count(whole, `\\`)+1 {
			m.at, m.mends = Span{line.From + at[0], line.From + at[1]}, []string{mended}
		}
	}
	return m, true
}

var (
	oddEscape    = regexp.MustCompile(`(?:^|[^\\])(?:\\\\)*(\\[^0abt\tnvfre "/\\N_LPxuU])`)
	eachEscape   = regexp.MustCompile(`\\.`)
	doubleQuotes = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)

	bareFlow      = regexp.MustCompile(`^([ \t]*(?:- )*[A-Za-z_][\w-]*:[ \t]+|[ \t]*- +)((?:\[[^\]]*\]|\{[^{}][^}]*\})[ \t]*[^\s#,\]}:].*)$`)
	bareStar      = regexp.MustCompile(`^([ \t]*(?:- )*[A-Za-z_][\w-]*:[ \t]+|[ \t]*- +)([*&][^\s]*(?:[^\w\s-]|[ \t]+[^\s#]).*)$`)
	barePipe      = regexp.MustCompile(`^([ \t]*(?:- )*[A-Za-z_][\w-]*:[ \t]+)([|>][-+0-9]*[ \t]+[^\s#].*)$`)
	slashes       = regexp.MustCompile(`^[ \t]*(//)`)
	dashKey       = regexp.MustCompile(`^([ \t]*)-([A-Za-z_][\w-]*:)(?: |$)`)
	twoCommas     = regexp.MustCompile(`[\[{].*(,[ \t]*,)`)
	tabIndent     = regexp.MustCompile(`^[ ]*\t[ \t]*`)
	bareTemplate  = regexp.MustCompile(`^([ \t]*(?:- )*(?:[A-Za-z_][\w-]*:[ \t]+)|[ \t]*- +)(\{\{.*)$`)
	bareSpecial   = regexp.MustCompile("^([ \\t]*(?:- )*[A-Za-z_][\\w-]*:[ \\t]+|[ \\t]*- +)([@`%,\\]}].*)$")
	bareColon     = regexp.MustCompile(`^([ \t]*(?:- )*[A-Za-z_][\w-]*:[ \t]+)([^'"|>&*!\[{#][^#]*:(?: .*)?)$`)
	missingSpace  = regexp.MustCompile(`^[ \t]*(?:- )*([A-Za-z_][\w-]*):([^\s:/].*)$`)
	quoteThenText = regexp.MustCompile(`^([ \t]*(?:- )*[A-Za-z_][\w-]*:[ \t]+|[ \t]*- +)(("[^"\\]*"|'[^']*')[ \t]*[^\s#,\]}].*)$`)
)

// suspect looks for the mistakes people make within a line, and returns the first. It begins one line before the
// reported one, because the YAML reader often names a later line.
func suspect(src *source, line int) (misreading, bool) {
	lines := src.lineOffsets()
	block := -1 // the indentation of the key whose block text this is
	headed := false
	before := "" // the last line with text, outside block texts
	for l := range lines {
		from := lines[l]
		to := from
		for to < len(src.data) && src.data[to] != '\n' && src.data[to] != '\r' {
			to++
		}
		written := string(src.data[from:to])
		trimmed := strings.TrimLeft(written, " ")
		if trimmed == "" {
			continue
		}
		above := -1 // the indentation of the block text's key in the line above
		if block >= 0 && headed {
			above = block
		}
		headed = false
		if indent := len(written) - len(trimmed); block >= 0 && indent > block {
			continue
		} else if blockHeader.MatchString(written) {
			block, headed = keyColumn(written), true
		} else {
			block = -1
		}
		previous := before
		before = written
		if l+1 < line-1 || trimmed[0] == '#' {
			continue
		}
		here := func(from2, to2 int) Span { return Span{from + from2, from + to2} }
		if m := tabIndent.FindString(written); m != "" {
			tab := strings.IndexByte(m, '\t')
			depth := keyColumn(previous)
			if strings.HasSuffix(strings.TrimRight(previous, " \t"), ":") {
				depth += 2
			}
			mends := []string{"  ", "    ", "        ", ""}
			if depth >= tab {
				mends = append([]string{strings.Repeat(" ", depth-tab)}, mends...)
			}
			return misreading{"tab", here(tab, len(m)), "there is a tab in the indentation; use spaces", mends}, true
		}
		if m := slashes.FindStringSubmatchIndex(written); m != nil {
			return misreading{"comment", here(m[2], m[3]), "a comment begins with #, not with //", []string{"#"}}, true
		}
		if m := dashKey.FindStringSubmatchIndex(written); m != nil {
			key := written[m[4]:m[5]]
			out := misreading{"yaml", here(m[3], m[5]), fmt.Sprintf("a space is missing between - and %s", strings.TrimSuffix(key, ":")), []string{"- " + key}}
			if l+1 < len(lines) && m[3] > 0 && src.lineSpan(l+2).From-lines[l+1] == m[3]+1 {
				out.at.From-- // the line below is indented like the key is now, so the key must keep its column
			}
			return out, true
		}
		if m := twoCommas.FindStringSubmatchIndex(written); m != nil {
			return misreading{"yaml", here(m[2], m[3]), "there is one comma too many", []string{","}}, true
		}
		if above >= 0 && indentOf(written) <= above {
			text := strings.TrimSpace(written)
			if !keyLike.MatchString(text) {
				return misreading{"indentation", here(indentOf(written), len(strings.TrimRight(written, " \t"))),
					fmt.Sprintf("a text after | or > is indented further than its key: begin it in column %d or further right", above+3), nil}, true
			}
		}
		for _, try := range []struct {
			re            *regexp.Regexp
			code, message string
		}{
			{bareTemplate, "unquoted-template", "a text that begins with {{ must be in quotes"},
			{bareSpecial, "unquoted", ""},
			{quoteThenText, "unquoted", "text follows the closing quote; put the whole in quotes of the other kind"},
			{barePipe, "unquoted", "after | and > the text begins on the next line, indented further; or put the whole in quotes"},
			{bareStar, "unquoted", ""},
			{bareFlow, "unquoted", ""},
			{bareColon, "unquoted", "a text with a colon and a space in it must be in quotes"},
		} {
			m := try.re.FindStringSubmatchIndex(written)
			if m == nil {
				continue
			}
			value := strings.TrimRight(written[m[4]:m[5]], " \t")
			if try.code == "unquoted-template" && strings.Count(value, "{{") == 1 && strings.HasSuffix(value, "}}") {
				continue // on its own it can be read, and is reported elsewhere
			}
			if try.message == "" {
				try.message = "a text that begins with " + value[:1] + " must be in quotes"
			}
			return misreading{try.code, here(m[4], m[4]+len(value)), try.message, []string{Quoted(unwrapped(value))}}, true
		}
		if m := missingSpace.FindStringSubmatchIndex(written); m != nil && l+1 == line {
			return misreading{"yaml", here(m[2], m[4]), "a space is missing after the colon of " + written[m[2]:m[3]], []string{written[m[2]:m[3]] + ": "}}, true
		}
	}
	return misreading{}, false
}

var keyLike = regexp.MustCompile(`^(?:-[ \t]|-$|[A-Za-z_][\w-]*:(?:[ \t]|$)|#)`)

func indentOf(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }

// keyColumn returns the column of a line's key, after the dashes of lists.
func keyColumn(line string) int {
	n := indentOf(line)
	for strings.HasPrefix(line[n:], "- ") {
		n += 2 + indentOf(line[n+2:])
	}
	return n
}

var blockHeader = regexp.MustCompile(`(?::|-)[ \t]+[|>][-+0-9]*[ \t]*(#.*)?$`)

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
	src := y.src
	lines := src.lineOffsets()
	block, deep := -1, -1 // the column of the block text's key or dash, and of the text
	y.opened = true
	for l := 0; l < len(lines); l++ {
		from := lines[l]
		to := y.endOfLine(from)
		written := string(src.data[from:to])
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
			y.shift(from, column, deep, word)
			y.found.message = fmt.Sprintf("%s stands in column %d, further left than the text that it belongs to; put it in column %d", Quote(word), column+1, deep+1)
			return y.found, true
		case trimmed[0] == '#':
			continue
		case strings.HasPrefix(written, "---") || strings.HasPrefix(written, "..."):
			y.levels, y.opened, block = nil, true, -1
			continue
		case strings.IndexByte(",]}", trimmed[0]) >= 0:
			at := Span{from + column, from + column + 1}
			if trimmed[0] == ',' {
				at.To = from + column + len(leadingComma.FindString(trimmed))
				return misreading{"yaml", at, "a comma cannot begin a line here", []string{strings.TrimLeft(string(src.data[at.From:at.To]), ", ")}}, true
			}
			return misreading{"yaml", at, fmt.Sprintf("this %c has no %c before it", trimmed[0], trimmed[0]-2), []string{" "}}, true
		case trimmed[0] == '\t' || trimmed[0] == '%' || trimmed[0] == '?':
			return misreading{}, false // reported elsewhere, or too complex for this
		}
		block = -1
		if y.place(from, column, trimmed) {
			return y.found, true
		}
		// The line holds dashes, a key, a value.
		pos := from + column
		parent := column
		for y.dashAt(pos) {
			parent = pos - from
			pos = y.skipBlanks(pos + 1)
		}
		if k := y.keyEnd(pos, to); k > pos {
			parent = pos - from
			pos = y.skipBlanks(k + 1)
		}
		for pos < to && (src.data[pos] == '&' || src.data[pos] == '!') {
			for pos < to && src.data[pos] != ' ' && src.data[pos] != '\t' {
				pos++
			}
			pos = y.skipBlanks(pos)
		}
		y.opened = pos >= to || src.data[pos] == '#'
		if y.opened {
			continue
		}
		end := pos
		switch src.data[pos] {
		case '|', '>':
			block, deep = parent, -1
			if indicated.MatchString(string(src.data[pos:to])) {
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
		if line := y.endOfLine(end); end > pos {
			if rest := strings.TrimSpace(string(src.data[end:line])); rest != "" && rest[0] != '#' {
				what := "closing " + map[byte]string{'"': "quote", '\'': "quote"}[src.data[pos]] + map[byte]string{'[': "]", '{': "}"}[src.data[pos]]
				return misreading{"yaml", Span{pos, end + strings.Index(string(src.data[end:line]), rest) + len(rest)},
					fmt.Sprintf("nothing can follow the %s here, but %s does", what, Quote(rest)), []string{string(src.data[pos:end])}}, true
			}
		}
		for l+1 < len(lines) && lines[l+1] <= end {
			l++
		}
	}
	return misreading{}, false
}

func (y *layout) endOfLine(from int) int {
	for from < len(y.src.data) && y.src.data[from] != '\n' && y.src.data[from] != '\r' {
		from++
	}
	return from
}

func (y *layout) skipBlanks(pos int) int {
	for pos < len(y.src.data) && (y.src.data[pos] == ' ' || y.src.data[pos] == '\t') {
		pos++
	}
	return pos
}

func (y *layout) dashAt(pos int) bool {
	data := y.src.data
	return pos < len(data) && data[pos] == '-' && (pos+1 == len(data) || strings.IndexByte(" \t\r\n", data[pos+1]) >= 0)
}

// keyEnd returns where the colon of the key at pos stands, -1 if there is no key.
func (y *layout) keyEnd(pos, to int) int {
	data := y.src.data
	if pos >= to || bytes.IndexByte([]byte("[{|>@%`"), data[pos]) >= 0 {
		return -1
	}
	if q := data[pos]; q == '"' || q == '\'' {
		for i := pos + 1; i < to; i++ {
			if data[i] == '\\' && q == '"' {
				i++
			} else if data[i] == q {
				if i = y.skipBlanks(i + 1); i < to && data[i] == ':' {
					return i
				}
				return -1
			}
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

// place reports whether a line stands in a column where it cannot. It then has recorded the mistake.
func (y *layout) place(from, column int, trimmed string) bool {
	pos := from + column
	to := y.endOfLine(from)
	dash := y.dashAt(pos)
	key := y.keyEnd(pos, to)
	word := "-"
	if !dash && key > pos {
		word = string(y.src.data[pos:key])
	}
	var popped []level
	for len(y.levels) > 0 && y.levels[len(y.levels)-1].column > column {
		popped = append(popped, y.levels[len(y.levels)-1])
		y.levels = y.levels[:len(y.levels)-1]
	}
	top := level{column: -1}
	if len(y.levels) > 0 {
		top = y.levels[len(y.levels)-1]
	}
	if below := len(y.levels) - 2; column == top.column && top.dash && !dash && below >= 0 && y.levels[below].column == column && !y.levels[below].dash {
		y.levels = y.levels[:len(y.levels)-1] // the list stood in the column of its key
		top = y.levels[len(y.levels)-1]
	}
	if !dash && key < 0 {
		if top.column < 0 && len(popped) == 0 {
			y.noColon(pos, to)
			return true
		}
		if column > top.column && len(popped) == 0 || y.opened || top.column < 0 || top.dash {
			return false // a value, or its next line
		}
		if column == top.column {
			y.noColon(pos, to)
			return true
		}
		return false
	}
	fits := column == top.column && (dash == top.dash || dash && y.opened) || column > top.column && len(popped) == 0 && y.opened || top.column < 0 && len(popped) == 0
	if !fits {
		y.misplaced(from, pos, word, dash, append(popped, y.levels...))
		return true
	}
	for dash {
		if t := len(y.levels); t == 0 || y.levels[t-1].column != column || !y.levels[t-1].dash {
			y.levels = append(y.levels, level{column: column, dash: true, word: "-"})
		}
		pos = y.skipBlanks(pos + 1)
		column = pos - from
		dash = y.dashAt(pos)
	}
	if key = y.keyEnd(pos, to); key > pos {
		if t := len(y.levels); t == 0 || y.levels[t-1].column != column || y.levels[t-1].dash {
			y.levels = append(y.levels, level{column: column, word: string(y.src.data[pos:key]), from: from})
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
		y.shift(best.from, best.column, column, best.word)
		y.found.message = fmt.Sprintf("%s stands in column %d; put it in column %d, where %s below begins", Quote(best.word), best.column+1, column+1, what)
	default:
		y.shift(from, column, best.column, word)
		y.found.message = fmt.Sprintf("%s stands in column %d; put it in column %d, %s", what, column+1, best.column+1, like)
	}
}

// shift reports that a word on the line that begins at from belongs in another column.
func (y *layout) shift(from, column, to int, word string) {
	y.found = misreading{code: "indentation", at: Span{from + min(column, to), from + column + len(word)}, mends: []string{strings.Repeat(" ", max(to-column, 0)) + word}}
}

// blankFrom reports whether a line has only blanks between two columns, and a blank before the first.
func (y *layout) blankFrom(line, from, to int) bool {
	return from < to && line+to <= len(y.src.data) && strings.Trim(string(y.src.data[line+max(from-1, 0):line+to]), " ") == ""
}

// linesIn counts the lines that begin in a column, from one line on up to the first line further left.
func (y *layout) linesIn(from, column int) (n int) {
	for from < len(y.src.data) {
		to := y.endOfLine(from)
		line := string(y.src.data[from:to])
		if strings.TrimSpace(line) != "" {
			if indentOf(line) < column {
				return n
			}
			if indentOf(line) == column {
				n++
			}
		}
		from = to + max(1, breakLen(y.src.data, to))
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
	line := string(y.src.data[pos:y.endOfLine(pos)])
	return indentOf(line) <= indent && keyLike.MatchString(strings.TrimSpace(line)) && strings.TrimSpace(line)[0] != '#'
}

// open reports a quote that is never closed.
func (y *layout) open(pos int) int {
	line := string(y.src.data[pos:y.endOfLine(pos)])
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
			i = y.endOfLine(i)
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
	if line := y.endOfLine(from); last <= line && last > from {
		y.found.at.To = last
		y.found.mends = []string{string(data[from:last]) + closing.String()}
	}
	return -1
}

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
