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

// TestKillMix kills the real program while appointments of two types of sender move, are cancelled and come back (P1, P2,
// P6). In the end every acknowledged event has its call, the calls of an appointment came in the order of its events, and
// no message or reminder told a time that was out of date when its attempt began.
func TestKillMix(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts and kills the program many times")
	}
	var mu sync.Mutex
	var arrivals []arrival
	sink := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
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
		mu.Lock()
		arrivals = append(arrivals, a)
		n := len(arrivals)
		mu.Unlock()
		if a.path == "/call" && n%300 == 0 { // some calls are retried while their appointments change
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "ok")
	}))
	defer sink.Close()
	p := newRealProgram(t, mixRules, fmt.Sprintf(`sources: { hoopai: { verify: none }, workflow: { verify: none } }
connections:
  sink: { url: %[1]q }
  told: { webhook: "%[1]s/told" }
  reminded: { webhook: "%[1]s/reminded" }
egress: { allow: [127.0.0.1] }
`, sink.URL))

	const senders, each = 6, 8
	all := make([]*mixed, senders*each)
	for i := range all {
		all[i] = &mixed{id: fmt.Sprintf("appt%02d", i), workflow: i%2 == 1}
	}
	unsure := make([]*mixed, senders) // appointments whose latest turn is posted and not acknowledged
	random := rand.New(rand.NewPCG(2, uint64(time.Now().UnixNano())))
	for range *kills {
		cmd := p.begin(t)
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		for s := range senders {
			mine := rand.New(rand.NewPCG(uint64(s), random.Uint64()))
			running.Go(func() {
				client := &http.Client{Transport: &http.Transport{}}
				defer client.CloseIdleConnections()
				for ctx.Err() == nil {
					m := unsure[s]
					if m == nil {
						m = all[s*each+mine.IntN(each)]
						k := m.next(mine)
						k.sent = time.Now()
						m.turns = append(m.turns, k)
						unsure[s] = m
					}
					k := &m.turns[len(m.turns)-1]
					url := "http://" + p.listen + "/hooks/hoopai"
					if m.workflow {
						url = "http://" + p.listen + "/hooks/workflow"
					}
					event, status, err := postEvent(ctx, client, url, k.body)
					if err != nil {
						return
					}
					k.event, k.status, k.ack = event, status, time.Now()
					unsure[s] = nil
				}
			})
		}
		timer := time.NewTimer(time.Duration(100+random.IntN(700)) * time.Millisecond)
		<-timer.C
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		stop()
		running.Wait()
		_ = cmd.Wait() // killed
	}
	last := p.begin(t)
	defer func() {
		_ = last.Process.Kill()
		_ = last.Wait()
	}()
	p.settled(t)

	rows := p.deliveries(t, "")
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
	mu.Lock()
	defer mu.Unlock()
	slices.SortFunc(arrivals, func(a, b arrival) int { return a.at.Compare(b.at) })
	events, messages, unknown := 0, 0, 0
	for _, m := range all {
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
		key := ""
		for _, a := range arrivals {
			switch {
			case a.id != m.id:
			case a.path != "/call":
				messages++
				begun, known := began(attempts[a.path+" "+a.id+" "+a.says], a.at)
				if !known { // the program was killed during the attempt
					unknown++
				}
				if !m.allows(a.says, begun, a.at) {
					t.Errorf("%s %s: at %s it was told %s, by an attempt that began at %s (known: %v), but: %s", a.path, m.id, a.at.Format(clockTime), a.says, begun.Format(clockTime), known, m.history(begun))
				}
			case a.key != key:
				key = a.key
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
	if events < senders || messages == 0 {
		t.Errorf("%d events, %d messages", events, messages)
	}
	t.Logf("killed %d times: %d events acknowledged, each with its call and in their order; %d messages and reminders, none of a time that was not so (%d were under way at a kill)",
		*kills, events, messages, unknown)
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
