package ruletest_test

import (
	"os"
	"path/filepath"
	"testing"

	"bellhop/cmd/bellhop/ruletest"
	"bellhop/rules"
)

// Tests treat an appointment that was over when it was first seen as the server does.
func TestOverWhenFirstSeen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a.yaml": `rules:
  - name: a
    on: showed
    then:
      - slack: { channel: "#a", text: plain }
      - { late: send, slack: { channel: "#a", text: anyway } }
`,
		"a.test.yaml": `tests:
  - name: never seen
    event: &e { type: AppointmentUpdate, appointment: { id: a, appointmentStatus: showed, startTime: 2026-12-07T10:00:00Z, endTime: 2026-12-07T11:00:00Z } }
    now: 2026-12-08T09:00:00Z
    expect:
      steps: [{ rule: a, step: 2, slack: { text: anyway } }]
      skipped: [{ rule: a, step: 1, reason: was over when it was first seen }]
  - name: seen before
    event: *e
    state: { appointmentStatus: confirmed }
    now: 2026-12-08T09:00:00Z
    expect:
      steps: [{ rule: a, step: 1, slack: { text: plain } }, { rule: a, step: 2, slack: { text: anyway } }]
      skipped: []
`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o := ruletest.Options{Rules: rules.Options{Connections: map[string]string{"slack": "slack"}}}
	result := ruletest.New(o).Run(filepath.Join(dir, "a.test.yaml"))
	if len(result.Findings) > 0 || len(result.Tests) != 2 {
		t.Fatal(result.Findings)
	}
	for _, test := range result.Tests {
		if test.Status != ruletest.Passed {
			t.Errorf("%s: %v", test.Name, test.Differences)
		}
	}
}
