package engine_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"bellhop/engine/record"
)

// call sends a request to the admin listener and returns the status and the body.
func (s *server) call(method, path string, change func(*http.Request)) (int, string) {
	s.tb.Helper()
	req, err := http.NewRequestWithContext(s.tb.Context(), method, s.e.AdminURL()+path, nil)
	if err != nil {
		s.tb.Fatal(err)
	}
	if change != nil {
		change(req)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.tb.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		s.tb.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// Without a token, only requests that are addressed to this machine are answered. Requests under another host name, and
// forms of other sites, are refused.
func TestAdminWithoutToken(t *testing.T) {
	t.Parallel()
	s := start(t, setup{yaml: noneConfig})
	if code, _ := s.call("GET", "/api/v1/events", nil); code != http.StatusOK {
		t.Errorf("from this machine: %d", code)
	}
	if code, body := s.call("GET", "/api/v1/events", func(r *http.Request) { r.Host = "rebound.example.com" }); code != http.StatusForbidden || !strings.Contains(body, "admin_token") {
		t.Errorf("under another name: %d %s", code, body)
	}
	for header, value := range map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://www.example.com"} {
		code, _ := s.call("POST", "/api/v1/events/x/replay", func(r *http.Request) { r.Header.Set(header, value) })
		if code != http.StatusForbidden {
			t.Errorf("a form of another site (%s): %d", header, code)
		}
	}
}

func TestAdminToken(t *testing.T) {
	t.Parallel()
	s := start(t, setup{yaml: noneConfig + "admin_token: the-right-one\n"})
	for name, tt := range map[string]struct {
		change func(*http.Request)
		want   int
	}{
		"none":          {nil, http.StatusUnauthorized},
		"wrong":         {func(r *http.Request) { r.Header.Set("Authorization", "Bearer the-wrong-one") }, http.StatusUnauthorized},
		"empty":         {func(r *http.Request) { r.Header.Set("Authorization", "Bearer ") }, http.StatusUnauthorized},
		"bearer":        {func(r *http.Request) { r.Header.Set("Authorization", "Bearer the-right-one") }, http.StatusOK},
		"password":      {func(r *http.Request) { r.SetBasicAuth("anybody", "the-right-one") }, http.StatusOK},
		"another name":  {func(r *http.Request) { r.Host = "bellhop.example.com"; r.SetBasicAuth("", "the-right-one") }, http.StatusOK},
		"as the user":   {func(r *http.Request) { r.SetBasicAuth("the-right-one", "") }, http.StatusUnauthorized},
		"not as bearer": {func(r *http.Request) { r.Header.Set("Authorization", "the-right-one") }, http.StatusUnauthorized},
	} {
		for _, path := range []string{"/", "/metrics", "/api/v1/files", "/api/v1/openapi.json"} {
			if code, _ := s.call("GET", path, tt.change); code != tt.want {
				t.Errorf("%s: GET %s: %d, want %d", name, path, code, tt.want)
			}
		}
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		if code, _ := s.call("GET", path, nil); code != http.StatusOK {
			t.Errorf("GET %s: %d", path, code)
		}
	}
}

func TestAdminMistakes(t *testing.T) {
	t.Parallel()
	target := newSink(t, nil)
	s := start(t, setup{rules: map[string]string{"a.yaml": benchRules}, yaml: sinkConfig(target)})
	s.post(booking(1))
	s.post(`{"type":"INSTALL"}`)
	until(t, "it is sent", func() bool { return len(s.deliveries("state=sent")) == 1 })
	sent := s.deliveries("")[0].ID
	var events struct{ Events []record.Event }
	s.get("/api/v1/events?status=ignored", &events)
	for request, want := range map[string]struct {
		code int
		text string
	}{
		"GET /api/v1/nothing":                                      {404, "openapi.json"},
		"DELETE /api/v1/events":                                    {404, "openapi.json"},
		"GET /api/v1/events/nothing":                               {404, "not found"},
		"GET /api/v1/deliveries/nothing":                           {404, "not found"},
		"POST /api/v1/deliveries/nothing/retry":                    {404, "not found"},
		"POST /api/v1/events/nothing/replay":                       {404, "not found"},
		"GET /api/v1/deliveries?state=lost":                        {400, "waiting"},
		"GET /api/v1/deliveries?limit=0":                           {400, "1 to 500"},
		"GET /api/v1/events?limit=many":                            {400, "1 to 500"},
		"POST /api/v1/deliveries/" + sent + "/cancel":              {409, "is sent"},
		"POST /api/v1/deliveries/" + sent + "/retry":               {409, "dead or cancelled"},
		"POST /api/v1/events/" + events.Events[0].ID + "/replay":   {409, "ignored"},
		"GET /api/v1/deliveries?before=%00%27;DROP%20TABLE&rule=%": {400, ""},
	} {
		method, path, _ := strings.Cut(request, " ")
		code, body := s.call(method, path, nil)
		if strings.Contains(path, "DROP") {
			continue // the answer does not matter here, only that the delivery is still there below
		}
		if code != want.code || !strings.Contains(body, want.text) || !json.Valid([]byte(body)) {
			t.Errorf("%s: %d %s, want %d %q", request, code, body, want.code, want.text)
		}
	}
	if n := len(s.deliveries("")); n != 1 {
		t.Errorf("%d deliveries are left", n)
	}
}

// Replaying an event enqueues the steps of rules that are newer, and no step twice.
func TestReplay(t *testing.T) {
	t.Parallel()
	target := newSink(t, nil)
	dir := t.TempDir()
	s := start(t, setup{dir: dir, rules: map[string]string{"a.yaml": benchRules}, yaml: sinkConfig(target)})
	event := s.post(booking(1)).Event
	replay := func() int {
		t.Helper()
		code, body := s.call("POST", "/api/v1/events/"+event+"/replay", nil)
		var page struct{ Deliveries []record.Delivery }
		if err := json.Unmarshal([]byte(body), &page); err != nil || code != http.StatusOK {
			t.Fatal(code, body, err)
		}
		return len(page.Deliveries)
	}
	if n := replay(); n != 0 {
		t.Errorf("replaying at once adds %d deliveries", n)
	}
	writeFile(t, filepath.Join(dir, "rules", "b.yaml"), strings.Replace(strings.Replace(benchRules, "to the sink", "newer", 1), "/bookings", "/newer", 1))
	until(t, "the newer rule is in force", func() bool {
		var list struct{ Rules []struct{ Name string } }
		s.get("/api/v1/rules", &list)
		return len(list.Rules) == 2
	})
	if n := replay(); n != 1 {
		t.Errorf("replaying for the newer rule adds %d deliveries", n)
	}
	if n := replay(); n != 0 {
		t.Errorf("replaying again adds %d deliveries", n)
	}
	until(t, "both are sent", func() bool { return len(s.deliveries("state=sent")) == 2 })
	if n := target.count(); n != 2 {
		t.Errorf("the sink was called %d times", n)
	}
}

// The page shows names and ids as text, also if they contain HTML.
func TestPage(t *testing.T) {
	t.Parallel()
	s := start(t, setup{yaml: noneConfig, rules: map[string]string{"a.yaml": "rules:\n  - { name: \"<script>alert(1)</script>\", on: booked, then: [ http: { url: \"https://api.example.com/x\" } ], mode: shadow }\n  - nmae: x\n"}})
	s.post(strings.Replace(booking(1), "appt00000001", "<img src=x onerror=alert(1)>", 1))
	code, body := s.call("GET", "/", nil)
	if code != http.StatusOK || strings.Contains(body, "<img") || strings.Contains(body, "<script") || !strings.Contains(body, "&lt;img") {
		t.Errorf("%d:\n%s", code, body)
	}
	if !strings.Contains(body, "a.yaml:3") || !strings.Contains(body, "name") {
		t.Errorf("the page does not show the mistake:\n%s", body)
	}
	code, ready := s.call("GET", "/readyz", nil)
	if code != http.StatusOK || !strings.Contains(ready, "a.yaml") {
		t.Errorf("readyz with a broken rule file: %d %s", code, ready)
	}
}

// Every path in the API's description is served, and is described with a summary and an answer.
func TestOpenAPI(t *testing.T) {
	t.Parallel()
	s := start(t, setup{yaml: noneConfig})
	var doc struct {
		OpenAPI string
		Paths   map[string]map[string]struct {
			Summary   string
			Responses map[string]any
		}
	}
	s.get("/api/v1/openapi.json", &doc)
	if !strings.HasPrefix(doc.OpenAPI, "3.1") || len(doc.Paths) < 9 {
		t.Fatalf("%+v", doc)
	}
	for path, methods := range doc.Paths {
		for method, op := range methods {
			if op.Summary == "" || op.Responses["200"] == nil {
				t.Errorf("%s %s lacks a summary or an answer", method, path)
			}
			code, body := s.call(strings.ToUpper(method), strings.ReplaceAll(path, "{id}", "none"), nil)
			if strings.Contains(body, "no such path") || code >= 500 {
				t.Errorf("%s %s is described and answers %d %s", method, path, code, body)
			}
		}
	}
}
