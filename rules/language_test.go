package rules

import (
	"testing"
	"time"
)

func TestLanguages(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 4, 15, 4, 5, 0, time.UTC)
	for language, want := range map[string]string{
		"":      "Wednesday 4 March 2026 15:04 (Wed, Mar)",
		"en":    "Wednesday 4 March 2026 15:04 (Wed, Mar)",
		"de":    "Mittwoch 4 März 2026 15:04 (Mi, Mär)",
		"de-AT": "Mittwoch 4 März 2026 15:04 (Mi, Mär)",
		"FR":    "mercredi 4 mars 2026 15:04 (mer., mars)",
		"es_MX": "miércoles 4 marzo 2026 15:04 (mié, mar)",
		"it":    "mercoledì 4 marzo 2026 15:04 (mer, mar)",
		"nl":    "woensdag 4 maart 2026 15:04 (wo, mrt)",
		"pt-BR": "quarta-feira 4 março 2026 15:04 (qua., mar.)",
	} {
		f, findings := Compile("t.yaml", []byte("rules: [{name: a, on: booked, let: {s: 'date(appointment.startTime, \"Monday 2 January 2006 15:04 (Mon, Jan)\")'}, when: s != '', then: [{slack: {channel: a, text: b}}]}]"),
			Options{Connections: map[string]string{"slack": "slack"}, Language: language})
		if f == nil {
			t.Fatal(findings)
		}
		r := newRun(starting(at), at)
		r.start(f.Rules[0])
		if got, err := r.let(0); got != want || err != nil {
			t.Errorf("%s: %v, %v, not %s", language, got, err, want)
		}
	}
	if !KnownLanguage("de-DE") || KnownLanguage("xx") || KnownLanguage("") {
		t.Error("languages are known by their first part")
	}
}

// No name is missing or stands twice, and all that is no name prints as it does in English.
func FuzzLanguage(f *testing.F) {
	for _, layout := range []string{"", "Monday, 2. January 2006", "Mon Jan _2 15:04:05.000 MST", "Money 2 Janus", "MonJan02Monday", "Jan", "3:04PM -07:00"} {
		f.Add(layout, int64(1772636645))
	}
	same := &language{}
	for i := range 12 {
		same.months[i], same.shortMonths[i] = time.Month(i+1).String(), time.Month(i + 1).String()[:3]
	}
	for i := range 7 {
		same.days[i], same.shortDays[i] = time.Weekday(i).String(), time.Weekday(i).String()[:3]
	}
	for name, l := range languages {
		if l == nil {
			continue
		}
		for _, list := range [][]string{l.months[:], l.shortMonths[:], l.days[:], l.shortDays[:]} {
			seen := map[string]bool{}
			for _, word := range list {
				if word == "" || seen[word] {
					f.Errorf("%s: %q", name, word)
				}
				seen[word] = true
			}
		}
	}
	f.Fuzz(func(t *testing.T, layout string, seconds int64) {
		at := time.Unix(seconds%253402300799, 0).UTC()
		if got, want := same.format(at, layout), at.Format(layout); got != want {
			t.Errorf("%q prints %q, not %q", layout, got, want)
		}
	})
}
