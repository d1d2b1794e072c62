package config

import (
	"fmt"

	"gopkg.in/yaml.v3"

	"bellhop/rules/text"
)

// maxFindings is how many errors, and how many warnings, are reported. A file with more has one mistake many times.
const maxFindings = 200

// report adds a finding about a node; nil is what a flag or a default says.
func (d *decoder) report(n *yaml.Node, severity text.Severity, code, message, suggestion string) {
	if !d.full(severity) {
		d.add(d.span(n), severity, code, message, suggestion)
	}
}

// errorf adds an error about a node, without a suggestion.
func (d *decoder) errorf(n *yaml.Node, code, format string, args ...any) {
	d.report(n, text.Error, code, fmt.Sprintf(format, args...), "")
}

// full says that enough of a severity has been found; warnings must not hide errors.
func (d *decoder) full(severity text.Severity) bool { return d.found[severity] >= maxFindings }

// add adds a finding about a range of the file.
func (d *decoder) add(at text.Span, severity text.Severity, code, message, suggestion string) {
	f := text.Finding{File: d.file, Severity: severity, Code: code, Message: message, Suggestion: suggestion}
	f.Line, f.Column, f.EndLine, f.EndColumn = d.doc.Lines(at)
	d.findings = append(d.findings, f)
	d.found[severity]++
}

// span returns the range of a scalar, or where anything else begins.
func (d *decoder) span(n *yaml.Node) text.Span {
	if n == nil {
		return text.Span{}
	}
	asWritten := *n
	if written, ok := d.written[n]; ok {
		asWritten.Value = written
	}
	if !knownTag(n) {
		asWritten.Kind = 0 // points at the tag, not at the text after it
	}
	at := d.doc.At(&asWritten)
	if asWritten.Kind != yaml.ScalarNode {
		at.To = at.From
	}
	return at
}
