package engine_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bellhop/engine/explain"
	"bellhop/rules"
)

const deskRule = `rules:
- name: desk
  on: booked
  when: appointment.calendarId == "%s"
  mode: shadow
  then:
  - http: { url: "http://example.com/desk", json: { title: "{{ appointment.title }}" } }
`

// ask posts a question to the API and returns the answer. a is zero if code is not 200.
func (s *server) ask(question string) (code int, a explain.Answer, body string) {
	s.tb.Helper()
	resp, err := http.Post(s.e.AdminURL()+"/api/v1/explain", "application/json", strings.NewReader(question))
	if err != nil {
		s.tb.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		s.tb.Fatal(err)
	}
	if resp.StatusCode == http.StatusOK {
		if err := json.Unmarshal(data, &a); err != nil {
			s.tb.Fatal(err)
		}
	}
	return resp.StatusCode, a, string(data)
}

func TestExplainRecordedEvent(t *testing.T) {
	t.Parallel()
	s := start(t, setup{rules: map[string]string{"desk.yaml": strings.ReplaceAll(deskRule, "%s", "cal1")}, yaml: "sources:\n  hoopai: { verify: none }\n"})
	booked := s.post(`{"type":"AppointmentCreate","locationId":"l1","appointment":{"id":"a1","title":"Tea","calendarId":"cal2"}}`)
	ignored := s.post(`{"type":"INSTALL"}`)

	code, a, _ := s.ask(`{"event":"` + booked.Event + `"}`)
	if code != http.StatusOK || a.Versions != explain.Present || a.Note != "" || len(a.Rules) != 1 || a.Rules[0].Outcome != rules.NotTrue ||
		a.Rules[0].Reason != `appointment.calendarId == "cal1" is false (appointment.calendarId is "cal2")` || !slices.Contains(a.On, "booked") {
		t.Fatalf("%d %+v", code, a)
	}

	// The rule changes so that it would fire now. The answer is still about the rule as it was at the event.
	writeFile(t, filepath.Join(s.cfg.Rules, "desk.yaml"), strings.ReplaceAll(deskRule, "%s", "cal2"))
	writeFile(t, filepath.Join(s.cfg.Rules, "more.yaml"), strings.ReplaceAll(strings.ReplaceAll(deskRule, "%s", "cal2"), "name: desk", "name: more"))
	s.e.Reload()
	until(t, "the new rules", func() bool { return len(s.e.Rules()) == 2 })
	_, a, _ = s.ask(`{"event":"` + booked.Event + `"}`)
	if a.Versions != explain.Recorded || a.Note != "" || len(a.Rules) != 1 || a.Rules[0].Outcome != rules.NotTrue {
		t.Fatalf("%+v", a)
	}
	_, a, _ = s.ask(`{"payload":{"type":"AppointmentCreate","appointment":{"id":"a1","title":"Tea","calendarId":"cal2"}},"rule":"desk"}`)
	if a.Versions != explain.Present || len(a.Rules) != 1 || a.Rules[0].Outcome != rules.Fired || !a.Rules[0].Shadow ||
		len(a.Rules[0].Steps) != 1 || !strings.Contains(string(a.Rules[0].Steps[0].Request), "Tea") {
		t.Fatalf("%+v", a)
	}
	if _, a, _ = s.ask(`{"event":"` + ignored.Event + `"}`); a.Status != "ignored" || len(a.Rules) != 0 {
		t.Errorf("%+v", a)
	}

	// After a restart, the rules that were in force are still known.
	dir := filepath.Dir(s.cfg.Path)
	s.close()
	again := start(t, setup{dir: dir, yaml: "sources:\n  hoopai: { verify: none }\n"})
	if _, a, _ = again.ask(`{"event":"` + booked.Event + `"}`); a.Versions != explain.Recorded || len(a.Rules) != 1 || a.Rules[0].Outcome != rules.NotTrue {
		t.Errorf("%+v", a)
	}
}

func TestExplainWaitingSteps(t *testing.T) {
	t.Parallel()
	s := start(t, setup{rules: map[string]string{"remind.yaml": `rules:
- name: remind
  on: booked
  when: appointment.startTime > now()
  timezone: Europe/Berlin
  then:
  - at: appointment.startTime - duration("24h")
    http: { url: "http://example.com/remind", json: { title: "{{ appointment.title }}" } }
  - at: appointment.startTime
    http: { url: "http://example.com/remind" }
  - at: appointment.endTime
    http: { url: "http://example.com/remind" }
`}})
	code, a, body := s.ask(`{"payload":{"type":"AppointmentCreate","appointment":{"id":"a1","title":"Tea","startTime":"2026-05-01T10:00:00Z"}},"now":"2026-04-01T00:00:00Z"}`)
	if code != http.StatusOK || len(a.Rules) != 1 || len(a.Rules[0].Steps) != 3 {
		t.Fatalf("%d %s", code, body)
	}
	first, second, third := a.Rules[0].Steps[0], a.Rules[0].Steps[1], a.Rules[0].Steps[2]
	if first.At.Format(time.RFC3339) != "2026-04-30T12:00:00+02:00" || first.Then != "" || !strings.Contains(string(first.Request), "Tea") || first.Moment.Value != "2026-04-30T10:00:00Z" {
		t.Errorf("%s", body)
	}
	if second.Then != "the condition is no longer true" || second.Request != nil || second.At.IsZero() {
		t.Errorf("%+v", second)
	}
	if !strings.HasPrefix(third.Skip, "there is no time to count from") || !third.At.IsZero() || !third.Moment.Missing || !third.Moment.Cause {
		t.Errorf("%+v", third)
	}
	// If its moment has passed, a step is too late and is not rendered.
	_, a, _ = s.ask(`{"payload":{"type":"AppointmentCreate","appointment":{"id":"a1","startTime":"2026-05-01T10:00:00Z"}},"now":"2026-04-30T12:00:00Z"}`)
	if late := a.Rules[0].Steps[0]; !strings.HasPrefix(late.Skip, "too late: ") || late.Request != nil || late.At.IsZero() {
		t.Errorf("%+v", late)
	}
}

func TestExplainWithStateBefore(t *testing.T) {
	t.Parallel()
	s := start(t, setup{rules: map[string]string{"moved.yaml": strings.ReplaceAll(strings.ReplaceAll(deskRule, "%s", "cal1"), "on: booked", "on: [rescheduled, confirmed]")}})
	payload := `{"type":"AppointmentUpdate","appointment":{"id":"a1","calendarId":"cal1","appointmentStatus":"confirmed","startTime":"2026-05-01T10:00:00Z","dateUpdated":"2026-04-02T00:00:00Z"}}`
	for _, tt := range []struct {
		state   string
		status  string
		on      []string
		outcome rules.Outcome
	}{
		{`null`, "accepted", []string{"AppointmentUpdate", "booked", "confirmed"}, rules.Fired},
		{`{"startTime":"2026-05-01T09:00:00Z"}`, "accepted", []string{"AppointmentUpdate", "rescheduled"}, rules.Fired},
		{`{"title":"Tea"}`, "accepted", []string{"AppointmentUpdate"}, rules.OtherEvent},
		{`{"appointmentStatus":"new","calendarId":""}`, "accepted", []string{"AppointmentUpdate", "confirmed", "updated"}, rules.Fired},
		{`{"type":"AppointmentCreate","appointment":{"id":"other","appointmentStatus":"new","startTime":"2026-05-01T10:00:00Z"}}`, "accepted", []string{"AppointmentUpdate", "confirmed", "updated"}, rules.Fired},
		{`{"dateUpdated":"2026-04-03T00:00:00Z"}`, "stale", []string{}, ""},
		{`{"deleted":true,"dateUpdated":"2026-04-03T00:00:00Z"}`, "stale", []string{}, ""},
	} {
		code, a, body := s.ask(`{"payload":` + payload + `,"state":` + tt.state + `}`)
		if code != http.StatusOK || string(a.Status) != tt.status || !slices.Equal(a.On, tt.on) || (len(a.Rules) == 1) != (tt.outcome != "") ||
			len(a.Rules) == 1 && a.Rules[0].Outcome != tt.outcome {
			t.Errorf("after %s: %d %s", tt.state, code, body)
		}
	}
}

func TestExplainRefusals(t *testing.T) {
	t.Parallel()
	s := start(t, setup{rules: map[string]string{"desk.yaml": strings.ReplaceAll(deskRule, "%s", "cal1")}})
	appointment := `"payload":{"type":"AppointmentCreate","appointment":{"id":"a1"}}`
	for _, tt := range []struct {
		question string
		code     int
		want     string
	}{
		{`{}`, 400, `one of \"event\" and \"payload\" is needed`},
		{`{"event":"x",` + appointment + `}`, 400, `one of \"event\" and \"payload\" is needed`},
		{`nonsense`, 400, "the question is a JSON object"},
		{`{"evnt":"x"}`, 400, "the question is a JSON object"},
		{`{"event":"x"}`, 404, `event \"x\": not found`},
		{`{"payload":[1]}`, 400, "the event: the body is not a JSON object"},
		{`{` + appointment + `,"rule":"dsk"}`, 400, `there is no rule \"dsk\" among the 1`},
		{`{` + appointment + `,"state":[]}`, 400, "the state before is not a JSON object"},
		{`{` + appointment + `,"state":{"startTime":"soon"}}`, 400, "the state before: this cannot be read as an appointment's startTime"},
		{`{` + appointment + `,"state":{"deleted":"yes"}}`, 400, "the state before: this cannot be read as an appointment's deleted"},
		{`{` + appointment + `,"state":{"title":` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + `}}`, 400, "the state before: the body is nested more than 64 levels deep"},
		{`{` + appointment + `,"state":{"type":"INSTALL"}}`, 400, "the state before names no appointment"},
		{`{"payload":{"type":"AppointmentCreate"},"state":{}}`, 400, "the event names no appointment"},
		{`{"payload":{"a":"` + strings.Repeat("x", 3<<20) + `"}}`, 400, "larger than 3 MiB"},
	} {
		if code, _, body := s.ask(tt.question); code != tt.code || !strings.Contains(body, tt.want) {
			t.Errorf("%.80s: %d %s, want %d with %s", tt.question, code, body, tt.code, tt.want)
		}
	}
	var description map[string]any
	s.get("/api/v1/openapi.json", &description)
	data, err := json.Marshal(description)
	if err != nil || !bytes.Contains(data, []byte(`"requestBody"`)) || !bytes.Contains(data, []byte("/api/v1/explain")) {
		t.Errorf("the API's description lacks explain: %v", err)
	}
}
