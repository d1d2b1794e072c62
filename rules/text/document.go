// Package text reads YAML files that people write, and tells them what is wrong in them: every mistake is a [Finding] at its
// place, in the file as it was written, with what to write instead where that can be told. It knows nothing of rules.
//
// A [Document] is one file. Its texts are [Scalar] values, which know for each of their bytes where in the file it stands,
// so that a mistake within a text, such as an expression, is pointed at exactly, and a suggestion is written in the quotes
// that it needs there.
package text

import (
	"fmt"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// A Document is a YAML file that is read with the care that rule files get: limits on its size, and every mistake a finding
// at its place. It is for one goroutine.
type Document struct {
	what     string // how people call one, such as "rule file"
	src      *source
	findings []Finding
	seen     map[Finding]bool // a mistake behind an anchor is met once for each alias
	errors   int
}

// New prepares to read a file. what is how people call one, and keys are those with which its lines may begin.
func New(path, what string, data []byte, keys []string) *Document {
	src := newSource(path, data)
	src.keys = keys
	return &Document{what: what, src: src}
}

// Read reads a file. The node is nil for a file without content, and for one that cannot be read, of which the
// findings then tell.
func Read(path, what string, data []byte, keys []string) (*Document, *yaml.Node) {
	r := New(path, what, data, keys)
	root := r.Root()
	if root == nil || IsNull(root) {
		return r, nil
	}
	return r, root
}

// Findings are what was found up to now, sorted by position.
func (r *Document) Findings() []Finding {
	Sort(r.findings)
	return r.findings
}

// Errors is the number of mistakes found up to now.
func (r *Document) Errors() int { return r.errors }

func (r *Document) finding(sev Severity, code string, at Span, suggestion, format string, args ...any) Finding {
	if r.src.holdsMend(at) && !bareWord.MatchString(suggestion) {
		suggestion = "" // it was made for the file as mended, where the text is written differently
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
	if sev == Error {
		r.errors++ // counted each time: what is read through an alias is no better for having been reported
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
		for i := range r.findings {
			if r.findings[i].Severity == Warning {
				r.findings[i] = f
				break
			}
		}
	}
}

func (r *Document) Errorf(code string, at Span, suggestion, format string, args ...any) {
	r.add(Error, code, at, suggestion, format, args...)
}

// Mendf is add with a suggestion that the text t is to have, not the file.
func (r *Document) Mendf(sev Severity, code string, t *Scalar, at Span, suggestion, format string, args ...any) {
	at, suggestion = t.Mend(at, suggestion)
	r.add(sev, code, at, suggestion, format, args...)
}

func (r *Document) Warnf(code string, at Span, suggestion, format string, args ...any) {
	r.add(Warning, code, at, suggestion, format, args...)
}

// ErrorAt is Errorf at a node. The suggestion is written in its place, in quotes where it needs them.
func (r *Document) ErrorAt(code string, n *yaml.Node, suggestion, format string, args ...any) {
	if suggestion != "" && n.Kind == yaml.ScalarNode && n.Style == 0 {
		suggestion = newScalar(r.src, n).PlainOrQuoted(suggestion)
	}
	r.Errorf(code, r.At(n), suggestion, format, args...)
}

// Entries are the entries of a map, in the order of the file. what is how people call it; what is no map, and
// a key that is none of known (nil takes any), is reported and left out.
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

// Items are the elements of a list, aliases resolved. What is no list is reported.
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

// Text is a scalar's text. What is none is reported.
func (r *Document) Text(n *yaml.Node, what string) (string, bool) {
	t, ok := r.Scalar(n, what)
	if !ok {
		return "", false
	}
	return t.Value, true
}

// Bool reads true and false in all their spellings. What is none is reported.
func (r *Document) Bool(n *yaml.Node, what string) (value, ok bool) {
	if value, ok = Bool(n); !ok {
		r.WrongType(n, what, "true or false")
	}
	return value, ok
}

// WrongType reports a value that is not what it should be.
func (r *Document) WrongType(n *yaml.Node, what, want string) {
	r.ErrorAt("type", n, "", "%s takes %s, but this is %s", what, want, KindName(n))
}

// At is the range to point at for a node: a scalar with its quotes, of a list or map its first line.
func (r *Document) At(n *yaml.Node) Span { return r.src.span(n) }

// Position is where a node begins, for people.
func (r *Document) Position(n *yaml.Node) (line, column int) { return r.src.position(r.At(n).From) }

// Line and column are where a range of the file begins and ends, for people.
func (r *Document) Lines(at Span) (line, column, endLine, endColumn int) {
	line, column = r.src.position(at.From)
	endLine, endColumn = r.src.position(at.To)
	return line, column, endLine, endColumn
}

// Place is where a range begins, as file:line:column.
func (r *Document) Place(at Span) string {
	line, column := r.src.position(at.From)
	return fmt.Sprintf("%s:%d:%d", r.src.name, line, column)
}

// In is the text of a range of the file.
func (r *Document) In(at Span) string { return r.src.in(at) }

// Path is the file's name.
func (r *Document) Path() string { return r.src.name }

// Written is a scalar of the file as a text, whatever it is.
func (r *Document) Written(n *yaml.Node) *Scalar { return newScalar(r.src, n) }

// Range is where a node stands in the file, in bytes: a scalar with its quotes or block header, a list or map
// up to the end of what is in it, closing bracket included.
func (r *Document) Range(n *yaml.Node) (from, to int) {
	at := r.src.extent(n)
	return r.src.written(at.From) + r.src.skipped, r.src.written(at.To) + r.src.skipped
}

// Alone is a document that is one text, which stands in no file.
func Alone(value string) (*Document, *Scalar) {
	r := New("", "text", []byte(value), nil)
	return r, &Scalar{Value: value, node: &yaml.Node{Kind: yaml.ScalarNode, Value: value}, src: r.src, outer: Span{0, len(r.src.data)}, mapped: true}
}

// Dashed returns a map written as a list, its lines indented further: one entry, or one for each key of first. It is ""
// for a long map, which nobody wants to read again in a message.
func (r *Document) Dashed(n *yaml.Node, first []string) (at Span, suggestion string) {
	at = r.src.extent(n)
	line, column := r.src.position(at.From)
	begins := map[int]bool{0: true} // lines of the map, from 0
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
