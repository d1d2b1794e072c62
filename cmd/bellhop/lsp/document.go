package lsp

import (
	"net/url"
	"path/filepath"
	"runtime"
	"strings"
	"unicode/utf16"

	"bellhop/rules/text"
)

// A document is a file that is open in the editor, with its text in the editor.
type document struct {
	uri     string
	path    string // "" if it is not a file
	text    string
	version int
	changed int // the server's count of changes when this document last changed

	found   []text.Finding // the findings that the editor knows
	foundAt int            // the value of changed for which they were found; 0 before the first time
}

// pathOf returns the path of the file that a URI names, "" if it is not a file.
func pathOf(uri string) string {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "file" {
		return ""
	}
	path := u.Path
	if runtime.GOOS == "windows" && len(path) > 2 && path[0] == '/' && path[2] == ':' {
		path = path[1:]
	}
	return filepath.Clean(filepath.FromSlash(path))
}

// offset returns the byte offset of a position in a text. The columns of the protocol count UTF-16 units. A position
// outside the text becomes the nearest one inside.
func offset(text string, p position) int {
	rest := text
	for range p.Line {
		n := strings.IndexAny(rest, "\r\n")
		if n < 0 {
			return len(text)
		}
		if strings.HasPrefix(rest[n:], "\r\n") {
			n++
		}
		rest = rest[n+1:]
	}
	units := 0
	for i, r := range rest {
		if units >= p.Character || r == '\n' || r == '\r' {
			return len(text) - len(rest) + i
		}
		units += utf16.RuneLen(r)
	}
	return len(text)
}

// positionOf returns the position of a byte offset.
func positionOf(s string, offset int) position {
	lines := text.SplitLines(s[:offset])
	last := len(lines) - 1
	return position{last, utf16Length(lines[last])}
}

func utf16Length(s string) int { return len(utf16.Encode([]rune(s))) }

// A ruler converts the lines and columns of findings, which count characters from 1, into positions.
type ruler struct {
	lines []string
	bom   bool
}

func newRuler(s string) *ruler {
	return &ruler{lines: text.SplitLines(s), bom: strings.HasPrefix(s, "\ufeff")}
}

func (r *ruler) position(line, column int) position {
	line = min(max(line, 1), len(r.lines))
	if line == 1 && r.bom {
		column++ // findings do not count the byte order mark, but the editor does
	}
	characters := []rune(r.lines[line-1])
	return position{line - 1, utf16Length(string(characters[:min(max(column-1, 0), len(characters))]))}
}

func (r *ruler) rangeOf(f text.Finding) textRange {
	return textRange{r.position(f.Line, f.Column), r.position(f.EndLine, f.EndColumn)}
}

// apply applies a change to the text.
func (d *document) apply(c contentChange) {
	if c.Range == nil {
		d.text = c.Text
		return
	}
	from, to := offset(d.text, c.Range.Start), offset(d.text, c.Range.End)
	d.text = d.text[:from] + c.Text + d.text[max(from, to):]
}
