package rules_test

import (
	"testing"
)

// What waits is kept apart by its destination before anybody knows what it renders to.
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
