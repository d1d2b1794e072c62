package engine_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"bellhop/engine/record"
	"bellhop/engine/work"
)

// A rule gone wrong on very many appointments sends as many messages as the brake allows. The rest is held and counted,
// follows its appointments, and is released or cancelled at once (P8).
func TestBrake(t *testing.T) {
	t.Parallel()
	const brake = 100
	n := 10_000
	if raceEnabled {
		n = 500
	}
	slack := newSink(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) })
	s := start(t, setup{
		rules: map[string]string{"r.yaml": `rules:
  - name: everybody
    on: [booked, rescheduled]
    then:
      - slack: { text: "{{ appointment.id }} {{ date(appointment.startTime, '2006-01-02') }}" }
`},
		yaml: sourceNone + fmt.Sprintf("connections: { slack: { webhook: %q } }\negress: { allow: [127.0.0.1] }\ndelivery: { brake: %d }\n", slack.URL+"/services/x", brake),
	})
	book := func(id, location, start string) string {
		return fmt.Sprintf(`{"type":"AppointmentCreate","locationId":%q,"appointment":{"id":%q,"startTime":%q}}`, location, id, start)
	}
	var senders sync.WaitGroup
	for w := range 20 {
		senders.Go(func() {
			for i := w; i < n; i += 20 {
				if r := s.post(book(fmt.Sprint("a", i), "l1", "2099-01-02T10:00:00Z")); r.Status != "accepted" {
					t.Errorf("%+v", r)
				}
			}
		})
	}
	senders.Wait()
	until(t, "all are decided", func() bool {
		return strings.Contains(s.metrics(), fmt.Sprintf(`bellhop_deliveries{state="held"} %d`, n-brake)) && slack.count() == brake
	})
	if got := strings.Count(s.log.String(), "the brake holds the messages"); got != 1 {
		t.Errorf("the log says it %d times", got)
	}
	// Another location is its own.
	s.accept(book("b1", "l2", "2099-01-02T10:00:00Z"))
	until(t, "another location's message is sent", func() bool { return s.one("b1").State == record.Sent })

	list := s.deliveries("state=held&limit=3")
	gone, moved, released := list[0], list[1], list[2]
	if !strings.HasPrefix(gone.Reason, "held by the brake: the rule has sent 100 messages") {
		t.Errorf("the reason is %s", gone.Reason)
	}
	s.accept(fmt.Sprintf(`{"type":"AppointmentUpdate","locationId":"l1","appointment":{"id":%q,"appointmentStatus":"cancelled"}}`, gone.Appointment))
	s.accept(fmt.Sprintf(`{"type":"AppointmentUpdate","locationId":"l1","appointment":{"id":%q,"startTime":"2099-03-04T10:00:00Z"}}`, moved.Appointment))
	for _, d := range []record.Delivery{gone, moved, released} {
		if code, body := s.call(http.MethodPost, "/api/v1/deliveries/"+d.ID+"/release", nil); code != http.StatusOK {
			t.Fatalf("%d %s", code, body)
		}
	}
	state := func(id string) (d record.Delivery) { s.get("/api/v1/deliveries/"+id, &d); return d }
	until(t, "the released ones are decided", func() bool {
		return state(gone.ID).State == record.Cancelled && state(moved.ID).State == record.Sent && state(released.ID).State == record.Sent
	})
	slack.mu.Lock()
	got := strings.Join(slack.got, "\n")
	slack.mu.Unlock()
	if strings.Contains(got, gone.Appointment+" ") || !strings.Contains(got, moved.Appointment+" 2099-03-04") || !strings.Contains(got, released.Appointment+" 2099-01-02") {
		t.Errorf("the released ones were sent wrong")
	}
	if code, _ := s.call(http.MethodPost, "/api/v1/deliveries/"+released.ID+"/release", nil); code != http.StatusConflict {
		t.Errorf("released twice: %d", code)
	}

	change := func(path string) (sum int) {
		for more := true; more; {
			code, body := s.call(http.MethodPost, path, nil)
			var answer struct {
				Changed int
				More    bool
			}
			if err := json.Unmarshal([]byte(body), &answer); err != nil || code != http.StatusOK {
				t.Fatalf("%d %s %v", code, body, err)
			}
			sum, more = sum+answer.Changed, answer.More
		}
		return sum
	}
	if sum := change("/api/v1/deliveries/cancel?rule=another"); sum != 0 {
		t.Errorf("%d of another rule were cancelled", sum)
	}
	if sum := change("/api/v1/deliveries/cancel?rule=everybody&location=l1"); sum < n-brake-4 {
		t.Errorf("%d were cancelled", sum)
	}
	if left := s.deliveries("state=held"); len(left) != 0 {
		t.Errorf("%d are still held", len(left))
	}
}

// Retries of one message count once, and calls do not count.
func TestBrakeCountsMessages(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	fails := 3
	slack := newSink(t, func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if fails--; fails >= 0 {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		_, _ = w.Write([]byte("ok"))
	})
	desk := newSink(t, nil)
	s := start(t, setup{
		rules: map[string]string{"r.yaml": `rules:
  - name: tell
    on: booked
    then:
      - slack: { text: "{{ appointment.id }}" }
      - http: { connection: desk, path: /x, json: { id: "{{ appointment.id }}" } }
`},
		yaml: sourceNone + fmt.Sprintf("connections: { slack: { webhook: %q }, desk: { url: %q } }\negress: { allow: [127.0.0.1] }\ndelivery: { brake: 2 }\n", slack.URL+"/services/x", desk.URL),
		tune: func(o *work.Options) { o.Backoff = time.Millisecond },
	})
	for _, id := range []string{"a1", "a2", "a3", "a4"} {
		s.accept(fmt.Sprintf(`{"type":"AppointmentCreate","locationId":"l1","appointment":{"id":%q,"startTime":"2099-01-02T10:00:00Z"}}`, id))
	}
	until(t, "all are decided", func() bool {
		return len(s.deliveries("state=sent")) == 4+2 && len(s.deliveries("state=held")) == 2
	})
}
