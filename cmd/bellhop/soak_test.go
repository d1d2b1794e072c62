package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// soak is how long TestSoak posts. A run shorter than [soakJudged] checks only that everything is sent. A longer run also
// checks that the program's use of resources does not grow:
//
//	go test ./cmd/bellhop -run TestSoak -v -timeout 1h -soak 30m
var soak = flag.Duration("soak", 4*time.Second, "how long TestSoak posts")

const (
	soakJudged = time.Minute
	soakRate   = 500 // webhooks a second
	soakTick   = 10 * time.Millisecond
)

// soakDestinations is the number of destinations. d0 to d7 answer, d8 answers 503, and nothing listens at d9. Of ten
// webhooks nine book, one for each destination except d3, and one confirms the booking of the first.
const soakDestinations = 10

func soakRules() string {
	text := "rules:\n"
	for i := range soakDestinations {
		text += fmt.Sprintf("  - name: desk %[1]d\n    on: booked\n    when: appointment.calendarId == \"c%[1]d\"\n    then:\n"+
			"      - http: { connection: d%[1]d, path: /now, json: { id: \"{{ appointment.id }}\", at: \"{{ appointment.title }}\" } }\n", i)
	}
	return text + `  - name: confirmed
    on: confirmed
    then:
      - http: { connection: d3, path: /confirmed, json: { id: "{{ appointment.id }}", at: "{{ appointment.title }}" } }
      - at: receivedAt + duration("2s")
        http: { connection: d4, path: /later, json: { id: "{{ appointment.id }}", at: "" } }
`
}

// A soakSample is the program's use of resources at a moment, and how long deliveries took since the sample before.
type soakSample struct {
	at                      time.Duration
	rss, heap, goroutines   float64
	file                    int64
	open                    float64 // deliveries that are waiting, pending or retrying
	median, p99, ackP99     time.Duration
	delivered, acknowledged int
}

// soaked counts what the destinations received.
type soaked struct {
	mu      sync.Mutex
	seen    map[string]int // calls, by their content
	took    []time.Duration
	acks    []time.Duration
	answers map[int]int
}

func (s *soaked) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body struct{ ID, At string }
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	at, err := strconv.ParseInt(body.At, 10, 64)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen[r.URL.Path]++
	if err == nil {
		s.took = append(s.took, time.Since(time.UnixMicro(at)))
	}
}

func (s *soaked) acknowledged(took time.Duration, code int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[code]++
	s.acks = append(s.acks, took)
}

// TestSoak posts bookings at a steady rate while a fifth of the destinations fail. It checks that what is acknowledged is
// sent, and that memory, goroutines, the store's file and the time of deliveries do not grow.
func TestSoak(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("posts for seconds")
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "bellhop.exe")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	got := &soaked{seen: map[string]int{}, answers: map[int]int{}}
	sink := httptest.NewServer(got)
	defer sink.Close()
	failing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }))
	defer failing.Close()
	listen, admin := freeAddress(t), freeAddress(t)
	// What is older than a tenth of the run is deleted, so that the size of the store stays the same.
	kept := max(2*time.Second, *soak/10)
	config := fmt.Sprintf("listen: %s\nadmin: %s\nretention: %s\ndelivery: { max_age: %s, brake: 0 }\nsources: { hoopai: { verify: none } }\negress: { allow: [127.0.0.1] }\nconnections:\n",
		listen, admin, kept, kept)
	for i := range soakDestinations {
		url := sink.URL
		switch i {
		case 8:
			url = failing.URL
		case 9:
			url = "http://" + freeAddress(t)
		}
		config += fmt.Sprintf("  d%d: { url: %q }\n", i, url)
	}
	for name, text := range map[string]string{"bellhop.yaml": config, "rules/a.yaml": soakRules()} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.CommandContext(t.Context(), program, "run", "--log-format", "json", "--log-level", "error")
	cmd.Dir, cmd.Stderr = dir, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed
	}()
	await(t, "it is ready", func() bool {
		resp, err := http.Get("http://" + admin + "/readyz")
		return err == nil && errors.Join(resp.Body.Close()) == nil && resp.StatusCode == http.StatusOK
	})

	// The clock decides how many webhooks are due, so a slow server gets more of them at once, not fewer.
	ctx, stop := context.WithTimeout(t.Context(), *soak)
	defer stop()
	type webhook struct {
		n  int64
		at time.Time
	}
	due := make(chan webhook, 20*soakRate)
	var late atomic.Int64
	var posting sync.WaitGroup
	posting.Go(func() {
		defer close(due)
		begin, n := time.Now(), int64(0)
		tick := time.NewTicker(soakTick)
		defer tick.Stop()
		for {
			select {
			case now := <-tick.C:
				for ; n < int64(now.Sub(begin).Seconds()*soakRate); n++ {
					select {
					case due <- webhook{n, now}:
					default:
						late.Add(1)
					}
				}
			case <-ctx.Done():
				return
			}
		}
	})
	var booked, confirmed atomic.Int64
	for range 32 {
		client := &http.Client{Transport: &http.Transport{}}
		posting.Go(func() {
			defer client.CloseIdleConnections()
			for w := range due {
				kind, id, calendar, status := "AppointmentCreate", w.n, w.n%soakDestinations, "new"
				switch calendar {
				case 3:
					kind, id, calendar, status = "AppointmentUpdate", w.n-3, 0, "confirmed"
					confirmed.Add(1)
				case 8, 9:
				default:
					booked.Add(1)
				}
				code, err := postSoak(client, listen, fmt.Sprintf(`{"type":%q,"locationId":"0007BWpSzSwfiuSl0tR2","appointment":{"id":"appt%08d","title":"%d","calendarId":"c%d","appointmentStatus":%q,`+
					`"address":"18 West Street, Springfield","contactId":"9NkT25Vor1v4aQatFsv2","notes":"Asks for a quiet room, if there is one.","startTime":%q}}`,
					kind, id, w.at.UnixMicro(), calendar, status, w.at.Add(kept/2).UTC().Format(time.RFC3339)))
				if err != nil {
					t.Errorf("webhook %d: %v", w.n, err)
				}
				got.acknowledged(time.Since(w.at), code)
			}
		})
	}

	var samples []soakSample
	begin := time.Now()
	tick := time.NewTicker(min(5*time.Second, *soak/8))
	defer tick.Stop()
	t.Logf("%8s %8s %8s %10s %9s %8s %9s %9s %9s %9s", "time", "RSS MiB", "heap MiB", "goroutines", "file MiB", "open", "median", "p99", "ack p99", "delivered")
	for ctx.Err() == nil {
		select {
		case <-tick.C:
			s := measured(t, admin, filepath.Join(dir, "data"), got)
			s.at = time.Since(begin)
			samples = append(samples, s)
			t.Logf("%8s %8.1f %8.1f %10.0f %9.1f %8.0f %9s %9s %9s %9d", s.at.Round(time.Second), s.rss/(1<<20), s.heap/(1<<20), s.goroutines, float64(s.file)/(1<<20), s.open,
				s.median.Round(100*time.Microsecond), s.p99.Round(100*time.Microsecond), s.ackP99.Round(100*time.Microsecond), s.delivered)
		case <-ctx.Done():
		}
	}
	posting.Wait()
	sum := func() (int, int, int) {
		got.mu.Lock()
		defer got.mu.Unlock()
		return got.seen["/now"], got.seen["/confirmed"], got.seen["/later"]
	}
	await(t, "all is sent", func() bool {
		now, then, later := sum()
		return now >= int(booked.Load()) && then >= int(confirmed.Load()) && later >= int(confirmed.Load())
	})
	now, then, later := sum()
	t.Logf("%d bookings and %d confirmations for destinations that answer; these got %d, %d and %d calls; answers %v", booked.Load(), confirmed.Load(), now, then, later, got.answers)
	if now != int(booked.Load()) || then != int(confirmed.Load()) || later != int(confirmed.Load()) {
		t.Error("some were sent twice")
	}
	if n := late.Load(); n > 0 || len(got.answers) != 1 {
		t.Errorf("%d webhooks found no sender that was free; the answers are %v", n, got.answers)
	}
	if text, err := os.ReadFile(log.Name()); err != nil || len(text) > 0 {
		t.Errorf("%v; the log has\n%.2000s", err, text)
	}
	if *soak >= soakJudged {
		flat(t, samples)
	}
}

// flat compares the last third of a run with the middle third.
func flat(t *testing.T, samples []soakSample) {
	t.Helper()
	third := len(samples) / 3
	middle, last := samples[third:2*third], samples[2*third:]
	for _, c := range []struct {
		name   string
		factor float64
		slack  float64
		worst  bool // compare the largest value, not the median, because it rises and falls
		of     func(*soakSample) float64
	}{
		{"resident memory", 1.25, 8 << 20, false, func(s *soakSample) float64 { return s.rss }},
		{"goroutines", 1.25, 20, false, func(s *soakSample) float64 { return s.goroutines }},
		{"the store's file", 1.25, 4 << 20, true, func(s *soakSample) float64 { return float64(s.file) }},
		{"open deliveries", 1.5, 200, true, func(s *soakSample) float64 { return s.open }},
		{"a delivery's median time", 2, float64(50 * time.Millisecond), false, func(s *soakSample) float64 { return float64(s.median) }},
		{"the time of 99 % of deliveries", 2, float64(500 * time.Millisecond), false, func(s *soakSample) float64 { return float64(s.p99) }},
	} {
		value := func(list []soakSample) float64 {
			var all []float64
			for i := range list {
				all = append(all, c.of(&list[i]))
			}
			slices.Sort(all)
			if c.worst {
				return all[len(all)-1]
			}
			return all[len(all)/2]
		}
		before, after := value(middle), value(last)
		t.Logf("%s: %.0f in the middle third, %.0f in the last (%.2f)", c.name, before, after, after/max(before, 1))
		if after > c.factor*before+c.slack {
			t.Errorf("%s grows", c.name)
		}
	}
}

func postSoak(client *http.Client, addr, body string) (int, error) {
	resp, err := client.Post("http://"+addr+"/hooks/hoopai", "application/json", strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, errors.Join(err, resp.Body.Close())
}

// measured returns the program's own metrics, the size of its folder, and what arrived since the last call.
func measured(t *testing.T, admin, data string, got *soaked) (s soakSample) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+admin+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		n, _ := strconv.ParseFloat(value, 64) // comments have no number
		switch {
		case name == "process_resident_memory_bytes":
			s.rss = n
		case name == "go_memstats_heap_inuse_bytes":
			s.heap = n
		case name == "go_goroutines":
			s.goroutines = n
		case strings.HasPrefix(name, "bellhop_deliveries{") && !strings.Contains(name, "dead"):
			s.open += n
		}
	}
	err = filepath.WalkDir(data, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			s.file += info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	got.mu.Lock()
	defer got.mu.Unlock()
	slices.Sort(got.took)
	slices.Sort(got.acks)
	if n := len(got.took); n > 0 {
		s.median, s.p99 = got.took[n/2], got.took[n*99/100]
	}
	if n := len(got.acks); n > 0 {
		s.ackP99 = got.acks[n*99/100]
	}
	s.delivered, s.acknowledged = len(got.took), len(got.acks)
	got.took, got.acks = got.took[:0], got.acks[:0]
	return s
}

// await returns when ready returns true. It fails the test after two minutes.
func await(t *testing.T, what string, ready func() bool) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	defer stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ready() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: not within two minutes", what)
		}
	}
}
