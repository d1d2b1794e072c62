package rules

import (
	"testing"
	"time"

	"bellhop/rules/lang"
)

// hoursOf returns hours that are written right.
func hoursOf(t testing.TB, open string, closed ...string) *Hours {
	t.Helper()
	var days lang.Days
	for _, day := range closed {
		var err error
		if days, _, err = days.With(day); err != nil {
			t.Fatal(err)
		}
	}
	h, _, err := ParseHours("desk", open, days)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestHoursAround(t *testing.T) {
	t.Parallel()
	const desk = "Mon-Fri 09:00-12:00, 13:00-18:00, Sat 10:00-14:00"
	at := func(text string) time.Time {
		when, err := time.Parse("2006-01-02 15:04", text)
		if err != nil {
			t.Fatal(err)
		}
		return when
	}
	for _, c := range []struct {
		hours, at, next, last string // next is "" if it is open
		closed                []string
	}{
		{hours: desk, at: "2026-12-07 09:00"},
		{hours: desk, at: "2026-12-07 17:59"},
		{hours: desk, at: "2026-12-07 12:30", next: "2026-12-07 13:00", last: "2026-12-07 11:59"},
		{hours: desk, at: "2026-12-07 18:00", next: "2026-12-08 09:00", last: "2026-12-07 17:59"},
		{hours: desk, at: "2026-12-07 03:00", next: "2026-12-07 09:00", last: "2026-12-05 13:59"},
		{hours: desk, at: "2026-12-05 15:00", next: "2026-12-07 09:00", last: "2026-12-05 13:59"},
		{hours: desk, at: "2026-12-25 10:00", closed: []string{"12-25", "2026-12-26"}, next: "2026-12-28 09:00", last: "2026-12-24 17:59"},
		{hours: "Fri-Sat 20:00-02:00", at: "2026-12-06 01:59"},
		{hours: "Fri-Sat 20:00-02:00", at: "2026-12-06 02:00", next: "2026-12-11 20:00", last: "2026-12-06 01:59"},
		{hours: "00:00-24:00", at: "2026-12-06 02:00"},
		{hours: "Mon-Fri 00:00-24:00", at: "2026-12-05 00:00", next: "2026-12-07 00:00", last: "2026-12-04 23:59"},
	} {
		h := hoursOf(t, c.hours, c.closed...)
		if got := h.open(at(c.at)); got != (c.next == "") {
			t.Errorf("%s: open at %s: %v", c.hours, c.at, got)
		}
		if c.next == "" {
			continue
		}
		if got, ok := h.next(at(c.at)); !ok || !got.Equal(at(c.next)) {
			t.Errorf("%s: after %s they open at %s", c.hours, c.at, got)
		}
		if got, ok := h.last(at(c.at)); !ok || !got.Equal(at(c.last)) {
			t.Errorf("%s: before %s they were last open at %s", c.hours, c.at, got)
		}
	}
	never := hoursOf(t, "Mon 09:00-10:00")
	never.closed = lang.Days{}
	for day := at("2000-01-01" + " 00:00"); day.Year() == 2000; day = day.AddDate(0, 0, 1) {
		never.closed[day.Format("01-02")] = true
	}
	if at, ok := never.next(at("2026-12-05 15:00")); ok {
		t.Errorf("what is closed every day opens at %s", at)
	}
	if at, ok := never.last(at("2026-12-05 15:00")); ok {
		t.Errorf("what is closed every day was open at %s", at)
	}
}

// What is written otherwise is told how it is written.
func TestHoursSpellings(t *testing.T) {
	t.Parallel()
	for written, want := range map[string]string{
		"Mon-Fri 09:00-18:00":                    "",
		"Mon-Fri 9:00-18:00, Sat 10:00-14:00":    "",
		"Mon, Wed 09:00-12:00":                   "",
		"Monday-Friday 09:00-18:00":              "",
		"09:00-18:00":                            "",
		"Fri 22:00-02:00":                        "",
		"Mon-Sun 00:00-24:00":                    "",
		"9-17":                                   "09:00-17:00",
		"9am-5pm":                                "09:00-17:00",
		"9 am to 5:30 pm":                        "09:00-17:30",
		"mon-fri 09:00-18:00":                    "Mon-Fri 09:00-18:00",
		"Mon–Fri 09:00–18:00":                    "Mon-Fri 09:00-18:00",
		"Mon to Fri 9-18":                        "Mon-Fri 09:00-18:00",
		"weekdays 9:00-18:00":                    "Mon-Fri 09:00-18:00",
		"daily 08.00-20.00":                      "Mon-Sun 08:00-20:00",
		"Mondays: 09:00-12:00":                   "Mon 09:00-12:00",
		"Mon-Fri 09:00-18:00; Sat 10:00-14:00":   "Mon-Fri 09:00-18:00, Sat 10:00-14:00",
		"Mon-Fri 09:00-12:00 and 13:00-18:00":    "Mon-Fri 09:00-12:00, 13:00-18:00",
		"Mon and Wed 09:00-12:00":                "Mon, Wed 09:00-12:00",
		"Mon-Fri from 09:00 until 18:00":         "Mon-Fri 09:00-18:00",
		"Mon-Fri 08h30-18h00":                    "Mon-Fri 08:30-18:00",
		"":                                       "?",
		"always":                                 "?",
		"Mon-Fri":                                "?",
		"09:00":                                  "?",
		"Mon-Fri 09:00-18:00,":                   "?",
		"Mon-Fri 25:00-26:00":                    "?",
		"Mon-Fri 09:61-18:00":                    "?",
		"Mon-Fri 09:00-09:00":                    "?",
		"Lun-Ven 09:00-18:00":                    "?",
		"Mon-Fri 24:00-02:00":                    "?",
		"Mon-Fri 09:00-18:00 Sat 10:00-14:00 xx": "?",
	} {
		h, suggestion, err := ParseHours("", written, nil)
		switch {
		case want == "?" && (err == nil || suggestion != ""):
			t.Errorf("%q: %v, suggested %q", written, err, suggestion)
		case want == "" && (err != nil || suggestion != ""):
			t.Errorf("%q: %v, suggested %q", written, err, suggestion)
		case want != "" && want != "?" && (err == nil || suggestion != want):
			t.Errorf("%q: %v, suggested %q", written, err, suggestion)
		}
		if err == nil && len(h.openings) == 0 {
			t.Errorf("%q is never open", written)
		}
	}
}
