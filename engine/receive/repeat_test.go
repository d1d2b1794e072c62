package receive_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"bellhop/engine/metrics"
	"bellhop/engine/payload"
	"bellhop/engine/receive"
	"bellhop/engine/record"
	"bellhop/engine/store"
	"bellhop/engine/store/storetest"
	"bellhop/rules"
	"bellhop/rules/live"
)

// A taker is a receiver with its own store and fixed rules.
type taker struct {
	t testing.TB
	s *store.Store
	r *receive.Receiver
}

func newTaker(t testing.TB, text string) *taker {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{At: storetest.At(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	f, found := rules.Compile("r.yaml", []byte(text), rules.Options{})
	if f == nil {
		t.Fatal(found)
	}
	set, _ := rules.NewSet([]*rules.File{f})
	return &taker{t, s, receive.New(receive.Options{
		Store: s, Rules: func() live.Snapshot { return live.Snapshot{Set: set, ID: "S"} }, Zone: time.UTC,
		Metrics: metrics.New(), Logger: slog.New(slog.DiscardHandler),
	})}
}

func (k *taker) take(body string) record.Status {
	k.t.Helper()
	ev, err := payload.Normalise("hoopai", []byte(body), time.Now(), time.UTC)
	if err != nil {
		k.t.Fatal(err)
	}
	receipt, err := k.r.Receive(k.t.Context(), ev)
	if err != nil {
		k.t.Fatal(err)
	}
	return receipt.Status
}

// waiting returns the number of waiting deliveries.
func (k *taker) waiting() int {
	k.t.Helper()
	list, err := k.s.Deliveries(k.t.Context(), store.DeliveryFilter{State: record.Waiting})
	if err != nil {
		k.t.Fatal(err)
	}
	return len(list)
}

const remind = `
rules:
  - name: remind
    on: [booked, rescheduled]
    then:
      - at: appointment.startTime - duration("24h")
        http: { url: "https://example.com/x", json: { at: "{{ appointment.startTime }}" } }
`

// If an appointment changes back to an earlier state, the sender repeats an earlier webhook. This is a new event, in
// every shape. Only a repetition of the latest event is a duplicate.
func TestSaidAgainIsNews(t *testing.T) {
	t.Parallel()
	shapes := map[string]func(status string, day int) string{
		"documented": func(status string, day int) string {
			return fmt.Sprintf(`{"type":"AppointmentUpdate","appointment":{"id":"A1","appointmentStatus":%q,"startTime":"2099-12-%02dT10:00:00Z"}}`, status, day)
		},
		"workflow": func(status string, day int) string {
			return fmt.Sprintf(`{"contact_id":"c1","calendar":{"appointmentId":"A1","startTime":"2099-12-%02dT10:00:00","selectedTimezone":"UTC","appoinmentStatus":%q}}`, day, status)
		},
	}
	for name, shape := range shapes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newTaker(t, remind)
			steps := []struct {
				body    string
				want    record.Status
				waiting int
			}{
				{shape("confirmed", 7), record.Accepted, 1},
				{shape("confirmed", 7), record.Duplicate, 1},
				{shape("cancelled", 7), record.Accepted, 0},
				{shape("cancelled", 7), record.Duplicate, 0},
				{shape("confirmed", 7), record.Accepted, 1},
				{shape("confirmed", 7), record.Duplicate, 1},
				{shape("cancelled", 7), record.Accepted, 0},
				{shape("confirmed", 9), record.Accepted, 1},
				{shape("confirmed", 7), record.Accepted, 1},
				{shape("confirmed", 9), record.Accepted, 1},
				{shape("confirmed", 9), record.Duplicate, 1},
				{shape("cancelled", 9), record.Accepted, 0},
			}
			for i, s := range steps {
				if got := k.take(s.body); got != s.want || k.waiting() != s.waiting {
					t.Fatalf("step %d: %s with %d waiting, want %s with %d", i+1, got, k.waiting(), s.want, s.waiting)
				}
			}
		})
	}
}

// gone is the context of a webhook whose sender leaves just before the store looks at it.
type gone struct{ context.Context }

func (gone) Err() error { return context.Canceled }

// A server that was held up finds a webhook in its socket whose sender has given up, sent it again elsewhere, and sent
// another one since. It changes nothing. If nobody said it before, it counts.
func TestSenderHasGone(t *testing.T) {
	t.Parallel()
	k := newTaker(t, remind)
	body := func(day int) string {
		return fmt.Sprintf(`{"contact_id":"c1","calendar":{"appointmentId":"A1","startTime":"2099-12-%02dT10:00:00","selectedTimezone":"UTC"}}`, day)
	}
	for _, day := range []int{7, 8} {
		if got := k.take(body(day)); got != record.Accepted {
			t.Fatalf("day %d: %s", day, got)
		}
	}
	for _, c := range []struct {
		day  int
		want []string // of the appointment's start, latest first
	}{
		{7, []string{"2099-12-08", "2099-12-07"}},
		{9, []string{"2099-12-09", "2099-12-08", "2099-12-07"}},
	} {
		ev, err := payload.Normalise("hoopai", []byte(body(c.day)), time.Now(), time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := k.r.Receive(gone{t.Context()}, ev); err != nil {
			t.Fatal(err)
		}
		list, err := k.s.Events(t.Context(), store.EventFilter{Appointment: "A1"})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range list {
			full, err := k.s.Event(t.Context(), e.ID)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, gjson.GetBytes(full.Body, "calendar.startTime").String()[:10])
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("after day %d by a sender that has gone: %v, want %v", c.day, got, c.want)
		}
	}
}

// A webhook with an id of the sender that came before is a duplicate, also if other events came since.
func TestRepeatedWebhookID(t *testing.T) {
	t.Parallel()
	k := newTaker(t, remind)
	body := func(id, status string) string {
		return fmt.Sprintf(`{"type":"AppointmentUpdate","webhookId":%q,"appointment":{"id":"A1","appointmentStatus":%q,"startTime":"2099-12-07T10:00:00Z"}}`, id, status)
	}
	for i, s := range []struct {
		body string
		want record.Status
	}{
		{body("w1", "confirmed"), record.Accepted}, {body("w2", "cancelled"), record.Accepted}, {body("w1", "confirmed"), record.Duplicate},
		{body("w3", "confirmed"), record.Accepted}, {body("w2", "cancelled"), record.Duplicate},
	} {
		if got := k.take(s.body); got != s.want {
			t.Errorf("step %d: %s, want %s", i+1, got, s.want)
		}
	}
	if k.waiting() != 1 {
		t.Errorf("%d wait", k.waiting())
	}
}

// A dateUpdated in the future is not used to order events: a cancellation that comes later counts.
func TestDatedInTheFuture(t *testing.T) {
	t.Parallel()
	k := newTaker(t, remind)
	body := func(status string, dated time.Time) string {
		return fmt.Sprintf(`{"type":"AppointmentUpdate","appointment":{"id":"A1","appointmentStatus":%q,"startTime":"2099-12-07T10:00:00Z","dateUpdated":%q}}`,
			status, dated.Format(time.RFC3339))
	}
	now := time.Now()
	for i, s := range []struct {
		body    string
		want    record.Status
		waiting int
	}{
		{body("confirmed", now.Add(-time.Hour)), record.Accepted, 1},
		{body("confirmed", now.Add(48*time.Hour)), record.Accepted, 1},
		{body("cancelled", now.Add(-2*time.Hour)), record.Stale, 1}, // older than the first event, whose date still counts
		{body("cancelled", now.Add(-time.Minute)), record.Accepted, 0},
		{body("confirmed", now.Add(-10*time.Minute)), record.Stale, 0},
		{body("confirmed", now.Add(2*time.Minute)), record.Accepted, 1}, // clocks can differ by this much
		{body("cancelled", now.Add(time.Minute)), record.Stale, 1},
	} {
		if got := k.take(s.body); got != s.want || k.waiting() != s.waiting {
			t.Fatalf("step %d: %s with %d waiting, want %s with %d", i+1, got, k.waiting(), s.want, s.waiting)
		}
	}
}

// If only the deletion of an appointment is known, a create that comes after it is stale.
func TestCreateAfterDelete(t *testing.T) {
	t.Parallel()
	k := newTaker(t, remind)
	for i, s := range []struct {
		body string
		want record.Status
	}{
		{`{"type":"AppointmentDelete","appointment":{"id":"A1"}}`, record.Accepted},
		{`{"type":"AppointmentCreate","appointment":{"id":"A1","appointmentStatus":"confirmed","startTime":"2099-12-07T10:00:00Z"}}`, record.Stale},
		{`{"type":"AppointmentCreate","appointment":{"id":"A1","appointmentStatus":"confirmed","startTime":"2099-12-07T10:00:00Z","dateUpdated":"2026-01-07T10:00:00Z"}}`, record.Stale},
	} {
		if got := k.take(s.body); got != s.want {
			t.Errorf("step %d: %s, want %s", i+1, got, s.want)
		}
	}
	if k.waiting() != 0 {
		t.Errorf("%d wait", k.waiting())
	}
}
