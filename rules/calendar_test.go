package rules

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"bellhop/rules/lang"
	"bellhop/rules/text"
)

// evaluated returns the value of an expression in a rule with a `timezone`, "" for none; the configured zone is UTC.
func evaluated(t *testing.T, timezone, src string, ev *Event) (any, error) {
	t.Helper()
	file := "rules:\n  - name: a\n    on: booked\n    then: [{slack: {channel: a, text: b}}]\n    let: { it: " + text.Quoted(src) + " }\n    when: it != nil\n"
	if timezone != "" {
		file += "    timezone: " + timezone + "\n"
	}
	f, findings := Compile("t.yaml", []byte(file), Options{Connections: map[string]string{"slack": "slack"}})
	if f == nil {
		t.Fatalf("%s: %v", src, findings)
	}
	r := newRun(ev, time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC))
	r.start(f.Rules[0])
	return r.LetValue(0)
}

func must(t *testing.T, timezone, src string, ev *Event) any {
	t.Helper()
	v, err := evaluated(t, timezone, src, ev)
	if err != nil {
		t.Fatalf("%s in %q: %v", src, timezone, err)
	}
	return v
}

func starting(at time.Time) *Event {
	return &Event{Type: Create, Appointment: Appointment{StartTime: at, EndTime: at.Add(90 * time.Minute)}}
}

// someMoment returns a time close to which clocks often change.
func (d dice) someMoment(zone *time.Location) time.Time {
	at := time.Date(2013+d.IntN(24), time.Month(1+d.IntN(12)), 1+d.IntN(31), d.IntN(24), d.IntN(4)*15, d.IntN(2)*59, 0, time.UTC).In(zone)
	if d.IntN(2) == 0 {
		return at
	}
	_, end := at.ZoneBounds()
	if end.IsZero() || end.Year() > 2037 {
		return at
	}
	return end.Add(time.Duration(d.IntN(24*4)-48)*15*time.Minute).AddDate(0, 0, d.IntN(5)-2).In(zone)
}

// Every function sees a time in the same zone: the one of tz, else the rule's, else its own offset. Calendar
// arithmetic uses the clocks of that zone.
func TestOneZone(t *testing.T) {
	t.Parallel()
	d := dice{rand.New(rand.NewPCG(4, 2))}
	names := lang.Zones()
	for range 150 {
		rule := ""
		if d.IntN(3) > 0 {
			rule = names[d.IntN(len(names))]
		}
		own := time.FixedZone("", (d.IntN(105)-48)*900)
		seen := own
		if rule != "" {
			seen, _ = lang.FindZone(rule)
		}
		of := "appointment.startTime"
		if d.IntN(2) == 0 {
			given := names[d.IntN(len(names))]
			seen, _ = lang.FindZone(given)
			of = fmt.Sprintf("tz(%s, %q)", of, given)
		}
		at := d.someMoment(seen)
		ev := starting(at.In(own))
		n := d.IntN(800) - 400
		naive := time.Date(at.Year(), at.Month(), at.Day(), at.Hour(), at.Minute(), at.Second(), 0, time.UTC)
		in := func(naive time.Time) string { return lang.Clock(naive, seen).UTC().Format(time.RFC3339) }
		moved := in(naive.AddDate(0, 0, n))
		month := time.Date(naive.Year(), naive.Month()+time.Month(n), 1, 0, 0, 0, 0, time.UTC)
		day := min(naive.Day(), month.AddDate(0, 1, -1).Day())
		inMonth := time.Date(month.Year(), month.Month(), day, naive.Hour(), naive.Minute(), naive.Second(), 0, time.UTC)
		y, m, dd := naive.Date()
		full := `date(%s, "2006-01-02 15:04:05 Monday")`
		for src, want := range map[string]string{
			fmt.Sprintf(full, of):                                     naive.Format("2006-01-02 15:04:05 Monday"),
			fmt.Sprintf(full, of+` + duration("0m")`):                 naive.Format("2006-01-02 15:04:05 Monday"),
			fmt.Sprintf(full, "max("+of+", "+of+")"):                  naive.Format("2006-01-02 15:04:05 Monday"),
			"weekday(" + of + ")":                                     naive.Weekday().String(),
			"timeOfDay(" + of + ")":                                   naive.Format("15:04"),
			of + ".Year()":                                            fmt.Sprint(y),
			of + ".Month()":                                           fmt.Sprint(int(m)),
			of + ".Day()":                                             fmt.Sprint(dd),
			of + ".Hour()":                                            fmt.Sprint(naive.Hour()),
			of + ".Minute()":                                          fmt.Sprint(naive.Minute()),
			of + ".YearDay()":                                         fmt.Sprint(naive.YearDay()),
			of + ".Unix()":                                            fmt.Sprint(at.Unix()),
			fmt.Sprintf("addDays(%s, %d)", of, n):                     moved,
			fmt.Sprintf("addMonths(%s, %d)", of, n):                   in(inMonth),
			fmt.Sprintf(`clock(%s, "02:30")`, of):                     in(time.Date(y, m, dd, 2, 30, 0, 0, time.UTC)),
			"startOfDay(" + of + ")":                                  in(time.Date(y, m, dd, 0, 0, 0, 0, time.UTC)),
			fmt.Sprintf("addDays(%s, %d) == %[1]s", of, 0):            fmt.Sprint(lang.Clock(naive, seen).Equal(at)), // not true in the second of a doubled hour
			fmt.Sprintf("daysBetween(%s, addDays(%[1]s, %d))", of, n): fmt.Sprint(n),
		} {
			got := must(t, rule, src, ev)
			if at, ok := got.(time.Time); ok {
				got = at.UTC().Format(time.RFC3339)
			}
			if fmt.Sprint(got) != want {
				t.Fatalf("%s in %q is %v, not %s, of %s", src, rule, got, want, at.In(seen))
			}
		}
	}
}

func TestCalendarByHand(t *testing.T) {
	t.Parallel()
	chicago, _ := lang.FindZone("America/Chicago")
	date := func(y int, m time.Month, d, h, min int) time.Time { return time.Date(y, m, d, h, min, 0, 0, chicago) }
	for _, c := range []struct {
		at   time.Time
		src  string
		want string
	}{
		{date(2027, 1, 31, 9, 0), "addMonths(it, 1)", "2027-02-28T09:00:00-06:00"},
		{date(2028, 1, 31, 9, 0), "addMonths(it, 1)", "2028-02-29T09:00:00-06:00"},
		{date(2028, 2, 29, 9, 0), "addMonths(it, 12)", "2029-02-28T09:00:00-06:00"},
		{date(2026, 5, 31, 9, 0), "addMonths(it, -3)", "2026-02-28T09:00:00-06:00"},
		{date(2026, 12, 31, 9, 0), "addMonths(it, 2)", "2027-02-28T09:00:00-06:00"},
		// Spring: 2:00 to 3:00 does not exist on 8 March 2026.
		{date(2026, 3, 9, 0, 30), `clock(addDays(it, -1), "09:00")`, "2026-03-08T09:00:00-05:00"},
		{date(2026, 3, 7, 2, 30), "addDays(it, 1)", "2026-03-08T03:30:00-05:00"},
		{date(2026, 3, 8, 9, 0), `clock(it, "02:15")`, "2026-03-08T03:15:00-05:00"},
		{date(2026, 3, 7, 10, 0), "addDays(it, 1) - it", "23h"},
		// Autumn: 1:00 to 2:00 occurs twice on 1 November 2026.
		{date(2026, 10, 31, 1, 30), "addDays(it, 1)", "2026-11-01T01:30:00-05:00"},
		{date(2026, 11, 2, 1, 30), "addDays(it, -1)", "2026-11-01T01:30:00-05:00"},
		{date(2026, 10, 31, 10, 0), "addDays(it, 1) - it", "25h"},
		{date(2026, 11, 1, 23, 30), "startOfDay(it)", "2026-11-01T00:00:00-05:00"},
		{date(2026, 11, 2, 0, 15), "daysBetween(it - duration(\"24h\"), it)", "1"},
		{date(2026, 11, 2, 0, 15), "daysBetween(it, it - duration(\"26h\"))", "-2"},
		{date(2026, 3, 6, 9, 0), "daysBetween(it, addDays(it, 400))", "400"},
		// 6 March 2026 is a Friday.
		{date(2026, 3, 6, 9, 0), "addWorkdays(it, 1)", "2026-03-09T09:00:00-05:00"},
		{date(2026, 3, 6, 9, 0), "addWorkdays(it, 0)", "2026-03-06T09:00:00-06:00"},
		{date(2026, 3, 7, 9, 0), "addWorkdays(it, 1)", "2026-03-09T09:00:00-05:00"},
		{date(2026, 3, 8, 9, 0), "addWorkdays(it, -1)", "2026-03-06T09:00:00-06:00"},
		{date(2026, 3, 9, 9, 0), "addWorkdays(it, -5)", "2026-03-02T09:00:00-06:00"},
		{date(2026, 3, 7, 9, 0), "addWorkdays(it, 10)", "2026-03-20T09:00:00-05:00"},
		{date(2026, 3, 9, 9, 0), `clock(it, "9:05")`, "2026-03-09T09:05:00-05:00"},
		{date(2026, 3, 9, 9, 0), `clock(it, timeOfDay(it))`, "2026-03-09T09:00:00-05:00"},
		// Texts are read with the same clocks.
		{date(2026, 3, 9, 9, 0), `date("2026-03-08 02:30")`, "2026-03-08T03:30:00-05:00"},
		{date(2026, 3, 9, 9, 0), `date("2026-11-01 01:30")`, "2026-11-01T01:30:00-05:00"},
		{date(2026, 3, 9, 9, 0), `date("2026-11-01T01:30:00-06:00")`, "2026-11-01T01:30:00-06:00"},
		{date(2026, 3, 9, 9, 0), `date("2026-03-29 02:30", "2006-01-02 15:04", "Europe/Paris")`, "2026-03-29T03:30:00+02:00"},
	} {
		src := strings.ReplaceAll(strings.ReplaceAll(c.src, "(it", "(appointment.startTime"), " it", " appointment.startTime")
		got := must(t, "America/Chicago", src, starting(c.at.UTC()))
		if at, ok := got.(time.Time); ok {
			got = at.Format(time.RFC3339)
		}
		if d, ok := got.(time.Duration); ok {
			got = strings.TrimSuffix(d.String(), "0m0s")
		}
		if fmt.Sprint(got) != c.want {
			t.Errorf("%s of %s is %v, not %s", c.src, c.at, got, c.want)
		}
	}
}

// A missing time stays missing, so that a step's `at` based on it is a skip. What has no answer is an error.
func TestCalendarOfNothing(t *testing.T) {
	t.Parallel()
	none := starting(time.Time{})
	for _, src := range []string{"addDays(previous.startTime, 1)", "addMonths(previous.startTime, 1)", "addWorkdays(previous.startTime, -1)", `clock(previous.startTime, "09:00")`, "startOfDay(previous.startTime)"} {
		if got := must(t, "Europe/London", src, none); !got.(time.Time).IsZero() {
			t.Errorf("%s is %v", src, got)
		}
	}
	if got := must(t, "America/Chicago", "previous.startTime.Year()", none); got != 1 {
		t.Errorf("a missing time has the year %v", got)
	}
	for src, want := range map[string]string{
		"daysBetween(previous.startTime, now())": "missing",
		"addDays(now(), 100000000)":              "cannot go as far",
		"addMonths(now(), -30000)":               "beyond the years",
		"addDays(now(), custom.n)":               "whole number",
		"addDays(custom.at, 1)":                  "needs a time, but got the text",
		`clock(now(), custom.at)`:                "time of the day",
		`clock(now(), "1" + "9")`:                "time of the day",
		`tz(now(), custom.at)`:                   "is not a time zone",
		`duration("1h") / (custom.zero)`:         "divided by 0",
		`duration("1h") / duration("0m")`:        "divided by 0",
		`duration("1h") * custom.at`:             "cannot be multiplied",
		`custom.at / duration("1h")`:             "cannot be divided",
		`-custom.at`:                             "needs a number or a duration",
		`hours(custom.n)`:                        "needs a duration",
		`custom.n > duration("1h")`:              "cannot be compared",
		`max(now(), custom.n)`:                   "max cannot work with a time and a number",
		`duration("1000d") * 10000`:              "longer than 292 years",
		`addDays(previous.startTime, 1) - duration("1h") > now() ? 1 : date(previous.startTime, "15:04")`: "missing",
	} {
		ev := starting(time.Date(2026, 3, 9, 10, 0, 0, 0, time.UTC))
		ev.Custom = map[string]any{"n": 1.5, "at": "soon", "zero": 0.0}
		if got, err := evaluated(t, "", src, ev); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is %v, %v, not an error of %q", src, got, err, want)
		}
	}
}

func TestDurations(t *testing.T) {
	t.Parallel()
	ev := starting(time.Date(2026, 3, 9, 10, 0, 0, 0, time.UTC))
	ev.Previous = Appointment{StartTime: ev.Appointment.StartTime.Add(-36 * time.Hour)}
	ev.Custom = map[string]any{"half": 0.5, "two": 2.0}
	for src, want := range map[string]string{
		"appointment.endTime - appointment.startTime":    "1h30m0s",
		"-(appointment.endTime - appointment.startTime)": "-1h30m0s",
		`+duration("1h")`:                                                  "1h0m0s",
		`-duration("1h") + duration("30m")`:                                "-30m0s",
		"(appointment.endTime - appointment.startTime) / 2":                "45m0s",
		"(appointment.endTime - appointment.startTime) * 2":                "3h0m0s",
		`0.5 * duration("3h")`:                                             "1h30m0s",
		`duration("3h") * 0.5`:                                             "1h30m0s",
		`custom.half * duration("3h")`:                                     "1h30m0s",
		`duration("3h") / custom.two`:                                      "1h30m0s",
		`duration("3h") / duration("2h")`:                                  "1.5",
		`custom.two * 3`:                                                   "6",
		`custom.two / 4`:                                                   "0.5",
		`-custom.two`:                                                      "-2",
		`hours(appointment.endTime - appointment.startTime)`:               "1.5",
		`minutes(appointment.endTime - appointment.startTime)`:             "90",
		`hours(appointment.endTime - appointment.startTime) > 1`:           "true",
		`round(hours(duration("100m")))`:                                   "2",
		`abs(appointment.startTime - appointment.endTime)`:                 "1h30m0s",
		`abs(appointment.startTime - previous.startTime) > duration("1d")`: "true",
		`abs(-3)`: "3",
		`max(duration("1h"), duration("90m"), duration("2m"))`:                   "1h30m0s",
		`min([duration("1h"), duration("90m")]) == duration("60m")`:              "true",
		`max(appointment.startTime, appointment.endTime) == appointment.endTime`: "true",
		`min([appointment.startTime, previous.startTime]).Day()`:                 "7",
		`date(max([appointment.startTime], [previous.startTime]), "2 Jan")`:      "9 Mar",
		`max([1, 2], [2.5])`:                   "2.5",
		`min(3, 2)`:                            "2",
		`duration("1h") == duration("60m")`:    "true",
		`duration("1h") in [duration("60m")]`:  "true",
		`string(duration("90m") / 2)`:          "45m",
		`max(map([1, 2], duration("1h") * #))`: "2h0m0s",
	} {
		if got := fmt.Sprint(must(t, "", src, ev)); got != want {
			t.Errorf("%s is %s, not %s", src, got, want)
		}
	}
}

// A rule may see times as the clocks of a person show them.
func TestWhoseZone(t *testing.T) {
	t.Parallel()
	ev := starting(time.Date(2026, 7, 9, 10, 0, 0, 0, time.UTC))
	print := func(whose string) string {
		return must(t, whose, `timeOfDay(appointment.startTime) + " " + timeOfDay(date("2026-07-09 08:00")) + " " + date(now(), "MST")`, ev).(string)
	}
	check := func(whose, want string) {
		t.Helper()
		if got := print(whose); got != want {
			t.Errorf("%s sees %s, not %s", whose, got, want)
		}
	}
	check("contact", "10:00 08:00 UTC") // the configured zone
	check("user", "10:00 08:00 UTC")
	check("location", "10:00 08:00 UTC")
	ev.Location.Timezone = "america/chicago"
	check("contact", "05:00 08:00 CST")
	check("user", "05:00 08:00 CST")
	check("location", "05:00 08:00 CST")
	ev.Contact.Timezone, ev.User.Timezone = "Tokyo Standard Time", "UTC+2"
	check("contact", "19:00 08:00 JST")
	check("user", "12:00 08:00 +0200")
	check("location", "05:00 08:00 CST")
	ev.Contact.Timezone = "Mars/Phobos"
	check("contact", "05:00 08:00 CST")
}
