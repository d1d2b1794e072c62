package config

import (
	"gopkg.in/yaml.v3"

	"bellhop/rules/text"
)

// report adds a finding about a node; nil is what a flag or a default says.
func (d *decoder) report(n *yaml.Node, severity text.Severity, code, message, suggestion string) {
	add := d.doc.Errorf
	if severity == text.Warning {
		add = d.doc.Warnf
	}
	add(code, d.span(n), suggestion, "%s", message)
}

// errorf adds an error about a node, without a suggestion.
func (d *decoder) errorf(n *yaml.Node, code, format string, args ...any) {
	d.doc.Errorf(code, d.span(n), "", format, args...)
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
