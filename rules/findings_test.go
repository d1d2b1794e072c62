package rules_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bellhop/rules"
	"bellhop/rules/text"
)

// rule returns a rule file with one rule; the given lines replace the defaults for their keys.
func rule(lines ...string) string {
	keys := map[string]bool{}
	for _, l := range lines {
		key, _, _ := strings.Cut(l, ":")
		keys[key] = true
	}
	var b strings.Builder
	b.WriteString("rules:\n  - name: test\n")
	for _, d := range []string{"on: booked", "then: [{slack: {channel: desk, text: hi}}]"} {
		if key, _, _ := strings.Cut(d, ":"); !keys[key] {
			fmt.Fprintf(&b, "    %s\n", d)
		}
	}
	for _, l := range lines {
		fmt.Fprintf(&b, "    %s\n", strings.ReplaceAll(l, "\n", "\n    "))
	}
	return b.String()
}

// brief returns a finding as severity code line:column-line:column "replaced text" -> suggestion | message.
func brief(f text.Finding, src string) string {
	return fmt.Sprintf("%s %s %q -> %q | %s", f.Severity, f.Code, between(src, f), f.Suggestion, f.Message)
}

// between returns the text that a finding points at.
func between(src string, f text.Finding) string {
	lines := strings.Split(strings.ReplaceAll(src, "\r\n", "\n"), "\n")
	var out []string
	for n := f.Line; n <= f.EndLine && n <= len(lines); n++ {
		l := []rune(lines[n-1])
		from, to := 0, len(l)
		if n == f.Line {
			from = min(f.Column-1, len(l))
		}
		if n == f.EndLine {
			to = min(f.EndColumn-1, len(l))
		}
		out = append(out, string(l[from:max(from, to)]))
	}
	return strings.Join(out, "\n")
}

var update = flag.Bool("update", false, "rewrite the findings that files in testdata/bad must give")

// The files of testdata/bad contain mistakes and, at the end, on lines that begin with #!, the expected findings:
// range, severity, code, the text pointed at, and the suggestion for it.
func TestBadFiles(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("../testdata/bad/*.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatal("no files", err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		src := string(data)
		i := strings.Index(src, "\n#! ")
		if i < 0 {
			i = len(src) - 1
		}
		src, want := src[:i+1], src[i+1:]
		f, findings := rules.Compile(filepath.Base(path), []byte(src), options())
		var b strings.Builder
		for _, f := range findings {
			fmt.Fprintf(&b, "#! %d:%d-%d:%d %s\n", f.Line, f.Column, f.EndLine, f.EndColumn, brief(f, src))
			noJargon(t, path, f)
		}
		if (f == nil) != text.HasErrors(findings) {
			t.Errorf("%s: a file comes back if and only if there is no error", path)
		}
		if *update {
			if err := os.WriteFile(path, []byte(src+b.String()), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if got := b.String(); got != want || got == "" {
			t.Errorf("%s:\n got\n%swant\n%s", path, got, want)
		}
	}
}

// noJargon rejects words that only programmers know.
func noJargon(t *testing.T, path string, f text.Finding) {
	t.Helper()
	for _, word := range []string{"reflect", "interface", "unmarshal", "!!", "nil pointer", "token", "int64", "float64", "func(", "map[", "[]", "unexpected", "invalid operation", "mismatched", "yaml:"} {
		if strings.Contains(f.Message, word) && !strings.Contains(f.Message, "["+"]\"") {
			t.Errorf("%s: %q is no word for the people who write rules: %s", path, word, f.Message)
		}
	}
}

// Every finding points into its file, and the caret is below what it points at.
func TestFormat(t *testing.T) {
	t.Parallel()
	src := "\xef\xbb\xbfrules:\r\n  - name: é\t\"x\r\n    on: bookd\r\n    then: [{slack: {channel: a, text: b}}]\r\n"
	_, findings := rules.Compile("t.yaml", []byte(src), options())
	want := `t.yaml:2:11: error: the name holds a character that cannot be printed, such as a line break
     2 |   - name: é "x
       |           ^^^^
t.yaml:3:9: error: there is no event "bookd"; did you mean "booked"?
     3 |     on: bookd
       |         ^^^^^
       = suggestion: booked
`
	if got := render(findings, src); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// Neither a file's name nor what is quoted from it can colour a terminal or move its cursor.
func TestFormatIsPrintable(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	f := text.Finding{File: "a\x1b[31m\r.yaml", Line: 1, Column: 1, EndLine: 1, EndColumn: 2, Message: "no \x1b]0;x\a", Suggestion: "\x9b", Severity: text.Error}
	if err := f.Render(&b, []byte("x\x1b[2J"), false); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(b.String(), "\x1b\r\a\u009b") {
		t.Errorf("got %q", b.String())
	}
}

// A suggestion of several lines is indented as it must be in the file.
func TestFormatOfSeveralLines(t *testing.T) {
	t.Parallel()
	src := "rules:\n  - name: x\n    on: booked\n    then:\n      slack:\n        channel: a\n        text: b\n"
	_, findings := rules.Compile("t.yaml", []byte(src), options())
	want := `t.yaml:5:7: error: "then" takes a list: put a - before each step
     5 |       slack:
       |       ^
       = suggestion:
       =       - slack:
       =           channel: a
       =           text: b
`
	if got := render(findings, src); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
