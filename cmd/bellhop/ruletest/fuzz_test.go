package ruletest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"bellhop/cmd/bellhop/ruletest"
)

// Whatever the content of a test file, reading it does not panic, and the positions of findings are inside it. After an
// update its tests pass, and a second update changes nothing.
func FuzzTestFile(f *testing.F) {
	paths, err := filepath.Glob(filepath.Join(examples, "*.test.yaml"))
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
	f.Add(oneTest(`event: booking.json`, `with: { appointment.title: "a\nb" }`, `expect: { steps: [{ rule: announce, slack: { text: x } }] }`))
	f.Add("rules: .\n" + oneTest(`event: &e booking.json`, `state: *e`, `expect: &x { fires: [sync], skipped: ~ }`) + "  - {name: u, event: *e, expect: *x}\n")
	f.Add(oneTest(`event: booking.json`, `now: 2026-12-01`, `expect:`, `  # one`, `  not: # two`, `    - announce`, ``, `    # three`))
	f.Add(ofWaiting(booked, early, `expect: { held: [{ rule: remind, until: 2026-12-06, email: { subject: x } }, { rule: remind, step: 2, then: x }] }`))
	f.Add(ofWaiting(changed, `state: {}`, `now: 2026-12-07 03:00`, `expect:`, `  steps: [{ rule: nudge, slack: {} }]`, `  held: # all`, `    - { rule: nudge, then: "no longer" }`))
	f.Add(ofWaiting(deleted, `now: 2026-12-07 04:00`, `expect: { held: ~, steps: [{ rule: leave, slack: { text: x } }] }`))
	f.Fuzz(func(t *testing.T, src string) {
		path := folder(t, src)
		runner := ruletest.New(options())
		r := runner.Run(path)
		lines := strings.Split(strings.NewReplacer("\uFEFF", "", "\r\n", "\n", "\r", "\n").Replace(src), "\n")
		for _, f := range r.Findings {
			if f.File == path && (f.Line < 1 || f.Line > len(lines) || f.Column < 1 || f.Column > utf8.RuneCountInString(lines[f.Line-1])+1) {
				t.Errorf("a finding outside the file: %+v", f)
			}
		}
		updated, err := runner.Update(path)
		if err != nil || updated.Updated == 0 {
			if now, err := os.ReadFile(path); err != nil || string(now) != src {
				t.Errorf("it was changed all the same: %v", err)
			}
			return
		}
		again, err := ruletest.New(options()).Update(path)
		if err != nil || again.Updated > 0 {
			t.Errorf("a second update changes %d tests: %v", again.Updated, err)
		}
		for i := range again.Tests {
			if s := again.Tests[i].Status; s == ruletest.Failed || len(again.Findings) == 0 && s != ruletest.Passed {
				t.Errorf("%s is %s after the update", again.Tests[i].Name, s)
			}
		}
	})
}
