package lang

import (
	"slices"
	"testing"
	"time"

	"bellhop/rules/text"
)

// The example of every doubt raises it.
func TestDoubts(t *testing.T) {
	t.Parallel()
	env := &Env{Objects: map[string]Object{"appointment": {Fields: map[string]Type{"title": Text, "startTime": Time}}}}
	for _, d := range doubts {
		doc, written := text.Alone(d.example)
		scope := &Scope{Env: env, Doc: doc, Naive: time.UTC}
		program, _ := scope.Compile(WholeOf(written))
		if findings := doc.Findings(); program == nil || !slices.ContainsFunc(findings, func(f text.Finding) bool { return f.Code == d.code }) {
			t.Errorf("%s: %s: %v", d.code, d.example, findings)
		}
	}
}
