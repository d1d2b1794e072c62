package hook

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"bellhop/engine/config"
	"bellhop/engine/record"
	"bellhop/rules"
)

// receiver is a function as a [Receiver].
type receiver func(ctx context.Context, ev *rules.Event) (Receipt, error)

func (r receiver) Receive(ctx context.Context, ev *rules.Event) (Receipt, error) { return r(ctx, ev) }

var accept = receiver(func(_ context.Context, ev *rules.Event) (Receipt, error) {
	return Receipt{Event: "e-" + ev.Appointment.ID, Status: record.Accepted}, nil
})

var open = map[string]config.Source{"hoopai": {Verify: config.Verify{Scheme: config.None}}}

// serve starts a real server with the limits of [Server].
func serve(t testing.TB, o Options) *httptest.Server {
	t.Helper()
	if o.Receiver == nil {
		o.Receiver = accept
	}
	if o.Sources == nil {
		o.Sources = open
	}
	h, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(nil)
	srv.Config = Server(h, nil)
	srv.Start()
	t.Cleanup(srv.Close)
	return srv
}

// answered is an answer to a request.
type answered struct {
	code   int
	header http.Header
	body   string
}

func do(t testing.TB, method, url string, h http.Header, body io.Reader) answered {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	if h != nil {
		req.Header = h
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return answered{resp.StatusCode, resp.Header, string(data)}
}

// wantError checks that the answer has the status, and an error in the documented form that contains sentence.
func (a answered) wantError(t testing.TB, what string, code int, sentence string) {
	t.Helper()
	var body map[string]string
	err := json.Unmarshal([]byte(a.body), &body)
	if a.code != code || err != nil || len(body) != 1 || !strings.Contains(body["error"], sentence) {
		t.Errorf("%s: %d %s (%v); want %d with %q", what, a.code, a.body, err, code, sentence)
	}
	if got := a.header.Get("Content-Type"); got != "application/json" {
		t.Errorf("%s: Content-Type %q", what, got)
	}
	if got := a.header.Get("Retry-After"); (got != "") != (code == http.StatusTooManyRequests) {
		t.Errorf("%s: Retry-After %q with %d", what, got, code)
	}
}

func TestHandlerAccepts(t *testing.T) {
	t.Parallel()
	body, err := os.ReadFile("../../testdata/events/create.json")
	if err != nil {
		t.Fatal(err)
	}
	var got *rules.Event
	var seen []Observation
	srv := serve(t, Options{
		Receiver: receiver(func(ctx context.Context, ev *rules.Event) (Receipt, error) {
			if at, ok := ctx.Deadline(); !ok || time.Until(at) > 5*time.Second {
				t.Errorf("the sender gives up after five seconds; the deadline is %v, %v", at, ok)
			}
			got = ev
			return Receipt{Event: "e1", Status: record.Duplicate}, nil
		}),
		Now:     func() time.Time { return received },
		Observe: func(o Observation) { seen = append(seen, o) },
	})
	a := do(t, "POST", srv.URL+"/hooks/hoopai", nil, bytes.NewReader(body))
	if a.code != http.StatusAccepted || strings.TrimSpace(a.body) != `{"event":"e1","status":"duplicate"}` || a.header.Get("Content-Type") != "application/json" {
		t.Errorf("answered %d %v %s", a.code, a.header, a.body)
	}
	if got == nil || got.Source != "hoopai" || got.Appointment.Title != "First consultation" || !got.ReceivedAt.Equal(received) {
		t.Errorf("received %+v", got)
	}
	if len(seen) != 1 || seen[0] != (Observation{Source: "hoopai", Code: 202, Status: record.Duplicate}) {
		t.Errorf("observed %+v", seen)
	}
}

func TestHandlerRefuses(t *testing.T) {
	t.Parallel()
	never := receiver(func(_ context.Context, ev *rules.Event) (Receipt, error) {
		t.Errorf("received %+v", ev)
		return Receipt{}, errors.New("not wanted")
	})
	var mu sync.Mutex
	var seen []Observation
	srv := serve(t, Options{
		Receiver: never,
		Observe: func(o Observation) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, o)
		},
		Sources: map[string]config.Source{
			"hoopai": {Verify: config.Verify{Scheme: config.None}},
			"signed": {Verify: config.Verify{Scheme: config.HighLevel}},
			"desk":   {Verify: config.Verify{Scheme: config.None}, Locations: []string{"L1", "L2"}},
		},
	})
	const mib = 1 << 20
	big := func(n int) string { return `{"x":"` + strings.Repeat("x", n-8) + `"}` }
	for _, c := range []struct {
		what, method, path string
		header             http.Header
		body               string
		code               int
		sentence           string
	}{
		{"unknown source", "POST", "/hooks/nobody", nil, "{}", 404, "no source of this name"},
		{"no source", "POST", "/hooks/", nil, "{}", 404, "no source"},
		{"below a source", "POST", "/hooks/hoopai/x", nil, "{}", 404, "no source"},
		{"elsewhere", "POST", "/admin", nil, "{}", 404, "nothing here"},
		{"the top", "GET", "/", nil, "", 404, "nothing here"},
		{"unknown source before method", "GET", "/hooks/nobody", nil, "", 404, "no source"},
		{"method", "GET", "/hooks/hoopai", nil, "", 405, "POST"},
		{"method", "PUT", "/hooks/hoopai", nil, "{}", 405, "POST"},
		{"method", "DELETE", "/hooks/signed", nil, "", 405, "POST"},
		{"healthz", "POST", "/healthz", nil, "", 405, "GET"},
		{"empty", "POST", "/hooks/hoopai", nil, "", 400, "empty"},
		{"a list", "POST", "/hooks/hoopai", nil, "[]", 400, "not a JSON object"},
		{"no JSON", "POST", "/hooks/hoopai", nil, "a=b", 400, "not valid JSON"},
		{"deep", "POST", "/hooks/hoopai", nil, strings.Repeat("[", mib), 400, "nested"},
		{"gzip", "POST", "/hooks/hoopai", header("Content-Encoding", "gzip"), "\x1f\x8b", 400, "compressed"},
		{"too large", "POST", "/hooks/hoopai", nil, big(mib + 1), 413, "1 MiB"},
		{"far too large", "POST", "/hooks/hoopai", nil, big(8 * mib), 413, "1 MiB"},
		{"unsigned", "POST", "/hooks/signed", nil, "{}", 401, "X-GHL-Signature is missing"},
		{"N/A", "POST", "/hooks/signed", header("X-GHL-Signature", "N/A", "X-WH-Signature", "x"), "{}", 401, "X-GHL-Signature is missing"},
		{"forged", "POST", "/hooks/signed", header("X-GHL-Signature", base64.StdEncoding.EncodeToString(make([]byte, ed25519.SignatureSize))), "{}", 401, "does not match"},
		{"unsigned and no JSON", "POST", "/hooks/signed", nil, "no", 401, "missing"},
		{"unsigned and too large", "POST", "/hooks/signed", nil, big(mib + 1), 413, "1 MiB"},
		{"another location", "POST", "/hooks/desk", nil, `{"type":"INSTALL","locationId":"L3"}`, 403, "location"},
		{"no location", "POST", "/hooks/desk", nil, `{"type":"INSTALL"}`, 403, "location"},
		{"no text for a location", "POST", "/hooks/desk", nil, `{"locationId":["L1"]}`, 403, "location"},
		{"a location like ours", "POST", "/hooks/desk", nil, `{"locationId":"l1"}`, 403, "location"},
	} {
		a := do(t, c.method, srv.URL+c.path, c.header, strings.NewReader(c.body))
		a.wantError(t, c.what, c.code, c.sentence)
		if got := a.header.Get("Allow"); (got != "") != (c.code == 405) {
			t.Errorf("%s: Allow %q with %d", c.what, got, c.code)
		}
	}
	// The same without a Content-Length.
	chunked := do(t, "POST", srv.URL+"/hooks/hoopai", nil, io.MultiReader(strings.NewReader(big(mib+1))))
	chunked.wantError(t, "chunked", 413, "1 MiB")
	mu.Lock()
	defer mu.Unlock()
	for _, o := range seen {
		if o.Status != "" || o.Code < 400 || (o.Source == "") != (o.Code == 404) {
			t.Errorf("observed %+v", o)
		}
	}
}

func TestHandlerLimits(t *testing.T) {
	t.Parallel()
	var size int
	srv := serve(t, Options{
		Sources: map[string]config.Source{"desk": {Verify: config.Verify{Scheme: config.None}, Locations: []string{"L1", "L2"}}},
		Receiver: receiver(func(_ context.Context, ev *rules.Event) (Receipt, error) {
			size = len(ev.Body)
			return Receipt{Event: "e", Status: record.Accepted}, nil
		}),
	})
	body := `{"locationId":"L2","x":"`
	body += strings.Repeat("x", 1<<20-len(body)-2) + `"}`
	for what, r := range map[string]io.Reader{
		"with Content-Length": strings.NewReader(body), "chunked": io.MultiReader(strings.NewReader(body)),
	} {
		size = 0
		a := do(t, "POST", srv.URL+"/hooks/desk", header("Content-Encoding", "identity"), r)
		if a.code != 202 || size != 1<<20 {
			t.Errorf("exactly 1 MiB %s: %d %s, %d bytes received", what, a.code, a.body, size)
		}
	}
	for _, method := range []string{"GET", "HEAD"} {
		if a := do(t, method, srv.URL+"/healthz", nil, nil); a.code != 200 {
			t.Errorf("%s /healthz: %d %s", method, a.code, a.body)
		}
	}
}

// A Content-Length alone takes no memory, and a body that ends too early is answered.
func TestHandlerBodyClaims(t *testing.T) {
	t.Parallel()
	srv := serve(t, Options{})
	for what, request := range map[string]string{
		"a claim above the limit": "Content-Length: 1099511627776\r\n\r\n",
		"cut off":                 "Content-Length: 1000\r\n\r\n{\"type\":",
		"bad chunks":              "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
	} {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fprintf(conn, "POST /hooks/hoopai HTTP/1.1\r\nHost: example.com\r\n%s", request); err != nil {
			t.Fatal(err)
		}
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		want := 400
		if what == "a claim above the limit" {
			want = 413
		}
		if resp.StatusCode != want {
			t.Errorf("%s: %d, want %d", what, resp.StatusCode, want)
		}
		_ = resp.Body.Close()
		_ = conn.Close()
	}
}

func TestReadBodyMemory(t *testing.T) {
	h, err := New(Options{Receiver: accept, Sources: open})
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 100 {
		r := httptest.NewRequest("POST", "/hooks/hoopai", strings.NewReader("{}"))
		r.ContentLength = 1 << 20
		if _, code, why := h.readBody(httptest.NewRecorder(), r, &guest{}); code != 0 {
			t.Fatal(code, why)
		}
	}
	runtime.ReadMemStats(&after)
	if used := (after.TotalAlloc - before.TotalAlloc) / 100; used > 64<<10 {
		t.Errorf("a claimed body of 1 MiB took %d KiB", used>>10)
	}
}

func TestServerLimits(t *testing.T) {
	t.Parallel()
	h, err := New(Options{Receiver: accept, Sources: open})
	if err != nil {
		t.Fatal(err)
	}
	s := Server(h, nil)
	if s.ReadHeaderTimeout <= 0 || s.ReadTimeout < s.ReadHeaderTimeout || s.IdleTimeout <= 0 || s.MaxHeaderBytes <= 0 ||
		s.WriteTimeout < s.ReadTimeout+answerWithin {
		t.Errorf("a slow sender could hold on: %+v", s)
	}
	srv := serve(t, Options{})
	a := do(t, "GET", srv.URL+"/healthz", header("X-Large", strings.Repeat("x", 64<<10)), nil)
	if a.code != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("64 KiB of headers: %d", a.code)
	}
}

// If every slot is taken, the next webhook is told at once to retry. Slots become free again.
func TestHandlerFull(t *testing.T) {
	t.Parallel()
	const slots = 3
	entered, release := make(chan struct{}, slots), make(chan struct{})
	var mu sync.Mutex
	codes := map[int]int{}
	var log bytes.Buffer
	srv := serve(t, Options{
		MaxConcurrent: slots,
		Logger:        slog.New(slog.NewTextHandler(&log, nil)),
		Now:           func() time.Time { return received },
		Observe: func(o Observation) {
			mu.Lock()
			defer mu.Unlock()
			codes[o.Code]++
		},
		Receiver: receiver(func(ctx context.Context, _ *rules.Event) (Receipt, error) {
			entered <- struct{}{}
			select {
			case <-release:
				return Receipt{Event: "e", Status: record.Accepted}, nil
			case <-ctx.Done():
				return Receipt{}, ctx.Err()
			}
		}),
	})
	var wg sync.WaitGroup
	for range slots {
		wg.Go(func() {
			if a := do(t, "POST", srv.URL+"/hooks/hoopai", nil, strings.NewReader("{}")); a.code != 202 {
				t.Errorf("with a slot: %d %s", a.code, a.body)
			}
		})
	}
	for range slots {
		<-entered
	}
	for range 5 {
		do(t, "POST", srv.URL+"/hooks/hoopai", nil, strings.NewReader("{}")).wantError(t, "full", 429, "too many")
	}
	if a := do(t, "GET", srv.URL+"/healthz", nil, nil); a.code != 200 {
		t.Errorf("/healthz while full: %d", a.code)
	}
	close(release)
	wg.Wait()
	if a := do(t, "POST", srv.URL+"/hooks/hoopai", nil, strings.NewReader("{}")); a.code != 202 {
		t.Errorf("after it was full: %d %s", a.code, a.body)
	}
	srv.Close()
	mu.Lock()
	defer mu.Unlock()
	if codes[202] != slots+1 || codes[429] != 5 {
		t.Errorf("observed %v", codes)
	}
	if n := strings.Count(log.String(), "too many webhooks"); n != 1 {
		t.Errorf("the same refusal was logged %d times in a moment:\n%s", n, &log)
	}
}

func TestHandlerCannotStore(t *testing.T) {
	t.Parallel()
	const cause = "disk full at /var/lib/store"
	for what, err := range map[string]error{
		"busy":    fmt.Errorf("%w: %s", ErrBusy, cause),
		"another": errors.New(cause),
		"late":    context.DeadlineExceeded,
	} {
		var log bytes.Buffer
		srv := serve(t, Options{
			Logger:   slog.New(slog.NewTextHandler(&log, nil)),
			Receiver: receiver(func(context.Context, *rules.Event) (Receipt, error) { return Receipt{}, err }),
		})
		a := do(t, "POST", srv.URL+"/hooks/hoopai", nil, strings.NewReader("{}"))
		a.wantError(t, what, 429, "send it again later")
		if strings.Contains(a.body, cause) {
			t.Errorf("%s: the sender is told the cause: %s", what, a.body)
		}
		srv.Close()
		if !strings.Contains(log.String(), err.Error()) {
			t.Errorf("%s: the operator is not told the cause: %s", what, &log)
		}
	}
}

// If the store hangs, the sender still gets an answer in time.
func TestHandlerStoreHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, err := New(Options{Sources: open, Receiver: receiver(func(ctx context.Context, _ *rules.Event) (Receipt, error) {
			<-ctx.Done()
			return Receipt{}, ctx.Err()
		})})
		if err != nil {
			t.Fatal(err)
		}
		started := time.Now()
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "POST", "/hooks/hoopai", strings.NewReader("{}")))
		if took := time.Since(started); w.Code != 429 || w.Header().Get("Retry-After") == "" || took >= 5*time.Second {
			t.Errorf("%d after %v", w.Code, took)
		}
	})
}

func TestLimitedLog(t *testing.T) {
	t.Parallel()
	now := received
	var buf bytes.Buffer
	o := Options{Now: func() time.Time { return now }, Logger: slog.New(slog.NewTextHandler(&buf, nil))}
	var l limitedLog
	for range 100 {
		l.log(t.Context(), o, "refused")
	}
	now = now.Add(logEvery)
	l.log(t.Context(), o, "refused")
	lines := strings.Split(strings.TrimSpace(buf.String()), "\n")
	if len(lines) != 2 || !strings.Contains(lines[1], "alike_before=99") {
		t.Errorf("logged\n%s", &buf)
	}
}

func TestNewNamesTheSource(t *testing.T) {
	t.Parallel()
	_, err := New(Options{Sources: map[string]config.Source{"desk": {Verify: config.Verify{Scheme: "ed25519", Keys: []string{"x"}}}}})
	if err == nil || !strings.Contains(err.Error(), "source desk") {
		t.Errorf("%v", err)
	}
}

func BenchmarkHandler(b *testing.B) {
	body, err := os.ReadFile("../../testdata/events/create.json")
	if err != nil {
		b.Fatal(err)
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		b.Fatal(err)
	}
	h, err := New(Options{
		Sources: map[string]config.Source{
			"hoopai": {Verify: config.Verify{Scheme: config.HighLevel, Keys: []string{base64.StdEncoding.EncodeToString(spki)}}},
			"open":   {Verify: config.Verify{Scheme: config.None}},
		},
		Receiver: accept,
	})
	if err != nil {
		b.Fatal(err)
	}
	sig := base64.StdEncoding.EncodeToString(ed25519.Sign(private, body))
	for name, source := range map[string]string{"signed": "hoopai", "unsigned": "open"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequest("POST", "/hooks/"+source, bytes.NewReader(body))
				r.Header.Set("X-GHL-Signature", sig)
				w := httptest.NewRecorder()
				if h.ServeHTTP(w, r); w.Code != 202 {
					b.Fatal(w.Code, w.Body)
				}
			}
		})
	}
}

// The operator says what a word means that the platform does not have.
func TestStatusesOfSource(t *testing.T) {
	t.Parallel()
	var got *rules.Event
	srv := serve(t, Options{
		Sources: map[string]config.Source{"hoopai": {Verify: config.Verify{Scheme: config.None}, Statuses: map[string]string{"Canceled by customer": "cancelled", "annulé": "cancelled"}}},
		Receiver: receiver(func(_ context.Context, ev *rules.Event) (Receipt, error) {
			got = ev
			return Receipt{Event: "e", Status: record.Accepted}, nil
		}),
	})
	for _, word := range []string{"canceled_by_customer", "annulé"} {
		a := do(t, "POST", srv.URL+"/hooks/hoopai", nil, strings.NewReader(`{"type":"AppointmentUpdate","appointment":{"id":"a","appointmentStatus":"`+word+`"}}`))
		if a.code != http.StatusAccepted || got.Appointment.AppointmentStatus != rules.Cancelled || len(got.Problems) > 0 {
			t.Errorf("%s: %d, %+v", word, a.code, got)
		}
	}
}

var received = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func header(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}
