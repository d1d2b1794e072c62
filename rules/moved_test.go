package rules_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"gopkg.in/yaml.v3"

	"bellhop/rules"
	"bellhop/rules/text"
)

type place struct{ line, column int }

func (p place) before(q place) bool {
	return p.line < q.line || p.line == q.line && p.column < q.column
}

// A writtenText is one scalar in a file: where it begins and ends, and where each character of its value does.
type writtenText struct {
	from, to place
	beg, end []place
}

func (w writtenText) holds(f text.Finding) bool {
	a, b := place{f.Line, f.Column}, place{f.EndLine, f.EndColumn}
	return !a.before(w.from) && !w.to.before(b)
}

// simple finds the places of a scalar's characters by counting; ok is false if counting is not enough.
func simple(n *yaml.Node, lines []string) (w writtenText, ok bool) {
	value := []rune(n.Value)
	at := place{n.Line, n.Column}
	if n.Anchor != "" || n.Style&yaml.TaggedStyle != 0 {
		return w, false
	}
	w.from = at
	if n.Style&yaml.LiteralStyle != 0 {
		first := lines[n.Line]
		indent := len(first) - len(strings.TrimLeft(first, " "))
		at = place{n.Line + 1, indent + 1}
		for _, c := range value {
			next := place{at.line, at.column + 1}
			if c == '\n' {
				next = place{at.line + 1, 1}
			}
			w.beg, w.end = append(w.beg, at), append(w.end, next)
			if at = next; c == '\n' {
				at.column = indent + 1
			}
		}
		w.to = at
		return w, len(value) > 0
	}
	quote := ""
	switch {
	case n.Style&yaml.DoubleQuotedStyle != 0:
		quote = `"`
	case n.Style&yaml.SingleQuotedStyle != 0:
		quote = "'"
	case n.Style != 0:
		return w, false
	}
	rest := []rune(lines[n.Line-1])[n.Column-1:]
	written := quote + n.Value + quote
	if !strings.HasPrefix(string(rest), written) || strings.ContainsAny(n.Value, "\n\\") {
		return w, false
	}
	at.column += len(quote)
	for range value {
		next := place{at.line, at.column + 1}
		w.beg, w.end = append(w.beg, at), append(w.end, next)
		at = next
	}
	w.to = place{at.line, at.column + len(quote)}
	return w, len(value) > 0
}

// A writer writes a document again and records where each scalar goes.
type writer struct {
	b       strings.Builder
	at      place
	marked  map[*yaml.Node]bool // those to be written in the given style
	style   string
	written map[*yaml.Node]writtenText
}

func (w *writer) put(s string) {
	for _, c := range s {
		if w.b.WriteRune(c); c == '\n' {
			w.at = place{w.at.line + 1, 1}
		} else {
			w.at.column++
		}
	}
}

// char writes the source of one character of a value.
func (w *writer) char(t *writtenText, s string) {
	t.beg = append(t.beg, w.at)
	w.put(s)
	t.end = append(t.end, w.at)
}

func (w *writer) scalar(n *yaml.Node, key bool, indent int) {
	t := writtenText{from: w.at}
	style := ""
	if w.marked[n] && !(key && (w.style == "|" || w.style == ">")) {
		style = w.style
	} else if n.Style != 0 || strings.ContainsAny(n.Value, ",[]{}") {
		style = `"`
	}
	if style == "bare" || w.style == "bare" && key {
		style = ""
	}
	pad := strings.Repeat(" ", indent+2)
	value := []rune(n.Value)
	switch style {
	case "|":
		w.put("|-\n" + pad)
		for _, c := range value {
			w.char(&t, string(c))
			if c == '\n' {
				w.put(pad)
			}
		}
	case ">", "'":
		if style == ">" {
			w.put(">-\n" + pad)
		} else {
			w.put("'")
		}
		for i, c := range value {
			// A single blank between two words may be a line break, and a line break is an empty line.
			lone := c == ' ' && i > 0 && i+1 < len(value) && !unicode.IsSpace(value[i-1]) && !unicode.IsSpace(value[i+1])
			switch {
			case c == '\n':
				w.put("\n")
				w.char(&t, "\n")
				w.put(pad)
			case lone && !key && (style == ">" || i%2 == 0):
				w.char(&t, "\n")
				w.put(pad)
			case c == '\'' && style == "'":
				w.char(&t, "''")
			default:
				w.char(&t, string(c))
			}
		}
		if style == "'" {
			w.put("'")
		}
	case `"`:
		w.put(`"`)
		for _, c := range value {
			switch {
			case c == '"' || c == '\\':
				w.char(&t, `\`+string(c))
			case c == '\n':
				w.char(&t, `\n`)
			case c == '\t':
				w.char(&t, `\t`)
			case c > 0x7f && c < 0x10000:
				w.char(&t, fmt.Sprintf(`\u%04x`, c))
			default:
				w.char(&t, string(c))
			}
		}
		w.put(`"`)
	default:
		for _, c := range value {
			w.char(&t, string(c))
		}
	}
	t.to = w.at
	w.written[n] = t
}

// block writes a node in block style, flow in flow style.
func (w *writer) block(n *yaml.Node, indent int) {
	pad := strings.Repeat(" ", indent)
	switch {
	case n.Kind == yaml.ScalarNode:
		w.scalar(n, false, indent)
	case len(n.Content) == 0:
		w.flow(n)
	default:
		for i := 0; i < len(n.Content); i++ {
			w.put("\n" + pad)
			if n.Kind == yaml.SequenceNode {
				w.put("- ")
				w.block(n.Content[i], indent+2)
				continue
			}
			w.scalar(n.Content[i], true, indent)
			i++
			w.put(": ")
			w.block(n.Content[i], indent+2)
		}
	}
}

func (w *writer) flow(n *yaml.Node) {
	switch n.Kind {
	case yaml.ScalarNode:
		w.scalar(n, false, 0)
	case yaml.SequenceNode:
		w.put("[")
		for i, c := range n.Content {
			if i > 0 {
				w.put(", ")
			}
			w.flow(c)
		}
		w.put("]")
	case yaml.MappingNode:
		w.put("{")
		for i := 0; i+1 < len(n.Content); i += 2 {
			if i > 0 {
				w.put(", ")
			}
			w.scalar(n.Content[i], true, 0)
			w.put(": ")
			w.flow(n.Content[i+1])
		}
		w.put("}")
	}
}

func nodesOf(n *yaml.Node) []*yaml.Node {
	out := []*yaml.Node{n}
	for _, c := range n.Content {
		out = append(out, nodesOf(c)...)
	}
	return out
}

// unescape and escape convert a suggestion when the text it belongs to changes its quotes.
func unescape(s string, n *yaml.Node) string {
	switch {
	case n.Style&yaml.DoubleQuotedStyle != 0:
		return strings.NewReplacer(`\\`, `\`, `\"`, `"`).Replace(s)
	case n.Style&yaml.SingleQuotedStyle != 0:
		return strings.ReplaceAll(s, "''", "'")
	}
	return s
}

func escape(s, style string) string {
	switch style {
	case `"`:
		return strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s)
	case "'":
		return strings.ReplaceAll(s, "'", "''")
	}
	return s
}

// unquotedOnly are mistakes only while the text has no quotes.
var unquotedOnly = []string{"let-equals.yaml", "let-text-unquoted.yaml", "warn-true.yaml", "warn-false.yaml", "curly-quotes-name.yaml"}

// otherLine finds the number of another line in a message, which changes too.
var otherLine = regexp.MustCompile(`in line [0-9]+`)

func unlined(message string) string { return otherLine.ReplaceAllString(message, "in line N") }

// Every mistake of testdata/bad in texts and keys is found again, with the same words and at its new place, if the
// file is written differently: in block scalars, folded over several lines, in quotes with escapes, in flow maps and
// lists. The writer knows where it must be found.
func TestBadFilesMoved(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("../testdata/bad/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	moved, files := 0, 0
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		src, _, _ := strings.Cut(string(data), "\n#! ")
		src += "\n"
		if strings.ContainsAny(src, "\r&*\uFEFF") && (strings.Contains(src, "\r") || strings.Contains(src, ": &") || strings.Contains(src, ": *")) {
			continue
		}
		var doc yaml.Node
		if yaml.Unmarshal([]byte(src), &doc) != nil || len(doc.Content) == 0 {
			continue
		}
		_, findings := rules.Compile("t.yaml", []byte(src), options())
		any := false
		for _, style := range []string{"|", ">", "'", `"`, `flow "`, "flow '"} {
			if moveOne(t, filepath.Base(path), style, src, doc.Content[0], findings) {
				moved++
				any = true
			}
		}
		if any {
			files++
		}
	}
	t.Logf("%d files moved, in %d ways altogether", files, moved)
	if files < 150 || moved < 800 {
		t.Errorf("only %d files were moved, in %d ways", files, moved)
	}
}

// moveOne writes a document in one style and compares the findings. It returns false for a document that cannot be
// rewritten.
func moveOne(t *testing.T, name, style, src string, root *yaml.Node, findings []text.Finding) bool {
	t.Helper()
	lines := strings.Split(src, "\n")
	type origin struct {
		node     *yaml.Node
		from, to int // as characters of its value
		whole    bool
	}
	origins := make([]origin, len(findings))
	marked := map[*yaml.Node]bool{}
	nodes := nodesOf(root)
	for i, f := range findings {
		switch f.Code { // findings about the way the text is written
		case "comment", "unknown-tag", "unquoted-template", "indentation":
			return false
		}
		if strings.HasPrefix(f.Suggestion, "- ") || slices.Contains(unquotedOnly, name) {
			return false
		}
		for _, n := range nodes {
			if n.Kind != yaml.ScalarNode {
				continue
			}
			w, ok := simple(n, lines)
			if !ok || !w.holds(f) {
				continue
			}
			o := origin{node: n, from: -1, to: -1}
			a, b := place{f.Line, f.Column}, place{f.EndLine, f.EndColumn}
			o.whole = a == w.from && b == w.to || a == w.beg[0] && b == w.end[len(w.end)-1]
			o.from = slices.Index(w.beg, a)
			if a == w.end[len(w.end)-1] {
				o.from = len(w.beg)
			}
			if o.to = slices.Index(w.end, b) + 1; a == b {
				o.to = o.from
			}
			if !o.whole && (o.from < 0 || o.to < o.from) {
				return false
			}
			if n.Style == 0 && o.whole && strings.Trim(f.Suggestion, `'"`) != f.Suggestion {
				return false // without quotes the whole text is replaced, which TestSuggestionsWork checks
			}
			origins[i] = o
		}
		if origins[i].node == nil {
			return false
		}
		marked[origins[i].node] = true
	}
	target, inFlow := strings.CutPrefix(style, "flow ")
	for n := range marked {
		if target != `"` && strings.ContainsAny(n.Value, "\t\u200b") || (target == ">" || target == "'") && (strings.Contains(n.Value, "\n ") || strings.Contains(n.Value, "\n\n")) ||
			strings.HasPrefix(n.Value, " ") || strings.HasSuffix(n.Value, " ") {
			return false
		}
		if n.Style == 0 && n.Tag != "!!str" { // in quotes it would have another type
			return false
		}
	}
	w := &writer{at: place{1, 1}, marked: marked, style: target, written: map[*yaml.Node]writtenText{}}
	if inFlow {
		w.flow(root)
	} else {
		w.block(root, 0)
	}
	w.put("\n")
	again := w.b.String()
	var check yaml.Node
	if err := yaml.Unmarshal([]byte(again), &check); err != nil {
		t.Errorf("%s as %s: %v\n%s", name, style, err, again)
		return false
	}
	_, got := rules.Compile("t.yaml", []byte(again), options())
	var want []string
	var have []string
	for _, f := range got {
		have = append(have, fmt.Sprintf("%d:%d-%d:%d %s %s | %s", f.Line, f.Column, f.EndLine, f.EndColumn, f.Code, f.Suggestion, unlined(f.Message)))
	}
	for i, f := range findings {
		o := origins[i]
		at := w.written[o.node]
		var spans [][2]place
		if o.whole {
			spans = append(spans, [2]place{at.from, at.to}, [2]place{at.beg[0], at.end[len(at.end)-1]})
		}
		if o.from >= 0 && o.to >= o.from {
			var from, to place
			if o.from < len(at.beg) {
				from = at.beg[o.from]
			} else {
				from = at.end[len(at.end)-1]
			}
			if to = from; o.to > o.from {
				to = at.end[o.to-1]
			}
			spans = append(spans, [2]place{from, to})
		}
		plain := unescape(f.Suggestion, o.node)
		found := false
		for _, s := range spans {
			for _, suggestion := range []string{escape(plain, target), plain} {
				if suggestion == plain && suggestion != escape(plain, target) && !o.whole {
					continue
				}
				line := fmt.Sprintf("%d:%d-%d:%d %s %s | %s", s[0].line, s[0].column, s[1].line, s[1].column, f.Code, suggestion, unlined(f.Message))
				if j := slices.Index(have, line); j >= 0 && !found {
					have = slices.Delete(have, j, j+1)
					found = true
				}
			}
		}
		if !found {
			want = append(want, fmt.Sprintf("%v %s %s | %s", spans, f.Code, plain, f.Message))
		}
	}
	if len(want)+len(have) > 0 {
		t.Errorf("%s as %s:\nmissing %s\nsurplus %s\nin\n%s", name, style, strings.Join(want, "\n        "), strings.Join(have, "\n        "), again)
	}
	return true
}
