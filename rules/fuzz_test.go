package rules_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bellhop/rules"
	"bellhop/rules/text"
)

func seeds(f *testing.F) {
	for _, pattern := range []string{"../testdata/rules/*.yaml", "../testdata/bad/*.yaml"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, path := range paths {
			data, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(string(data))
		}
	}
}

// lines returns the length of each line of a file in characters.
func lines(src string) []int {
	src = strings.TrimPrefix(src, "\xef\xbb\xbf")
	src = strings.ReplaceAll(strings.ReplaceAll(src, "\r\n", "\n"), "\r", "\n")
	var out []int
	for l := range strings.SplitSeq(src, "\n") {
		out = append(out, len([]rune(l)))
	}
	return out
}

func checkFindings(t *testing.T, src string, findings []text.Finding) {
	t.Helper()
	length := lines(src)
	last := text.Finding{}
	for _, f := range findings {
		inside := func(line, column int) bool {
			return line >= 1 && line <= len(length) && column >= 1 && column <= length[line-1]+2
		}
		if f.Code != "too-large" && (!inside(f.Line, f.Column) || !inside(f.EndLine, f.EndColumn)) {
			t.Fatalf("outside the file: %+v\n%q", f, src)
		}
		if f.EndLine < f.Line || f.EndLine == f.Line && f.EndColumn < f.Column {
			t.Fatalf("ends before it begins: %+v", f)
		}
		if f.Line < last.Line || f.Line == last.Line && f.Column < last.Column {
			t.Fatalf("not sorted: %+v after %+v", f, last)
		}
		if f == last {
			t.Fatalf("reported twice: %+v", f)
		}
		if f.Code == "internal" || f.Message == "" || f.Severity == "" {
			t.Fatalf("%+v\n%q", f, src)
		}
		last = f
	}
}

// No input makes Compile panic or report a position outside the file, and a file that loads can be matched.
func FuzzCompile(f *testing.F) {
	seeds(f)
	for _, lines := range [][]string{
		{`at: appointment.startTime - duration("24h")`, "late: 2h"}, {"at: receivedAt", "late: send"}, {`at: 'appointment.title == "a" ? now() : previous.endTime ?? receivedAt'`},
		{`at: date(date(appointment.startTime - duration("1d"), "2006-01-02") + " 09:00")`}, {`at: let x = raw.x; date(x)`}, {"at: |", "  appointment.endTime +", `    duration("1h")`},
	} {
		f.Add(rule("when: appointment.startTime > now()", "then:\n- "+strings.Join(lines, "\n  ")+"\n  slack: {channel: desk, text: '{{ appointment.title }}'}"))
	}
	f.Fuzz(func(t *testing.T, src string) {
		file, findings := rules.Compile("fuzz.yaml", []byte(src), options())
		checkFindings(t, src, findings)
		if (file == nil) != text.HasErrors(findings) {
			t.Fatalf("file %v with findings %v", file, findings)
		}
		render(findings, src)
		if file == nil {
			return
		}
		again, more := rules.Compile("fuzz.yaml", []byte(src), options())
		if again == nil || len(more) != len(findings) || len(again.Rules) != len(file.Rules) {
			t.Fatal("does not load again to the same")
		}
		set, _ := rules.NewSet([]*rules.File{file})
		for _, m := range set.Match(booking(), noon) {
			for _, s := range m.Steps {
				if s.Key != "" && s.Err == nil && s.Skip == "" { // it waits
					if s.At.IsZero() || s.Request != nil || s.Destination == "" {
						t.Fatalf("planned as %+v", s)
					}
					h := rules.Held{Rule: m.Rule.Name, Step: s.Number, Key: s.Key, Planned: noon, At: s.At}
					due := s.At
					if noon.After(due) {
						due = noon
					}
					s, _ = set.Due(h, booking(), due)
					if s.At.After(due.Add(time.Second)) {
						continue // "at" depends on the present and postponed it
					}
				}
				if (s.Err == nil && s.Skip == "") != (len(s.Request) > 0) {
					t.Fatalf("%+v", s)
				}
			}
		}
	})
}

// A template renders or fails; in any case, a subject is one line.
func FuzzTemplate(f *testing.F) {
	for _, s := range []string{
		"{{ appointment.title }}", "{{ \"}}\" }} x }}", "{{ {\"a\": {}} }}", "{{", "{{ }}", "{{ 'it''s' }}", "a {{ raw.list }} {b} ${c}", "{{ appointment.title | upper() }}",
		"{{ any(appointment.users, # == 'x') ? 1 : 2 }}", "{{ \"\\n\" }}", "{{ raw }}", "<a href=\"{{ source }}\">{{ source }}</a>", "{{ `a` }}{{ 1..3 }}", "{{ now() }}",
	} {
		f.Add(s, "a\nb")
	}
	f.Fuzz(func(t *testing.T, text, title string) {
		src := rule("then:\n- email:\n    to: a@example.com\n    subject: " + yamlQuote(strings.Map(oneLine, text)) + "\n    text: t\n    html: " + yamlQuote(strings.Map(oneLine, text)))
		file, findings := rules.Compile("fuzz.yaml", []byte(src), options())
		checkFindings(t, src, findings)
		if file == nil {
			return
		}
		set, _ := rules.NewSet([]*rules.File{file})
		ev := booking()
		ev.Appointment.Title = title
		for _, m := range set.Match(ev, noon) {
			for _, s := range m.Steps {
				if s.Err != nil || s.Skip != "" {
					continue
				}
				if subject, _ := rendered(t, s, "subject").(string); strings.ContainsAny(subject, "\r\n") {
					t.Fatalf("a line break in %s", s.Request)
				}
			}
		}
	})
}

func oneLine(r rune) rune {
	if r < ' ' || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029 || r == 0xFFFD {
		return -1
	}
	return r
}
