package engine_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	_ "modernc.org/sqlite"

	"bellhop/engine/record"
	"bellhop/engine/store/storetest"
	"bellhop/engine/work"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreTopFunction("net/http.(*persistConn).readLoop"), // the clients of the tests
		goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"),
		goleak.IgnoreTopFunction("internal/poll.runtime_pollWait"),
		goleak.Cleanup(func(code int) {
			storetest.Stop()
			os.Exit(code) //nolint:forbidigo // TestMain must
		}))
}

// documentedRules has two steps for a create, and one for a cancellation.
const documentedRules = `rules:
  - name: new booking
    on: AppointmentCreate
    then:
      - http: { connection: sink, path: /created, json: { id: "{{ appointment.id }}", users: "{{ appointment.users }}", at: "{{ appointment.startTime }}" } }
      - http: { connection: sink, path: /also, json: { title: "{{ appointment.title }}" } }
  - name: freed
    on: cancelled
    then:
      - http: { connection: sink, path: /freed, json: { id: "{{ appointment.id }}", title: "{{ appointment.title }}" } }
`

// The same webhook, sent a hundred times and by twenty senders at once, has the effect of one (P2).
func TestDocumentedPayloads(t *testing.T) {
	t.Parallel()
	target := newSink(t, nil)
	s := start(t, setup{rules: map[string]string{"a.yaml": documentedRules}, yaml: sinkConfig(target)})
	for _, name := range []string{"create.json", "delete.json"} {
		body := read(t, "events/"+name)
		statuses := map[string]int{}
		events := map[string]bool{}
		var mu sync.Mutex
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				for range 5 {
					r := s.post(body)
					mu.Lock()
					if r.Code != http.StatusAccepted {
						t.Errorf("answer %d: %s", r.Code, r.Error)
					}
					statuses[r.Status]++
					events[r.Event] = true
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if statuses["accepted"] != 1 || statuses["duplicate"] != 99 || len(events) != 1 {
			t.Errorf("%s: answered %v for %d events", name, statuses, len(events))
		}
	}
	until(t, "three calls arrived", func() bool { return target.count() >= 3 })
	until(t, "all are recorded as sent", func() bool { return len(s.deliveries("state=sent")) == 3 })
	if n := len(s.deliveries("")); n != 3 {
		t.Errorf("there are %d deliveries, want 3", n)
	}
	target.mu.Lock()
	defer target.mu.Unlock()
	slices.Sort(target.got)
	want := []string{
		`{"at":"2026-12-07T10:00:00+05:30","id":"u8jzPde0IgxLd6GncfBA","users":["mxgJTeKdNnFRIBXuDL7D","xtpYlSXpfKtHF4vUCsMe"]}`,
		`{"id":"u8jzPde0IgxLd6GncfBA","title":"First consultation"}`,
		`{"title":"First consultation"}`,
	}
	if !slices.Equal(target.got, want) {
		t.Errorf("the sink got\n%s\nwant\n%s", strings.Join(target.got, "\n"), strings.Join(want, "\n"))
	}
	for key, n := range target.keys {
		if key == "" || n != 1 {
			t.Errorf("idempotency key %q came %d times", key, n)
		}
	}
}

// A destination that never answers delays no other: all calls to another one arrive while its own calls hang (P5).
func TestHangingDestination(t *testing.T) {
	t.Parallel()
	const n = 500
	hold := make(chan struct{})
	var ended atomic.Int64
	good := newSink(t, nil)
	bad := newSink(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hold:
		case <-r.Context().Done():
			ended.Add(1)
		}
	})
	t.Cleanup(func() { close(hold) })
	rule := func(name string) string {
		return fmt.Sprintf("  - name: to %[1]s\n    on: booked\n    then:\n      - http: { connection: %[1]s, path: /x, timeout: 5m, json: { id: \"{{ appointment.id }}\" } }\n", name)
	}
	s := start(t, setup{
		rules: map[string]string{"a.yaml": "rules:\n" + rule("good") + rule("bad")},
		yaml:  fmt.Sprintf("%sconnections:\n  good: { url: %q }\n  bad: { url: %q }\negress: { allow: [127.0.0.1] }\ndelivery: { concurrency: 64, shutdown: 1s }\n", noneConfig, good.URL, bad.URL),
	})
	var wg sync.WaitGroup
	for c := range 10 {
		wg.Go(func() {
			for i := c; i < n; i += 10 {
				if r := s.post(booking(i)); r.Code != http.StatusAccepted {
					t.Errorf("answer %d: %s", r.Code, r.Error)
				}
			}
		})
	}
	wg.Wait()
	until(t, "the healthy sink has all of its own", func() bool { return good.count() >= n })
	until(t, "the hanging sink was called", func() bool { return bad.count() > 0 })
	if got := ended.Load(); got != 0 {
		t.Errorf("%d calls to the hanging sink ended before the healthy one had all", got)
	}
	if got := bad.count(); got > 16 {
		t.Errorf("the hanging sink has %d calls at once, want at most 16", got)
	}
}

// A broken file keeps its own last good version while other files change, and its mistakes are shown. Events are
// handled all the time (P3).
func TestBrokenFile(t *testing.T) {
	t.Parallel()
	target := newSink(t, nil)
	rule := func(name, path string) string {
		return fmt.Sprintf("rules:\n  - name: %s\n    on: booked\n    then:\n      - http: { connection: sink, path: /%s, json: { id: \"{{ appointment.id }}\" } }\n", name, path)
	}
	dir := t.TempDir()
	s := start(t, setup{dir: dir, rules: map[string]string{"a.yaml": rule("a", "a1"), "b.yaml": rule("b", "b1")}, yaml: sinkConfig(target)})
	file := func(name string) string { return filepath.Join(dir, "rules", name) }
	expect := func(s *server, n int, want ...string) {
		t.Helper()
		r := s.post(booking(n))
		var ev struct{ Deliveries []record.Delivery }
		s.get("/api/v1/events/"+r.Event, &ev)
		var got []string
		for _, d := range ev.Deliveries {
			var req struct{ Path string }
			if err := json.Unmarshal(d.Request, &req); err != nil {
				t.Fatal(err)
			}
			got = append(got, req.Path)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Fatalf("event %d went to %v, want %v", n, got, want)
		}
	}
	expect(s, 1, "/a1", "/b1")

	writeFile(t, file("a.yaml"), strings.Replace(rule("a", "a2"), "appointment.id", "appointment.idd", 1))
	writeFile(t, file("b.yaml"), rule("b", "b2"))
	var files struct {
		Files []struct {
			Path, Status, Error string
			InForce             bool
			Findings            []struct {
				Line, Column        int
				Message, Suggestion string
			}
		}
	}
	until(t, "the files are seen", func() bool {
		s.get("/api/v1/files", &files)
		return files.Files[0].Status == "failed" && strings.Contains(s.log.String(), "was not loaded")
	})
	a := files.Files[0]
	if a.Path != "a.yaml" || !a.InForce || len(a.Findings) == 0 || a.Findings[0].Line != 5 || a.Findings[0].Suggestion != "id" {
		t.Errorf("the broken file is shown as %+v", a)
	}
	until(t, "the other file is in force", func() bool {
		var body struct{ Rules []struct{ File string } }
		s.get("/api/v1/rules", &body)
		return len(body.Rules) == 2 && strings.Contains(s.metrics(), `bellhop_rule_files{status="failed"} 1`)
	})
	until(t, "b2 is in force", func() bool {
		r := s.post(booking(int(time.Now().UnixNano() % 1e8)))
		var ev struct{ Deliveries []record.Delivery }
		s.get("/api/v1/events/"+r.Event, &ev)
		return strings.Contains(string(ev.Deliveries[1].Request), "b2") || strings.Contains(string(ev.Deliveries[0].Request), "b2")
	})
	expect(s, 2, "/a1", "/b2")
	s.close()

	// After a restart, the last good version of the broken file comes from the store.
	s = start(t, setup{dir: dir, yaml: sinkConfig(target)})
	expect(s, 3, "/a1", "/b2")
	writeFile(t, file("a.yaml"), rule("a", "a3"))
	until(t, "the mended file is in force", func() bool {
		s.get("/api/v1/files", &files)
		return files.Files[0].Status == "ok"
	})
	expect(s, 4, "/a3", "/b2")
}

func (s *server) metrics() string {
	s.tb.Helper()
	resp, err := http.Get(s.e.AdminURL() + "/metrics")
	if err != nil {
		s.tb.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.tb.Fatal(err)
	}
	return string(body)
}

// lockDatabase takes the write lock of a database, and returns a function that releases it.
func lockDatabase(t *testing.T, path string) (unlock func()) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the database is locked", func() bool {
		_, err := conn.ExecContext(t.Context(), "BEGIN IMMEDIATE")
		return err == nil
	})
	return func() {
		if _, err := conn.ExecContext(context.WithoutCancel(t.Context()), "ROLLBACK"); err != nil {
			t.Error(err)
		}
		if err := errors.Join(conn.Close(), db.Close()); err != nil {
			t.Error(err)
		}
	}
}

// The reason of a delivery begins with the error that the destination has sent, without secrets. So do the error of the
// attempt and the log.
func TestReasonsSayWhatTheDestinationSaid(t *testing.T) {
	t.Parallel()
	target := newSink(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnprocessableEntity)
		_, _ = io.WriteString(w, `{"code":21211,"message":"The 'To' number\nis not a valid phone number for bearer-5ecret-0f-the-crm","status":422}`)
	})
	yaml := fmt.Sprintf("%sconnections: { crm: { url: %q, bearer: bearer-5ecret-0f-the-crm } }\negress: { allow: [127.0.0.1] }\n", noneConfig, target.URL)
	s := start(t, setup{yaml: yaml, rules: map[string]string{"a.yaml": `rules:
  - { name: call, on: booked, then: [ http: { connection: crm, path: /x, json: { a: 1 } } ] }
`}})
	s.post(booking(1))
	until(t, "the delivery is dead", func() bool { return len(s.deliveries("state=dead")) == 1 })
	const want = "422: The 'To' number is not a valid phone number for [redacted] (POST "
	if got := s.deliveries("state=dead")[0]; !strings.HasPrefix(got.Reason, want) || !strings.HasPrefix(got.Attempts[0].Error, want) {
		t.Errorf("the reason is %q, the attempt's error %q", got.Reason, got.Attempts[0].Error)
	}
	if !strings.Contains(s.log.String(), `reason="`+want) {
		t.Error("the log does not say it")
	}
}

// A connection to a mail server is kept for the next mail, and ends when the engine stops. If the server refuses a
// recipient, the reason says so in the server's words.
func TestMailConnectionsEndWithTheEngine(t *testing.T) {
	t.Parallel()
	farewells := make(chan struct{}, 10)
	address := serveMail(t, func(line string) string {
		switch {
		case line == "QUIT":
			farewells <- struct{}{}
		case strings.Contains(line, "gone@example.com"):
			return "550-no such user\r\n550 here"
		}
		return "250 ok"
	})
	yaml := fmt.Sprintf("%segress: { allow: [127.0.0.1] }\nconnections:\n", noneConfig)
	for _, name := range []string{"one", "two"} {
		yaml += fmt.Sprintf("  %s: { smtp: \"smtp://%s?tls=none\", from: desk@example.com }\n", name, address)
	}
	s := start(t, setup{yaml: yaml, rules: map[string]string{"a.yaml": `rules:
  - { name: all, on: booked, then: [ email: { connection: one, to: a@example.com, subject: s, text: t } ] }
  - { name: some, on: booked, then: [ email: { connection: two, to: [a@example.com, gone@example.com], subject: s, text: t } ] }
`}})
	s.post(booking(1))
	until(t, "both are sent", func() bool { return len(s.deliveries("state=sent")) == 2 })
	for _, d := range s.deliveries("state=sent") {
		if want := map[string]string{"some": `1 of the recipients refused: gone@example.com: 550 no such user here`}[d.Rule]; d.Reason != want {
			t.Errorf("%s: the reason is %q, want %q", d.Rule, d.Reason, want)
		}
	}
	if len(farewells) > 0 {
		t.Error("a connection is not kept")
	}
	s.close()
	for range 2 {
		select {
		case <-farewells:
		case <-time.After(10 * time.Second): // shorter than a connection is kept
			t.Fatal("a connection outlives the engine")
		}
	}
}

// If a rule fails, or if its step is not sent, a row says why (P4). A rule that is switched off or does not match has
// no row.
func TestNothingSilent(t *testing.T) {
	t.Parallel()
	target := newSink(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/gone":
			w.WriteHeader(http.StatusGone)
		case "/elsewhere":
			http.Redirect(w, r, "http://127.0.0.2:1/secret", http.StatusTemporaryRedirect)
		}
	})
	yaml := sinkConfig(target) + "timezone: UTC\n"
	yaml = strings.Replace(yaml, "connections: {", "connections: { mail: { smtp: \"smtp://127.0.0.1:1?tls=none\", from: desk@example.com },", 1)
	s := start(t, setup{yaml: yaml, rules: map[string]string{"a.yaml": `rules:
  - { name: failing condition, on: booked, when: int(appointment.title) > 3, then: [ http: { connection: sink, path: /x } ] }
  - { name: failing template, on: booked, then: [ http: { connection: sink, path: /x, json: { a: "{{ date(previous.startTime, '15:04') }}" } } ] }
  - { name: nobody, on: booked, then: [ email: { connection: mail, to: "{{ contact.email }}", subject: s, text: t } ] }
  - { name: watching, on: booked, mode: shadow, then: [ http: { connection: sink, path: /x, json: { a: must not arrive } } ] }
  - { name: refused, on: booked, then: [ http: { url: "http://169.254.169.254/latest/meta-data?{{ appointment.id }}" } ] }
  - { name: no more, on: booked, then: [ http: { connection: sink, path: /gone } ] }
  - { name: redirected, on: booked, then: [ http: { connection: sink, path: /elsewhere, json: { a: 1 } } ] }
  - { name: off, on: booked, enabled: false, then: [ http: { connection: sink, path: /x, json: { a: must not arrive } } ] }
  - { name: other, on: booked, when: locationId == "another", then: [ http: { connection: sink, path: /x, json: { a: must not arrive } } ] }
`}})
	r := s.post(booking(1))
	until(t, "nothing is open", func() bool {
		return len(s.deliveries("state=pending"))+len(s.deliveries("state=sending")) == 0
	})
	want := map[string]struct {
		state  record.State
		reason string
	}{
		"failing condition": {record.Skipped, "condition error: "},
		"failing template":  {record.Skipped, "rendering error: "},
		"nobody":            {record.Skipped, "unresolved recipient"},
		"watching":          {record.Shadow, "shadow mode"},
		"refused":           {record.Dead, "destination refused: "},
		"no more":           {record.Dead, "410"},
		"redirected":        {record.Dead, "destination refused: "},
	}
	got := s.deliveries("event=" + r.Event)
	for _, d := range got {
		w, ok := want[d.Rule]
		if !ok || d.State != w.state || !strings.Contains(d.Reason, w.reason) {
			t.Errorf("%s is %s: %q; want %s: %q", d.Rule, d.State, d.Reason, w.state, w.reason)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d deliveries, want %d", len(got), len(want))
	}
	for _, call := range target.got {
		if strings.Contains(call, "must not arrive") {
			t.Errorf("the sink got %s", call)
		}
	}
}

// Bodies that are too large or nested too deep are refused, and do not make the heap grow. So are bodies that are not a
// JSON object. Invalid UTF-8 is accepted.
func TestHostileBodies(t *testing.T) {
	t.Parallel()
	s := start(t, setup{yaml: noneConfig})
	big := `{"type":"AppointmentCreate","appointment":{"id":"a","title":"` + strings.Repeat("x", 1<<20) + `"}}`
	deep := strings.Repeat(`{"a":`, 200_000) + "1" + strings.Repeat("}", 200_000)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range 50 {
		if r := s.post(big); r.Code != http.StatusRequestEntityTooLarge {
			t.Fatalf("1 MiB and more: %d", r.Code)
		}
		if r := s.post(deep); r.Code < 400 || r.Code >= 500 || r.Error == "" {
			t.Fatalf("deep: %d", r.Code)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapInuse) - int64(before.HeapInuse); grown > 64<<20 {
		t.Errorf("the heap grew by %d MiB", grown>>20)
	}
	if r := s.post("{\"type\":\"AppointmentCreate\",\"appointment\":{\"id\":\"a\xff\",\"title\":\"\xfe\xed\"}}"); r.Code != http.StatusAccepted {
		t.Errorf("invalid UTF-8: %d %s", r.Code, r.Error)
	}
	for _, body := range []string{"", "[]", "null", "{", `"x"`} {
		if r := s.post(body); r.Code != http.StatusBadRequest || r.Error == "" {
			t.Errorf("%q: %d %s", body, r.Code, r.Error)
		}
	}
}

// If the store cannot write, senders are asked to try again later, and nothing is lost.
func TestStoreCannotWrite(t *testing.T) {
	t.Parallel()
	storetest.InFolder(t)
	target := newSink(t, nil)
	dir := t.TempDir()
	s := start(t, setup{dir: dir, rules: map[string]string{"a.yaml": documentedRules}, yaml: sinkConfig(target)})
	if r := s.post(booking(1)); r.Code != http.StatusAccepted {
		t.Fatal(r)
	}
	unlock := lockDatabase(t, filepath.Join(dir, "data", "bellhop.db"))
	r := s.post(booking(2))
	if r.Code != http.StatusTooManyRequests || r.Header.Get("Retry-After") == "" {
		t.Errorf("while the store cannot write: %d, Retry-After %q", r.Code, r.Header.Get("Retry-After"))
	}
	resp, err := http.Get(s.e.HookURL() + "/healthz")
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("healthz: %v %v", resp, err)
	}
	resp.Body.Close()
	unlock()
	until(t, "it is taken", func() bool { return s.post(booking(2)).Code == http.StatusAccepted })
	until(t, "all is delivered", func() bool { return len(s.deliveries("state=sent")) == 4 })
}

// An attempt that does not end in time when the engine stops is interrupted. It is repeated after the next start, with
// the same idempotency key.
func TestGracefulStop(t *testing.T) {
	t.Parallel()
	arrived, release := make(chan struct{}, 10), make(chan struct{})
	target := newSink(t, func(_ http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	dir := t.TempDir()
	yaml := sinkConfig(target) + "delivery: { shutdown: 1s }\n"
	rules := map[string]string{"a.yaml": benchRules}
	s := start(t, setup{dir: dir, rules: rules, yaml: yaml})
	s.post(booking(1))
	<-arrived
	s.close() // interrupts the attempt after a second
	close(release)
	s = start(t, setup{dir: dir, yaml: yaml})
	until(t, "it is sent", func() bool { return len(s.deliveries("state=sent")) == 1 })
	d := s.deliveries("")[0]
	if len(d.Attempts) != 2 || d.Attempts[0].Outcome != "interrupted" || d.Attempts[1].Outcome != "sent" {
		t.Errorf("attempts: %+v", d.Attempts)
	}
	if len(target.keys) != 1 {
		t.Errorf("the attempts had different idempotency keys: %v", target.keys)
	}
}

func TestRetriesAndDeath(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	answers := map[string][]int{"/flaky": {500, 503, 429}, "/refusing": {422}, "/never": {500, 500, 500, 500, 500, 500}}
	target := newSink(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if list := answers[r.URL.Path]; len(list) > 0 {
			answers[r.URL.Path] = list[1:]
			if list[0] == 429 {
				w.Header().Set("Retry-After", "0")
			}
			w.WriteHeader(list[0])
		}
	})
	yaml := noneConfig + "egress: { allow: [127.0.0.1] }\nconnections:\n"
	rules := "rules:\n"
	for _, name := range []string{"flaky", "refusing", "never"} {
		yaml += fmt.Sprintf("  %s: { url: %q }\n", name, target.URL)
		rules += fmt.Sprintf("  - { name: %[1]s, on: booked, then: [ http: { connection: %[1]s, path: /%[1]s, json: { a: 1 } } ] }\n", name)
	}
	s := start(t, setup{rules: map[string]string{"a.yaml": rules}, yaml: yaml + "delivery: { attempts: 4 }\n", tune: func(o *work.Options) {
		o.Backoff, o.MaxBackoff, o.Breaker.Failures = time.Millisecond, 5*time.Millisecond, 100
	}})
	s.post(booking(1))
	until(t, "all is decided", func() bool { return len(s.deliveries("state=sent"))+len(s.deliveries("state=dead")) == 3 })
	want := map[string]struct {
		state    record.State
		outcomes string
	}{
		"flaky":    {record.Sent, "retry retry retry sent"},
		"refusing": {record.Dead, "permanent"},
		"never":    {record.Dead, "retry retry retry retry"},
	}
	for _, d := range s.deliveries("") {
		var outcomes []string
		for _, a := range d.Attempts {
			outcomes = append(outcomes, a.Outcome)
		}
		if w := want[d.Rule]; d.State != w.state || strings.Join(outcomes, " ") != w.outcomes {
			t.Errorf("%s: %s after %v, want %s after %s (%s)", d.Rule, d.State, outcomes, w.state, w.outcomes, d.Reason)
		}
		if d.State == record.Dead && d.Reason == "" {
			t.Errorf("%s: dead without a reason", d.Rule)
		}
	}
	// When an operator retries the delivery, its attempts are counted from zero.
	dead := s.deliveries("rule=never")[0]
	resp, err := http.Post(s.e.AdminURL()+"/api/v1/deliveries/"+dead.ID+"/retry", "application/json", nil)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp, err)
	}
	resp.Body.Close()
	until(t, "it is sent after all", func() bool { return s.deliveries("rule=never")[0].State == record.Sent })
}
