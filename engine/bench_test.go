package engine_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bellhop/engine/bare"
)

const noneConfig = "sources: { hoopai: { verify: none } }\n"

// benchRules has a rule that every booking matches. otherRules has one that no booking matches.
const benchRules = `rules:
  - name: to the sink
    on: booked
    when: appointment.calendarId in ["BqTwX8QFwXzpegMve9EQ"] && appointment.startTime > date("2020-01-01")
    then:
      - http:
          connection: sink
          path: /bookings
          json: { id: "{{ appointment.id }}", title: "{{ appointment.title }}", at: "{{ appointment.startTime }}" }
`

const otherRules = `rules:
  - name: another desk
    on: booked
    when: appointment.calendarId == "another"
    then:
      - http: { connection: sink, path: /bookings, json: { id: "{{ appointment.id }}" } }
`

func sinkConfig(s *sink) string {
	return fmt.Sprintf("%sconnections: { sink: { url: %q } }\negress: { allow: [127.0.0.1] }\n", noneConfig, s.URL)
}

// load posts n bookings over conns connections and returns when all are acknowledged.
func load(b *testing.B, s *server, conns, n int) {
	post(b, s.e.HookURL(), conns, n, func(host string, i int) string { return request(host, booking(i), "") })
}

// post sends n requests over conns connections to a server, and returns when all are acknowledged.
func post(b *testing.B, base string, conns, n int, requests func(host string, i int) string) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range conns {
		w := dial(b, base)
		wg.Go(func() {
			for {
				i := int(next.Add(1))
				if i > n {
					return
				}
				if code, err := w.send(requests(w.host, i)); err != nil || code != http.StatusAccepted {
					b.Errorf("answer %d: %v", code, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// BenchmarkAcknowledge posts distinct bookings over 64 connections. Each is acknowledged when it is durable. The ratio is
// to a server that only appends each body to a file, durably. The same client posts half of the bookings to it
// before, and half after, so that a machine that meanwhile gets busier does not show as a ratio.
func BenchmarkAcknowledge(b *testing.B) {
	hanging := func(b *testing.B) setup {
		// The sink answers only at the end, so that deliveries do not compete for the processor.
		hold := make(chan struct{})
		target := newSink(b, func(http.ResponseWriter, *http.Request) { <-hold })
		b.Cleanup(func() { close(hold) })
		return setup{rules: map[string]string{"a.yaml": benchRules}, yaml: sinkConfig(target) + "delivery: { shutdown: 1s }\n"}
	}
	for _, c := range []struct {
		name   string
		signed bool
		setup  func(*testing.B) setup
	}{
		{"no rule applies", false, func(b *testing.B) setup {
			return setup{rules: map[string]string{"a.yaml": otherRules}, yaml: sinkConfig(newSink(b, nil))}
		}},
		{"no rule applies, signed", true, func(b *testing.B) setup {
			return setup{rules: map[string]string{"a.yaml": otherRules}, yaml: sinkConfig(newSink(b, nil))}
		}},
		{"one delivery each", false, hanging},
		{"one delivery each, signed", true, hanging},
		{"one waits each", false, func(b *testing.B) setup {
			return setup{rules: map[string]string{"a.yaml": waitingRules(`now() + duration("30d")`)}, yaml: sinkConfig(newSink(b, nil))}
		}},
	} {
		b.Run(c.name, func(b *testing.B) { acknowledge(b, c.setup(b), c.signed) })
	}
}

func acknowledge(b *testing.B, with setup, signed bool) {
	headers := make([]string, b.N+1) // made before, so that signing takes nothing from the server
	if signed {
		public, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			b.Fatal(err)
		}
		for i := range headers {
			headers[i] = "X-Signature: " + base64.StdEncoding.EncodeToString(ed25519.Sign(private, []byte(booking(i)))) + "\r\n"
		}
		key := base64.StdEncoding.EncodeToString(public)
		with.yaml = strings.Replace(with.yaml, noneConfig, fmt.Sprintf("sources: { hoopai: { verify: { scheme: ed25519, keys: [%q] } } }\n", key), 1)
	}
	requests := func(host string, i int) string { return request(host, booking(i), headers[i]) }
	before := floor(b, b.N/2, requests)
	s := start(b, with)
	b.ResetTimer()
	post(b, s.e.HookURL(), 64, b.N, requests)
	b.StopTimer()
	s.close()
	after := floor(b, b.N-b.N/2, requests)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "acks/s")
	b.ReportMetric(float64(b.N)/(before+after).Seconds(), "bare-acks/s")
	b.ReportMetric((before+after).Seconds()/b.Elapsed().Seconds(), "ratio")
}

// floor returns how long the bare server takes to acknowledge n requests.
func floor(b *testing.B, n int, requests func(host string, i int) string) time.Duration {
	h, err := bare.New(filepath.Join(b.TempDir(), "log"))
	if err != nil {
		b.Fatal(err)
	}
	srv := httptest.NewServer(h)
	begin := time.Now()
	post(b, srv.URL, 64, n, requests)
	took := time.Since(begin)
	srv.Close()
	if err := h.Close(); err != nil {
		b.Error(err)
	}
	return took
}

// await returns when the sink has been called n times.
func (s *sink) await(n int) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for s.count() < n {
		<-tick.C
	}
}

// waitingRules returns rules that send one step of each booking at the moment at, which is an expression.
func waitingRules(at string) string {
	return strings.Replace(benchRules, "      - http:", "      - at: "+at+"\n        http:", 1)
}

// BenchmarkDue measures how fast reminders are sent that are all due at the same moment. It counts from that moment
// until the sink has got the last call.
func BenchmarkDue(b *testing.B) {
	target := newSink(b, nil)
	// All bookings must be posted before the moment, and the engine takes some thousands a second.
	at := time.Now().Add(time.Duration(b.N)*time.Second/2000 + 8*time.Second)
	s := start(b, setup{rules: map[string]string{"a.yaml": waitingRules(fmt.Sprintf("date(%q)", at.Format(time.RFC3339Nano)))}, yaml: sinkConfig(target)})
	b.ResetTimer()
	load(b, s, 64, b.N)
	acknowledged := b.Elapsed()
	target.await(b.N)
	took := time.Since(at)
	b.StopTimer()
	b.ReportMetric(float64(b.N)/took.Seconds(), "deliveries/s")
	b.ReportMetric(float64(b.N)/acknowledged.Seconds(), "acks/s")
}

// BenchmarkDeliver measures from the first webhook until the sink has got the last call.
func BenchmarkDeliver(b *testing.B) {
	target := newSink(b, nil)
	s := start(b, setup{rules: map[string]string{"a.yaml": benchRules}, yaml: sinkConfig(target)})
	b.ResetTimer()
	load(b, s, 64, b.N)
	acknowledged := b.Elapsed()
	target.await(b.N)
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "deliveries/s")
	b.ReportMetric(float64(b.N)/acknowledged.Seconds(), "acks/s")
}

// BenchmarkAcknowledgeAt1000 posts 1,000 bookings a second over 64 connections. It reports how long the answers took,
// counted from the time at which each booking was to be posted.
func BenchmarkAcknowledgeAt1000(b *testing.B) {
	target := newSink(b, nil)
	s := start(b, setup{rules: map[string]string{"a.yaml": benchRules}, yaml: sinkConfig(target)})
	const conns = 64
	took := make([]time.Duration, b.N)
	var wg sync.WaitGroup
	begin := time.Now().Add(10 * time.Millisecond)
	b.ResetTimer()
	for c := range conns {
		w := dial(b, s.e.HookURL())
		wg.Go(func() {
			timer := time.NewTimer(0)
			defer timer.Stop()
			for i := c; i < b.N; i += conns {
				due := begin.Add(time.Duration(i) * time.Millisecond)
				timer.Reset(time.Until(due))
				<-timer.C
				if code, err := w.post(booking(i)); err != nil || code != http.StatusAccepted {
					b.Errorf("answer %d: %v", code, err)
					return
				}
				took[i] = time.Since(due)
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	slices.Sort(took)
	at := func(q float64) float64 { return took[min(int(q*float64(b.N)), b.N-1)].Seconds() * 1e3 }
	b.ReportMetric(at(.5), "p50-ms")
	b.ReportMetric(at(.99), "p99-ms")
}

// BenchmarkBeside posts 20 bookings a second of one location, each with a delivery: alone, and beside another location
// that imports past bookings as fast as 64 connections can, in turns. It reports how long the first location's
// acknowledgements and deliveries took, counted from the time at which each booking was to be posted.
func BenchmarkBeside(b *testing.B) {
	begin := time.Now()
	arrived := make(map[string]time.Duration, b.N)
	var mu sync.Mutex
	quiet := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		id := r.Header.Get("X-Appointment")
		mu.Lock()
		defer mu.Unlock()
		arrived[id] = time.Since(begin)
	}))
	b.Cleanup(quiet.Close)
	busy := newSink(b, nil)
	s := start(b, setup{rules: map[string]string{"a.yaml": `rules:
  - name: quiet
    on: booked
    when: locationId == "quiet"
    then:
      - http: { connection: quiet, path: /, headers: { X-Appointment: "{{ appointment.id }}" }, json: {} }
  - name: busy
    on: booked
    when: locationId == "busy"
    then:
      - http: { connection: busy, path: /, json: {} }
`}, yaml: fmt.Sprintf("%sconnections: { quiet: { url: %q }, busy: { url: %q } }\negress: { allow: [127.0.0.1] }\n", noneConfig, quiet.URL, busy.URL)})
	from := func(location string, i int) string {
		text := strings.Replace(booking(i), "0007BWpSzSwfiuSl0tR2", location, 1)
		if location == "busy" {
			text = strings.ReplaceAll(text, "2099", "2019")
		}
		return strings.Replace(text, `"id":"appt`, `"id":"`+location, 1)
	}
	due := make([]time.Duration, 2*b.N)
	acknowledged := make([]time.Duration, 2*b.N)
	next, imported := 0, 0
	turn := func(n int) {
		w := dial(b, s.e.HookURL())
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for range n {
			at := <-tick.C
			due[next] = at.Sub(begin)
			if code, err := w.post(from("quiet", next)); err != nil || code != http.StatusAccepted {
				b.Errorf("answer %d: %v", code, err)
			}
			acknowledged[next] = time.Since(begin)
			next++
		}
	}
	flood := func(during func()) {
		var over atomic.Bool
		var n atomic.Int64
		n.Store(int64(imported))
		var wg sync.WaitGroup
		for range 64 {
			w := dial(b, s.e.HookURL())
			wg.Go(func() {
				for !over.Load() {
					if _, err := w.post(from("busy", int(n.Add(1)))); err != nil { // a 429 is right too
						b.Error(err)
						return
					}
				}
			})
		}
		during()
		over.Store(true)
		wg.Wait()
		imported = int(n.Load())
	}
	const turns = 4
	var alone, beside [][2]int // ranges of next
	b.ResetTimer()
	for i := range turns {
		n := b.N*(i+1)/turns - b.N*i/turns
		from := next
		turn(n)
		alone = append(alone, [2]int{from, next})
		from = next
		flood(func() { turn(n) })
		beside = append(beside, [2]int{from, next})
	}
	until(b, "all of the quiet location are delivered", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(arrived) == 2*b.N
	})
	b.StopTimer()
	report := func(name string, ranges [][2]int) {
		var answers, deliveries []time.Duration
		for _, r := range ranges {
			for i := r[0]; i < r[1]; i++ {
				answers = append(answers, acknowledged[i]-due[i])
				deliveries = append(deliveries, arrived[fmt.Sprintf("quiet%08d", i)]-due[i])
			}
		}
		for what, took := range map[string][]time.Duration{"ack": answers, "delivered": deliveries} {
			slices.Sort(took)
			for q, label := range map[float64]string{.5: "p50", .99: "p99"} {
				b.ReportMetric(took[min(int(q*float64(len(took))), len(took)-1)].Seconds()*1e3, fmt.Sprintf("%s-%s-%s-ms", name, what, label))
			}
		}
	}
	report("alone", alone)
	report("beside", beside)
	b.ReportMetric(float64(imported)/(b.Elapsed().Seconds()/2), "imported/s")
}
