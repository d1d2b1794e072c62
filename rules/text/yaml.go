package text

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// Limits of one rule file.
const (
	MaxFileSize  = 1 << 20 // bytes
	maxYAMLDepth = 64      // nested lists and maps, with aliases expanded
	maxMends     = 20      // mistakes that make a file unreadable, before reading stops
	maxYAMLNodes = 100_000 // values, with aliases expanded
)

// Root parses the file and returns its one document. It returns nil for an empty file, and for one that cannot be
// read, which it has reported. Mistakes that can be mended are reported, and the rest is read as if they were mended:
// r.src is then the mended file, which knows the places in the original.
func (r *Document) Root() (root *yaml.Node) {
	if !r.readable() {
		return nil
	}
	src := r.src
	doc, second, err := decode(src.data)
	budget := 4 * MaxFileSize
	for n := 0; err != nil; n++ {
		m := misread(src, err)
		suggestion, next := m.mend(src, &budget)
		r.Errorf(m.code, m.at, suggestion, "%s", m.message)
		if next == nil || n == maxMends {
			return nil
		}
		src, r.src = next, next
		doc, second, err = decode(src.data)
	}
	if second != nil {
		from := src.offset(second)
		at := Span{from, from}
		if bytes.HasPrefix(src.data[from:], []byte("---")) {
			at.To += 3
		}
		r.Errorf("second-document", at, "", "a %s has one document: what follows this --- would be lost; put it in a file of its own", r.what)
	}
	if len(doc.Content) == 0 {
		return nil
	}
	root = doc.Content[0]
	src.root = root
	if !r.bounded(root) || r.oddIndent(root) {
		return nil
	}
	return root
}

// decode reads a file's first document, and the second if there is one.
func decode(data []byte) (first, second *yaml.Node, err error) {
	defer func() { // the YAML reader may panic on odd input; the file is then refused
		if p := recover(); p != nil {
			err = errors.New("yaml: this file cannot be read")
		}
	}()
	dec := yaml.NewDecoder(bytes.NewReader(data))
	first, second = &yaml.Node{}, &yaml.Node{}
	if err = dec.Decode(first); err == nil {
		if err = dec.Decode(second); err == nil {
			return first, second, nil
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return first, nil, err
}

// oddIndent reports a key that begins with a character that only looks like a space to people, such as a no-break
// space.
func (r *Document) oddIndent(n *yaml.Node) bool {
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 && c.Kind == yaml.ScalarNode && c.Style == 0 {
			trimmed := strings.TrimLeftFunc(c.Value, func(r rune) bool { return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) })
			if blank := len(c.Value) - len(trimmed); blank > 0 {
				from := r.src.content(c)
				from += max(bytes.IndexFunc(r.src.data[from:], func(r rune) bool { return r > 0x7f }), 0)
				_, w := utf8.DecodeRune(r.src.data[from:])
				r.Errorf("indentation", Span{from, from + w}, " ", "there is a special blank in the indentation, such as a copied web page has; use plain ones")
				return true
			}
		}
		if r.oddIndent(c) {
			return true
		}
	}
	return false
}

// readable reports a file that is too large or is not text.
func (r *Document) readable() bool {
	src := r.src
	if len(src.data) > MaxFileSize {
		r.Errorf("too-large", Span{0, 0}, "", "this file is larger than %d KiB, which is more than a %s may have; split it", MaxFileSize>>10, r.what)
		return false
	}
	for i := 0; i < len(src.data); {
		c, w := utf8.DecodeRune(src.data[i:])
		if c == utf8.RuneError && w == 1 {
			r.Errorf("not-text", Span{i, i + 1}, "", "this file is not UTF-8 text; save it as UTF-8")
			return false
		}
		if c < ' ' && c != '\t' && c != '\n' && c != '\r' || c == 0x7f || c == 0xFFFE || c == 0xFFFF {
			r.Errorf("not-text", Span{i, i + w}, "", "there is an invisible control character here; remove it")
			return false
		}
		i += w
	}
	return true
}

// bounded reports a document that, with its aliases expanded, is too large or nested too deeply.
func (r *Document) bounded(root *yaml.Node) bool {
	nodes := 0
	var walk func(n *yaml.Node, depth int, top *yaml.Node) bool
	walk = func(n *yaml.Node, depth int, top *yaml.Node) bool {
		if nodes++; nodes > maxYAMLNodes {
			r.Errorf("too-large", r.At(top), "", "with its aliases written out this file has more than %d values; it is refused", maxYAMLNodes)
			return false
		}
		if depth > maxYAMLDepth {
			r.Errorf("too-deep", r.At(top), "", "lists and maps are nested more than %d deep here", maxYAMLDepth)
			return false
		}
		if n.Kind == yaml.AliasNode {
			if n.Alias == nil {
				return true
			}
			return walk(n.Alias, depth+1, top)
		}
		for _, c := range n.Content {
			at := top
			if top == nil || c.Line > 0 && top == root {
				at = c
			}
			if !walk(c, depth+1, at) {
				return false
			}
		}
		return true
	}
	return walk(root, 0, root)
}

// Resolve follows an alias.
func Resolve(n *yaml.Node) *yaml.Node {
	for range maxYAMLDepth {
		if n == nil || n.Kind != yaml.AliasNode || n.Alias == nil {
			return n
		}
		n = n.Alias
	}
	return n
}

// A Pair is one entry of a map.
type Pair struct {
	Name       string
	Key, Value *yaml.Node
}

// Pairs returns the entries of a map in the order of the file, with merge keys expanded. Keys given twice and keys
// that are not texts are reported.
func (r *Document) Pairs(n *yaml.Node) []Pair {
	out := make([]Pair, 0, len(n.Content)/2)
	var own keys
	var merged []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := Resolve(n.Content[i]), Resolve(n.Content[i+1])
		if key.Kind == yaml.ScalarNode && key.Tag == "!!merge" {
			merged = append(merged, value)
			continue
		}
		if key.Kind != yaml.ScalarNode {
			r.Errorf("key", r.At(key), "", "a key must be a text; if this is a text that begins with { or [, put it in quotes")
			continue
		}
		if first := own.of(out, key.Value); first != nil {
			line, _ := r.src.position(r.src.offset(first))
			r.Errorf("duplicate-key", r.At(key), "", "the key %s is given twice, first in line %d", Quote(key.Value), line)
			continue
		}
		out = append(out, Pair{key.Value, key, value})
	}
	for _, m := range merged {
		maps := []*yaml.Node{m}
		if m.Kind == yaml.SequenceNode {
			maps = m.Content
		}
		for _, m := range maps {
			m = Resolve(m)
			if m.Kind != yaml.MappingNode {
				r.Errorf("merge", r.At(m), "", "<< takes the alias of a map, such as *name")
				continue
			}
			for _, p := range r.Pairs(m) {
				if own.of(out, p.Name) == nil {
					out = append(out, p)
				}
			}
		}
	}
	return out
}

// keys finds the keys of a map: one by one if there are few, as nearly always.
type keys map[string]*yaml.Node

func (k *keys) of(pairs []Pair, name string) *yaml.Node {
	if len(pairs) > 16 {
		if *k == nil {
			*k = keys{}
		}
		for _, p := range pairs[len(*k):] {
			(*k)[p.Name] = p.Key
		}
		return (*k)[name]
	}
	for _, p := range pairs {
		if p.Name == name {
			return p.Key
		}
	}
	return nil
}

// IsNull reports whether a node is an empty value.
func IsNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// standardTags are the tags of the YAML specification.
var standardTags = []string{"", "!", "!!str", "!!int", "!!float", "!!bool", "!!null", "!!map", "!!seq", "!!timestamp", "!!merge", "!!binary"}

// Tag reports a tag that has no meaning here. An unquoted text that begins with "!" looks like a tag.
func (r *Document) Tag(n *yaml.Node) bool {
	if n.Style&yaml.TaggedStyle == 0 || slices.Contains(standardTags, n.Tag) {
		return true
	}
	at := r.src.lineFrom(r.src.offset(n))
	written := r.src.in(at)
	if LooksLikeTemplate(n) || n.Kind == yaml.ScalarNode && n.Style&(blockStyle|yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) == 0 {
		r.Errorf("unknown-tag", at, SingleQuoted(written), "a text that begins with ! must be in quotes")
		return false
	}
	r.Errorf("unknown-tag", at, "", "the tag %s is not known here", Quote(n.Tag))
	return false
}

// Scalar returns a scalar as a text. A node that is not a text is reported.
func (r *Document) Scalar(n *yaml.Node, what string) (*Scalar, bool) {
	if !r.Tag(n) {
		return nil, false
	}
	switch {
	case n.Kind == yaml.MappingNode && LooksLikeTemplate(n):
		r.Unquoted(n)
		return nil, false
	case n.Kind != yaml.ScalarNode:
		r.Errorf("type", r.At(n), "", "%s takes a text, not %s", what, KindName(n))
		return nil, false
	case IsNull(n) && n.Value == "":
		at := r.At(n)
		if c := r.src.comment(at.From); c.To > c.From || strings.HasPrefix(n.LineComment, "#") {
			r.Errorf("comment", c, doubleQuoted(r.src.in(c)),
				"%s is empty: an unquoted # begins a comment; put the text in quotes", what)
			return nil, false
		}
		r.Errorf("empty", at, "", "%s is empty", what)
		return nil, false
	case IsNull(n):
		r.Errorf("empty", r.At(n), "", "%s is empty (%s means no value)", what, n.Value)
		return nil, false
	case n.Tag == "!!binary":
		r.Errorf("type", r.At(n), "", "%s takes a text, not binary data", what)
		return nil, false
	}
	t := newScalar(r.src, n)
	if inner, ok := uncurled(n.Value); ok && n.Style == 0 && what != Quote("on") { // a wrong event name is reported anyway
		first, last := []rune(n.Value)[0], []rune(n.Value)[len([]rune(n.Value))-1]
		r.Mendf(Warning, "quote", t, t.whole(), inner, "%c and %c are part of this text; use straight quotes around a text, or none", first, last)
	}
	if n.LineComment != "" {
		if whole, ok := t.CutOff(); ok && cutsOff(r.src.in(Span{t.outer.To, whole.To})) {
			r.Warnf("comment", whole, doubleQuoted(r.src.in(whole)), "an unquoted # begins a comment, so the text ends before it; if it belongs to the text, put the text in quotes")
		}
	}
	return t, true
}

// cutsOff guesses whether a comment behind an unquoted text was meant as part of the text: "# 4", "#12".
func cutsOff(comment string) bool {
	comment = strings.TrimLeft(comment, " \t")
	rest := strings.TrimLeft(comment, "#")
	if rest == comment || rest == "" {
		return false
	}
	if rest[0] != ' ' {
		return true
	}
	rest = strings.TrimSpace(rest)
	return rest != "" && (rest[0] >= '0' && rest[0] <= '9' || strings.Contains(rest, "{{") || strings.Contains(rest, "}}"))
}

// LooksLikeTemplate recognises `{{ x }}` written without quotes, which YAML reads as a map.
func LooksLikeTemplate(n *yaml.Node) bool {
	return n.Kind == yaml.MappingNode && n.Style&yaml.FlowStyle != 0 && len(n.Content) == 2 &&
		n.Content[0].Kind == yaml.MappingNode && n.Content[0].Style&yaml.FlowStyle != 0
}

func (r *Document) Unquoted(n *yaml.Node) {
	at := r.At(n)
	if i := strings.Index(r.src.in(at), "}}"); i >= 0 {
		at.To = at.From + i + 2
	}
	begin := "{{"
	if n.Anchor != "" {
		begin = "&"
	}
	r.Errorf("unquoted-template", at, Quoted(r.src.in(at)), "a text that begins with %s must be in quotes", begin)
}

func KindName(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a map (key: value)"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.Tag {
	case "!!null":
		return "nothing"
	case "!!int", "!!float":
		return "a number"
	case "!!bool":
		return "true or false"
	}
	return "a text"
}

// Bool reads true and false in all the spellings people use.
func Bool(n *yaml.Node) (value, ok bool) {
	if n.Kind != yaml.ScalarNode {
		return false, false
	}
	switch strings.ToLower(n.Value) {
	case "true", "yes", "on":
		return true, true
	case "false", "no", "off":
		return false, true
	}
	return false, false
}
