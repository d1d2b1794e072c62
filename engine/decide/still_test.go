package decide

import (
	"testing"
	"time"

	"bellhop/engine/record"
	"bellhop/rules"
)

// A message that is not sent yet is rendered again for every move of its appointment, also for a move back to the time
// at its event. It is not rendered again if nothing moved.
func TestStillFollowsEveryMove(t *testing.T) {
	t.Parallel()
	f, findings := rules.Compile("t.yaml", []byte("rules:\n- name: a\n  on: booked\n  then: [{slack: {channel: desk, text: '{{ appointment.startTime }}'}}]\n"),
		rules.Options{Connections: map[string]string{"slack": "slack"}})
	if f == nil {
		t.Fatal(findings)
	}
	set, _ := rules.NewSet([]*rules.File{f})
	nine := time.Date(2031, 3, 3, 9, 0, 0, 123_456_789, time.UTC)
	at := func(start time.Time) *Memory {
		s := &Memory{Appointment: rules.Appointment{ID: "a1", AppointmentStatus: "confirmed", StartTime: start, EndTime: start.Add(time.Hour)}}
		return s
	}
	ev := &rules.Event{Type: rules.Create, On: []string{rules.Create, rules.Booked}, Source: "hoopai", Appointment: at(nine).Appointment}
	origin := Origin{Event: ev, State: at(nine)}
	d := record.Delivery{ID: "d1", Event: "e1", Rule: "a", Step: 1, Action: "slack", Appointment: "a1", State: record.Sending,
		Request: []byte(`{"channel":"desk","text":"2031-03-03T09:00:00.123456789Z"}`)}
	says := func(start time.Time) string {
		return `{"channel":"desk","text":"` + start.Format(time.RFC3339Nano) + `"}`
	}
	for _, start := range []time.Time{nine, nine.Add(time.Hour), nine.Add(time.Hour), nine, nine} {
		again, err := Still(set, &d, origin, at(start), nine.Add(-time.Hour))
		if err != nil || again != nil || d.State != record.Sending {
			t.Fatalf("%s: %v, %v, %+v", start, err, again, d)
		}
		if got := string(d.Request); got != says(start) && got != `{"channel":"desk","text":"`+start.Format(time.RFC3339)+`"}` {
			t.Fatalf("%s: it says %s", start, d.Request)
		}
	}
	// After an attempt, each move cancels the message and replaces it with a copy.
	d.Attempts = []record.Attempt{{At: nine, Outcome: "retry"}}
	moved := at(nine.Add(2 * time.Hour))
	again, err := Still(set, &d, origin, moved, nine)
	if err != nil || again == nil || d.State != record.Cancelled {
		t.Fatalf("%v, %v, %+v", err, again, d)
	}
	copied := *again
	copied.State, copied.Attempts = record.Sending, []record.Attempt{{At: nine, Outcome: "retry"}}
	if more, err := Still(set, &copied, origin, moved, nine); err != nil || more != nil || copied.State != record.Sending {
		t.Fatalf("a copy is copied although nothing moved: %v, %v, %+v", err, more, copied)
	}
	if more, err := Still(set, &copied, origin, at(nine), nine); err != nil || more == nil || copied.State != record.Cancelled {
		t.Fatalf("a copy does not follow: %v, %v, %+v", err, more, copied)
	}
}
