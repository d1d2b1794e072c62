package text

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
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
)
