package engine_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bellhop/engine/record"
	"bellhop/engine/work"
)

// waitRules has a reminder that is due a day before the start.
const waitRules = `rules:
  - name: reminder
    on: booked
    then:
      - at: appointment.startTime - duration("24h")
        http: { connection: desk, path: /remind, json: { id: "{{ appointment.id }}", start: "{{ appointment.startTime }}" } }
`

func deskYAML(url string) string {
	return fmt.Sprintf("sources: { hoopai: { verify: none } }\nconnections: { desk: { url: %q } }\negress: { allow: [127.0.0.1] }\n", url)
}

// starting returns an event of an appointment that starts a day and d from now, so that its reminder is due in d.
func starting(kind, id string, d time.Duration) string {
	return fmt.Sprintf(`{"type":"Appointment%s","locationId":"l1","appointment":{"id":%q,"startTime":%q}}`,
		kind, id, time.Now().Add(24*time.Hour+d).UTC().Format(time.RFC3339Nano))
}

func cancelling(id string) string {
	return fmt.Sprintf(`{"type":"AppointmentUpdate","locationId":"l1","appointment":{"id":%q,"appointmentStatus":"cancelled"}}`, id)
}

func (s *server) accept(body string) receipt {
	s.tb.Helper()
	r := s.post(body)
	if r.Status != "accepted" {
		s.tb.Fatalf("%s: %+v", body, r)
	}
	return r
}

// one returns the appointment's only delivery.
func (s *server) one(id string) record.Delivery {
	s.tb.Helper()
	list := s.deliveries("appointment=" + id)
	if len(list) != 1 {
		s.tb.Fatalf("%d deliveries of %s: %+v", len(list), id, list)
	}
	return list[0]
}

func rendered(d record.Delivery) bool { return len(d.Request) > 0 && string(d.Request) != "null" }

// A step that waits is sent at its moment and not before, also after a restart. It is sent once.
func TestWaiting(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	came := map[string]time.Time{}
	desk := newSink(t, nil)
	desk.Config.Handler = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var body struct{ ID string }
		_ = json.NewDecoder(r.Body).Decode(&body)
		mu.Lock()
		defer mu.Unlock()
		if _, again := came[body.ID]; again {
			t.Errorf("%s came twice", body.ID)
		}
		came[body.ID] = time.Now()
	})
	arrived := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(came)
	}
	dir := t.TempDir()
	conf := setup{dir: dir, rules: map[string]string{"a.yaml": waitRules}, yaml: deskYAML(desk.URL)}
	s := start(t, conf)
	due := map[string]time.Time{}
	for i := range 20 {
		id := fmt.Sprintf("appt%d", i)
		s.accept(starting("Create", id, time.Duration(500+100*i)*time.Millisecond))
		due[id] = s.one(id).Due
	}
	s.accept(starting("Create", "scheduled", 8*time.Second)) // the queue schedules it, because it is due in more than 6 seconds
	due["scheduled"] = s.one("scheduled").Due
	s.accept(starting("Create", "later", time.Hour))
	until(t, "the first have come", func() bool { return arrived() > 3 })
	s.close()
	s = start(t, conf)
	until(t, "all that were due have come", func() bool { return arrived() == len(due) })
	mu.Lock()
	defer mu.Unlock()
	for id, at := range due {
		if early := at.Sub(came[id]); early > 0 {
			t.Errorf("%s came %s too early", id, early)
		}
	}
	if d := s.one("later"); d.State != record.Waiting || rendered(d) || time.Until(d.Due) < 59*time.Minute {
		t.Errorf("what is due in an hour is %+v", d)
	}
}

// A cancellation or a move that was acknowledged before an attempt began always counts (P6). The destination here takes
// one call at a time, so that many deliveries are claimed and in line when the events come.
func TestCancelledAtTheMoment(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var calls []string // the appointments
	desk := newSink(t, nil)
	desk.Config.Handler = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var body struct{ ID string }
		_ = json.NewDecoder(r.Body).Decode(&body)
		mu.Lock()
		calls = append(calls, body.ID)
		mu.Unlock()
		pause := time.NewTimer(10 * time.Millisecond) // a slow destination
		defer pause.Stop()
		<-pause.C
	})
	s := start(t, setup{
		rules: map[string]string{"a.yaml": waitRules}, yaml: deskYAML(desk.URL),
		tune: func(o *work.Options) { o.PerDestination = 1 },
	})
	const n = 90
	booked := map[string]string{}
	for i := range n {
		id := fmt.Sprintf("appt%d", i)
		body := starting("Create", id, time.Second)
		s.accept(body)
		var e struct{ Appointment struct{ StartTime string } }
		if err := json.Unmarshal([]byte(body), &e); err != nil {
			t.Fatal(err)
		}
		booked[id] = e.Appointment.StartTime
	}
	until(t, "the first have come", func() bool { mu.Lock(); defer mu.Unlock(); return len(calls) >= 3 })
	said := map[string]time.Time{} // when the cancellation or the move was acknowledged
	for i := range n {             // in the order of the line
		id := fmt.Sprintf("appt%d", i)
		if i%2 == 0 {
			s.accept(cancelling(id))
		} else {
			s.accept(starting("Update", id, 48*time.Hour))
		}
		said[id] = time.Now()
	}
	until(t, "nothing is under way", func() bool {
		for _, d := range s.deliveries("") {
			switch {
			case d.State == record.Pending, d.State == record.Sending, d.State == record.Retrying:
				return false
			case strings.Contains(d.Reason, "while this was being sent") && len(d.Attempts) == 0:
				return false
			}
		}
		return true
	})
	mu.Lock()
	defer mu.Unlock()
	sent := map[string]bool{}
	for _, id := range calls {
		sent[id] = true
	}
	waiting := 0
	for i := range n {
		id := fmt.Sprintf("appt%d", i)
		states := map[record.State]int{}
		for _, d := range s.deliveries("appointment=" + id) {
			states[d.State]++
			if d.State == record.Waiting && time.Until(d.Due) < 47*time.Hour {
				t.Errorf("%s waits until %s", id, d.Due)
			}
			for _, a := range d.Attempts {
				if late := a.At.Sub(said[id]); late > 0 {
					t.Errorf("an attempt for %s began %s after its cancellation or move was acknowledged", id, late)
				}
			}
		}
		waiting += states[record.Waiting]
		moved := i%2 == 1
		switch {
		case sent[id] && states[record.Sent] != 1, !sent[id] && states[record.Sent] != 0:
			t.Errorf("%s: sent is %v, recorded as %v", id, sent[id], states)
		case !moved && !sent[id] && states[record.Cancelled] != 1:
			t.Errorf("%s was cancelled, and is recorded as %v", id, states)
		case moved && !sent[id] && states[record.Waiting] != 1:
			t.Errorf("%s was moved, and is recorded as %v", id, states)
		}
	}
	if len(sent) == n || waiting == 0 {
		t.Errorf("%d of %d were sent, %d wait: the test did not meet the moment", len(sent), n, waiting)
	}
	t.Logf("%d of %d had been sent when their cancellation or move was acknowledged; %d wait for another day", len(sent), n, waiting)
}

// If the appointment is cancelled or moved while an attempt is under way, the delivery's row says so, and there is no
// other attempt.
func TestCancelledUnderWay(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		event  func(id string) string
		answer int
		want   map[record.State]string
	}{
		"cancelled and sent": {cancelling, 200, map[record.State]string{record.Sent: "the appointment was cancelled while this was being sent"}},
		"cancelled and not":  {cancelling, 503, map[record.State]string{record.Cancelled: "the appointment was cancelled while this was being sent"}},
		"moved and sent": {
			func(id string) string { return starting("Update", id, 48*time.Hour) }, 200,
			map[record.State]string{record.Sent: "the appointment was moved while this was being sent", record.Waiting: ""},
		},
		"moved and not": {
			func(id string) string { return starting("Update", id, 48*time.Hour) }, 503,
			map[record.State]string{record.Cancelled: "the appointment was moved while this was being sent", record.Waiting: ""},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			came, answer := make(chan struct{}, 10), make(chan struct{})
			desk := newSink(t, func(w http.ResponseWriter, _ *http.Request) {
				came <- struct{}{}
				<-answer
				w.WriteHeader(tt.answer)
			})
			s := start(t, setup{
				rules: map[string]string{"a.yaml": waitRules}, yaml: deskYAML(desk.URL),
				tune: func(o *work.Options) { o.Backoff = 10 * time.Millisecond },
			})
			s.accept(starting("Create", "a1", 0))
			<-came
			s.accept(tt.event("a1"))
			close(answer)
			recorded := func() map[record.State]record.Delivery {
				out := map[record.State]record.Delivery{}
				for _, d := range s.deliveries("appointment=a1") {
					out[d.State] = d
				}
				return out
			}
			until(t, "the attempt is recorded", func() bool {
				for state, d := range recorded() {
					if state != record.Waiting && len(d.Attempts) == 1 {
						return true
					}
				}
				return false
			})
			got := recorded()
			if len(got) != len(tt.want) {
				t.Errorf("recorded %+v", got)
			}
			keys := map[string]bool{}
			for state, reason := range tt.want {
				d, ok := got[state]
				if !ok || d.Reason != reason || keys[d.ID] {
					t.Errorf("%s: %+v, want the reason %q", state, d, reason)
				}
				keys[d.ID] = true
			}
			if d, ok := got[record.Waiting]; ok && (rendered(d) || len(d.Attempts) > 0 || time.Until(d.Due) < 47*time.Hour) {
				t.Errorf("what waits is %+v", d)
			}
			if n := desk.count(); n != 1 {
				t.Errorf("the destination was called %d times", n)
			}
		})
	}
}

// A delivery that failed and waits for its next attempt follows its appointment. So does one that an operator retries.
func TestCancelledBetweenAttempts(t *testing.T) {
	t.Parallel()
	var works atomic.Bool
	desk := newSink(t, func(w http.ResponseWriter, _ *http.Request) {
		if !works.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	s := start(t, setup{
		rules: map[string]string{"a.yaml": waitRules}, yaml: deskYAML(desk.URL),
		tune: func(o *work.Options) { o.Backoff, o.MaxBackoff, o.Breaker.Failures = 4*time.Hour, 4*time.Hour, 1000 },
	})
	retry := func(id string, code int) {
		t.Helper()
		resp, err := http.Post(s.e.AdminURL()+"/api/v1/deliveries/"+id+"/retry", "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != code {
			t.Errorf("retry of %s: %s", id, resp.Status)
		}
	}
	tried := func(id string) record.Delivery {
		t.Helper()
		s.accept(starting("Create", id, 0))
		until(t, id+" was tried", func() bool { return len(s.one(id).Attempts) == 1 })
		return s.one(id)
	}
	// The next attempt would be in two hours or more, and the reminder can be only one hour late.
	if d := tried("late"); d.State != record.Dead || !strings.HasPrefix(d.Reason, "too late for another attempt: ") {
		t.Errorf("what would be tried again too late is %s: %s", d.State, d.Reason)
	}
	dead := tried("dead")
	s.accept(cancelling("dead"))
	works.Store(true)
	retry(dead.ID, http.StatusOK)
	until(t, "the operator's attempt is decided", func() bool { return s.one("dead").State == record.Cancelled })
	if d := s.one("dead"); d.Reason != "the appointment was cancelled" || len(d.Attempts) != 1 {
		t.Errorf("the delivery of a cancelled appointment is %+v", d)
	}
	// The appointment takes place, so a retry sends its reminder, however late it is.
	retry(s.one("late").ID, http.StatusOK)
	until(t, "what the operator wants is sent", func() bool { return s.one("late").State == record.Sent })

	s.accept(starting("Create", "waits", time.Hour))
	resp, err := http.Post(s.e.AdminURL()+"/api/v1/deliveries/"+s.one("waits").ID+"/cancel", "application/json", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	s.accept(starting("Update", "waits", 2*time.Hour))
	if d := s.one("waits"); d.State != record.Cancelled {
		t.Errorf("what an operator cancelled is %s", d.State)
	}
	retry(s.one("waits").ID, http.StatusOK)
	until(t, "what an operator wants again waits", func() bool { return s.one("waits").State == record.Waiting })
	if d := s.one("waits"); time.Until(d.Due) < 110*time.Minute {
		t.Errorf("it waits until %s", d.Due)
	}
}

// If an appointment moves, a delivery of it that failed is cancelled. Another one, with an id of its own, replaces it.
func TestMovedBetweenAttempts(t *testing.T) {
	t.Parallel()
	desk := newSink(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	s := start(t, setup{
		rules: map[string]string{"a.yaml": strings.Replace(waitRules, "        http:", "        late: 3h\n        http:", 1)}, yaml: deskYAML(desk.URL),
		tune: func(o *work.Options) { o.Backoff, o.MaxBackoff = time.Hour, time.Hour },
	})
	for _, id := range []string{"moved", "cancelled"} {
		s.accept(starting("Create", id, 0))
		until(t, id+" was tried", func() bool { return s.one(id).State == record.Retrying })
	}
	first := s.one("moved")
	s.accept(starting("Update", "moved", 48*time.Hour))
	list := s.deliveries("appointment=moved")
	if len(list) != 2 || list[0].State != record.Waiting || list[1].State != record.Cancelled || list[1].Reason != "the appointment was moved" ||
		list[1].ID != first.ID || rendered(list[0]) || len(list[0].Attempts) > 0 {
		t.Errorf("after the move: %+v", list)
	}
	s.accept(starting("Update", "moved", 72*time.Hour))
	if list := s.deliveries("appointment=moved"); len(list) != 2 || time.Until(list[0].Due) < 71*time.Hour {
		t.Errorf("after another move: %+v", list)
	}
	s.accept(cancelling("cancelled"))
	if d := s.one("cancelled"); d.State != record.Cancelled || d.Reason != "the appointment was cancelled" {
		t.Errorf("after the cancellation: %+v", d)
	}
}

// A step with `late: send` has the usual time for its attempts, counted from the first one.
func TestLateIsTriedAgain(t *testing.T) {
	t.Parallel()
	desk := newSink(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	s := start(t, setup{
		rules: map[string]string{"a.yaml": strings.Replace(waitRules, "        http:", "        late: send\n        http:", 1)}, yaml: deskYAML(desk.URL),
		tune: func(o *work.Options) { o.Backoff, o.MaxBackoff, o.MaxAge = 10*time.Minute, 10*time.Minute, time.Hour },
	})
	s.accept(starting("Create", "a1", -5*time.Hour))
	until(t, "it was tried", func() bool { return len(s.one("a1").Attempts) == 1 })
	if d := s.one("a1"); d.State != record.Retrying {
		t.Errorf("what is five hours late is %s after one attempt: %s", d.State, d.Reason)
	}
}

// If a delivery failed and was then cancelled with its appointment, another one waits when the appointment takes place
// after all.
func TestTakenBackBetweenAttempts(t *testing.T) {
	t.Parallel()
	desk := newSink(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	s := start(t, setup{
		rules: map[string]string{"a.yaml": strings.Replace(waitRules, "        http:", "        late: 3h\n        http:", 1)}, yaml: deskYAML(desk.URL),
		tune: func(o *work.Options) { o.Backoff, o.MaxBackoff = time.Hour, time.Hour },
	})
	s.accept(starting("Create", "a1", 0))
	until(t, "it was tried", func() bool { return s.one("a1").State == record.Retrying })
	first := s.one("a1")
	s.accept(cancelling("a1"))
	s.accept(strings.Replace(starting("Update", "a1", 48*time.Hour), `"startTime"`, `"appointmentStatus":"confirmed","startTime"`, 1))
	list := s.deliveries("appointment=a1")
	if len(list) != 2 || list[1].ID != first.ID || list[1].State != record.Cancelled || list[1].Reason != "the appointment was cancelled" ||
		list[0].State != record.Waiting || time.Until(list[0].Due) < 47*time.Hour || rendered(list[0]) {
		t.Errorf("recorded: %+v", list)
	}
}

// An operator can retry a delivery that was too late. But a retry never makes a second delivery of a step that waits.
func TestOperatorRetries(t *testing.T) {
	t.Parallel()
	desk := newSink(t, nil)
	s := start(t, setup{rules: map[string]string{"a.yaml": strings.Replace(waitRules, "on: booked", "on: [booked, rescheduled]", 1)}, yaml: deskYAML(desk.URL)})
	retry := func(id string) (int, string) {
		t.Helper()
		return s.call("POST", "/api/v1/deliveries/"+id+"/retry", nil)
	}
	s.accept(starting("Create", "late", -3*time.Hour))
	if d := s.one("late"); d.State != record.Skipped {
		t.Fatalf("what is too late is %s", d.State)
	}
	if code, body := retry(s.one("late").ID); code != http.StatusOK {
		t.Fatal(code, body)
	}
	until(t, "what was too late is sent, as the operator wants", func() bool { return s.one("late").State == record.Sent })

	s.accept(starting("Create", "moved", time.Hour))
	first := s.one("moved")
	s.accept(starting("Update", "moved", 2*time.Hour))
	if code, body := retry(first.ID); code != http.StatusConflict || !strings.Contains(body, "of the same step is waiting") {
		t.Errorf("retrying what another has taken the place of: %d %s", code, body)
	}
	waiting := 0
	for _, d := range s.deliveries("appointment=moved") {
		if d.State == record.Waiting {
			waiting++
		}
	}
	if n := desk.count(); waiting != 1 || n != 1 {
		t.Errorf("%d wait, and %d were sent", waiting, n)
	}
}
