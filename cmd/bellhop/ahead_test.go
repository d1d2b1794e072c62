package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"bellhop/cmd/bellhop/ruletest"
	"bellhop/engine/payload"
	"bellhop/rules"
)

// TestStarterAtAnyTime checks that what init writes works on any day: its appointment is in the future, and its tests
// pass.
func TestStarterAtAnyTime(t *testing.T) {
	t.Parallel()
	for _, day := range []string{"2026-11-21", "2026-12-06", "2027-03-29", "2034-06-01"} {
		now, err := time.Parse(time.DateOnly, day)
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		for _, f := range starter(now) {
			if _, err := writeNew(filepath.Join(dir, filepath.FromSlash(f.path)), f.data); err != nil {
				t.Fatal(err)
			}
		}
		event, err := os.ReadFile(filepath.Join(dir, sampleEvent))
		if err != nil {
			t.Fatal(err)
		}
		ev, err := payload.Normalise("hoopai", event, now, time.UTC)
		if err != nil || ev.Appointment.EndsBefore(now) || ev.Appointment.StartTime.Sub(now) > 18*24*time.Hour || ev.Appointment.DateUpdated.After(now) {
			t.Errorf("on %s the appointment is at %v (%v)", day, ev.Appointment.StartTime, err)
		}
		o := ruletest.Options{Rules: rules.Options{Connections: map[string]string{"mail": "email"}}}
		result := ruletest.New(o).Run(filepath.Join(dir, "rules", "new-booking.test.yaml"))
		for _, test := range result.Tests {
			if test.Status != ruletest.Passed {
				t.Errorf("on %s: %s: %s %v", day, test.Name, test.Status, test.Differences)
			}
		}
		if len(result.Findings) > 0 || len(result.Tests) == 0 {
			t.Errorf("on %s: %v", day, result.Findings)
		}
	}
}

// TestLifted checks that an appointment that is over is moved into the future, to the same day of the week, and that any
// other event stays as it is.
func TestLifted(t *testing.T) {
	t.Parallel()
	now := time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)
	event := []byte(`{"type":"AppointmentCreate","appointment":{"id":"a","startTime":"2026-12-07T10:00:00Z","endTime":"2026-12-07T11:00:00Z"}}`)
	body, days := lifted("hoopai", event, time.UTC, now)
	if want := `{"type":"AppointmentCreate","appointment":{"id":"a","startTime":"2027-03-08T10:00:00Z","endTime":"2027-03-08T11:00:00Z"}}`; string(body) != want || days != 91 {
		t.Errorf("after %d days: %s", days, body)
	}
	if again, days := lifted("hoopai", body, time.UTC, now); days != 0 || string(again) != string(body) {
		t.Errorf("what lies ahead is moved: %s", again)
	}
	for _, same := range []string{`{"type":"INSTALL"}`, `[]`, `{"type":"AppointmentCreate","appointment":{"id":"a"}}`} {
		if got, days := lifted("hoopai", []byte(same), time.UTC, now); days != 0 || string(got) != same {
			t.Errorf("%s became %s", same, got)
		}
	}
}
