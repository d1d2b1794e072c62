package engine_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
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
	var next atomic.Int64
	var wg sync.WaitGroup
	for range conns {
		w := dial(b, s.e.HookURL())
		wg.Go(func() {
			for {
				i := int(next.Add(1))
				if i > n {
					return
				}
				if code, err := w.post(booking(i)); err != nil || code != http.StatusAccepted {
					b.Errorf("answer %d: %v", code, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// BenchmarkAcknowledge posts distinct bookings over 64 connections. Each is acknowledged when it is durable.
func BenchmarkAcknowledge(b *testing.B) {
	b.Run("no rule applies", func(b *testing.B) {
		s := start(b, setup{rules: map[string]string{"a.yaml": otherRules}, yaml: sinkConfig(newSink(b, nil))})
		b.ResetTimer()
		load(b, s, 64, b.N)
		b.StopTimer()
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "acks/s")
	})
	b.Run("one delivery each", func(b *testing.B) {
		// The sink answers only at the end, so that deliveries do not compete for the processor.
		hold := make(chan struct{})
		target := newSink(b, func(http.ResponseWriter, *http.Request) { <-hold })
		b.Cleanup(func() { close(hold) })
		s := start(b, setup{rules: map[string]string{"a.yaml": benchRules}, yaml: sinkConfig(target) + "delivery: { shutdown: 1s }\n"})
		b.ResetTimer()
		load(b, s, 64, b.N)
		b.StopTimer()
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "acks/s")
	})
	b.Run("one waits each", func(b *testing.B) {
		s := start(b, setup{rules: map[string]string{"a.yaml": waitingRules(`now() + duration("30d")`)}, yaml: sinkConfig(newSink(b, nil))})
		b.ResetTimer()
		load(b, s, 64, b.N)
		b.StopTimer()
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "acks/s")
	})
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
