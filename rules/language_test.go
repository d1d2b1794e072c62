package rules

import (
	"testing"
	"time"

	"bellhop/rules/lang"
)

func TestLanguages(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 4, 15, 4, 5, 0, time.UTC)
	for language, want := range map[string]string{
		"":      "Wednesday 4 March 2026 15:04 (Wed, Mar)",
		"en":    "Wednesday 4 March 2026 15:04 (Wed, Mar)",
		"de":    "Mittwoch 4 März 2026 15:04 (Mi., März)",
		"de-AT": "Mittwoch 4 März 2026 15:04 (Mi., März)",
		"FR":    "mercredi 4 mars 2026 15:04 (mer., mars)",
		"es_MX": "miércoles 4 marzo 2026 15:04 (mié., mar.)",
		"it":    "mercoledì 4 marzo 2026 15:04 (mer, mar)",
		"nl":    "woensdag 4 maart 2026 15:04 (wo, mrt.)",
		"pl":    "środa 4 marca 2026 15:04 (śr., mar)",
		"ru":    "среда 4 марта 2026 15:04 (ср, мар.)",
		"el":    "Τετάρτη 4 Μαρτίου 2026 15:04 (Τετ, Μαρ)",
		"no":    "onsdag 4 mars 2026 15:04 (ons., mar.)",
		"pt-BR": "quarta-feira 4 março 2026 15:04 (qua., mar.)",
	} {
		f, findings := Compile("t.yaml", []byte("rules: [{name: a, on: booked, let: {s: 'date(appointment.startTime, \"Monday 2 January 2006 15:04 (Mon, Jan)\")'}, when: s != '', then: [{slack: {channel: a, text: b}}]}]"),
			Options{Connections: map[string]string{"slack": "slack"}, Language: language})
		if f == nil {
			t.Fatal(findings)
		}
		r := newRun(starting(at), at)
		r.start(f.Rules[0])
		if got, err := r.LetValue(0); got != want || err != nil {
			t.Errorf("%s: %v, %v, not %s", language, got, err, want)
		}
	}
	if n := len(lang.Languages()); n < 30 {
		t.Errorf("there are %d languages", n)
	}
	if !lang.KnownLanguage("de-DE") || lang.KnownLanguage("xx") || lang.KnownLanguage("") {
		t.Error("languages are known by their first part")
	}
}
