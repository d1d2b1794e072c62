package engine_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"bellhop/engine/record"
)

// An appointment can be over when it is first seen, for example in an import of old bookings. Its messages are not
// sent, not even after a later event or a retry. Its calls are sent, and so are messages with `late: send`. If it is
// moved to the future, it is like any other appointment.
func TestOverWhenFirstSeen(t *testing.T) {
	t.Parallel()
	posts, calls := newSink(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) }), newSink(t, nil)
	s := start(t, setup{
		yaml: sourceNone + fmt.Sprintf("connections:\n  slack: { webhook: %q }\n  crm: { url: %q }\negress: { allow: [127.0.0.1] }\n", posts.URL, calls.URL),
		rules: map[string]string{"r.yaml": `rules:
  - name: all
    on: [booked, showed, rescheduled]
    then:
      - slack: { text: "plain {{ appointment.title }}" }
      - http: { connection: crm, path: /x, json: { id: "{{ appointment.id }}" } }
      - late: send
        slack: { text: "anyway {{ appointment.title }}" }
      - late: skip
        slack: { text: "skip {{ appointment.title }}" }
      - at: appointment.endTime + duration("700000h")
        slack: { text: "later {{ appointment.title }}" }
`},
	})
	event := func(kind, status, start, updated string) string {
		return fmt.Sprintf(`{"type":"Appointment%s","appointment":{"id":"old","title":"T","appointmentStatus":%q,"startTime":"%s-12-07T10:00:00Z","endTime":"%[3]s-12-07T11:00:00Z","dateUpdated":%q}}`,
			kind, status, start, updated)
	}
	what := func(r receipt) string {
		t.Helper()
		var list []string
		until(t, "all is decided", func() bool {
			list = list[:0]
			open := false
			for _, d := range s.deliveries("event=" + r.Event) {
				open = open || d.State == record.Pending || d.State == record.Sending || d.State == record.Retrying
				text := string(d.State)
				if strings.Contains(d.Reason, "over when it was first seen") {
					text += " over"
				}
				list = append(list, fmt.Sprintf("%d %s", d.Step, text))
			}
			return !open && len(list) == 5
		})
		slices.Sort(list)
		return strings.Join(list, ", ")
	}
	const over = "1 skipped over, 2 sent, 3 sent, 4 skipped over, 5 skipped over"
	first := s.post(event("Create", "confirmed", "2020", "2020-12-01T09:00:00Z"))
	if got := what(first); got != over {
		t.Errorf("first seen: %s", got)
	}
	for _, question := range []string{`{"event":"` + first.Event + `"}`, `{"payload":` + strings.Replace(event("Create", "confirmed", "2020", "2020-12-01T09:00:00Z"), `"old"`, `"other"`, 1) + `}`} {
		_, a, body := s.ask(question)
		if len(a.Rules) != 1 || len(a.Rules[0].Steps) != 5 {
			t.Fatal(body)
		}
		var skipped []int
		for _, step := range a.Rules[0].Steps {
			if strings.Contains(step.Skip, "over when it was first seen") {
				skipped = append(skipped, step.Step)
			}
		}
		if !slices.Equal(skipped, []int{1, 4, 5}) {
			t.Errorf("explained, of %s the steps %v are skipped", question, skipped)
		}
	}
	if got := what(s.post(event("Update", "showed", "2020", "2020-12-08T09:00:00Z"))); got != over {
		t.Errorf("later: %s", got)
	}
	if got := what(s.post(event("Update", "showed", "2021", "2020-12-09T09:00:00Z"))); got != over {
		t.Errorf("moved within the past: %s", got)
	}
	for _, d := range s.deliveries("event=" + first.Event) {
		if d.Step != 1 {
			continue
		}
		resp, err := http.Post(s.e.AdminURL()+"/api/v1/deliveries/"+d.ID+"/retry", "", nil)
		if err != nil {
			t.Fatal(err)
		}
		var said struct{ Error string }
		if err := json.NewDecoder(resp.Body).Decode(&said); err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusConflict || !strings.Contains(said.Error, "over when it was first seen") {
			t.Errorf("a retry: %s %s", resp.Status, said.Error)
		}
	}
	if got := what(s.post(event("Update", "showed", "2099", "2020-12-10T09:00:00Z"))); got != "1 sent, 2 sent, 3 sent, 4 sent, 5 waiting" {
		t.Errorf("moved ahead: %s", got)
	}
	if got := calls.count(); got != 4 {
		t.Errorf("%d calls", got)
	}
}
