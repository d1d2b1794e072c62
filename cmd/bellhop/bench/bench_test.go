package bench

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bellhop/rules"
)

// server acknowledges webhooks and delivers them as deliver says: the keys of the calls to the sink for the nth webhook.
// status is the answer to the nth webhook.
func server(t *testing.T, sink net.Listener, status func(n int) int, deliver func(n int) []string) *httptest.Server {
	t.Helper()
	var n atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i := int(n.Add(1))
		var event struct{ Appointment struct{ Title string } }
		if err := json.NewDecoder(r.Body).Decode(&event); err != nil {
			t.Error(err)
		}
		run, number, _ := strings.Cut(event.Appointment.Title, " ")
		code := status(i)
		w.WriteHeader(code)
		if code != http.StatusAccepted {
			return
		}
		for _, key := range deliver(i) {
			call, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+sink.Addr().String(), strings.NewReader(fmt.Sprintf(`{"run": %q, "n": %s}`, run, number)))
			if err != nil {
				t.Error(err)
				return
			}
			call.Header.Set("Idempotency-Key", key)
			resp, err := http.DefaultClient.Do(call)
			if err != nil {
				t.Error(err)
				return
			}
			_ = resp.Body.Close()
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func always(code int) func(int) int { return func(int) int { return code } }

// The report counts what a server refuses, loses, delivers twice and repeats.
func TestReport(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		status  func(n int) int
		deliver func(n int) []string
		good    bool
		count   func(*Report) int
	}{
		"good":     {always(202), func(n int) []string { return []string{fmt.Sprint(n)} }, true, func(r *Report) int { return r.Delivered }},
		"lost":     {always(202), func(n int) []string { return []string{fmt.Sprint(n)}[min(n%5, 1)^1:] }, false, func(r *Report) int { return r.Missing }},
		"twice":    {always(202), func(n int) []string { return []string{fmt.Sprint(n), fmt.Sprint(n, " again")} }, false, func(r *Report) int { return r.Twice }},
		"repeated": {always(202), func(n int) []string { return []string{fmt.Sprint(n), fmt.Sprint(n)} }, true, func(r *Report) int { return r.Repeated }},
		"refused":  {func(n int) int { return 202 + n%2*227 }, func(n int) []string { return []string{fmt.Sprint(n)} }, false, func(r *Report) int { return r.Refused }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sink := listen(t)
			s := server(t, sink, tt.status, tt.deliver)
			r, err := Run(t.Context(), Options{URLs: []string{s.URL}, Rate: 200, For: 300 * time.Millisecond, Connections: 4, Sink: sink, Patience: 300 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			if r.Good() != tt.good || tt.count(r) == 0 {
				t.Errorf("%+v", r)
			}
		})
	}
}

// A webhook is sent when it is due, not when the next one is.
func TestSentWhenDue(t *testing.T) {
	t.Parallel()
	sink := listen(t)
	s := server(t, sink, always(202), func(n int) []string { return []string{fmt.Sprint(n)} })
	r, err := Run(t.Context(), Options{URLs: []string{s.URL}, Rate: 2, For: 1200 * time.Millisecond, Connections: 4, Sink: sink})
	if err != nil || !r.Good() || r.Sent != 3 || r.Acknowledge.P50 > 400 {
		t.Errorf("%+v, %v", r, err)
	}
}

// A webhook that has to wait for a connection counts from when it should have been sent.
func TestNoCoordinatedOmission(t *testing.T) {
	t.Parallel()
	sink := listen(t)
	var once sync.Once
	s := server(t, sink, func(int) int {
		once.Do(func() { <-time.After(400 * time.Millisecond) })
		return 202
	}, func(n int) []string { return []string{fmt.Sprint(n)} })
	r, err := Run(t.Context(), Options{URLs: []string{s.URL}, Rate: 100, For: 500 * time.Millisecond, Connections: 1, Sink: sink})
	if err != nil || !r.Good() {
		t.Fatalf("%+v, %v", r, err)
	}
	if r.Sent < 30 || r.Acknowledge.P50 < 100 { // only the first was held, but those after it had to wait
		t.Errorf("%+v", r)
	}
}

// The rules load without a finding, each location has one, and a webhook of each kind is an event.
func TestRulesAndWebhooks(t *testing.T) {
	t.Parallel()
	n := 0
	for i, data := range Rules(3, 450) {
		f, findings := rules.Compile("bench.yaml", data, rules.Options{Connections: map[string]string{"bench": "http"}})
		if f == nil || len(findings) > 0 {
			t.Fatalf("file %d: %v", i, findings)
		}
		n += len(f.Rules)
	}
	if n != 450 {
		t.Errorf("%d rules", n)
	}
	g := &guests{bench: &bench{Options: Options{Locations: 3}, run: "run"}}
	kinds := map[string]int{}
	for i := range 200 {
		body, accepted := g.next(i)
		var event struct {
			Type        string
			Appointment struct{ AppointmentStatus string }
		}
		if err := json.Unmarshal(body, &event); err != nil {
			t.Fatal(err)
		}
		kinds[event.Type+" "+event.Appointment.AppointmentStatus]++
		accepted()
	}
	if len(kinds) != 3 {
		t.Errorf("%v", kinds)
	}
}
