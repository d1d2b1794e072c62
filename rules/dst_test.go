package rules

import (
	"testing"
	"time"
)

// A time that a clock change leaves out is later by the length of the gap; one that comes twice is the first. The zones change
// by an hour, at different hours, by half an hour, for one month of the year, and never.
func TestClockChanges(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ zone, at, want string }{
		// Clocks go forward: in London at 01:00, in Chicago at 02:00, in Lord Howe by half an hour at 02:00, in Casablanca
		// after Ramadan at 02:00.
		{"Europe/London", `addDays(date("2026-03-28 01:30"), 1)`, "2026-03-29T02:30:00+01:00"},
		{"Europe/London", `clock(date("2026-03-29 12:00"), "01:15")`, "2026-03-29T02:15:00+01:00"},
		{"Europe/London", `addDays(date("2026-03-30 01:30"), -1)`, "2026-03-29T02:30:00+01:00"},
		{"Europe/London", `date("2026-03-30 01:30") - duration("1d")`, "2026-03-29T00:30:00Z"},
		{"Europe/London", `addMonths(date("2026-02-28 01:30"), 1)`, "2026-03-28T01:30:00Z"},
		{"America/Chicago", `addDays(date("2026-03-07 02:30"), 1)`, "2026-03-08T03:30:00-05:00"},
		{"America/Chicago", `clock(date("2026-03-08 12:00"), "02:00")`, "2026-03-08T03:00:00-05:00"},
		{"Australia/Lord_Howe", `addDays(date("2026-10-03 02:15"), 1)`, "2026-10-04T02:45:00+11:00"},
		{"Australia/Lord_Howe", `clock(date("2026-10-04 12:00"), "02:10")`, "2026-10-04T02:40:00+11:00"},
		{"Africa/Casablanca", `addDays(date("2026-03-21 02:30"), 1)`, "2026-03-22T03:30:00+01:00"},
		{"Africa/Casablanca", `addWorkdays(date("2026-03-20 09:00"), 1)`, "2026-03-23T09:00:00+01:00"},
		{"Asia/Kolkata", `addDays(date("2026-03-28 01:30"), 1)`, "2026-03-29T01:30:00+05:30"},
		// Clocks go back.
		{"Europe/London", `addDays(date("2026-10-24 01:30"), 1)`, "2026-10-25T01:30:00+01:00"},
		{"Europe/London", `clock(date("2026-10-25 12:00"), "01:15")`, "2026-10-25T01:15:00+01:00"},
		{"Europe/London", `date("2026-10-25 01:30") + duration("1h")`, "2026-10-25T01:30:00Z"},
		{"America/Chicago", `addDays(date("2026-10-31 01:30"), 1)`, "2026-11-01T01:30:00-05:00"},
		{"Australia/Lord_Howe", `addDays(date("2026-04-04 01:45"), 1)`, "2026-04-05T01:45:00+11:00"},
		{"Africa/Casablanca", `clock(date("2026-02-15 12:00"), "02:30")`, "2026-02-15T02:30:00+01:00"},
		{"Asia/Kolkata", `clock(date("2026-10-25 12:00"), "01:15")`, "2026-10-25T01:15:00+05:30"},
	} {
		f, findings := Compile("r.yaml", []byte(`rules: [{ name: r, on: booked, timezone: `+c.zone+`, let: { at: '`+c.at+`' }, when: at != now(), then: [{ slack: { text: x, channel: "#x" } }] }]`),
			Options{Connections: map[string]string{"slack": "slack"}})
		if f == nil {
			t.Fatal(findings)
		}
		r := newRun(starting(time.Now()), time.Now())
		r.start(f.Rules[0])
		v, err := r.LetValue(0)
		if err != nil {
			t.Errorf("%s in %s: %v", c.at, c.zone, err)
			continue
		}
		if got := v.(time.Time).Format(time.RFC3339); got != c.want {
			t.Errorf("%s in %s is %s, not %s", c.at, c.zone, got, c.want)
		}
	}
}

// Hours that begin or end in such a time do so at the same moments, and days that are longer or shorter have their hours.
func TestHoursAtClockChanges(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ zone, hours, at, next, last string }{
		{"Europe/London", "01:30-05:00", "2026-03-29T00:30:00Z", "2026-03-29T02:30:00+01:00", "2026-03-28T04:59:00Z"},
		{"Europe/London", "22:00-01:30", "2026-03-29T02:30:00+01:00", "2026-03-29T22:00:00+01:00", "2026-03-29T02:29:00+01:00"},
		{"Europe/London", "01:30-05:00", "2026-10-25T01:15:00+01:00", "2026-10-25T01:30:00+01:00", "2026-10-24T04:59:00+01:00"},
		{"Europe/London", "22:00-01:30", "2026-10-25T01:45:00+01:00", "2026-10-25T22:00:00Z", "2026-10-25T01:29:00+01:00"},
		{"Europe/London", "22:00-01:30", "2026-10-25T01:15:00Z", "2026-10-25T22:00:00Z", "2026-10-25T01:29:00+01:00"},
		{"Europe/London", "09:00-18:00", "2026-03-29T08:59:00+01:00", "2026-03-29T09:00:00+01:00", "2026-03-28T17:59:00Z"},
		{"America/Chicago", "02:15-09:00", "2026-03-08T01:59:00-06:00", "2026-03-08T03:15:00-05:00", "2026-03-07T08:59:00-06:00"},
		{"America/Chicago", "01:15-01:45", "2026-11-01T01:20:00-06:00", "2026-11-02T01:15:00-06:00", "2026-11-01T01:44:00-05:00"},
		{"Australia/Lord_Howe", "02:00-03:00", "2026-10-04T01:59:00+10:30", "2026-10-04T02:30:00+11:00", "2026-10-03T02:59:00+10:30"},
		{"Australia/Lord_Howe", "01:45-03:00", "2026-04-05T01:40:00+11:00", "2026-04-05T01:45:00+11:00", "2026-04-04T02:59:00+11:00"},
		{"Africa/Casablanca", "02:30-05:00", "2026-03-22T01:59:00Z", "2026-03-22T03:30:00+01:00", "2026-03-21T04:59:00Z"},
		{"Africa/Casablanca", "02:30-05:00", "2026-02-15T02:15:00+01:00", "2026-02-15T02:30:00+01:00", "2026-02-14T04:59:00+01:00"},
		{"Asia/Kolkata", "09:00-18:00", "2026-03-29T08:59:00+05:30", "2026-03-29T09:00:00+05:30", "2026-03-28T17:59:00+05:30"},
	} {
		zone, err := time.LoadLocation(c.zone)
		if err != nil {
			t.Fatal(err)
		}
		h := hoursOf(t, c.hours)
		at, err := time.Parse(time.RFC3339, c.at)
		if err != nil {
			t.Fatal(err)
		}
		at = at.In(zone)
		if h.open(at) {
			t.Errorf("%s in %s: open at %s", c.hours, c.zone, c.at)
		}
		if next, ok := h.next(at); !ok || next.Format(time.RFC3339) != c.next {
			t.Errorf("%s in %s: after %s they open at %s, not %s", c.hours, c.zone, c.at, next.Format(time.RFC3339), c.next)
		} else if !h.open(next) || h.open(next.Add(-time.Second)) {
			t.Errorf("%s in %s: they do not open at %s", c.hours, c.zone, c.next)
		}
		if last, ok := h.last(at); !ok || last.Format(time.RFC3339) != c.last {
			t.Errorf("%s in %s: before %s they were last open at %s, not %s", c.hours, c.zone, c.at, last.Format(time.RFC3339), c.last)
		} else if !h.open(last) || h.open(last.Add(time.Minute)) {
			t.Errorf("%s in %s: they do not close after %s", c.hours, c.zone, c.last)
		}
	}
}
