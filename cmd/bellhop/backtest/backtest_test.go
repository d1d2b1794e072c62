package backtest_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"bellhop/cmd/bellhop/backtest"
	"bellhop/engine/metrics"
	"bellhop/engine/payload"
	"bellhop/engine/receive"
	"bellhop/engine/store"
	"bellhop/rules"
	"bellhop/rules/live"
)

var begin = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

func compile(tb testing.TB, src string) *rules.Set {
	tb.Helper()
	f, findings := rules.Compile("rules.yaml", []byte(src), rules.Options{Connections: map[string]string{"mail": "email", "slack": "slack"}})
	if f == nil {
		tb.Fatalf("%+v\n%s", findings, src)
	}
	set, _ := rules.NewSet([]*rules.File{f})
	return set
}

// record takes in n bookings, one an hour, under the given rules.
func recorded(tb testing.TB, src string, n int) (dir string, span store.Span) {
	tb.Helper()
	dir = tb.TempDir()
	now := time.Now()
	s, err := store.Open(tb.Context(), store.Options{At: dir})
	if err != nil {
		tb.Fatal(err)
	}
	set := compile(tb, src)
	r := receive.New(receive.Options{
		Store: s, Rules: func() live.Snapshot { return live.Snapshot{Set: set, ID: "recorded"} }, Zone: time.UTC,
		Metrics: metrics.New(), Logger: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return begin },
	})
	failed := make(chan error, 64)
	for worker := range 64 {
		go func() {
			for i := worker; i < n; i += 64 {
				body := fmt.Sprintf(`{"type":"AppointmentCreate","locationId":"l1","appointment":{"id":"a%d","title":"Visit %d","calendarId":"cal%d","appointmentStatus":"confirmed",
					"startTime":"2026-05-01T10:00:00Z"},"contact":{"email":"guest%d@example.com","tags":%d}}`, i, i, i%4, i%10, i)
				ev, err := payload.Normalise("hoopai", []byte(body), begin.Add(time.Duration(i)*time.Hour), time.UTC)
				if err == nil {
					_, err = r.Receive(tb.Context(), ev)
				}
				if err != nil {
					failed <- err
					return
				}
			}
			failed <- nil
		}()
	}
	for range 64 {
		if err := <-failed; err != nil {
			tb.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		tb.Fatal(err)
	}
	return dir, store.Span{Since: now.Add(-time.Hour), Until: time.Now().Add(time.Hour)}
}

func run(tb testing.TB, dir string, span store.Span, present, proposed string) *backtest.Report {
	tb.Helper()
	reader, err := store.OpenReader(tb.Context(), dir, "")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() {
		if err := reader.Close(); err != nil {
			tb.Error(err)
		}
	}()
	seen := 0
	report, err := backtest.Run(tb.Context(), backtest.Options{
		Store: reader, Span: span, Present: compile(tb, present), Proposed: compile(tb, proposed), PresentID: "recorded", Zone: time.UTC, Examples: 2,
		Progress: func(done, total int) {
			if done < seen || done > total {
				tb.Errorf("progress of %d of %d after %d", done, total, seen)
			}
			seen = done
		},
	})
	if err != nil {
		tb.Fatal(err)
	}
	if seen != report.Received {
		tb.Errorf("progress ended at %d of %d", seen, report.Received)
	}
	return report
}

const presentRules = `rules:
- name: desk
  on: booked
  when: appointment.calendarId == "cal1"
  then:
  - slack: { channel: "#desk", text: "New: {{ appointment.title }}" }
- name: leaving
  on: booked
  when: appointment.calendarId == "cal2"
  then:
  - email: { to: old@example.com, subject: "{{ appointment.title }}", text: t }
- name: same
  on: booked
  then:
  - http: { url: "http://example.com/crm", json: { id: "{{ appointment.id }}" } }
`

const proposedRules = `rules:
- name: desk
  on: booked
  when: appointment.calendarId == "cal1"
  then:
  - slack: { channel: "#desk", text: "Booked: {{ appointment.title }}" }
- name: everybody
  on: booked
  then:
  - email: { to: "{{ raw.contact.email }}", cc: desk@example.com, subject: "{{ appointment.title }}", text: t }
- name: same
  on: booked
  then:
  - slack: { channel: "{{ raw.missing }}", text: never }
  - http: { url: "http://example.com/crm", json: { id: "{{ appointment.id }}" } }
- name: watching
  on: booked
  mode: shadow
  then:
  - slack: { channel: "#trial", text: x }
- name: failing
  on: booked
  when: raw.missing > 1
  then:
  - slack: { channel: "#trial", text: x }
`

func TestDifferences(t *testing.T) {
	t.Parallel()
	dir, span := recorded(t, presentRules, 40)
	r := run(t, dir, span, presentRules, proposedRules)
	if r.Received != 40 || r.Events != 40 || r.Unreadable != 0 || r.OtherVersions != 0 || r.RecordedDiffers != 0 {
		t.Errorf("%+v", r)
	}
	if want := (backtest.Tally{Present: 60, Proposed: 90, Added: 40, Removed: 10, Changed: 10}); r.Tally != want {
		t.Errorf("%+v, want %+v", r.Tally, want)
	}
	if len(r.Days) != 3 || r.Days[0].Day != "2026-03-02" || r.Days[0].Added != 15 || r.Days[1].Added != 24 || r.Days[2].Added != 1 {
		t.Errorf("days: %+v", r.Days)
	}
	if got := r.Recipients[0]; got.Action != "email" || got.To != "desk@example.com" || got.Added != 40 || got.Present != 0 {
		t.Errorf("recipients: %+v", r.Recipients)
	}
	if r.Distinct != 13 { // ten guests, the desk, the channel, the CRM
		t.Errorf("%d recipients: %+v", r.Distinct, r.Recipients)
	}
	var names []string
	by := map[string]backtest.Rule{}
	for _, rule := range r.Rules {
		names = append(names, rule.Rule)
		by[rule.Rule] = rule
	}
	if !slices.Equal(names, []string{"everybody", "desk", "leaving", "same", "failing", "watching"}) {
		t.Errorf("rules: %v", names)
	}
	if e := by["everybody"]; !e.New || e.Events != 40 || e.Distinct != 11 || e.Added != 40 || len(e.Examples) != 2 || e.Examples[0].Kind != backtest.Added ||
		!strings.Contains(string(e.Examples[0].Proposed), "guest") || e.Examples[0].Event == "" || e.Examples[0].Appointment == "" {
		t.Errorf("%+v", e)
	}
	if l := by["leaving"]; !l.Gone || l.Removed != 10 || l.Proposed != 0 || l.Examples[0].Kind != backtest.Removed || len(l.Recipients) != 1 {
		t.Errorf("%+v", l)
	}
	if d := by["desk"]; d.Changed != 10 || d.Added+d.Removed != 0 || !strings.Contains(string(d.Examples[0].Present), "New:") || !strings.Contains(string(d.Examples[0].Proposed), "Booked:") {
		t.Errorf("%+v", d)
	}
	if s := by["same"]; s.Differs() || s.Present != 40 || len(s.Unsent) != 1 || s.Unsent[0] != (backtest.Reason{Reason: "unresolved recipient", Count: 40}) {
		t.Errorf("%+v", s)
	}
	if w := by["watching"]; w.Proposed != 0 || w.Watched != 40 {
		t.Errorf("%+v", w)
	}
	if f := by["failing"]; len(f.Unsent) != 1 || f.Unsent[0].Count != 40 || !strings.HasPrefix(f.Unsent[0].Reason, "condition error: ") {
		t.Errorf("%+v", f)
	}
	if _, err := json.Marshal(r); err != nil {
		t.Error(err)
	}
}

func TestNothingDiffers(t *testing.T) {
	t.Parallel()
	dir, span := recorded(t, presentRules, 8)
	if r := run(t, dir, span, presentRules, presentRules); r.Differs() || r.Present != 12 || r.Proposed != 12 || r.RecordedDiffers != 0 {
		t.Errorf("%+v", r)
	}
	// The recorded messages were sent under other rules.
	if r := run(t, dir, span, proposedRules, proposedRules); r.Differs() || r.RecordedDiffers != 8+2+2 {
		t.Errorf("%+v", r)
	}
	if r := run(t, dir, store.Span{Since: span.Since.Add(-time.Hour), Until: span.Since}, presentRules, proposedRules); r.Events != 0 || r.Differs() || r.Rules == nil || r.Days == nil {
		t.Errorf("%+v", r)
	}
}

// For a rule that uses now(), the time is that of each event.
func TestNowIsThatOfTheEvent(t *testing.T) {
	t.Parallel()
	dir, span := recorded(t, presentRules, 10)
	timed := `rules:
- name: early
  on: booked
  when: now() < date("2026-03-02T14:00:00Z")
  then:
  - slack: { channel: "#desk", text: "{{ date(now(), \"15:04\") }}" }
`
	r := run(t, dir, span, presentRules, timed)
	if r.Proposed != 5 {
		t.Errorf("%+v", r.Tally)
	}
}

func BenchmarkBacktest(b *testing.B) {
	dir, span := recorded(b, presentRules, 10_000)
	b.ResetTimer()
	for b.Loop() {
		if r := run(b, dir, span, presentRules, proposedRules); r.Events != 10_000 {
			b.Fatalf("%d events", r.Events)
		}
	}
	b.ReportMetric(10_000*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// Every event has a step that waits, in both sets.
func BenchmarkBacktestWaiting(b *testing.B) {
	dir, span := recorded(b, noRules, 10_000)
	after := func(hours string) string {
		return waiting("follow", "booked", `receivedAt + duration("`+hours+`h")`, "late: send")
	}
	b.ResetTimer()
	for b.Loop() {
		if r := run(b, dir, span, after("500"), after("400")); r.Changed != 10_000 || r.Unfollowed != 0 {
			b.Fatalf("%+v", r)
		}
	}
	b.ReportMetric(10_000*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
