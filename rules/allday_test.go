package rules

import (
	"encoding/json"
	"testing"
	"time"
)

// A date without a time is the same date in whatever zone a rule looks at it, and so is what is counted from it, even
// after it was stored.
func TestWholeDays(t *testing.T) {
	t.Parallel()
	london, err := time.LoadLocation("Europe/London")
	if err != nil {
		t.Fatal(err)
	}
	start := time.Date(2026, 7, 9, 0, 0, 0, 0, london)
	a := Appointment{StartTime: start, EndTime: start.AddDate(0, 0, 1), AllDay: true}
	data, err := json.Marshal(&a)
	if err != nil {
		t.Fatal(err)
	}
	var stored Appointment
	if err := json.Unmarshal(data, &stored); err != nil {
		t.Fatal(err)
	}
	for _, a := range []Appointment{a, stored} {
		ev := &Event{Type: Create, Appointment: a}
		for _, zone := range []string{"", "Europe/London", "America/Chicago", "Asia/Tokyo"} {
			for src, want := range map[string]string{
				`date(appointment.startTime, "2006-01-02 15:04")`:                              "2026-07-09 00:00",
				`date(appointment.endTime, "2006-01-02 15:04")`:                                "2026-07-10 00:00",
				`weekday(appointment.startTime)`:                                               "Thursday",
				`date(appointment.startTime - duration("24h"), "2006-01-02 15:04")`:            "2026-07-08 00:00",
				`date(clock(addDays(appointment.startTime, -1), "09:00"), "2006-01-02 15:04")`: "2026-07-08 09:00",
				`string(appointment.startTime.Hour())`:                                         "0",
				`date(tz(appointment.startTime, "Pacific/Auckland"), "2006-01-02 15:04")`:      "2026-07-09 00:00",
			} {
				if got := must(t, zone, src, ev); got != want {
					t.Errorf("%s in %q is %v, not %s", src, zone, got, want)
				}
			}
		}
		timed := *ev
		timed.Appointment.AllDay = false
		if got := must(t, "America/Chicago", `date(appointment.startTime, "2006-01-02 15:04")`, &timed); got != "2026-07-08 18:00" {
			t.Errorf("a time at midnight is %v in another zone", got)
		}
	}
}

// A step before a whole day is due by the clocks of its rule.
func TestMomentOfAWholeDay(t *testing.T) {
	t.Parallel()
	const file = "rules:\n  - name: a\n    on: booked\n    timezone: America/Chicago\n    then: [{ at: 'appointment.startTime - duration(\"15h\")', slack: {channel: a, text: b}}]\n"
	f, findings := Compile("t.yaml", []byte(file), Options{Connections: map[string]string{"slack": "slack"}})
	if f == nil {
		t.Fatal(findings)
	}
	ev := starting(time.Date(2026, 7, 9, 0, 0, 0, 0, time.UTC))
	ev.Appointment.AllDay = true
	r := newRun(ev, time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC))
	r.start(f.Rules[0])
	at, err := f.Rules[0].body().steps[0].wait.moment(r)
	if want := time.Date(2026, 7, 8, 14, 0, 0, 0, time.UTC); err != nil || !at.Equal(want) {
		t.Errorf("it is due at %v (%v), not at %v: nine in Chicago on the day before", at, err, want)
	}
}
