package config

import (
	"slices"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"bellhop/rules/text"
)

// maxFindings is how many errors, and how many warnings, are reported. A file with more has one mistake many times.
const maxFindings = 200

// report adds a finding about a node; nil is what a flag or a default says.
func (d *decoder) report(n *yaml.Node, severity text.Severity, code, message, suggestion string) {
	if d.full(severity) {
		return
	}
	if n == nil {
		d.add(0, 0, severity, code, message, suggestion)
		return
	}
	start := d.offset(n.Line, n.Column)
	d.add(start, d.end(n, start), severity, code, message, suggestion)
}

// full says that enough of a severity has been found; warnings must not hide errors.
func (d *decoder) full(severity text.Severity) bool { return d.found[severity] >= maxFindings }

// add adds a finding about a range of the file.
func (d *decoder) add(start, end int, severity text.Severity, code, message, suggestion string) {
	f := text.Finding{File: d.file, Severity: severity, Code: code, Message: message, Suggestion: suggestion}
	f.Line, f.Column = d.position(start)
	f.EndLine, f.EndColumn = d.position(end)
	d.findings = append(d.findings, f)
	d.found[severity]++
}

// offset returns the offset in the source of a line and column, as yaml counts them.
func (d *decoder) offset(line, column int) int {
	if line < 1 || line > len(d.lines) {
		return len(d.source)
	}
	i := d.lines[line-1]
	for ; column > 1 && i < len(d.source) && d.source[i] != '\n'; column-- {
		_, size := utf8.DecodeRuneInString(d.source[i:])
		i += size
	}
	return i
}

func (d *decoder) position(offset int) (line, column int) {
	line, found := slices.BinarySearch(d.lines, offset)
	if found {
		line++
	}
	line = max(line, 1)
	if len(d.lines) == 0 {
		return 1, 1
	}
	return line, utf8.RuneCountInString(d.source[d.lines[line-1]:offset]) + 1
}

// end returns where a scalar on one line ends. For any other node it returns start.
func (d *decoder) end(n *yaml.Node, start int) int {
	if n.Kind != yaml.ScalarNode {
		return start
	}
	rest, _, _ := strings.Cut(d.source[start:], "\n")
	text := n.Value
	if written, ok := d.written[n]; ok {
		text = written
	}
	switch {
	case n.Style&yaml.DoubleQuotedStyle != 0:
		for i := 1; i < len(rest); i++ {
			switch rest[i] {
			case '\\':
				i++
			case '"':
				return start + i + 1
			}
		}
	case n.Style&yaml.SingleQuotedStyle != 0:
		for i := 1; i < len(rest); i++ {
			if strings.HasPrefix(rest[i:], "''") {
				i++
			} else if rest[i] == '\'' {
				return start + i + 1
			}
		}
	case strings.HasPrefix(rest, text):
		return start + len(text)
	}
	return start
}
