package rules_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"bellhop/rules"
	"bellhop/rules/text"
)

// mended returns a file with a finding's suggestion applied.
func mended(src string, f text.Finding) string {
	at := func(line, column int) int {
		off := 0
		for ; line > 1; line-- {
			off += strings.IndexAny(src[off:], "\r\n") + 1
			if src[off-1] == '\r' && strings.HasPrefix(src[off:], "\n") {
				off++
			}
		}
		for range src[off:] {
			if column--; column == 0 {
				break
			}
			off += len(string([]rune(src[off:])[:1]))
		}
		return off
	}
	return src[:at(f.Line, f.Column)] + f.Suggestion + src[at(f.EndLine, f.EndColumn):]
}

// saying counts the findings with the same message, wherever they are.
func saying(findings []text.Finding, what text.Finding) (n int) {
	for _, f := range findings {
		if f.Code == what.Code && unlined(f.Message) == unlined(what.Message) {
			n++
		}
	}
	return n
}

func errors(findings []text.Finding) (n int) {
	for _, f := range findings {
		if f.Severity == text.Error {
			n++
		}
	}
	return n
}

// checkSuggestions applies each suggestion of a file and checks again: its finding must be gone, and no error may be
// new.
func checkSuggestions(t *testing.T, name, src string) (n int) {
	t.Helper()
	_, before := rules.Compile(name, []byte(src), options())
	for _, f := range before {
		if f.Suggestion == "" {
			continue
		}
		n++
		fixed := mended(src, f)
		_, after := rules.Compile(name, []byte(fixed), options())
		var why string
		if saying(after, f) >= saying(before, f) {
			why = "the finding stays"
		}
		// A remaining mistake may be reported in better words once this one is fixed, but there is one error less.
		if left := errors(after); left > errors(before) || f.Severity == text.Error && left == errors(before) {
			why += "; new: " + render(after, fixed)
		}
		if why != "" {
			t.Errorf("%s: %s\n%s  %s", name, why, brief(f, src), strings.Split(fixed, "\n")[f.Line-1])
		}
	}
	return n
}

// Every suggestion of every file of testdata/bad works.
func TestSuggestionsWork(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("../testdata/bad/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	n, moved := 0, 0
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		src, _, _ := strings.Cut(string(data), "\n#! ")
		src += "\n"
		written := checkSuggestions(t, filepath.Base(path), src)
		n += written
		var doc yaml.Node
		if written == 0 || yaml.Unmarshal([]byte(src), &doc) != nil || len(doc.Content) == 0 || strings.ContainsAny(src, "&*\r\u00a0") {
			continue
		}
		for _, style := range []string{"|", ">", "'", `"`, "bare", `flow "`, "flow '", "flow bare"} {
			if again := writtenAs(doc.Content[0], style); again != src {
				moved += checkSuggestions(t, filepath.Base(path)+" as "+style, again)
			}
		}
	}
	t.Logf("%d suggestions, and %d in other writings", n, moved)
	if n < 280 || moved < 1500 {
		t.Errorf("only %d suggestions, and %d in other writings", n, moved)
	}
}

// writtenAs returns a document with its texts in one style: in block scalars, in quotes, or without quotes where
// possible; and, after "flow", in flow maps and lists.
func writtenAs(root *yaml.Node, style string) string {
	style, inFlow := strings.CutPrefix(style, "flow ")
	w := &writer{at: place{1, 1}, marked: map[*yaml.Node]bool{}, style: style, written: map[*yaml.Node]writtenText{}}
	for _, n := range nodesOf(root) {
		if n.Kind != yaml.ScalarNode || n.Tag != "!!str" || n.Value == "" || n.Style&yaml.TaggedStyle != 0 {
			continue
		}
		if style == "bare" {
			var again []string
			if strings.ContainsAny(n.Value, "\n") || yaml.Unmarshal([]byte("["+n.Value+"]"), &again) != nil || len(again) != 1 || again[0] != n.Value {
				continue
			}
		}
		if strings.HasPrefix(n.Value, " ") || strings.HasSuffix(n.Value, " ") || style != `"` && strings.Contains(n.Value, "\t") ||
			style == ">" && strings.Contains(n.Value, "\n") || style == "'" && strings.Contains(n.Value, "\n ") {
			continue
		}
		w.marked[n] = true
	}
	if inFlow {
		w.flow(root)
	} else {
		w.block(root, 0)
	}
	return strings.TrimPrefix(w.b.String(), "\n") + "\n"
}
