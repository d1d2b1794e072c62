// Package text reads YAML files that people write and finds their mistakes. Every mistake is a [Finding] at its place
// in the file as written, with a suggestion where there is one. The package knows nothing of rules.
//
// A [Document] is one file. Its texts are [Scalar] values, which know where in the file each of their bytes stands.
// So a mistake inside a text, such as an expression, is reported at its exact place, and a suggestion gets the quotes
// it needs there.
package text

import (
	"fmt"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// A Document is a YAML file that is read like a rule file: its size is limited, and every mistake is a finding at its
// place. It is not safe for concurrent use.
type Document struct {
	what     string // what people call such a file: "rule file"
	src      *source
	findings []Finding
	seen     map[Finding]bool // a mistake behind an anchor is found once for each alias
	errors   int
	reports  int
}

// New prepares to read a file. what is the name people have for such a file; keys are the keys with which its lines
// may begin.
func New(path, what string, data []byte, keys []string) *Document {
	src := newSource(path, data)
	src.keys = keys
	return &Document{what: what, src: src}
}

// Part prepares to read some whole lines of a file again, of which nothing before them is needed to understand them, and
// in which no mistake was found. above is the number of lines before them.
func Part(path, what string, lines []byte, above int) *Document {
	return &Document{what: what, src: &source{name: path, data: lines, above: above}}
}

// Read reads a file. The node is nil if the file is empty or cannot be read; the findings then say why.
func Read(path, what string, data []byte, keys []string) (*Document, *yaml.Node) {
	r := New(path, what, data, keys)
	root := r.Root()
	if root == nil || IsNull(root) {
		return r, nil
	}
	return r, root
}

// Findings returns the findings so far, sorted by position.
func (r *Document) Findings() []Finding {
	Sort(r.findings)
	return r.findings
}

// Reports returns how often something was reported, also what was reported before.
func (r *Document) Reports() int { return r.reports }

// Errors returns the number of mistakes found so far.
func (r *Document) Errors() int { return r.errors }

func (r *Document) finding(sev Severity, code string, at Span, suggestion, format string, args ...any) Finding {
	if r.src.holdsMend(at) && !bareWord.MatchString(suggestion) {
		suggestion = "" // the suggestion was made for the mended file, where the text is written differently
	}
	f := Finding{
		File: r.src.name, Severity: sev, Code: code,
		Message: fmt.Sprintf(format, args...), Suggestion: suggestion,
	}
	f.Line, f.Column, f.EndLine, f.EndColumn = r.Lines(Span{at.From, max(at.From, at.To)})
	return f
}

func (r *Document) add(sev Severity, code string, at Span, suggestion, format string, args ...any) {
	f := r.finding(sev, code, at, suggestion, format, args...)
	r.reports++
	if sev == Error {
		r.errors++ // counted for each alias, although it is reported once
	}
	if r.seen[f] {
		return
	}
	if r.seen == nil {
		r.seen = map[Finding]bool{}
	}
	r.seen[f] = true
	switch {
	case len(r.findings) < maxFindings:
		r.findings = append(r.findings, f)
	case sev == Error: // an error must not be lost behind warnings
		if i := slices.IndexFunc(r.findings, func(f Finding) bool { return f.Severity == Warning }); i >= 0 {
			r.findings[i] = f
		}
	}
}

func (r *Document) Errorf(code string, at Span, suggestion, format string, args ...any) {
	r.add(Error, code, at, suggestion, format, args...)
}

// Mendf adds a finding whose suggestion is what the text t should hold. It is converted to what to write in the file.
func (r *Document) Mendf(sev Severity, code string, t *Scalar, at Span, suggestion, format string, args ...any) {
	at, suggestion = t.Mend(at, suggestion)
	r.add(sev, code, at, suggestion, format, args...)
}

func (r *Document) Warnf(code string, at Span, suggestion, format string, args ...any) {
	r.add(Warning, code, at, suggestion, format, args...)
}

// ErrorAt reports a mistake at a node. The suggestion replaces the node; it gets quotes if it needs them.
func (r *Document) ErrorAt(code string, n *yaml.Node, suggestion, format string, args ...any) {
	if suggestion != "" && n.Kind == yaml.ScalarNode && n.Style == 0 {
		suggestion = newScalar(r.src, n).PlainOrQuoted(suggestion)
	}
	r.Errorf(code, r.At(n), suggestion, format, args...)
}

// Entries returns the entries of a map, in the order of the file. A node that is not a map, and a key that is not in
// known, is reported and left out. If known is nil, every key is allowed. what is the name people have for the map.
func (r *Document) Entries(n *yaml.Node, what string, known []string) []Pair {
	n = Resolve(n)
	if !r.Tag(n) {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		r.WrongType(n, what, "entries of the form key: value")
		return nil
	}
	entries := r.Pairs(n)
	if known == nil {
		return entries
	}
	return slices.DeleteFunc(slices.Clone(entries), func(p Pair) bool {
		if slices.Contains(known, p.Name) {
			return false
		}
		suggestion := Closest(p.Name, NotGiven(known, entries))
		r.ErrorAt("unknown-key", p.Key, suggestion, "%s has no %s%s%s", what, Quote(p.Name), DidYouMean(suggestion), ListIfNone(suggestion, known))
		return true
	})
}

// Items returns the elements of a list, with aliases resolved. A node that is not a list is reported.
func (r *Document) Items(n *yaml.Node, what string) []*yaml.Node {
	n = Resolve(n)
	if n.Kind != yaml.SequenceNode {
		r.WrongType(n, what, "a list: each entry begins with -")
		return nil
	}
	out := make([]*yaml.Node, len(n.Content))
	for i, c := range n.Content {
		out[i] = Resolve(c)
	}
	return out
}

// Text returns the text of a scalar. A node that is not a text is reported.
func (r *Document) Text(n *yaml.Node, what string) (string, bool) {
	t, ok := r.Scalar(n, what)
	if !ok {
		return "", false
	}
	return t.Value, true
}

// Bool reads true and false in all their spellings. Another value is reported.
func (r *Document) Bool(n *yaml.Node, what string) (value, ok bool) {
	if value, ok = Bool(n); !ok {
		r.WrongType(n, what, "true or false")
	}
	return value, ok
}

// WrongType reports a value of the wrong type.
func (r *Document) WrongType(n *yaml.Node, what, want string) {
	r.ErrorAt("type", n, "", "%s takes %s, but this is %s", what, want, KindName(n))
}

// At returns the range to point at for a node: a scalar with its quotes, or the first line of a list or map.
func (r *Document) At(n *yaml.Node) Span { return r.src.span(n) }

// Position returns the line and column at which a node begins.
func (r *Document) Position(n *yaml.Node) (line, column int) { return r.src.position(r.At(n).From) }

// Lines returns the lines and columns at which a range begins and ends.
func (r *Document) Lines(at Span) (line, column, endLine, endColumn int) {
	line, column = r.src.position(at.From)
	endLine, endColumn = r.src.position(at.To)
	return line, column, endLine, endColumn
}

// Place returns where a range begins, as file:line:column.
func (r *Document) Place(at Span) string {
	line, column := r.src.position(at.From)
	return fmt.Sprintf("%s:%d:%d", r.src.name, line, column)
}

// In returns the text of a range of the file.
func (r *Document) In(at Span) string { return r.src.in(at) }

// Path returns the file's name.
func (r *Document) Path() string { return r.src.name }

// Written returns a scalar of the file, without any check.
func (r *Document) Written(n *yaml.Node) *Scalar { return newScalar(r.src, n) }

// Range returns the bytes of a node in the file: a scalar with its quotes or block header, a list or map up to the
// end of its content, including the closing bracket.
func (r *Document) Range(n *yaml.Node) (from, to int) {
	at := r.src.extent(n)
	return r.src.written(at.From) + r.src.skipped, r.src.written(at.To) + r.src.skipped
}

// Alone returns a document that holds one text and belongs to no file.
func Alone(value string) (*Document, *Scalar) {
	r := New("", "text", []byte(value), nil)
	return r, &Scalar{Value: value, node: &yaml.Node{Kind: yaml.ScalarNode, Value: value}, src: r.src, outer: Span{0, len(r.src.data)}, mapped: true}
}

// Dashed returns a map rewritten as a list, with its lines indented further: one entry, or one for each key in first.
// It returns "" for a long map, which would be too much for a message.
func (r *Document) Dashed(n *yaml.Node, first []string) (at Span, suggestion string) {
	at = r.src.extent(n)
	line, column := r.src.position(at.From)
	begins := map[int]bool{0: true} // lines of the map, counted from 0
	for i := 2; i < len(n.Content); i += 2 {
		if key := n.Content[i]; slices.Contains(first, key.Value) {
			at, _ := r.src.position(r.src.offset(key))
			begins[at-line] = true
		}
	}
	written := r.In(at)
	lines := strings.Split(written, "\n")
	switch flow := n.Style&yaml.FlowStyle != 0; {
	case len(lines) > 12 || n.Anchor != "":
		return Span{at.From, at.From}, ""
	case flow && len(n.Content) == 2:
		return at, "[" + written + "]"
	case flow:
		return at, ""
	}
	for i, l := range lines {
		switch {
		case i == 0:
			lines[i] = "- " + l
		case begins[i] && len(l) >= column-1:
			lines[i] = l[:column-1] + "- " + l[column-1:]
		case strings.TrimSpace(l) != "":
			lines[i] = "  " + l
		}
	}
	return at, strings.Join(lines, "\n")
}
