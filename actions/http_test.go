package actions

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

func invoke(t *testing.T, h *HTTP, c Connection) (Receipt, error) {
	t.Helper()
	return h.Do(t.Context(), Dispatch{ID: "d-1", Connection: c, Guard: newGuard(t, "127.0.0.1")})
}

func parseStep(t *testing.T, text string) *HTTP {
	t.Helper()
	h := new(HTTP)
	if err := json.Unmarshal([]byte(text), h); err != nil {
		t.Fatal(err)
	}
	return h
}

func TestHTTPCalls(t *testing.T) {
	t.Parallel()
	srv, calls := answering(t, 201, nil, "made")
	for _, c := range []struct {
		step              string
		api               *HTTPAPI
		method, path      string
		contentType, body string
		header            map[string]string
	}{
		{`{"connection":"crm","path":"/appointments/{x}"}`, &HTTPAPI{URL: "/api"}, "GET", "/api/appointments/%7Bx%7D", "", "", map[string]string{"Authorization": ""}},
		{`{"path":"/a?x=1","query":{"y":"a&b","z":"ü"}}`, &HTTPAPI{URL: "/api/?k=v"}, "GET", "/api/a?k=v&x=1&y=a%26b&z=%C3%BC", "", "", nil},
		{`{"path":"a","json":{"b":"<&>","a":[1.50,12345678901234567890,null]}}`, &HTTPAPI{URL: ""}, "POST", "/a", "application/json", `{"a":[1.50,12345678901234567890,null],"b":"<&>"}`, nil},
		{`{"path":"/a","method":"put","json":[]}`, &HTTPAPI{URL: "/"}, "PUT", "/a", "application/json", `[]`, nil},
		{`{"path":"/a","form":{"b":"x y","a":"&"}}`, &HTTPAPI{URL: "/"}, "POST", "/a", "application/x-www-form-urlencoded", `a=%26&b=x+y`, nil},
		{`{"path":"/a","body":"text é","headers":{"content-type":"text/csv","X-Desk":"front"}}`, &HTTPAPI{URL: "/"}, "POST", "/a", "text/csv", `text é`, map[string]string{"X-Desk": "front"}},
		{`{"path":"/a","body":"text"}`, &HTTPAPI{URL: "/"}, "POST", "/a", "text/plain; charset=utf-8", `text`, nil},
		{`{"path":"/a","method":"delete"}`, &HTTPAPI{URL: "/"}, "DELETE", "/a", "", "", nil},
		{`{"path":"/a"}`, &HTTPAPI{URL: "/", Bearer: "token-1"}, "GET", "/a", "", "", map[string]string{"Authorization": "Bearer token-1"}},
		{`{"path":"/a"}`, &HTTPAPI{URL: "/", Basic: &Basic{"u", "pä"}}, "GET", "/a", "", "", map[string]string{"Authorization": "Basic dTpww6Q="}},
		{`{"path":"/a","headers":{"X-Api-Key":"mine","Accept":"text/csv"}}`, &HTTPAPI{URL: "/", Headers: map[string]string{"x-api-key": "k", "accept": "application/json", "User-Agent": "desk"}},
			"GET", "/a", "", "", map[string]string{"X-Api-Key": "k", "Accept": "text/csv", "User-Agent": "desk"}},
		{`{"path":"/a","headers":{"Authorization":"mine"}}`, &HTTPAPI{URL: "/", Bearer: "token-1"}, "GET", "/a", "", "", map[string]string{"Authorization": "Bearer token-1"}},
	} {
		c.api.URL = srv.URL + c.api.URL
		receipt, err := invoke(t, parseStep(t, c.step), c.api)
		if err != nil || receipt.Status != "201 Created" || receipt.Body != "made" {
			t.Errorf("%s: %+v, %v", c.step, receipt, err)
			continue
		}
		got := calls()[0]
		if got.method != c.method || got.path != c.path || got.body != c.body || got.header.Get("Content-Type") != c.contentType {
			t.Errorf("%s: got %+v", c.step, got)
		}
		if got.header.Get("Idempotency-Key") != "d-1" {
			t.Errorf("%s: Idempotency-Key %q", c.step, got.header.Get("Idempotency-Key"))
		}
		if c.header["User-Agent"] == "" && got.header.Get("User-Agent") != "bellhop" {
			t.Errorf("%s: User-Agent %q", c.step, got.header.Get("User-Agent"))
		}
		for name, want := range c.header {
			if got.header.Get(name) != want {
				t.Errorf("%s: %s is %q", c.step, name, got.header.Get(name))
			}
		}
	}
	// A step with a url uses no connection, even if one is given.
	if _, err := invoke(t, &HTTP{URL: srv.URL + "/hook?a=1 é#top"}, &HTTPAPI{URL: "http://127.0.0.1:1", Bearer: "token-1"}); err != nil {
		t.Fatal(err)
	}
	if got := calls()[0]; got.path != "/hook?a=1%20%C3%A9" || got.header.Get("Authorization") != "" {
		t.Errorf("%+v", got)
	}
}

func TestHTTPStatuses(t *testing.T) {
	t.Parallel()
	retried := []int{408, 425, 429, 500, 501, 502, 503, 504, 507, 511, 520, 599}
	for code := 200; code < 600; code++ {
		if code > 240 && code%10 > 4 && !slices.Contains(retried, code) && code != 405 && code != 415 {
			continue
		}
		srv, _ := answering(t, code, nil, "")
		receipt, err := invoke(t, &HTTP{URL: srv.URL}, nil)
		switch f := Classify(err); {
		case code < 300:
			if err != nil {
				t.Errorf("%d: %v", code, err)
			}
		case err == nil || f.Permanent == (slices.Contains(retried, code) || code >= 500) || f.After != 0:
			t.Errorf("%d: permanent %v, %v", code, f.Permanent, err)
		}
		if receipt.Status != strings.TrimSpace(fmt.Sprintf("%d %s", code, http.StatusText(code))) {
			t.Errorf("%d: %+v", code, receipt)
		}
	}
	for _, c := range []struct {
		code      int
		expect    []int
		ok        bool
		permanent bool
	}{
		{409, []int{200, 409}, true, false},
		{200, []int{200, 409}, true, false},
		{201, []int{200, 409}, false, true},
		{302, []int{302}, true, false},
		{500, []int{500}, true, false},
		{503, []int{200}, false, false},
		{404, []int{200}, false, true},
	} {
		srv, _ := answering(t, c.code, map[string]string{"Location": "http://127.0.0.1:1/"}, "")
		_, err := invoke(t, &HTTP{URL: srv.URL, Expect: c.expect}, nil)
		if (err == nil) != c.ok || Classify(err).Permanent != c.permanent {
			t.Errorf("%d, expected %v: %v", c.code, c.expect, err)
		}
	}
}

// TestHTTPOddAnswers sends answers that no well-behaved server sends.
func TestHTTPOddAnswers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer    string
		ok        bool
		permanent bool
	}{
		"early hints":            {"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", true, false},
		"continue":               {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", true, false},
		"switching protocols":    {"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n", false, false},
		"endless continue":       {strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 5000), false, false},
		"nothing":                {"", false, false},
		"garbage":                {"220 mx.example.com ESMTP\r\n", false, false},
		"half a header":          {"HTTP/1.1 200 OK\r\nContent-", false, false},
		"an endless header":      {"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 200<<10) + "\r\n\r\n", false, false},
		"a status of 6 hundred":  {"HTTP/1.1 600 Odd\r\nContent-Length: 0\r\n\r\n", false, false},
		"half a body":            {"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", true, false},
		"an error's half a body": {"HTTP/1.1 404 Not Found\r\nContent-Length: 100\r\n\r\nhalf", false, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := serveTCP(t, func(conn net.Conn) {
				if _, err := conn.Read(make([]byte, 4096)); err != nil {
					return
				}
				_, _ = io.WriteString(conn, c.answer)
				if strings.HasPrefix(c.answer, "HTTP/1.1 101") {
					_, _ = io.Copy(io.Discard, conn) // such a connection stays open until the other side leaves
				}
			})
			started := time.Now()
			_, err := invoke(t, &HTTP{URL: "http://" + address}, nil)
			if (err == nil) != c.ok || Classify(err).Permanent != c.permanent {
				t.Errorf("%v", err)
			}
			if took := time.Since(started); took > usualTimeout/2 {
				t.Errorf("it took %v", took)
			}
		})
	}
}

func TestHTTPRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		code  int
		value string
		want  time.Duration
	}{
		{429, "120", 2 * time.Minute}, {503, "120", 2 * time.Minute}, {500, "120", 0}, {429, "", 0}, {429, "soon", 0}, {429, "-5", 0}, {429, "0", 0},
		{429, now.Add(90 * time.Second).Format(http.TimeFormat), 90 * time.Second},
		{503, now.Add(-time.Hour).Format(http.TimeFormat), 0},
		{429, "99999999999999999999", 0}, {429, "9999999999999", 24 * time.Hour}, {429, now.AddDate(1, 0, 0).Format(http.TimeFormat), 24 * time.Hour},
	} {
		srv, _ := answering(t, c.code, map[string]string{"Retry-After": c.value, "Date": now.Format(http.TimeFormat)}, "")
		_, err := invoke(t, &HTTP{URL: srv.URL}, nil)
		if f := Classify(err); err == nil || f.Permanent || f.After != c.want {
			t.Errorf("%d %q: %+v", c.code, c.value, f)
		}
	}
}

func TestHTTPReceiptIsTheHeadOfTheAnswer(t *testing.T) {
	t.Parallel()
	srv, _ := answering(t, 200, nil, strings.Repeat("é", 600)+"\xff"+strings.Repeat("x", 5<<20))
	receipt, err := invoke(t, &HTTP{URL: srv.URL}, nil)
	if err != nil || len(receipt.Body) > 1024 || len(receipt.Body) < 1020 || !utf8.ValidString(receipt.Body) {
		t.Errorf("%d bytes, %v", len(receipt.Body), err)
	}
	srv, _ = answering(t, 200, nil, "a\x00b\xffc")
	if receipt, err = invoke(t, &HTTP{URL: srv.URL}, nil); err != nil || receipt.Body != "a\uFFFDb\uFFFDc" {
		t.Errorf("%q, %v", receipt.Body, err)
	}
}

func TestHTTPKeepsConnections(t *testing.T) {
	t.Parallel()
	var opened atomic.Int32
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 10<<10)) }))
	srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			opened.Add(1)
		}
	}
	srv.Start()
	t.Cleanup(srv.Close)
	g := newGuard(t, "127.0.0.1")
	for range 20 {
		if _, err := (&HTTP{URL: srv.URL}).Do(t.Context(), Dispatch{ID: "1", Guard: g}); err != nil {
			t.Fatal(err)
		}
	}
	if n := opened.Load(); n != 1 {
		t.Errorf("%d connections for 20 calls in a row", n)
	}
}

func TestHTTPTimeout(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	t.Cleanup(func() {
		close(release)
		srv.Close()
	})
	_, err := invoke(t, &HTTP{URL: srv.URL, Timeout: Duration(20 * time.Millisecond)}, nil)
	if err == nil || Classify(err).Permanent || !strings.Contains(err.Error(), "no answer in time") {
		t.Errorf("%v", err)
	}
}

func TestHTTPRedirects(t *testing.T) {
	t.Parallel()
	other, otherCalls := answering(t, 200, nil, "other")
	mux := http.NewServeMux()
	var last received
	mux.HandleFunc("/end", func(w http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(r.Body)
		last = received{r.Method, r.RequestURI, r.Header, string(data)}
		_, _ = io.WriteString(w, "end")
	})
	var asked atomic.Int32
	mux.HandleFunc("/to/{code}/{where}", func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		var code int
		_, _ = fmt.Sscan(r.PathValue("code"), &code)
		to := map[string]string{
			"end": "/end", "other": other.URL + "/x", "loop": r.URL.Path, "ftp": "ftp://example.com/", "refused": "http://169.254.169.254/latest/",
			"user": "http://a:b@" + r.Host + "/end", "bad": "http://[::1", "private": "http://127.0.0.2:1/",
		}[r.PathValue("where")]
		w.Header().Set("Location", to)
		w.WriteHeader(code)
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)

	for _, c := range []struct {
		method, path string
		ok           bool
		permanent    bool
		says         string
	}{
		{"GET", "/to/301/end", true, false, ""},
		{"GET", "/to/302/end", true, false, ""},
		{"GET", "/to/303/end", true, false, ""},
		{"GET", "/to/307/end", true, false, ""},
		{"GET", "/to/308/user", true, false, ""},
		{"POST", "/to/307/end", true, false, ""},
		{"PUT", "/to/308/end", true, false, ""},
		{"POST", "/to/301/end", false, true, srv.URL + "/end"},
		{"POST", "/to/302/end", false, true, "into a GET; call that URL"},
		{"PUT", "/to/303/end", false, true, "into a GET"},
		{"GET", "/to/302/loop", false, true, "more than 5 redirects"},
		{"GET", "/to/302/ftp", false, true, "no http URL"},
		{"GET", "/to/302/bad", false, true, "no http URL"},
		{"GET", "/to/302/", false, true, "404"},
		{"GET", "/to/304/end", false, true, "304"},
		{"GET", "/to/300/end", false, true, "300"},
		{"GET", "/to/302/refused", false, true, "169.254.169.254"},
		{"POST", "/to/307/private", false, true, "127.0.0.2"},
	} {
		last = received{}
		h := &HTTP{Path: c.path, Method: c.method}
		if c.method != "GET" {
			h.JSON = map[string]any{"a": "b"}
		}
		_, err := invoke(t, h, &HTTPAPI{URL: srv.URL, Bearer: "token-1"})
		if (err == nil) != c.ok || Classify(err).Permanent != c.permanent || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s %s: %v", c.method, c.path, err)
		}
		if !c.ok {
			continue
		}
		body := ""
		if c.method != "GET" {
			body = `{"a":"b"}`
		}
		if last.method != c.method || last.body != body || last.header.Get("Authorization") != "Bearer token-1" || last.header.Get("Idempotency-Key") != "d-1" {
			t.Errorf("%s %s: arrived as %+v", c.method, c.path, last)
		}
	}

	asked.Store(0)
	if _, err := invoke(t, &HTTP{URL: srv.URL + "/to/302/loop"}, nil); err == nil || asked.Load() != 6 {
		t.Errorf("a loop is asked %d times: %v", asked.Load(), err)
	}

	// A redirect to another host passes on the body, but no credentials, signature or idempotency key.
	api := &HTTPAPI{URL: srv.URL, Basic: &Basic{"u", "secret"}, Sign: "whsec_c2VjcmV0IGtleQ==", Headers: map[string]string{"X-Api-Key": "key-123456"}}
	h := &HTTP{Path: "/to/307/other", Body: "text", Headers: map[string]string{"X-Desk": "front", "Cookie": "a=b", "authorization": "mine"}}
	receipt, err := invoke(t, h, api)
	if err != nil || receipt.Body != "other" {
		t.Fatalf("%+v, %v", receipt, err)
	}
	got := otherCalls()[0]
	for _, name := range []string{"Authorization", "Cookie", "Idempotency-Key", "X-Api-Key", "Webhook-Id", "Webhook-Signature", "Webhook-Timestamp"} {
		if got.header.Get(name) != "" {
			t.Errorf("%s reached another host: %q", name, got.header.Get(name))
		}
	}
	if got.body != "text" || got.header.Get("X-Desk") != "front" || got.method != "POST" {
		t.Errorf("%+v", got)
	}
}

// TestHTTPRedirectAwayAndBack checks that credentials stay away after a redirect to another host and back.
func TestHTTPRedirectAwayAndBack(t *testing.T) {
	t.Parallel()
	var home *httptest.Server
	away := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, home.URL+"/back", http.StatusTemporaryRedirect)
	}))
	t.Cleanup(away.Close)
	var auth []string
	home = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		auth = append(auth, r.Header.Get("Authorization"))
		if r.URL.Path != "/back" {
			http.Redirect(w, r, away.URL, http.StatusTemporaryRedirect)
		}
	}))
	t.Cleanup(home.Close)
	if _, err := invoke(t, &HTTP{Path: "/"}, &HTTPAPI{URL: home.URL, Bearer: "token-1"}); err != nil || !slices.Equal(auth, []string{"Bearer token-1", ""}) {
		t.Errorf("%q, %v", auth, err)
	}
}

func TestSameHost(t *testing.T) {
	t.Parallel()
	for pair, want := range map[[2]string]bool{
		{"https://a.example.com/x", "https://A.example.com:443/y"}:  true,
		{"http://a.example.com", "https://a.example.com"}:           true,
		{"https://a.example.com", "http://a.example.com"}:           false,
		{"https://a.example.com", "https://b.example.com"}:          false,
		{"https://a.example.com", "https://a.example.com:8443"}:     false,
		{"https://example.com", "https://a.example.com"}:            false,
		{"http://a.example.com:8080", "https://a.example.com:8080"}: false,
	} {
		a, b := must(url.Parse(pair[0])), must(url.Parse(pair[1]))
		if got := sameHost(a, b); got != want {
			t.Errorf("%v: %v", pair, got)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestHTTPSignature(t *testing.T) {
	t.Parallel()
	const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	verifier, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	srv, calls := answering(t, 200, nil, "")
	for _, h := range []*HTTP{{Path: "/", JSON: map[string]any{"a": json.Number("1")}}, {Path: "/"}} {
		for range 2 {
			if _, err := invoke(t, h, &HTTPAPI{URL: srv.URL, Sign: secret}); err != nil {
				t.Fatal(err)
			}
			call := calls()[0]
			if err := verifier.Verify([]byte(call.body), call.header); err != nil || call.header.Get("Webhook-Id") != "d-1" {
				t.Errorf("%+v: %v", call, err)
			}
			if err := verifier.Verify([]byte(call.body+" "), call.header); err == nil {
				t.Error("another body verifies")
			}
		}
	}
}

// tokens starts an OAuth2 server, and an API that accepts only the latest token.
func tokens(t *testing.T) (*httptest.Server, *atomic.Int32, *atomic.Value) {
	t.Helper()
	var issued atomic.Int32
	var valid atomic.Value
	valid.Store("none")
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		id, secret, ok := r.BasicAuth()
		if !ok || id != "bookings" || secret != "client-secret" || r.FormValue("grant_type") != "client_credentials" || r.FormValue("scope") != "read write" {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, `{"error":"invalid_client","error_description":"`+r.Header.Get("Authorization")+`"}`)
			return
		}
		token := fmt.Sprintf("issued-token-%d", issued.Add(1))
		valid.Store(token)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"access_token":"`+token+`","token_type":"Bearer","expires_in":3600}`)
	})
	mux.HandleFunc("/api", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+valid.Load().(string) {
			w.WriteHeader(http.StatusUnauthorized)
		}
		_, _ = io.WriteString(w, "you sent "+r.Header.Get("Authorization"))
	})
	mux.HandleFunc("/redirect", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusTemporaryRedirect)
	})
	mux.HandleFunc("/never", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
	mux.HandleFunc("/broken", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	mux.HandleFunc("/garbage", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") })
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv, &issued, &valid
}

func TestHTTPOAuth2(t *testing.T) {
	t.Parallel()
	srv, issued, valid := tokens(t)
	api := &HTTPAPI{URL: srv.URL, OAuth2: &OAuth2{TokenURL: srv.URL + "/token", ClientID: "bookings", ClientSecret: "client-secret", Scopes: []string{"read", "write"}}}
	h := &HTTP{Path: "/api"}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			receipt, err := invoke(t, h, api)
			if err != nil || strings.Contains(receipt.Body, "issued-token") || !strings.Contains(receipt.Body, redacted) {
				t.Errorf("%+v, %v", receipt, err)
			}
		})
	}
	wg.Wait()
	if n := issued.Load(); n != 1 {
		t.Errorf("%d tokens for 20 calls", n)
	}
	valid.Store("revoked")
	if _, err := invoke(t, h, api); err != nil || issued.Load() != 2 {
		t.Errorf("after revocation: %v, %d tokens", err, issued.Load())
	}
	// An API that refuses every token is asked twice, not forever.
	if receipt, err := invoke(t, &HTTP{Path: "/never"}, api); !Classify(err).Permanent || receipt.Status != "401 Unauthorized" || issued.Load() != 3 {
		t.Errorf("%+v, %v, %d tokens", receipt, err, issued.Load())
	}
	for where, permanent := range map[string]bool{"/redirect": true, "/broken": false, "/garbage": false} {
		bad := &HTTPAPI{URL: srv.URL, OAuth2: &OAuth2{TokenURL: srv.URL + where, ClientID: "bookings", ClientSecret: "client-secret"}}
		if _, err := invoke(t, &HTTP{Path: "/api"}, bad); err == nil || Classify(err).Permanent != permanent {
			t.Errorf("%s: %v", where, err)
		}
	}
	wrong := &HTTPAPI{URL: srv.URL, OAuth2: &OAuth2{TokenURL: srv.URL + "/token", ClientID: "bookings", ClientSecret: "not-the-secret"}}
	if _, err := invoke(t, &HTTP{Path: "/api"}, wrong); !Classify(err).Permanent || !strings.Contains(err.Error(), "invalid_client") {
		t.Errorf("%v", err)
	}
	_, err := (&HTTP{Path: "/api"}).Do(t.Context(), Dispatch{ID: "1", Connection: wrong, Guard: newGuard(t)})
	if !Classify(err).Permanent || !strings.Contains(err.Error(), "egress") {
		t.Errorf("the guard is not asked for the token: %v", err)
	}
}

// TestHTTPOAuth2Waits checks that an attempt that waits for another attempt's token ends when its own context ends.
func TestHTTPOAuth2Waits(t *testing.T) {
	t.Parallel()
	asked, release := make(chan struct{}, 10), make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		asked <- struct{}{}
		<-release
	}))
	t.Cleanup(srv.Close)
	api := &HTTPAPI{URL: srv.URL, OAuth2: &OAuth2{TokenURL: srv.URL, ClientID: "a", ClientSecret: "client-secret"}}
	g := newGuard(t, "127.0.0.1")
	first := make(chan error, 1)
	go func() {
		_, err := (&HTTP{Path: "/"}).Do(t.Context(), Dispatch{ID: "1", Connection: api, Guard: g})
		first <- err
	}()
	<-asked
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (&HTTP{Path: "/"}).Do(ctx, Dispatch{ID: "2", Connection: api, Guard: g}); err == nil || Classify(err).Permanent {
		t.Errorf("%v", err)
	}
	select {
	case err := <-first:
		t.Errorf("it waited for the first to end: %v", err)
		close(release)
		return
	default:
	}
	close(release)
	if err := <-first; err == nil {
		t.Error("an empty answer is taken for a token")
	}
}

func TestHTTPRefusesBeforeSending(t *testing.T) {
	t.Parallel()
	srv, calls := answering(t, 200, nil, "")
	api := &HTTPAPI{URL: srv.URL + "/api"}
	for _, h := range []HTTP{
		{Path: "/../admin"}, {Path: "//example.com/"}, {Path: "http://example.com"}, {Path: "/a/%2e%2e/b"}, {Path: "/a/%252e%252e%252fb"}, {Path: `\\example.com`},
		{Path: "/a\r\nX: y"}, {Path: "/..;/x"}, {Path: "/a%0d%0ab/.."},
		{Path: "/", Headers: map[string]string{"X": "a\r\nY: z"}}, {Path: "/", Headers: map[string]string{"Host": "x"}}, {Path: "/", Headers: map[string]string{"transfer-encoding": "x"}},
		{Path: "/", Headers: map[string]string{"a b": "x"}}, {Path: "/", Headers: map[string]string{"idempotency-key": "x"}},
		{URL: "ftp://127.0.0.1/"}, {URL: "http://u:p@127.0.0.1/"}, {URL: "http:///x"}, {URL: "http://[::1"}, {URL: "127.0.0.1"},
	} {
		if _, err := invoke(t, &h, api); !Classify(err).Permanent {
			t.Errorf("%+v: %v", h, err)
		}
	}
	if n := len(calls()); n != 0 {
		t.Errorf("%d calls", n)
	}
	if _, err := invoke(t, &HTTP{Path: "/"}, nil); !Classify(err).Permanent {
		t.Errorf("no connection: %v", err)
	}
}

func TestHTTPCheck(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		h    HTTP
		want string // field→suggestion
	}{
		{HTTP{Connection: "crm", Path: "/a/{{ x }}", Method: "patch", JSON: map[string]any{}, Timeout: Duration(5 * time.Minute), Expect: []int{200}}, ""},
		{HTTP{Path: "/a"}, ""},
		{HTTP{Connection: "crm"}, ""},
		{HTTP{URL: "{{ custom.callback }}"}, ""},
		{HTTP{URL: "https://example.com/x", Headers: map[string]string{"X-Desk": "y"}}, ""},
		{HTTP{}, "→"},
		{HTTP{Connection: "crm", URL: "https://example.com"}, "url→"},
		{HTTP{URL: "https://example.com", Path: "/x"}, "path→"},
		{HTTP{URL: "example.com/x"}, "url→https://example.com/x"},
		{HTTP{URL: "ftp://example.com/x"}, "url→"},
		{HTTP{URL: "/x.y"}, "url→"},
		{HTTP{Path: "https://example.com/x"}, "path→"},
		{HTTP{Path: "../x"}, "path→"},
		{HTTP{Path: "/x", Method: "PSOT"}, "method→POST"},
		{HTTP{Path: "/x", Method: "deletee"}, "method→DELETE"},
		{HTTP{Path: "/x", Method: "fetch"}, "method→"},
		{HTTP{Path: "/x", Method: "brew"}, "method→"},
		{HTTP{Path: "/x", Method: "get", Body: "x"}, "method→POST"},
		{HTTP{Path: "/x", JSON: []any{}, Form: map[string]string{}}, "→"},
		{HTTP{Path: "/x", JSON: []any{}, Body: "x"}, "→"},
		{HTTP{Path: "/x", Headers: map[string]string{"Host": "x"}}, "headers→"},
		{HTTP{Path: "/x", Headers: map[string]string{"{{ a }}": "x"}}, "headers→"},
		{HTTP{Path: "/x", Timeout: Duration(time.Hour)}, "timeout→5m"},
		{HTTP{Path: "/x", Expect: []int{200, 99, 600}}, "expect→ expect→"},
	} {
		var all []string
		for _, p := range c.h.Check() {
			all = append(all, p.Field+"→"+p.Suggestion)
			if p.Message == "" {
				t.Errorf("%+v: a problem without a sentence", c.h)
			}
		}
		if got := strings.Join(all, " "); got != c.want {
			t.Errorf("%+v: %s, want %s", c.h, got, c.want)
		}
	}
	for _, c := range []struct {
		a    *HTTPAPI
		want string
	}{
		{&HTTPAPI{URL: "https://example.com/api", Bearer: "x", Sign: "whsec_c2VjcmV0", Headers: map[string]string{"X-Api-Key": "x"}}, ""},
		{&HTTPAPI{URL: "https://example.com", Basic: &Basic{User: "u"}}, ""},
		{&HTTPAPI{URL: "https://example.com", OAuth2: &OAuth2{"https://example.com", "a", "b", nil}}, ""},
		{&HTTPAPI{URL: "example.com"}, "url"},
		{&HTTPAPI{URL: "https://u:p@example.com"}, "url"},
		{&HTTPAPI{URL: "https://example.com/#x"}, "url"},
		{&HTTPAPI{URL: "https://example.com", Bearer: "x", Basic: &Basic{User: "u"}}, ""},
		{&HTTPAPI{URL: "https://example.com", Bearer: "x\n"}, "bearer"},
		{&HTTPAPI{URL: "https://example.com", Basic: &Basic{User: "a:b"}}, "basic"},
		{&HTTPAPI{URL: "https://example.com", OAuth2: &OAuth2{}}, "oauth2 oauth2"},
		{&HTTPAPI{URL: "https://example.com", Sign: "whsec_!"}, "sign"},
		{&HTTPAPI{URL: "https://example.com", Sign: "whsec_"}, "sign"},
		{&HTTPAPI{URL: "https://example.com", Headers: map[string]string{"Host": "x", "X": "a\nb"}}, "headers headers"},
		{&HTTPAPI{URL: "https://example.com", Bearer: "x", Headers: map[string]string{"authorization": "x"}}, "headers"},
	} {
		var all []string
		problems := c.a.Check()
		for _, p := range problems {
			all = append(all, p.Field)
		}
		if got := strings.Join(all, " "); got != c.want || c.a.Bearer == "x" && c.a.Basic != nil && len(problems) != 1 {
			t.Errorf("%+v: %v", c.a, problems)
		}
	}
	if d := (&HTTP{}).Destination(&HTTPAPI{URL: "https://CRM.example.com:8443/api?key=1"}); d != "https://crm.example.com:8443" {
		t.Errorf("destination %s", d)
	}
	if d := (&HTTP{URL: "http://example.com/x"}).Destination(nil); d != "http://example.com" {
		t.Errorf("destination %s", d)
	}
	if d := (&HTTP{}).Destination(nil); d != "http:" {
		t.Errorf("destination %s", d)
	}
}

// FuzzJoinPath checks that a call stays on the connection's host and below its path, whatever the step's path.
func FuzzJoinPath(f *testing.F) {
	for _, base := range []string{"https://example.com", "https://example.com/api/", "https://example.com/a%2Fb/v1?k=v", "https://example.com/?a b"} {
		for _, p := range []string{"", "/", "/a", "a b?x=y z", "../x", "//evil.example.com", "/%2e%2e/x", "/a%2F..%2Fb", "/%", "/é", `\..\x`, "/a?b#c", "@evil.example.com/", ":80/", "/x?a b#c\"é", "http://evil.example.com", "/.;/..;x/"} {
			f.Add(base, p)
		}
	}
	f.Fuzz(func(t *testing.T, baseText, p string) {
		base, err := parseHTTP(baseText)
		if err != nil || strings.Contains(base.Path, "/.") {
			return
		}
		joined, err := joinPath(base, p)
		if err != nil {
			return
		}
		u, err := url.Parse(joined.String())
		if err != nil {
			t.Fatalf("%q + %q = %q: %v", baseText, p, joined, err)
		}
		if u.Scheme != base.Scheme || u.Host != base.Host || u.User != nil || u.Fragment != base.Fragment {
			t.Fatalf("%q + %q leads to %q", baseText, p, u)
		}
		for plain := u.Path; ; {
			root := strings.TrimSuffix(path.Clean("/"+base.Path), "/")
			if clean := path.Clean("/" + plain); root != "" && clean != root && !strings.HasPrefix(clean, root+"/") {
				t.Fatalf("%q + %q = %q is not below the base", baseText, p, u)
			}
			next := unescape(plain)
			if next == plain || !strings.HasPrefix(next, root) { // a base with escapes changes when decoded twice
				break
			}
			plain = next
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, joined.String(), nil)
		if err != nil {
			t.Fatalf("%q + %q = %q: %v", baseText, p, joined, err)
		}
		if uri := r.URL.RequestURI(); strings.ContainsFunc(uri, func(c rune) bool { return c <= ' ' || c == 0x7f }) {
			t.Fatalf("%q + %q: the request line would hold %q", baseText, p, uri)
		}
	})
}
