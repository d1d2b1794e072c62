package engine_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"bellhop/engine/config"
	"bellhop/engine/verify"
	"bellhop/rules/text"
)

// While webhooks come, another configuration is put into force: what is sent from then on goes to its connections, with its
// limits, and its secrets are hidden. What takes a restart is named.
func TestReconfigure(t *testing.T) {
	t.Parallel()
	before, after := newSink(t, nil), newSink(t, nil)
	yaml := func(to *sink, more string) string {
		return sourceNone + fmt.Sprintf("connections: { crm: { url: %q, bearer: \"${TOKEN}\" } }\negress: { allow: [127.0.0.1] }\n", to.URL) + more
	}
	dir := t.TempDir()
	s := start(t, setup{
		dir: dir, env: map[string]string{"TOKEN": "first-5ecret"},
		rules: map[string]string{"r.yaml": `rules:
  - name: r
    on: booked
    hours: 00:00-24:00
    then: [{ http: { connection: crm, path: /x } }]
`},
		yaml: yaml(before, ""),
	})
	book := func(id string) {
		if r := s.post(fmt.Sprintf(`{"type":"AppointmentCreate","appointment":{"id":%q,"startTime":"2099-01-02T10:00:00Z"}}`, id)); r.Status != "accepted" {
			t.Errorf("%+v", r)
		}
	}
	book("a")
	until(t, "the first is sent", func() bool { return before.count() == 1 })

	load := func(written string) *config.Config {
		file := filepath.Join(dir, "bellhop.yaml")
		writeFile(t, file, "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\n"+written)
		cfg, findings, err := config.Load(file, config.Env{CheckVerify: verify.Check, Lookup: func(string) (string, bool) { return "second-5ecret", true }})
		if err != nil || text.HasErrors(findings) {
			t.Fatal(findings, err)
		}
		cfg.Store = s.cfg.Store // as the harness changes it
		return cfg
	}
	var sending sync.WaitGroup
	sending.Go(func() {
		for i := range 50 {
			book(fmt.Sprint("b", i))
		}
	})
	restart, err := s.e.Reconfigure(t.Context(), load(yaml(after, "retention: 7d\ndelivery: { per_destination: 3, attempts: 2 }\n")))
	if err != nil || !slices.Equal(restart, []string{"retention", "delivery.per_destination"}) {
		t.Errorf("a restart is needed for %v, %v", restart, err)
	}
	sending.Wait()
	book("c")
	until(t, "all are sent, the last to the new place", func() bool { return before.count()+after.count() == 52 && after.count() >= 1 })
	if log := s.log.String(); strings.Contains(log, "5ecret") || !strings.Contains(log, "takes a restart") {
		t.Error("the log shows a secret, or does not tell what takes a restart")
	}
	if _, err := s.e.Reconfigure(t.Context(), load(sourceNone)); err != nil {
		t.Fatal(err)
	}
	// The rule's connection is gone: the file has a mistake, and keeps its rule.
	until(t, "the mistake is told", func() bool { return strings.Contains(s.metrics(), `bellhop_rule_files{status="failed"} 1`) })
	if len(s.e.Rules()) != 1 {
		t.Error("the rule is gone")
	}
}
