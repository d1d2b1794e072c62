package engine_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bellhop/engine/record"
	"bellhop/engine/store"
	"bellhop/engine/work"
)

// tellOf returns an update of appointment A1, which starts on a day of December 2099. minute is for dateUpdated.
func tellOf(status string, day, minute int) string {
	return fmt.Sprintf(`{"type":"AppointmentUpdate","locationId":"L","appointment":{"id":"A1","title":"t","appointmentStatus":%q,`+
		`"startTime":"2099-12-%02dT10:00:00Z","endTime":"2099-12-%02dT11:00:00Z","dateUpdated":"2026-11-20T09:%02d:00Z"}}`, status, day, day, minute)
}

// A desk is an engine with one destination, for calls and for messages, which can be down.
type desk struct {
	*server
	down atomic.Bool
	mu   sync.Mutex
	told []string // the bodies that the destination accepted
	keys []string // the idempotency key of each request, also while it was down
}

func newDesk(t *testing.T, text string) *desk {
	t.Helper()
	d := new(desk)
	sk := newSink(t, nil)
	sk.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.keys = append(d.keys, r.Header.Get("Idempotency-Key")); d.down.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		d.told = append(d.told, string(body))
		_, _ = io.WriteString(w, "ok")
	})
	d.server = start(t, setup{
		rules: map[string]string{"r.yaml": text},
		yaml:  sourceNone + fmt.Sprintf("egress: { allow: [127.0.0.1] }\nconnections:\n  crm: { url: %q }\n  chat: { webhook: %q }\n", sk.URL, sk.URL),
		tune: func(o *work.Options) {
			o.Backoff, o.MaxBackoff, o.Breaker.Failures = 300*time.Millisecond, 300*time.Millisecond, 1000
		},
	})
	return d
}

func (d *desk) heard() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.told)
}

// ended waits until no delivery is pending, being sent or retrying, and returns the accepted bodies.
func (d *desk) ended() []string {
	until(d.tb, "all has ended", func() bool {
		list := d.deliveries("")
		return len(list) > 0 && !slices.ContainsFunc(list, func(d record.Delivery) bool {
			return d.State == record.Pending || d.State == record.Sending || d.State == record.Retrying
		})
	})
	return d.heard()
}

func (d *desk) tried(n int) {
	until(d.tb, fmt.Sprint("tried ", n), func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return len(d.keys) >= n
	})
}

const calls = `
rules:
  - name: crm
    on: AppointmentUpdate
    then:
      - http: { connection: crm, path: /a, json: { status: "{{ appointment.appointmentStatus }}", day: "{{ appointment.startTime.Day() }}" } }
        latest: LATEST
`

// Calls of one step for one appointment are sent in the order of their events, also if the first one fails.
func TestCallsKeepTheirOrder(t *testing.T) {
	t.Parallel()
	d := newDesk(t, strings.Replace(calls, "LATEST", "false", 1))
	d.down.Store(true)
	d.post(tellOf("new", 1, 1))
	d.tried(1)
	for i := range 4 {
		d.post(tellOf("confirmed", 2+i, 2+i))
	}
	d.post(tellOf("cancelled", 5, 9))
	d.tried(2)
	d.down.Store(false)
	got := d.ended()
	want := []string{`{"day":1,"status":"new"}`, `{"day":2,"status":"confirmed"}`, `{"day":3,"status":"confirmed"}`, `{"day":4,"status":"confirmed"}`, `{"day":5,"status":"confirmed"}`, `{"day":5,"status":"cancelled"}`}
	if !slices.Equal(got, want) {
		t.Errorf("told %q", got)
	}
}

// With `latest: true`, the delivery of a later event replaces the pending one of the same step.
func TestLatestReplaces(t *testing.T) {
	t.Parallel()
	d := newDesk(t, strings.Replace(calls, "LATEST", "true", 1))
	d.down.Store(true)
	d.post(tellOf("new", 1, 1))
	d.tried(1)
	for i := range 4 {
		d.post(tellOf("confirmed", 2+i, 2+i))
	}
	d.down.Store(false)
	got := d.ended()
	if len(got) == 0 || got[len(got)-1] != `{"day":5,"status":"confirmed"}` || got[0] == `{"day":1,"status":"new"}` {
		t.Errorf("told %q", got)
	}
	for _, d := range d.deliveries("state=cancelled") {
		if !strings.Contains(d.Reason, "the rule applied again") {
			t.Errorf("cancelled: %s", d.Reason)
		}
	}
}

const posts = `
rules:
  - name: desk
    on: [booked, rescheduled]
    then:
      - slack: { text: "{{ appointment.startTime.Day() }} {{ on[0] }}" }
  - name: gone
    on: cancelled
    then:
      - slack: { text: "cancelled {{ appointment.startTime.Day() }}" }
`

// A message is not sent if its appointment was cancelled since, unless its rule is for cancelled appointments.
func TestMessageOfCancelled(t *testing.T) {
	t.Parallel()
	d := newDesk(t, posts)
	d.down.Store(true)
	booked := d.post(tellOf("confirmed", 1, 1))
	d.tried(1)
	d.post(tellOf("cancelled", 1, 2))
	d.down.Store(false)
	if got := d.ended(); !slices.Equal(got, []string{`{"text":"cancelled 1"}`}) {
		t.Errorf("told %q", got)
	}
	// A retry or a replay does not send it either.
	list := d.deliveries("rule=desk")
	if len(list) != 1 || list[0].State != record.Cancelled || list[0].Reason != "the appointment was cancelled" {
		t.Fatalf("the post of the booking: %+v", list)
	}
	for _, path := range []string{"/api/v1/deliveries/" + list[0].ID + "/retry", "/api/v1/events/" + booked.Event + "/replay"} {
		resp, err := http.Post(d.e.AdminURL()+path, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	if got := d.ended(); !slices.Equal(got, []string{`{"text":"cancelled 1"}`}) {
		t.Errorf("told after a retry and a replay %q", got)
	}
	// A message about a cancellation that was undone is not sent either.
	d.down.Store(true)
	d.post(tellOf("confirmed", 1, 3))
	n := len(d.keys)
	d.post(tellOf("cancelled", 1, 4))
	d.tried(n + 1)
	d.post(tellOf("confirmed", 1, 5))
	d.down.Store(false)
	if got := d.ended(); slices.Contains(got[1:], `{"text":"cancelled 1"}`) {
		t.Errorf("told of what was taken back: %q", got)
	}
}

// A message that is not sent yet when its appointment moves tells the new time. If it was tried, it is cancelled, and
// another message replaces it.
func TestMessageOfMoved(t *testing.T) {
	t.Parallel()
	d := newDesk(t, posts)
	d.down.Store(true)
	d.post(tellOf("confirmed", 1, 1))
	d.tried(1)
	d.post(tellOf("confirmed", 2, 2))
	d.down.Store(false)
	for _, text := range d.ended() {
		if !strings.HasPrefix(text, `{"text":"2 `) {
			t.Errorf("told of the old time: %s", text)
		}
	}
	if n := len(d.heard()); n != 2 {
		t.Errorf("told %d times", n)
	}
	var ended []string
	for _, d := range d.deliveries("state=cancelled") {
		ended = append(ended, d.Reason)
	}
	if !slices.Equal(ended, []string{"the appointment was moved"}) {
		t.Errorf("cancelled: %q", ended)
	}
}

// A message takes account of every event that was acknowledged before its attempt began. The destination here takes one
// message at a time. Two more are claimed and in line when the events come. [TestCancelledAtTheMoment] checks the same
// for steps that waited.
func TestMessageCancelledAtTheMoment(t *testing.T) {
	t.Parallel()
	held, free, claimed := make(chan struct{}), make(chan struct{}), make(chan string, 100)
	var mu sync.Mutex
	var told []string
	chat := newSink(t, nil)
	chat.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		mu.Lock()
		told = append(told, string(body))
		second := len(told) == 2
		mu.Unlock()
		if second {
			close(held)
			select {
			case <-free:
			case <-r.Context().Done():
			}
		}
		_, _ = io.WriteString(w, "ok")
	})
	s := start(t, setup{
		rules: map[string]string{"r.yaml": posts},
		yaml:  sourceNone + fmt.Sprintf("egress: { allow: [127.0.0.1] }\nconnections: { chat: { webhook: %q } }\n", chat.URL),
		tune: func(o *work.Options) {
			due := o.Due
			o.PerDestination = 1
			o.Due = func(tx *store.Tx, d *record.Delivery) error {
				claimed <- d.Appointment
				return due(tx, d)
			}
		},
	})
	of := func(id string, text string) string { return strings.Replace(text, `"A1"`, `"`+id+`"`, 1) }
	s.post(of("answered", tellOf("confirmed", 1, 1))) // only a destination that has answered can have a line
	until(t, "the first is sent", func() bool { return len(s.deliveries("state=sent")) == 1 })
	s.post(of("under way", tellOf("confirmed", 1, 1)))
	<-held
	s.post(of("cancelled", tellOf("confirmed", 1, 1)))
	s.post(of("moved", tellOf("confirmed", 1, 1)))
	patience := time.NewTimer(time.Second) // a busy machine can fail to fill the line; the result must be right then too
	defer patience.Stop()
	for line := map[string]bool{}; len(line) < 4; {
		select {
		case id := <-claimed:
			line[id] = true
			continue
		case <-patience.C:
		}
		break
	}
	s.post(of("cancelled", tellOf("cancelled", 1, 2)))
	s.post(of("moved", tellOf("confirmed", 2, 2)))
	close(free)
	until(t, "all has ended", func() bool {
		return !slices.ContainsFunc(s.deliveries(""), func(d record.Delivery) bool {
			return d.State == record.Pending || d.State == record.Sending || d.State == record.Retrying
		})
	})
	mu.Lock()
	defer mu.Unlock()
	if n := strings.Count(strings.Join(told, ""), `"text":"1 `); n != 2 {
		t.Errorf("%d posts tell of the first day, two of which were right: %q", n, told)
	}
	if list := s.deliveries("rule=desk&appointment=cancelled"); len(list) != 1 || list[0].State != record.Cancelled || list[0].Reason != "the appointment was cancelled" || len(list[0].Attempts) != 0 {
		t.Errorf("the post of the cancelled one: %+v", list)
	}
}

// If an operator retries a call after a later one was sent, it is cancelled. So an old state is never sent last.
func TestOldCallIsNotSentLast(t *testing.T) {
	t.Parallel()
	d := newDesk(t, strings.Replace(calls, "LATEST", "false", 1))
	d.down.Store(true)
	d.post(tellOf("new", 1, 1))
	d.tried(1)
	var id string
	until(t, "it is retrying", func() bool {
		list := d.deliveries("state=retrying")
		if len(list) == 1 {
			id = list[0].ID
		}
		return id != ""
	})
	act := func(what string) {
		resp, err := http.Post(d.e.AdminURL()+"/api/v1/deliveries/"+id+"/"+what, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	until(t, "it is cancelled", func() bool {
		act("cancel")
		return len(d.deliveries("state=cancelled")) == 1
	})
	d.down.Store(false)
	d.post(tellOf("confirmed", 2, 2))
	d.ended()
	act("retry")
	if got := d.ended(); !slices.Equal(got, []string{`{"day":2,"status":"confirmed"}`}) {
		t.Errorf("told %q", got)
	}
	if list := d.deliveries("state=cancelled"); len(list) != 1 || !strings.Contains(list[0].Reason, "later event") {
		t.Errorf("the old call: %+v", list)
	}
}

// A delivery that is too old before it can be tried is given up without an attempt, and its row says so.
func TestMaxAgeWithoutAttempt(t *testing.T) {
	t.Parallel()
	sk := newSink(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	s := start(t, setup{rules: map[string]string{"r.yaml": callCRM}, yaml: crm(sk.URL), tune: func(o *work.Options) {
		o.Breaker = work.Breaker{Failures: 1, Pause: 1500 * time.Millisecond}
		o.MaxAge, o.Backoff, o.MaxBackoff = time.Second, 10*time.Second, 10*time.Second
	}})
	s.post(booking(1))
	until(t, "it is paused", func() bool { return sk.count() == 1 && len(s.deliveries("state=dead")) == 1 })
	s.post(booking(2))
	until(t, "the second is given up", func() bool {
		list := s.deliveries("appointment=appt00000002")
		return len(list) == 1 && list[0].State == record.Dead && strings.HasPrefix(list[0].Reason, "given up after") && len(list[0].Attempts) == 0
	})
	if n := sk.count(); n != 1 {
		t.Errorf("%d calls", n)
	}
}

// A step that waited goes to the destination that its rule has now. A pause of the destination that the rule had before
// does not delay it.
func TestPresentDestination(t *testing.T) {
	t.Parallel()
	dead := newSink(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	well := newSink(t, nil)
	text := func(connection string) string {
		return `
rules:
  - name: now
    on: AppointmentCreate
    then: [ { http: { connection: old, path: /now } } ]
  - name: remind
    on: booked
    then: [ { at: now() + duration("3s"), http: { connection: ` + connection + `, path: /a } } ]
`
	}
	s := start(t, setup{
		rules: map[string]string{"r.yaml": text("old")},
		yaml:  sourceNone + fmt.Sprintf("egress: { allow: [127.0.0.1] }\nconnections: { old: { url: %q }, new: { url: %q } }\n", dead.URL, well.URL),
		tune:  func(o *work.Options) { o.Breaker = work.Breaker{Failures: 1, Pause: time.Hour} },
	})
	s.post(booking(1))
	until(t, "the old destination is paused", func() bool { return dead.count() == 1 })
	writeFile(t, s.cfg.Rules+"/r.yaml", text("new"))
	until(t, "the reminder comes to the new one", func() bool { return well.count() == 1 })
}
