package engine_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"bellhop/engine"
	"bellhop/engine/config"
	"bellhop/engine/record"
	"bellhop/engine/store/storetest"
	"bellhop/engine/verify"
	"bellhop/engine/work"
	"bellhop/rules/text"
)

// A server is an engine that runs for one test.
type server struct {
	tb  testing.TB
	e   *engine.Engine
	cfg *config.Config
	log *lockedBuffer

	stop    context.CancelFunc
	stopped chan error
}

// A setup has the rules and the configuration of an engine. The zero value has no rules.
type setup struct {
	dir    string            // the folder of the rules, the data and the configuration; "" is a new one
	rules  map[string]string // rule files, by name
	yaml   string            // is added to the configuration, which has only the two addresses
	tune   func(*work.Options)
	people work.People
	env    map[string]string
}

// start runs an engine on free ports. It runs until the test ends or close is called.
func start(tb testing.TB, s setup) *server {
	tb.Helper()
	if s.dir == "" {
		s.dir = tb.TempDir()
	}
	folder := filepath.Join(s.dir, "rules")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		tb.Fatal(err)
	}
	for name, text := range s.rules {
		writeFile(tb, filepath.Join(folder, name), text)
	}
	file := filepath.Join(s.dir, "bellhop.yaml")
	writeFile(tb, file, "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\n"+s.yaml)
	cfg, findings, err := config.Load(file, config.Env{CheckVerify: verify.Check, Lookup: func(name string) (string, bool) {
		v, ok := s.env[name]
		return v, ok
	}})
	if err != nil {
		tb.Fatal(err)
	}
	for _, f := range findings {
		if f.Severity == text.Error {
			tb.Fatalf("%s:%d:%d: %s", f.File, f.Line, f.Column, f.Message)
		}
	}
	if storetest.Postgres() {
		cfg.Store = storetest.Beside(tb, s.dir)
	}
	out := &server{tb: tb, cfg: cfg, log: &lockedBuffer{}, stopped: make(chan error, 1)}
	var ctx context.Context
	ctx, out.stop = context.WithCancel(context.Background())
	out.e, err = engine.New(ctx, engine.Options{
		Config: cfg, Version: "test", Tune: s.tune, People: s.people,
		Logger: slog.New(slog.NewTextHandler(out.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		out.stop()
		tb.Fatal(err)
	}
	go func() { out.stopped <- out.e.Run(ctx) }()
	tb.Cleanup(func() {
		out.close()
		if tb.Failed() {
			tb.Logf("the log:\n%s", out.log.String())
		}
	})
	return out
}

// close stops the engine and waits for it. A second call does nothing.
func (s *server) close() {
	s.stop()
	if s.stopped == nil {
		return
	}
	if err := <-s.stopped; err != nil {
		s.tb.Errorf("the engine stopped with: %v", err)
	}
	s.stopped = nil
}

type receipt struct {
	Code   int
	Event  string `json:"event"`
	Status string `json:"status"`
	Error  string `json:"error"`
	Header http.Header
}

// post sends a webhook to the source hoopai.
func (s *server) post(body string) receipt {
	s.tb.Helper()
	resp, err := http.Post(s.e.HookURL()+"/hooks/hoopai", "application/json", strings.NewReader(body))
	if err != nil {
		s.tb.Fatal(err)
	}
	defer resp.Body.Close()
	r := receipt{Code: resp.StatusCode, Header: resp.Header}
	if err := json.NewDecoder(resp.Body).Decode(&r); err != nil {
		s.tb.Fatal(err)
	}
	return r
}

// get decodes an answer of the API into v.
func (s *server) get(path string, v any) {
	s.tb.Helper()
	resp, err := http.Get(s.e.AdminURL() + path)
	if err != nil {
		s.tb.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		s.tb.Fatalf("GET %s: %s %s %v", path, resp.Status, body, err)
	}
	if err := json.Unmarshal(body, v); err != nil {
		s.tb.Fatal(err)
	}
}

func (s *server) deliveries(query string) []record.Delivery {
	s.tb.Helper()
	var page struct{ Deliveries []record.Delivery }
	s.get("/api/v1/deliveries?limit=500&"+query, &page)
	return page.Deliveries
}

// until calls ok every 10 ms until it returns true. After 30 s it fails the test.
func until(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			tb.Fatalf("after 30 s, still not: %s", what)
		}
	}
}

func writeFile(tb testing.TB, path, text string) {
	tb.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
}

// read returns a file of the repository's testdata.
func read(tb testing.TB, name string) string {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join("..", "testdata", name))
	if err != nil {
		tb.Fatal(err)
	}
	return string(data)
}

// booking returns a create of the n-th appointment.
func booking(n int) string {
	return fmt.Sprintf(`{"type":"AppointmentCreate","locationId":"0007BWpSzSwfiuSl0tR2","appointment":{"id":"appt%08d",`+
		`"address":"12 Harbour Street, Room 3","title":"First consultation","calendarId":"BqTwX8QFwXzpegMve9EQ",`+
		`"contactId":"epfJBd0Kh8oOOL8dKLzd","groupId":"ocJ2isAjIhKtJ0RlgLKO","appointmentStatus":"confirmed",`+
		`"assignedUserId":"mxgJTeKdNnFRIBXuDL7D","users":["mxgJTeKdNnFRIBXuDL7D"],"notes":"Asked for a quiet room.",`+
		`"source":"booking_widget","startTime":"2099-12-07T10:00:00+05:30","endTime":"2099-12-07T10:45:00+05:30",`+
		`"dateAdded":"2026-11-20T09:12:33+05:30","dateUpdated":"2026-11-20T09:12:33+05:30"}}`, n)
}

// A sink is an HTTP server that records the requests that it gets.
type sink struct {
	*httptest.Server
	mu   sync.Mutex
	keys map[string]int // how often each idempotency key came
	got  []string       // bodies
}

func newSink(tb testing.TB, handle http.HandlerFunc) *sink {
	s := &sink{keys: map[string]int{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		s.mu.Lock()
		s.keys[r.Header.Get("Idempotency-Key")]++
		s.got = append(s.got, string(body))
		s.mu.Unlock()
		if handle != nil {
			handle(w, r)
		}
	}))
	tb.Cleanup(s.Close)
	return s
}

func (s *sink) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.got)
}

// A lockedBuffer is a buffer that is safe for concurrent use.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// A wire posts webhooks over one connection. It does little work itself, so that a benchmark measures the server.
type wire struct {
	conn net.Conn
	r    *bufio.Reader
	host string
}

func dial(tb testing.TB, base string) *wire {
	u, err := url.Parse(base)
	if err != nil {
		tb.Fatal(err)
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close() })
	return &wire{conn: conn, r: bufio.NewReader(conn), host: u.Host}
}

// post sends one body and returns the status of the answer.
func (w *wire) post(body string) (int, error) { return w.send(request(w.host, body, "")) }

// request returns the text of a request that posts a body. header is "" or lines that each end with CR LF.
func request(host, body, header string) string {
	return fmt.Sprintf("POST /hooks/hoopai HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n%s", host, header, len(body), body)
}

// send sends the text of a request and returns the status of the answer.
func (w *wire) send(req string) (int, error) {
	if _, err := io.WriteString(w.conn, req); err != nil {
		return 0, err
	}
	resp, err := http.ReadResponse(w.r, nil)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

// serveMail runs a mail server until the test ends. answer returns the answer to a command, and to the "." that ends a
// mail. It is not called for DATA.
func serveMail(tb testing.TB, answer func(line string) string) (address string) {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer conn.Close()
				_, _ = io.WriteString(conn, "220 mx.example.com\r\n")
				data := false
				for lines := bufio.NewScanner(conn); lines.Scan(); {
					line := lines.Text()
					switch {
					case data && line != ".":
						continue
					case line == "DATA":
						_, _ = io.WriteString(conn, "354 go\r\n")
					default:
						_, _ = io.WriteString(conn, answer(line)+"\r\n")
					}
					data = line == "DATA"
				}
			})
		}
	})
	tb.Cleanup(func() {
		_ = listener.Close()
		running.Wait()
	})
	return listener.Addr().String()
}
