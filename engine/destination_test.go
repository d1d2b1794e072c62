package engine_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"bellhop/engine/record"
	"bellhop/engine/work"
)

func crm(url string) string {
	return sourceNone + fmt.Sprintf("egress: { allow: [127.0.0.1] }\nconnections: { crm: { url: %q } }\n", url)
}

const (
	sourceNone = "sources: { hoopai: { verify: none } }\n"
	callCRM    = `
rules:
  - name: crm
    on: AppointmentCreate
    then:
      - http: { connection: crm, path: /a, json: { id: "{{ appointment.id }}" } }
`
)

// If an answer asks for a long pause, only its own delivery waits that long. The destination is paused for a short
// time, and the API and the other deliveries say so.
func TestPauseAskedOfOneDelivery(t *testing.T) {
	t.Parallel()
	var asked atomic.Bool
	sk := newSink(t, func(w http.ResponseWriter, _ *http.Request) {
		if asked.CompareAndSwap(false, true) {
			w.Header().Set("Retry-After", "86400")
			w.WriteHeader(http.StatusTooManyRequests)
		}
	})
	s := start(t, setup{rules: map[string]string{"r.yaml": callCRM}, yaml: crm(sk.URL), tune: func(o *work.Options) {
		o.Breaker = work.Breaker{Pause: 500 * time.Millisecond, MaxPause: 1500 * time.Millisecond}
	}})
	s.post(booking(1))
	var shown struct{ Destinations []work.Destination }
	until(t, "the destination is shown as paused", func() bool {
		s.get("/api/v1/destinations", &shown)
		return len(shown.Destinations) == 1 && shown.Destinations[0].State == "paused"
	})
	if d := shown.Destinations[0]; d.Until.IsZero() || !strings.Contains(d.Reason, "429") || time.Until(d.Until) > 2*time.Second {
		t.Errorf("shown: %+v", d)
	}
	s.post(booking(2))
	list := s.deliveries("appointment=appt00000002")
	if len(list) != 1 || list[0].State != record.Sent && !strings.Contains(list[0].Reason, "is paused until") {
		t.Errorf("a delivery to a paused destination does not say so: %+v", list)
	}
	until(t, "the second is sent", func() bool {
		list := s.deliveries("appointment=appt00000002")
		return len(list) == 1 && list[0].State == record.Sent
	})
	list = s.deliveries("appointment=appt00000001")
	if d := list[0]; d.State != record.Retrying || time.Until(d.Due) < 23*time.Hour {
		t.Errorf("the first is %s and due in %s", d.State, time.Until(d.Due))
	}
}

// Deliveries that were postponed because their destination was down are sent as soon as it answers again, however long
// they were postponed.
func TestBacklogComesAtOnce(t *testing.T) {
	t.Parallel()
	var down atomic.Bool
	down.Store(true)
	sk := newSink(t, func(w http.ResponseWriter, _ *http.Request) {
		if down.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	dir := t.TempDir()
	s := start(t, setup{dir: dir, rules: map[string]string{"r.yaml": callCRM}, yaml: crm(sk.URL), tune: func(o *work.Options) {
		o.Breaker = work.Breaker{Failures: 2, Pause: time.Hour}
		o.Backoff = 100 * time.Millisecond
	}})
	for n := range 20 {
		s.post(booking(n))
	}
	until(t, "paused for an hour", func() bool {
		var shown struct{ Destinations []work.Destination }
		s.get("/api/v1/destinations", &shown)
		return len(shown.Destinations) == 1 && shown.Destinations[0].State == "paused"
	})
	s.close()
	// A new process does not know the pause, and finds the deliveries that the old one has postponed.
	down.Store(false)
	s = start(t, setup{dir: dir, rules: map[string]string{"r.yaml": callCRM}, yaml: crm(sk.URL)})
	s.post(booking(100))
	until(t, "all are sent", func() bool { return len(s.deliveries("state=sent")) == 21 })
}

// Deliveries to a destination that is paused are given up when they are too old, also if they were never tried.
func TestGivenUpWhilePaused(t *testing.T) {
	t.Parallel()
	sk := newSink(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	s := start(t, setup{rules: map[string]string{"r.yaml": callCRM}, yaml: crm(sk.URL) + "delivery: { max_age: 1s }\n", tune: func(o *work.Options) {
		o.Breaker = work.Breaker{Failures: 1, Pause: time.Hour}
	}})
	s.post(booking(1))
	until(t, "paused for an hour", func() bool {
		var shown struct{ Destinations []work.Destination }
		s.get("/api/v1/destinations", &shown)
		return len(shown.Destinations) == 1 && shown.Destinations[0].State == "paused"
	})
	for n := range 10 {
		s.post(booking(n + 2))
	}
	until(t, "all are given up", func() bool { return len(s.deliveries("state=dead")) == 11 })
	if d := s.deliveries("state=dead")[0]; !strings.Contains(d.Reason, "given up after") || len(d.Attempts) > 0 {
		t.Errorf("%+v", d)
	}
	if n := sk.count(); n != 1 {
		t.Errorf("%d calls were made", n)
	}
}

// By default, a stop takes at most 8 seconds, also if an attempt hangs. Containers are killed after ten.
func TestStopWithHangingAttempt(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	sk := newSink(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	t.Cleanup(func() { close(release) })
	s := start(t, setup{rules: map[string]string{"r.yaml": callCRM}, yaml: crm(sk.URL)})
	s.post(booking(1))
	until(t, "the attempt is under way", func() bool { return sk.count() == 1 })
	began := time.Now()
	s.close()
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("stopping took %s", took)
	}
}
