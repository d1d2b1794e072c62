package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"bellhop/engine/config"
)

func TestBaseURL(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"127.0.0.1:8081":                 "http://127.0.0.1:8081",
		":8081":                          "http://127.0.0.1:8081",
		"0.0.0.0:8081":                   "http://127.0.0.1:8081",
		"[::]:8081":                      "http://127.0.0.1:8081",
		"[::1]:8081":                     "http://[::1]:8081",
		"desk.example.com:8081":          "http://desk.example.com:8081",
		"https://desk.example.com/admin": "https://desk.example.com/admin",
		"http://desk.example.com/":       "http://desk.example.com",
		"desk.example.com":               "",
		"ftp://desk.example.com":         "",
		"http://":                        "",
	} {
		got, err := baseURL(in)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v; want %q", in, got, err, want)
		}
	}
}

func TestHookURL(t *testing.T) {
	t.Parallel()
	cfg := config.Default()
	for in, want := range map[string]string{
		"":                               "http://127.0.0.1:8080/hooks/desk",
		"127.0.0.1:9000":                 "http://127.0.0.1:9000/hooks/desk",
		"https://hooks.example.com":      "https://hooks.example.com/hooks/desk",
		"https://hooks.example.com/in/x": "https://hooks.example.com/in/x",
	} {
		if got, err := hookURL(cfg, in, "desk"); got != want {
			t.Errorf("%s: %q, %v; want %q", in, got, err, want)
		}
	}
}

// TestUnnamedServer calls a server that no flag or configuration names: one that answers, and one that does not.
func TestUnnamedServer(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }))
	var stderr bytes.Buffer
	p := &program{stderr: &output{w: &stderr}}
	c := &http.Client{Transport: &unnamedServer{p: p, flag: "--admin"}}
	ask := func() error {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/api/v1/events", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = exchange(c, r)
		return err
	}
	for range 2 {
		if err := ask(); err != nil {
			t.Fatal(err)
		}
	}
	if want := "There is no bellhop.yaml in this folder, so this asks the server at " + server.URL + ".\n"; stderr.String() != want {
		t.Errorf("it says %q, not %q", &stderr, want)
	}
	c.CloseIdleConnections()
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	server.Close()
	stderr.Reset()
	err := ask()
	if err == nil || !strings.HasPrefix(err.Error(), "no server answers at "+server.URL+" (") ||
		!strings.HasSuffix(err.Error(), "there is no bellhop.yaml in this folder: run this in the folder of yours, or name it with --config, or name the server with --admin") {
		t.Errorf("it says %v", err)
	}
	if stderr.Len() > 0 {
		t.Errorf("it says %q besides", &stderr)
	}
}

// TestPagesFollowsTheCursor lists what a server returns in three pages.
func TestPagesFollowsTheCursor(t *testing.T) {
	t.Parallel()
	pages := map[string]string{
		"":  `{"events":[{"id":"c"}],"next":"c"}`,
		"c": `{"events":[{"id":"b"}],"next":"b"}`,
		"b": `{"events":[],"next":""}`,
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := w.Write([]byte(pages[r.URL.Query().Get("before")])); err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	c := &client{base: server.URL, http: server.Client()}
	for all, want := range map[bool]string{
		true:  `{"events":[{"id":"c"},{"id":"b"}],"next":""}`,
		false: `{"events":[{"id":"c"}],"next":"c"}`,
	} {
		got, err := c.pages(t.Context(), "/", "events", url.Values{}, all)
		if err != nil || string(got) != want {
			t.Errorf("all %v: %s, %v; want %s", all, got, err, want)
		}
	}
}
