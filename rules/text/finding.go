package text

import (
	"cmp"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// A Finding is one mistake or warning about a file. Lines and columns count from 1, in characters of the file as
// written. The range from Line:Column up to but not including EndLine:EndColumn is what Suggestion replaces.
type Finding struct {
	File       string   `json:"file"`
	Line       int      `json:"line"`
	Column     int      `json:"column"`
	EndLine    int      `json:"endLine"`
	EndColumn  int      `json:"endColumn"`
	Severity   Severity `json:"severity"`
	Code       string   `json:"code"` // a stable word for programs, such as "unknown-key"
	Message    string   `json:"message"`
	Suggestion string   `json:"suggestion"`
}

// AtStart returns the error that keeps a whole file from being used.
func AtStart(file, code, message string) Finding {
	return Finding{File: file, Line: 1, Column: 1, EndLine: 1, EndColumn: 1, Severity: Error, Code: code, Message: message}
}

// Place returns where the finding begins, as file:line:column.
func (f Finding) Place() string { return fmt.Sprintf("%s:%d:%d", f.File, f.Line, f.Column) }

// Severity says whether a finding keeps its file from being used.
type Severity string

const (
	Error   Severity = "error"
	Warning Severity = "warning"
)

// HasErrors says whether any finding keeps its file from being used.
func HasErrors(findings []Finding) bool {
	return slices.ContainsFunc(findings, func(f Finding) bool { return f.Severity == Error })
}

// Render writes a finding for people: the place, the message, the line with a caret under it, and the suggestion. src is
// the content of the file, or nil if it is not known; then only the place and the message are written. colour is for
// terminals.
func (f Finding) Render(w io.Writer, src []byte, colour bool) error {
	bold, red, dim, reset := "", "", "", ""
	if colour {
		bold, red, dim, reset = "\x1b[1m", "\x1b[31m", "\x1b[2m", "\x1b[0m"
		if f.Severity == Warning {
			red = "\x1b[33m"
		}
	}
	var b strings.Builder
	code := ""
	if f.Severity == Warning { // the code to write after "bellhop: ignore"
		code = dim + " [" + f.Code + "]" + reset
	}
	fmt.Fprintf(&b, "%s%s:%d:%d:%s %s%s:%s %s%s\n", bold, Printable(f.File), f.Line, f.Column, reset, red, f.Severity, reset, Printable(f.Message), code)
	if text := newSource(f.File, src); f.Line >= 1 && f.Line <= len(text.lineOffsets()) {
		_, line := text.line(f.Line - 1)
		caret, width := f.Column-1, 1
		if f.EndLine == f.Line && f.EndColumn > f.Column {
			width = f.EndColumn - f.Column
		}
		line, caret = window(line, caret)
		fmt.Fprintf(&b, "  %s%4d |%s %s\n", dim, f.Line, reset, Printable(line))
		width = min(width, max(1, utf8.RuneCountInString(line)-caret))
		fmt.Fprintf(&b, "  %s     |%s %s%s%s%s\n", dim, reset, strings.Repeat(" ", caret), red, strings.Repeat("^", width), reset)
	}
	if f.Suggestion != "" {
		for i, line := range strings.Split(f.Suggestion, "\n") {
			head := "= " + reset + "suggestion: "
			if i > 0 { // with the indentation it needs in the file
				head = "= " + reset
			} else if strings.Contains(f.Suggestion, "\n") {
				head = strings.TrimRight(head, " ") + "\n  " + dim + "     = " + reset + strings.Repeat(" ", max(f.Column-1, 0))
			}
			fmt.Fprintf(&b, "  %s     %s%s\n", dim, head, Printable(line))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// window cuts a very long line to the part around the caret.
func window(line string, caret int) (string, int) {
	const before, width = 60, 160
	r := []rune(line)
	caret = min(caret, len(r))
	if len(r) <= width {
		return line, caret
	}
	from := max(0, caret-before)
	return string(r[from:min(len(r), from+width)]), caret - from
}

// Printable replaces a tab by one space, so that the caret is in the right place, and control characters and marks
// that change the direction of text by "?".
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case r < ' ', 0x7f <= r && r < 0xa0, 0x202a <= r && r <= 0x202e, 0x2066 <= r && r <= 0x2069, r == utf8.RuneError:
			return '?'
		}
		return r
	}, s)
}

// SplitLines splits a text into its lines, as editors count them, without their line breaks.
func SplitLines(s string) []string {
	return strings.Split(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(s), "\n")
}

func Sort(findings []Finding) {
	slices.SortStableFunc(findings, func(a, b Finding) int {
		return cmp.Or(
			cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Severity, b.Severity), cmp.Compare(a.Code, b.Code), cmp.Compare(a.Message, b.Message),
		)
	})
}

// maxFindings limits the findings of one file. More would not help anybody.
const maxFindings = 200

var bareWord = regexp.MustCompile(`^[\w.]*$`)
