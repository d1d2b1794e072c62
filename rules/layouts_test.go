package rules_test

import (
	"testing"

	"bellhop/rules"
)

// A layout with one part is fine, also with words next to it.
func TestPlainLayouts(t *testing.T) {
	t.Parallel()
	for _, layout := range []string{"Monday", "Mon", "Monday at 3pm", "Monday, Zimmer 15", "January", "at 15", "06"} {
		src := "rules:\n- name: a\n  on: booked\n  then: [{slack: {channel: desk, text: '{{ date(appointment.startTime, \"" + layout + "\") }}'}}]"
		_, findings := rules.Compile("t.yaml", []byte(src), rules.Options{})
		for _, f := range findings {
			if f.Code != "connection" {
				t.Errorf("%q: %v", layout, f)
			}
		}
	}
}
