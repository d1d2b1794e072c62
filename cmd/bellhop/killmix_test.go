package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"bellhop/engine/record"
)

const mixRules = `rules:
  - name: crm
    on: [AppointmentCreate, AppointmentUpdate]
    then:
      - http: { connection: sink, path: /call, json: { id: "{{ appointment.id }}", says: '{{ date(appointment.startTime, "15:04") }} {{ appointment.appointmentStatus }}' } }
  - name: tell
    on: [booked, rescheduled]
    then:
      - slack: { connection: told, text: '{{ appointment.id }} {{ date(appointment.startTime, "15:04") }}' }
      - at: receivedAt + duration("300ms")
        slack: { connection: reminded, text: '{{ appointment.id }} {{ date(appointment.startTime, "15:04") }}' }
`

// A turn is one event of an appointment, as its sender knows it.
type turn struct {
	start         string // "15:04"
	cancelled     bool
	body          string
	sent, ack     time.Time // first posted, acknowledged
	event, status string
}

func (k turn) says() string {
	if k.cancelled {
		return k.start + " cancelled"
	}
	return k.start + " confirmed"
}

// A mixed is an appointment whose events one sender posts, one after the other.
type mixed struct {
	id       string
	workflow bool // its events come by a workflow's webhook, without webhook ids and times of change
	turns    []turn
}

// next returns the next event of the appointment: it moves, is cancelled, or comes back at another time. Its times
// repeat, so that the bodies of a workflow repeat too.
func (m *mixed) next(random *rand.Rand) turn {
	n := len(m.turns)
	t := turn{start: fmt.Sprintf("%02d:30", 9+random.IntN(4))}
	if n > 0 {
		last := m.turns[n-1]
		for t.start == last.start {
			t.start = fmt.Sprintf("%02d:30", 9+random.IntN(4))
		}
		if !last.cancelled && random.IntN(3) == 0 {
			t.start, t.cancelled = last.start, true
		}
	}
	status := "confirmed"
	if t.cancelled {
		status = "cancelled"
	}
	if m.workflow {
		t.body = fmt.Sprintf(`{"contact_id":"c1","location":{"id":"l1"},"calendar":{"id":"k1","appointmentId":%q,"startTime":"2031-03-03 %s:00","endTime":"2031-03-03 %s:00","selectedTimezone":"UTC","appoinmentStatus":%q}}`,
			m.id, t.start, t.start[:2]+":50", status)
		return t
	}
	kind := "AppointmentUpdate"
	if n == 0 {
		kind = "AppointmentCreate"
	}
	t.body = fmt.Sprintf(`{"type":%q,"locationId":"l1","webhookId":"%s-%d","appointment":{"id":%q,"appointmentStatus":%q,"startTime":"2031-03-03T%s:00Z","endTime":"2031-03-03T%s:00Z","dateUpdated":%q}}`,
		kind, m.id, n, m.id, status, t.start, t.start[:2]+":50", time.Now().UTC().Format("2006-01-02T15:04:05.000000Z"))
	return t
}

// An arrival is one request that the sink received.
type arrival struct {
	path, key, id, says string
	at                  time.Time
}

// A mix is a load of appointments that move, are cancelled and come back, and what a sink received because of it.
type mix struct {
	sink   *httptest.Server
	all    []*mixed
	unsure []*mixed // by sender, the appointment whose latest turn is posted and not acknowledged
	random *rand.Rand

	mu       sync.Mutex
	arrivals []arrival

	// A process that is stopped for a while sends what it had begun when it goes on.
	stopped, resumed time.Time
}

// A mix has mixSenders senders, with mixEach appointments each.
const mixSenders, mixEach = 6, 8

func newMix(t *testing.T) *mix {
	x := &mix{all: make([]*mixed, mixSenders*mixEach), unsure: make([]*mixed, mixSenders), random: rand.New(rand.NewPCG(2, uint64(time.Now().UnixNano())))}
	for i := range x.all {
		x.all[i] = &mixed{id: fmt.Sprintf("appt%02d", i), workflow: i%2 == 1}
	}
	x.sink = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at := time.Now()
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the process was killed while it wrote
		}
		a := arrival{path: r.URL.Path, key: r.Header.Get("Idempotency-Key"), at: at}
		var said struct{ ID, Says, Text string }
		if err := json.Unmarshal(body, &said); err != nil {
			t.Errorf("%s: %v", body, err)
		}
		if a.id, a.says = said.ID, said.Says; said.Text != "" {
			a.id, a.says, _ = strings.Cut(said.Text, " ")
		}
		x.mu.Lock()
		x.arrivals = append(x.arrivals, a)
		n := len(x.arrivals)
		x.mu.Unlock()
		if a.path == "/call" && n%300 == 0 { // some calls are retried while their appointments change
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "ok")
	}))
	t.Cleanup(x.sink.Close)
	return x
}

func (x *mix) program(t *testing.T, more string) *realProgram {
	t.Helper()
	return newRealProgram(t, mixRules, fmt.Sprintf(`sources: { hoopai: { verify: none }, workflow: { verify: none } }
connections:
  sink: { url: %[1]q }
  told: { webhook: "%[1]s/told" }
  reminded: { webhook: "%[1]s/reminded" }
egress: { allow: [127.0.0.1] }
delivery: { brake: 0 }
`, x.sink.URL)+more)
}

// send posts events to servers, by their addresses, until the function that it returns is called. After an error a sender
// goes on with another server, and posts what was not acknowledged again. With one server it stops.
func (x *mix) send(t *testing.T, servers ...string) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for s := range mixSenders {
		mine := rand.New(rand.NewPCG(uint64(s), x.random.Uint64()))
		running.Go(func() {
			client := &http.Client{Transport: &http.Transport{}, Timeout: 5 * time.Second}
			defer client.CloseIdleConnections()
			for ctx.Err() == nil {
				m := x.unsure[s]
				if m == nil {
					m = x.all[s*mixEach+mine.IntN(mixEach)]
					k := m.next(mine)
					k.sent = time.Now()
					m.turns = append(m.turns, k)
					x.unsure[s] = m
				}
				k := &m.turns[len(m.turns)-1]
				url := "http://" + servers[mine.IntN(len(servers))] + "/hooks/hoopai"
				if m.workflow {
					url = strings.TrimSuffix(url, "hoopai") + "workflow"
				}
				event, status, err := postEvent(ctx, client, url, k.body)
				switch {
				case err == nil:
					k.event, k.status, k.ack = event, status, time.Now()
					x.unsure[s] = nil
				case len(servers) == 1:
					return
				default:
					pause(ctx, 50*time.Millisecond)
				}
			}
		})
	}
	return func() { cancel(); running.Wait() }
}

// pause waits for a time, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// TestKillMix kills the real program while appointments of two types of sender move, are cancelled and come back (P1, P2,
// P6). In the end every acknowledged event has its call, the calls of an appointment came in the order of its events, and
// no message or reminder told a time that was out of date when its attempt began.
func TestKillMix(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts and kills the program many times")
	}
	x := newMix(t)
	p := x.program(t, "")
	for range *kills {
		cmd := p.begin(t)
		stop := x.send(t, p.listen)
		pause(t.Context(), time.Duration(100+x.random.IntN(700))*time.Millisecond)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		stop()
		_ = cmd.Wait() // killed
	}
	last := p.begin(t)
	defer func() {
		_ = last.Process.Kill()
		_ = last.Wait()
	}()
	p.settled(t)
	t.Logf("killed %d times: %s", *kills, x.check(t, p.deliveries(t, "")))
}

// check holds what the sink received against the deliveries and the appointments, and returns what it counted.
func (x *mix) check(t *testing.T, rows []record.Delivery) string {
	t.Helper()
	calls := map[string]string{} // delivery to event
	sent := map[string]int{}     // (event, rule, step)
	attempts := map[string][]record.Attempt{}
	for _, d := range rows {
		id := fmt.Sprint(d.Event, " ", d.Rule, " ", d.Step)
		if d.State == record.Sent {
			sent[id]++
		}
		if sent[id] > 1 {
			t.Errorf("%s was sent twice", id)
		}
		switch {
		case d.Rule == "crm":
			calls[d.ID] = d.Event
			if d.State != record.Sent {
				t.Errorf("call %s is %s: %s", d.ID, d.State, d.Reason)
			}
		case d.State != record.Sent && d.Reason == "":
			t.Errorf("delivery %s is %s, and nothing says why", d.ID, d.State)
		default:
			var said struct{ Text string }
			if err := json.Unmarshal(d.Request, &said); err != nil && d.Request != nil {
				t.Error(err)
			}
			what := []string{"", "/told ", "/reminded "}[d.Step] + said.Text
			attempts[what] = append(attempts[what], d.Attempts...)
		}
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	arrivals := x.arrivals
	slices.SortFunc(arrivals, func(a, b arrival) int { return a.at.Compare(b.at) })
	events, messages, unknown := 0, 0, 0
	for _, m := range x.all {
		if len(m.turns) == 0 {
			continue // the machine was too busy to get to it
		}
		var want, got []string
		for i, k := range m.turns {
			if k.ack.IsZero() {
				continue // the last turn, which was cut off and not posted again
			}
			events++
			want = append(want, k.event)
			if sent[k.event+" crm 1"] != 1 {
				t.Errorf("event %s, the %dth of %s (%s), was acknowledged as %s and its call sent %d times", k.event, i, m.id, k.says(), k.status, sent[k.event+" crm 1"])
			}
		}
		key, seen := "", map[string]bool{}
		for _, a := range arrivals {
			switch {
			case a.id != m.id:
			case a.path != "/call":
				messages++
				begun, known := began(attempts[a.path+" "+a.id+" "+a.says], a.at)
				if !known { // the program was killed during the attempt
					unknown++
				}
				if x.late(a) && !known {
					begun = x.stopped.Add(-time.Second)
				}
				if !m.allows(a.says, begun, a.at) {
					t.Errorf("%s %s: at %s it was told %s, by an attempt that began at %s (known: %v), but: %s", a.path, m.id, a.at.Format(clockTime), a.says, begun.Format(clockTime), known, m.history(begun))
				}
			case x.late(a) && seen[a.key]: // it was taken over meanwhile
			case a.key != key:
				key = a.key
				seen[key] = true
				got = append(got, calls[a.key])
			}
		}
		if n := len(got) - len(want); n == 1 && m.turns[len(m.turns)-1].ack.IsZero() {
			got = got[:len(want)] // the last event was stored, although it was not acknowledged
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: the calls came as\n%s\nbut the events as\n%s", m.id, strings.Join(got, " "), strings.Join(want, " "))
		}
		end := m.turns[len(m.turns)-1]
		for _, path := range []string{"/told", "/reminded"} {
			if !end.cancelled && !end.ack.IsZero() && !slices.ContainsFunc(arrivals, func(a arrival) bool {
				return a.path == path && a.id == m.id && a.says == end.start && a.at.After(end.sent)
			}) {
				t.Errorf("%s: nobody was %s of %s, which it is in the end", m.id, path[1:], end.start)
			}
		}
	}
	if events < mixSenders || messages == 0 {
		t.Errorf("%d events, %d messages", events, messages)
	}
	return fmt.Sprintf("%d events acknowledged, each with its call and in their order; %d messages and reminders, none of a time that was not so (%d were under way at a kill)",
		events, messages, unknown)
}

// late reports whether a request can be one that was under way when a process was stopped.
func (x *mix) late(a arrival) bool {
	return !x.resumed.IsZero() && a.at.After(x.resumed) && a.at.Before(x.resumed.Add(2*time.Second))
}

const clockTime = "15:04:05.000000"

// began returns when the attempt that arrived at a time began. If a kill ended the attempt, that is unknown, and began
// returns a second before.
func began(attempts []record.Attempt, arrived time.Time) (at time.Time, known bool) {
	for _, a := range attempts {
		if !a.At.After(arrived) && !a.At.Add(time.Duration(a.Millis+1)*time.Millisecond).Before(arrived) && a.At.After(at) {
			at, known = a.At, true
		}
	}
	if !known {
		at = arrived.Add(-time.Second)
	}
	return at, known
}

// allows reports whether an attempt that began at a time could tell this start. It must be the start of the latest event
// that was acknowledged before, or of a later one that was posted before the attempt arrived.
func (m *mixed) allows(start string, begun, arrived time.Time) bool {
	latest := 0
	for i, k := range m.turns {
		if !k.ack.IsZero() && k.ack.Before(begun) {
			latest = i
		}
	}
	for _, k := range m.turns[latest:] {
		if k.start == start && !k.cancelled && k.sent.Before(arrived) {
			return true
		}
	}
	return false
}

// history returns the turns within three seconds of a time, for the test's output.
func (m *mixed) history(around time.Time) string {
	var b strings.Builder
	for _, k := range m.turns {
		if d := k.sent.Sub(around); d > -3*time.Second && d < 3*time.Second {
			fmt.Fprintf(&b, "\n  %s to %s: %s (%s)", k.sent.Format(clockTime), k.ack.Format(clockTime), k.says(), k.status)
		}
	}
	return b.String()
}
