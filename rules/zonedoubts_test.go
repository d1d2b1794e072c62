package rules_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bellhop/rules"
)

// Applying a suggestion about zones, days or durations results in a file that loads and no longer has that finding.
func TestZoneSuggestions(t *testing.T) {
	t.Parallel()
	looked := 0
	for _, pattern := range []string{"zone-*", "clock-*", "add-*", "subtract-*", "long-*", "hours-*", "date-diff", "duration-*"} {
		paths, err := filepath.Glob("../testdata/bad/" + pattern + ".yaml")
		if err != nil || len(paths) == 0 {
			t.Fatal(pattern, err)
		}
		for _, path := range paths {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			src, _, _ := strings.Cut(string(data), "\n#! ")
			src += "\n"
			_, findings := rules.Compile("t.yaml", []byte(src), options())
			next, ok := applied(src, findings)
			if !ok {
				continue
			}
			looked++
			f, after := rules.Compile("t.yaml", []byte(next), options())
			if f == nil {
				t.Errorf("%s: with what was suggested:\n%s%s", path, next, render(after, next))
			}
			for _, a := range after {
				if a.Code == findings[0].Code {
					t.Errorf("%s: still\n%s", path, render(after, next))
				}
			}
		}
	}
	if looked < 20 {
		t.Errorf("only %d files had suggestions", looked)
	}
}

// Correct rules get no finding about zones.
func TestNoZoneDoubts(t *testing.T) {
	t.Parallel()
	for _, lines := range [][]string{
		{"timezone: UTC", `let: { s: 'date(appointment.startTime, "20060102T150405Z")' }`},
		{"timezone: America/Chicago", `let: { s: 'date(tz(appointment.startTime, "UTC"), "20060102T150405Z")' }`},
		{"timezone: America/Chicago", `let: { s: 'date(tz(appointment.startTime, timezone("UTC")) + duration("1h"), "2006-01-02T15:04:05Z")' }`},
		{"timezone: America/Chicago", `let: { at: 'tz(appointment.startTime, "UTC")', s: 'date(at, "2006-01-02T15:04:05Z")' }`},
		{"timezone: America/Chicago", `let: { s: 'date(addDays(tz(appointment.startTime, "UTC"), 1), "2006-01-02T15:04:05Z")' }`},
		{"timezone: America/Chicago", `let: { s: 'date(appointment.startTime, "2006-01-02T15:04:05Z07:00")' }`},
		{"timezone: America/Chicago", `let: { s: 'date(appointment.startTime, "Mon 2 Jan, Z")' }`},
		{`let: { s: 'date(now(), "2006-01-02T15:04:05Z")' }`},
		{`let: { s: 'date("2026-01-31T10:00:00Z", "2006-01-02T15:04:05Z") > now() ? "a" : "b"' }`},
		{"timezone: contact", `let: { s: 'date(appointment.startTime, "15:04")' }`},
		{"timezone: HST", `let: { s: 'date(appointment.startTime, "15:04")' }`},
		{"timezone: Etc/GMT-9", `let: { s: 'date(appointment.startTime, "15:04")' }`},
		{"timezone: America/Phoenix", `let: { s: 'date(appointment.startTime, "15:04")' }`},
		{"timezone: America/Chicago", `let: { s: 'string(date(date(appointment.startTime, "2006-01-02") + " 18:00"))' }`},
		{"timezone: America/Chicago", `let: { s: 'string(date(date(tz(appointment.startTime, "UTC"), "2006-01-02") + "T18:00:00Z"))' }`},
		{"timezone: America/Chicago", `let: { s: 'string(date(date(tz(appointment.startTime, "Europe/Paris"), "2006-01-02") + " 18:00", "2006-01-02 15:04", "Europe/Paris"))' }`},
		{"timezone: America/Chicago", `let: { s: 'string(date(date(appointment.startTime - duration("25h"), "2006-01-02") + " 18:00"))' }`},
		{"timezone: America/Phoenix", `let: { s: 'string(date(date(appointment.startTime - duration("24h"), "2006-01-02") + " 18:00"))' }`},
		{"timezone: America/Chicago", `let: { hours: 'timeOfDay(appointment.startTime)', s: 'let clock = hours; clock + string(hours(duration("1h")))' }`},
		{"timezone: America/Chicago", `let: { s: 'string(clock(addDays(appointment.startTime, -1), "09:00"))' }`},
	} {
		src := rule(append(lines, `then: [{slack: {channel: desk, text: "{{ s }}"}}]`)...)
		f, findings := rules.Compile("t.yaml", []byte(src), options())
		if f == nil || len(findings) > 0 {
			t.Errorf("%s%s", src, render(findings, src))
			continue
		}
		set, _ := rules.NewSet([]*rules.File{f})
		for _, m := range set.Match(booking(), noon) {
			if m.Err != nil || m.Steps[0].Err != nil {
				t.Errorf("%s: %v %v", src, m.Err, m.Steps[0].Err)
			}
		}
	}
}

// The same words in two rules mean other hours if their zones differ.
func TestSameWordsInOtherZones(t *testing.T) {
	t.Parallel()
	two := func(a, b string) string {
		one := func(name, zone string) string {
			return "  - name: " + name + "\n    on: booked\n    timezone: " + zone + "\n    when: appointment.startTime.Hour() >= 17\n    then: [{slack: {channel: desk, text: hi}}]\n"
		}
		return "rules:\n" + one("one", a) + one("other", b)
	}
	for zones, want := range map[[2]string]int{
		{"Europe/Paris", "Europe/Paris"}: 1, {"Europe/Paris", "America/Chicago"}: 0, {"contact", "contact"}: 1, {"contact", "user"}: 0, {"contact", "Europe/Paris"}: 0,
	} {
		src := two(zones[0], zones[1])
		f, findings := rules.Compile("t.yaml", []byte(src), options())
		if f == nil {
			t.Fatal(render(findings, src))
		}
		_, more := rules.NewSet([]*rules.File{f})
		if len(findings)+len(more) != want {
			t.Errorf("%v: %v %v", zones, findings, more)
		}
	}
}

// A date without an offset is in the rule's zone, also when conditions are analysed. If the zone depends on the
// event, nothing is reported.
func TestNaiveDatesAreOfTheRulesZone(t *testing.T) {
	t.Parallel()
	const when = `when: 'appointment.startTime >= date("2026-12-07T00:00:00-06:00") && appointment.startTime < date("2026-12-07 04:00")'`
	for zone, never := range map[string]bool{"America/Chicago": false, "UTC": true, "Asia/Tokyo": true, "contact": false} {
		src := rule("timezone: "+zone, when)
		_, findings := rules.Compile("t.yaml", []byte(src), options())
		if (len(findings) > 0) != never {
			t.Errorf("%s: %v", zone, findings)
		}
	}
}
