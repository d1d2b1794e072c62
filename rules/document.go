package rules

import (
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// A Document is a YAML file that belongs to rules without being one, such as their tests. It is read with the
// care that rule files get: the same limits, and every mistake a finding at its place. It is for one goroutine.
type Document struct {
	r    *report
	skip int // bytes of the file before what offsets count from
}

// An Entry is one entry of a map, with aliases resolved and merge keys written out.
type Entry struct {
	Name       string
	Key, Value *yaml.Node
}

// ReadDocument reads a file. what is how people call one, such as "test file". The node is nil for a file
// without content, and for one that cannot be read, of which the findings then tell.
func ReadDocument(path, what string, data []byte) (*Document, *yaml.Node) {
	d := &Document{r: &report{src: newSource(path, data)}}
	d.skip = len(data) - len(d.r.src.data)
	root := readYAML(d.r)
	for i := range d.r.findings {
		f := &d.r.findings[i]
		f.Message = strings.ReplaceAll(f.Message, "a rule file", "a "+what)
	}
	if root == nil || isNull(root) {
		return d, nil
	}
	return d, root
}

// Findings are what was found up to now, sorted by position.
func (d *Document) Findings() []Finding {
	sortFindings(d.r.findings)
	return d.r.findings
}

// Errors is the number of mistakes found up to now.
func (d *Document) Errors() int { return d.r.errors }

// Errorf reports a mistake at a node. The suggestion is what to write in its place, "" if there is none.
func (d *Document) Errorf(code string, at *yaml.Node, suggestion, format string, args ...any) {
	if suggestion != "" && at.Kind == yaml.ScalarNode && at.Style == 0 {
		suggestion = newText(d.r.src, at).plainOrQuoted(suggestion)
	}
	d.r.errorf(code, d.r.src.span(at), suggestion, format, args...)
}

// Entries are the entries of a map, in the order of the file. what is how people call it; what is no map, and
// a key that is none of known (nil takes any), is reported and left out.
func (d *Document) Entries(n *yaml.Node, what string, known []string) []Entry {
	n = resolve(n)
	if !checkTag(d.r.src, d.r, n) {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		d.WrongType(n, what, "entries of the form key: value")
		return nil
	}
	var out []Entry
	entries := pairs(d.r.src, d.r, n)
	for _, p := range entries {
		if known != nil && !slices.Contains(known, p.name) {
			suggestion := closest(p.name, notGiven(known, entries))
			d.Errorf("unknown-key", p.key, suggestion, "%s has no %s%s%s", what, quote(p.name), didYouMean(suggestion), listIfNone(suggestion, known))
			continue
		}
		out = append(out, Entry{p.name, p.key, p.value})
	}
	return out
}

// Items are the elements of a list, aliases resolved. What is no list is reported.
func (d *Document) Items(n *yaml.Node, what string) []*yaml.Node {
	n = resolve(n)
	if n.Kind != yaml.SequenceNode {
		d.WrongType(n, what, "a list: each entry begins with -")
		return nil
	}
	out := make([]*yaml.Node, len(n.Content))
	for i, c := range n.Content {
		out[i] = resolve(c)
	}
	return out
}

// Text is a scalar's text. What is none is reported.
func (d *Document) Text(n *yaml.Node, what string) (string, bool) {
	t, ok := scalarText(d.r.src, d.r, n, what)
	if !ok {
		return "", false
	}
	return t.value, true
}

// Bool reads true and false in all their spellings. What is none is reported.
func (d *Document) Bool(n *yaml.Node, what string) (value, ok bool) {
	if value, ok = yamlBool(n); !ok {
		d.WrongType(n, what, "true or false")
	}
	return value, ok
}

// WrongType reports a value that is not what it should be.
func (d *Document) WrongType(n *yaml.Node, what, want string) {
	d.Errorf("type", n, "", "%s takes %s, but this is %s", what, want, kindName(n))
}

// Position is where a node begins, for people.
func (d *Document) Position(n *yaml.Node) (line, column int) {
	return d.r.src.position(d.r.src.span(n).from)
}

// Range is where a node stands in the file, in bytes: a scalar with its quotes or block header, a list or map
// up to the end of what is in it, closing bracket included.
func (d *Document) Range(n *yaml.Node) (from, to int) {
	at := d.r.src.extent(n)
	return d.r.src.written(at.from) + d.skip, d.r.src.written(at.to) + d.skip
}

// IsNull says whether a node is an empty value.
func IsNull(n *yaml.Node) bool { return isNull(n) }

// Quote puts a text that a person wrote into quotes, shortened and in one line, as findings do.
func Quote(s string) string { return quote(s) }

// Closest is the candidate that a misspelt word was most likely meant to be, or "".
func Closest(word string, candidates []string) string { return closest(word, candidates) }

// DidYouMean is the end of a sentence about an unknown word, "" without a suggestion.
func DidYouMean(suggestion string) string { return didYouMean(suggestion) }
