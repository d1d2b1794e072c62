package rules_test

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bellhop/rules"
	"bellhop/rules/text"
)

// applied returns a file with its suggestions applied, as an editor would; of overlapping ones, the inner. ok is
// false if a finding has no suggestion.
func applied(src string, findings []text.Finding) (out string, ok bool) {
	findings = slices.Clone(findings)
	slices.SortFunc(findings, func(a, b text.Finding) int { return cmp.Or(b.Line-a.Line, b.Column-a.Column) })
	out = src
	last := place{len(src), 0}
	for _, f := range findings {
		if f.Suggestion == "" {
			return src, false
		}
		if !last.before(place{f.EndLine, f.EndColumn}) {
			out, last = mended(out, f), place{f.Line, f.Column}
		}
	}
	return out, true
}

// Applying every suggestion for `at` and `late` results in a file that loads and whose step has a moment.
func TestSuggestionsForMoments(t *testing.T) {
	t.Parallel()
	looked := 0
	for _, pattern := range []string{"at-*", "late-*", "step-*"} {
		paths, err := filepath.Glob("../testdata/bad/" + pattern + ".yaml")
		if err != nil || len(paths) == 0 {
			t.Fatal(err)
		}
		for _, path := range paths {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			src, _, _ := strings.Cut(string(data), "\n#! ")
			src += "\n"
			for round := 0; ; round++ {
				f, findings := rules.Compile("t.yaml", []byte(src), options())
				if f != nil {
					if round == 0 {
						break // a warning
					}
					looked++
					set, _ := rules.NewSet([]*rules.File{f})
					for _, m := range set.Match(booking(), noon) {
						for _, s := range m.Steps {
							if filepath.Base(path) != "step-description.yaml" && !strings.Contains(src, "raw.") && (s.Err != nil || s.At.IsZero()) {
								t.Errorf("%s: %+v\n%s", path, s, src)
							}
						}
					}
					break
				}
				if len(findings) > 1 && round > 0 {
					t.Errorf("%s: more was found after the suggestion: %v", path, findings)
				}
				next, ok := applied(src, findings)
				if !ok {
					if round > 0 {
						t.Errorf("%s: with what was suggested:\n%s%s", path, src, render(findings, src))
					}
					break
				}
				if round == 3 {
					t.Errorf("%s: the suggestions have no end:\n%s", path, src)
					break
				}
				src = next
			}
		}
	}
	if looked < 40 {
		t.Errorf("only %d files had suggestions to their end", looked)
	}
}

// What people write who do not know that it is an expression, and the moment that it means for a booking of Monday 9
// March, 10:00 to 11:00 at +05:30, made on 2 March at 12:00 UTC.
func TestSpokenMoments(t *testing.T) {
	t.Parallel()
	for written, want := range map[string]string{
		"24h":                                 "2026-03-08 10:00 +0530",
		"-24h":                                "2026-03-08 10:00 +0530",
		"- 24h":                               "2026-03-08 10:00 +0530",
		"+2h":                                 "2026-03-09 13:00 +0530",
		"1d12h":                               "2026-03-07 22:00 +0530",
		"1d 12h before":                       "2026-03-07 22:00 +0530",
		"90 minutes before":                   "2026-03-09 08:30 +0530",
		"2 Days Before The Appointment":       "2026-03-07 10:00 +0530",
		"24-hours before":                     "2026-03-08 10:00 +0530",
		"an hour after":                       "2026-03-09 12:00 +0530",
		"one day before the booking":          "2026-03-08 10:00 +0530",
		"2h after the start":                  "2026-03-09 12:00 +0530",
		"1h before it ends":                   "2026-03-09 10:00 +0530",
		"2h before appointment.endTime":       "2026-03-09 09:00 +0530",
		`duration("24h") before`:              "2026-03-08 10:00 +0530",
		"in 2h":                               "2026-03-02 14:00 +0000",
		"2h from now":                         "2026-03-02 14:00 +0000",
		"PT2H":                                "2026-03-09 08:00 +0530",
		"-P1DT30M":                            "2026-03-08 09:30 +0530",
		"9am":                                 "2026-03-09 09:00 +0530",
		"9 AM":                                "2026-03-09 09:00 +0530",
		"12am":                                "2026-03-09 00:00 +0530",
		"12pm":                                "2026-03-09 12:00 +0530",
		"9:30 p.m.":                           "2026-03-09 21:30 +0530",
		"9.30am":                              "2026-03-09 09:30 +0530",
		"09:00":                               "2026-03-09 09:00 +0530",
		"7:05:30":                             "2026-03-09 07:05 +0530",
		"9am the day before":                  "2026-03-08 09:00 +0530",
		"the day before at 6 pm":              "2026-03-08 18:00 +0530",
		"The evening before, 18:30":           "",
		"day before the appointment at 18:30": "2026-03-08 18:30 +0530",
		"tomorrow 9am":                        "2026-03-03 09:00 +0000",
		"1 month before":                      "2026-02-09 10:00 +0530",
		"a week before the start":             "2026-03-02 10:00 +0530",
		"3 working days before":               "2026-03-04 10:00 +0530",
		"2 business-days after":               "2026-03-11 11:00 +0530",
		"a year after the end":                "2027-03-09 11:00 +0530",
		"the morning before at 8am":           "2026-03-08 08:00 +0530",
		"9am 2 weeks before":                  "2026-02-23 09:00 +0530",
		"today at 17:00":                      "2026-03-02 17:00 +0000",
		"2 days before at 09:00":              "2026-03-07 09:00 +0530",
		"at 9am, 2 days before":               "",
		"9am next week":                       "",
		"on the day at 07:30":                 "2026-03-09 07:30 +0530",
		"immediately":                         "2026-03-02 12:00 +0000",
		"Right away":                          "2026-03-02 12:00 +0000",
		"9 o'clock":                           "2026-03-09 09:00 +0530",
		"2026-05-01":                          "2026-05-01 00:00 +0000",
		"2026-05-01T09:00":                    "2026-05-01 09:00 +0000",
		"2026-05-01T09:00:00+02:00":           "2026-05-01 09:00 +0200",
		"start of the appointment":            "2026-03-09 10:00 +0530",
		"the end of the appointment":          "2026-03-09 11:00 +0530",
		"appointment end time":                "2026-03-09 11:00 +0530",
		"13pm":                                "",
		"25:00":                               "",
		"P1M":                                 "",
		"0 months before breakfast":           "",
		"2026-13-01":                          "",
		"31.12.2026":                          "",
		"1/2/26":                              "",
		"next Monday":                         "",
		"24h before the sun rises":            "",
		"1 fortnight":                         "",
		"*/5 * * * *":                         "",
		"0 9 * * MON":                         "",
		"24":                                  "",
		"1.5":                                 "",
		"appointment.startTime or 24h":        "",
		"-24h before":                         "",
		"appointment.title before start":      "",
	} {
		t.Run(written, func(t *testing.T) {
			t.Parallel()
			src := rule("then:\n- at: " + yamlQuote(written) + "\n  slack: {channel: desk, text: hi}")
			f, findings := rules.Compile("t.yaml", []byte(src), options())
			if f != nil || len(findings) == 0 {
				t.Fatalf("%v", findings)
			}
			noJargon(t, written, findings[0])
			after, ok := applied(src, findings)
			if want == "" {
				if f, _ := rules.Compile("t.yaml", []byte(after), options()); f != nil {
					t.Errorf("%s is made of what nobody can know", findings[0].Suggestion)
				}
				return
			}
			if !ok {
				t.Fatal(render(findings, src))
			}
			step := load(t, after).Match(booking(), noon)[0].Steps[0]
			if got := step.At.Format("2006-01-02 15:04 -0700"); got != want || step.Err != nil {
				t.Errorf("%s is at %s, not %s: %+v", findings[0].Suggestion, got, want, step)
			}
		})
	}
}

// Warnings about steps that wait, and how often each is expected.
func TestMomentDoubts(t *testing.T) {
	t.Parallel()
	const started = "when: appointment.startTime > now()"
	for _, c := range []struct {
		name  string
		lines []string
		at    string
		codes string
	}{
		{"before the start", []string{started}, `appointment.startTime - duration("24h")`, ""},
		{"before the start, booked", []string{"on: booked"}, `appointment.startTime - duration("24h")`, ""},
		{"at the start", []string{started}, `appointment.startTime`, "never-sent"},
		{"after the start", []string{started}, `appointment.startTime + duration("2h")`, "never-sent"},
		{"after the start, the other way round", []string{"when: now() < appointment.startTime"}, `duration("2h") + appointment.startTime`, "never-sent"},
		{"at the end", []string{started}, `appointment.endTime`, "never-sent"},
		{"after the end", []string{started}, `appointment.endTime + duration("10m")`, "never-sent"},
		{"before the end", []string{started}, `appointment.endTime - duration("10m")`, ""},
		{"one condition of several", []string{`when: appointment.title == "a" && appointment.startTime > now() && source == "b"`}, `appointment.endTime`, "never-sent"},
		{"one of two conditions", []string{`when: appointment.title == "a" || appointment.startTime > now()`}, `appointment.endTime`, ""},
		{"both of two conditions", []string{`when: appointment.startTime - now() > duration("1h") || appointment.startTime > now()`}, `appointment.endTime`, "never-sent"},
		{"booked well ahead", []string{`when: appointment.startTime - now() > duration("48h")`}, `appointment.startTime - duration("24h")`, "never-sent"},
		{"booked well ahead, by the event's time", []string{`when: appointment.startTime - receivedAt > duration("48h")`}, `appointment.startTime - duration("24h")`, ""},
		{"booked ahead, and earlier", []string{`when: appointment.startTime - now() > duration("12h")`}, `appointment.startTime - duration("24h")`, ""},
		{"with names", []string{"let: {start: appointment.startTime, open: start > now()}", "when: open"}, `start + duration("1h")`, "never-sent"},
		{"in another zone", []string{started}, `tz(appointment.endTime, "Europe/Paris")`, "never-sent"},
		{"counted from now", []string{started}, `now() + duration("2h")`, ""},
		{"counted from now, by name", []string{"let: {later: 'now() + duration(\"2h\")'}", "when: later > appointment.startTime"}, `later`, ""},
		{"a name that asks for now in something unknown", []string{"let: {day: 'date(now(), \"2006-01-02\")'}", "when: date(day) > now()"}, `date(day) + duration("1h")`, ""},
		{"no such condition", []string{`when: appointment.title == "a"`}, `appointment.endTime`, ""},
		{"no condition", nil, `appointment.endTime`, ""},
		{"a fixed day", []string{started}, `date("2030-01-01")`, ""},
		{"never true anyway", []string{`when: appointment.title == "a" && appointment.title == "b"`}, `appointment.endTime`, "never-true"},

		{"a name that only at uses", []string{"let: {start: appointment.startTime}"}, `start`, ""},
		{"a name that nothing uses", []string{"let: {start: appointment.startTime}"}, `appointment.startTime`, "unused-let"},
		{"what may be missing", nil, `previous.startTime`, "missing-value"},
		{"what may be missing, by name", []string{"let: {before: previous.startTime}"}, `before - duration("1h")`, "missing-value"},
		{"what may be missing, in a sum", nil, `date(custom.at) - duration("1h")`, "missing-value"},
		{"what may be missing, with a default", nil, `(previous.startTime ?? appointment.startTime) - duration("1h")`, ""},
		{"what the condition asks for", []string{"when: custom.at != nil"}, `date(custom.at)`, ""},
		{"what is chosen", nil, `custom.at != nil ? date(custom.at) : appointment.startTime`, ""},
		{"a comparison of what may be missing", nil, `custom.vip == true ? now() : appointment.startTime`, ""},
		{"a choice by what may be missing", nil, `custom.vip ? now() : appointment.startTime`, "missing-value"},
		{"a condition in it", nil, `appointment.title == "a" && appointment.title == "b" ? now() : appointment.startTime`, "never-true"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			src := rule(append(c.lines, "then:\n- at: "+yamlQuote(c.at)+"\n  slack: {channel: desk, text: hi}")...)
			f, findings := rules.Compile("t.yaml", []byte(src), options())
			if f == nil {
				t.Fatal(render(findings, src))
			}
			var codes []string
			for _, f := range findings {
				codes = append(codes, f.Code)
			}
			if got := strings.Join(codes, " "); got != c.codes {
				t.Errorf("%q, not %q\n%s", got, c.codes, render(findings, src))
			}
		})
	}
}

// A step with the warning never-sent is in fact never sent.
func TestNeverSentHolds(t *testing.T) {
	t.Parallel()
	for when, at := range map[string]string{
		"appointment.startTime > now()":                            "appointment.endTime",
		"now() < appointment.startTime":                            `appointment.startTime + duration("1m")`,
		`appointment.startTime - now() > duration("48h")`:          `appointment.startTime - duration("24h")`,
		`appointment.endTime > now() + duration("1h") && 1 in [1]`: `appointment.endTime`,
	} {
		set := load(t, rule("when: "+yamlQuote(when), "then:\n- at: "+yamlQuote(at)+"\n  slack: {channel: desk, text: hi}"))
		step := set.Match(booking(), noon)[0].Steps[0]
		if step.Skip != "" || step.Err != nil {
			t.Fatalf("%+v", step)
		}
		for _, late := range []time.Duration{0, time.Millisecond, time.Minute, time.Hour} {
			h := rules.Held{Rule: "test", Step: 1, Key: step.Key, Planned: noon, At: step.At}
			if due, _ := set.Due(h, booking(), step.At.Add(late)); due.Request != nil || due.Skip == "" {
				t.Errorf("%s at %s, %v later: %+v", when, at, late, due)
			}
		}
	}
}
