package rules_test

import (
	"testing"
	"time"
)

// A waiting step has a destination before it is rendered. If it is unknown until then, the rule's own name isolates
// it.
func TestWaitingDestination(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"https://api.example.com/{{ appointment.id }}": "https://api.example.com",
		"{{ raw.url }}":                      "rule r",
		"https://{{ custom.host }}/bookings": "rule r",
	} {
		set := load(t, "rules:\n- name: r\n  on: booked\n  then:\n  - at: now()\n    http: { url: '"+url+"' }\n")
		m := set.Match(booking(), noon)
		if len(m) != 1 || m[0].Steps[0].Destination != want {
			t.Errorf("%s: %+v, want %s", url, m, want)
		}
	}
}

// What `late` allows, counted from the moment at which the step is planned.
func TestLateWords(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		late  string
		after time.Duration // how long after its moment the step is planned
		sent  bool
	}{
		{"", 30 * time.Second, true}, {"", 2 * time.Minute, false},
		{"late: skip", 30 * time.Second, true}, {"late: skip", 2 * time.Minute, false},
		{"late: 2h", 119 * time.Minute, true}, {"late: 2h", 121 * time.Minute, false},
		{"late: 0s", 30 * time.Second, true}, {"late: 0s", 2 * time.Minute, false},
		{"late: send", 90 * 24 * time.Hour, true},
	} {
		set := load(t, rule("then:\n- at: appointment.startTime\n  slack: {channel: desk, text: hi}\n  "+c.late))
		ev := booking()
		step := set.Match(ev, ev.Appointment.StartTime.Add(c.after))[0].Steps[0]
		if (step.Skip == "") != c.sent || step.Err != nil {
			t.Errorf("%q, %v late: %+v", c.late, c.after, step)
		}
	}
}
