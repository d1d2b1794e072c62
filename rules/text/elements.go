package text

import (
	"bytes"
	"slices"

	"gopkg.in/yaml.v3"
)

// Lines are some whole lines of a file.
type Lines struct {
	From, To int // their bytes in the file
	Above    int // how many lines of the file are above them
}

// Elements returns, for each element of a list, the lines that can be read alone with [Part]: from its dash to the next
// one. It returns nil if that could be read otherwise than in the file, for example if there are anchors.
func (r *Document) Elements(list *yaml.Node) []Lines {
	s := r.src
	if s.of != nil || list.Kind != yaml.SequenceNode || list.Style&yaml.FlowStyle != 0 || anchored(s.root) || !s.plainLines() {
		return nil
	}
	lines := s.lineOffsets()
	out := make([]Lines, len(list.Content))
	above := 0
	for i, n := range list.Content {
		line := n.Line - 1
		for line >= above && !s.dashed(line, list.Column-1) {
			line--
		}
		if line < above {
			return nil
		}
		out[i] = Lines{From: lines[line] + s.skipped, To: len(s.data) + s.skipped, Above: line}
		if i > 0 {
			out[i-1].To = out[i].From
		}
		above = line + 1
	}
	return out
}

// dashed reports whether a line, counted from 0, begins with a dash in a column, counted from 0.
func (s *source) dashed(line, column int) bool {
	if line >= len(s.lines) {
		return false
	}
	rest := s.data[s.lines[line]:]
	return len(rest) > column && rest[column] == '-' && len(bytes.TrimLeft(rest[:column], " ")) == 0 && (len(rest) == column+1 || isOneOf(rest[column+1], " \t\r\n"))
}

// plainLines reports whether people and the YAML reader count the same lines, and no line changes how others are read.
func (s *source) plainLines() bool {
	for _, odd := range []string{"\u0085", "\u2028", "\u2029", "\n%"} {
		if bytes.Contains(s.data, []byte(odd)) {
			return false
		}
	}
	return !bytes.HasPrefix(s.data, []byte("%")) && bytes.Count(s.data, []byte("\r")) == bytes.Count(s.data, []byte("\r\n"))
}

// anchored reports whether there are anchors below a node.
func anchored(n *yaml.Node) bool {
	return n.Anchor != "" || n.Kind == yaml.AliasNode || slices.ContainsFunc(n.Content, anchored)
}
