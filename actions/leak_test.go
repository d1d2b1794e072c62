package actions

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// mark is a part of every secret in this test. It is 12 bytes long, so that its base64 is the same at every position
// that is a multiple of three.
const mark = "S3cr3t/M+rk!"

// leakCases returns, for each kind of action, connections with secrets to a server at an address, and requests to
// send. A new action adds its own.
var leakCases = map[string]func(address string) ([]Connection, []Request){
	"email": func(address string) ([]Connection, []Request) {
		var connections []Connection
		for _, method := range []string{"", "&auth=plain", "&auth=login", "&auth=cram-md5", "&auth=scram-sha-1", "&auth=scram-sha-256", "&auth=xoauth2"} {
			connections = append(connections, &Mail{SMTP: "smtp://user:" + url.PathEscape("pass "+mark) + "@" + address + "?tls=none" + method, From: "a@example.com"})
		}
		return append(connections,
				&Mail{SMTP: "smtp://user:" + mark + "@" + address, From: "a@example.com"},
				&Mail{SMTP: "smtps://user:" + mark + "@" + address, From: "a@example.com"},
				&Mail{SMTP: "user:" + mark + "@" + address, From: "a@example.com"},
				&Mail{SMTP: "smtps://user:" + mark + "@" + address + "?tls=none", From: "a@example.com"},
				&Mail{SMTP: "smtps://user:" + mark + "@:" + mark + "@exa mple", From: "a@example.com"}),
			[]Request{&Email{To: List{"a@example.com", "b@example.com"}, Subject: "x", Text: "x"}}
	},
	"slack": func(address string) ([]Connection, []Request) {
		return []Connection{
				&SlackAccess{Token: "xoxb-" + mark, API: "http://" + address + "/api"},
				&SlackAccess{Token: "xoxb-\n" + mark, API: "http://" + address + "/api"},
				&SlackAccess{Webhook: "http://" + address + "/services/T0/" + mark + "/" + mark},
				&SlackAccess{Webhook: "http://" + address + "/services/" + url.PathEscape(mark) + "?x=" + url.QueryEscape(mark)},
				&SlackAccess{Webhook: "http://" + address + " /services/" + mark},
			},
			[]Request{&Slack{Channel: "C1", Text: "x"}}
	},
	"http": func(address string) ([]Connection, []Request) {
		base, token := "http://"+address+"/api", "http://"+address+"/token"
		return []Connection{
				&HTTPAPI{URL: base, Bearer: mark},
				&HTTPAPI{URL: base, Bearer: mark + "\n"},
				&HTTPAPI{URL: base, Basic: &Basic{"u", mark}},
				&HTTPAPI{URL: base, Basic: &Basic{"user", mark + "ü"}},
				&HTTPAPI{URL: base, OAuth2: &OAuth2{token, "id", mark, nil}},
				&HTTPAPI{URL: base, OAuth2: &OAuth2{"http://" + address + " /token", "id", mark, nil}},
				&HTTPAPI{URL: base, Sign: "whsec_" + mark},
				&HTTPAPI{URL: base, Headers: map[string]string{"X-Api-Key": mark, "Authorization": "Token " + mark, "X-Bad": mark + "\r\nX: y"}},
				&HTTPAPI{URL: base, Headers: map[string]string{"X-Api-Key": mark, "Authorization": "Token " + mark}},
				&HTTPAPI{URL: base + "?api_key=" + url.QueryEscape(mark)},
				&HTTPAPI{URL: "http://user:" + mark + "@" + address},
				&HTTPAPI{URL: "http//user:" + mark + "@" + address},
			},
			[]Request{
				&HTTP{Path: "/x", JSON: map[string]any{"a": 1}},
				&HTTP{Path: "/x", Method: "GET", Query: map[string]string{"a": "b"}, Timeout: Duration(time.Second)},
				&HTTP{Path: "/../x"},
			}
	},
}

// leakServers starts servers of many types and returns their addresses by name. Those that echo send back what they
// received. The names of those that speak SMTP begin with "a mail server".
func leakServers(t *testing.T) map[string]string {
	t.Helper()
	servers := map[string]string{
		"nobody":                   "127.0.0.1:1",
		"one that hangs up":        serveTCP(t, func(net.Conn) {}),
		"one that talks nonsense":  serveTCP(t, func(c net.Conn) { _, _ = io.WriteString(c, strings.Repeat("nonsense \x00\xff", 1000)) }),
		"one that says nothing":    serveTCP(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }),
		"a mail server":            (&mailServer{noTLS: true}).start(t, false).addr,
		"a mail server that knows": (&mailServer{noTLS: true, mechs: []string{"PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256", "XOAUTH2"}}).start(t, false).addr,
		"a mail server that accepts": (&mailServer{noTLS: true, mechs: []string{"PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256", "XOAUTH2"},
			user: "user", pass: "pass " + mark}).start(t, false).addr,
		"a mail server with TLS": (&mailServer{}).start(t, true).addr,
		"a mail server that refuses": (&mailServer{noTLS: true, refuse: map[string]error{
			"a@example.com": smtpAnswer(550, "no"), "b@example.com": smtpAnswer(450, "later")}}).start(t, false).addr,
		"a mail server that echoes": serveTCP(t, func(c net.Conn) {
			_, _ = io.WriteString(c, "220 hi\r\n")
			var all strings.Builder
			for lines := bufio.NewScanner(c); lines.Scan(); {
				line := lines.Text()
				all.WriteString(line + " ")
				reply := "550 " + strings.Repeat("x", 300-len(mark)/2-len(line)/2%40) + " you said " + all.String()
				switch {
				case strings.HasPrefix(line, "EHLO"):
					reply = "250-hi\r\n250 AUTH PLAIN LOGIN CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-256 XOAUTH2"
				case line == "AUTH LOGIN", line == "dXNlcg==", line == "AUTH CRAM-MD5":
					reply = "334 VXNlcm5hbWU6"
				case strings.HasPrefix(line, "AUTH PLAIN"), strings.HasPrefix(line, "AUTH XOAUTH2"):
					reply = "535 you said " + line
				}
				_, _ = io.WriteString(c, reply+"\r\n")
			}
		}),
	}
	serve := func(h http.HandlerFunc) string {
		srv := httptest.NewServer(h)
		t.Cleanup(srv.Close)
		return srv.Listener.Addr().String()
	}
	for _, code := range []int{200, 302, 307, 400, 401, 404, 429, 500} {
		servers[fmt.Sprintf("one that answers %d", code)] = serve(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://169.254.169.254/")
			w.WriteHeader(code)
		})
		// The padding moves the echoed text across the end of what is kept.
		for _, padding := range []int{0, 990, 1000, 1010, 1020} {
			servers[fmt.Sprintf("one that echoes with %d after %d", code, padding)] = serve(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				w.Header().Set("Location", "/"+url.PathEscape(r.Header.Get("Authorization")))
				w.WriteHeader(code)
				_, _ = fmt.Fprint(w, strings.Repeat("x", padding), r.Header.Get("Authorization"), r.RequestURI, r.URL.Path, r.URL.Query(), string(body), r.Header)
			})
		}
	}
	servers["one that echoes as Slack"] = serve(func(w http.ResponseWriter, r *http.Request) {
		said := fmt.Sprint(strings.Repeat("x", 90), r.Header, r.RequestURI)
		_ = json.NewEncoder(w).Encode(map[string]any{"ok": false, "error": said, "needed": said})
	})
	// Escapes that no encoder writes hide a text until they are decoded.
	escaped := func(text string) string {
		var b strings.Builder
		for _, c := range text {
			fmt.Fprintf(&b, `\u%04x`, c)
		}
		return b.String()
	}
	servers["one that echoes as Slack, escaped"] = serve(func(w http.ResponseWriter, r *http.Request) {
		said := escaped(r.Header.Get("Authorization") + r.RequestURI)
		_, _ = fmt.Fprintf(w, `{"ok":false,"error":"%s","needed":"%s"}`, said, said)
	})
	servers["one that is pleased and escapes"] = serve(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, `{"ok":true,"ts":"%s"}`, escaped(r.Header.Get("Authorization")))
	})
	servers["one that is pleased"] = serve(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/chat.postMessage" {
			_, _ = fmt.Fprintf(w, `{"ok":true,"ts":%q}`, r.Header.Get("Authorization"))
		} else {
			_, _ = io.WriteString(w, "ok")
		}
	})
	servers["one that issues tokens"] = serve(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/token" {
			_, _ = fmt.Fprint(w, r.Header)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": "issued-" + mark})
	})
	servers["one that refuses tokens"] = serve(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		_ = json.NewEncoder(w).Encode(map[string]any{"error": r.Header.Get("Authorization") + string(body), "error_description": string(body)})
	})
	servers["one that echoes instead of HTTP"] = serveTCP(t, func(c net.Conn) {
		buf := make([]byte, 4096)
		n, _ := c.Read(buf)
		_, _ = c.Write([]byte(strings.ReplaceAll(string(buf[:n]), "\r\n", " ")))
	})
	return servers
}

// leaks returns the part of mark, in any encoding, that a text contains, "" for none. A piece of it is enough.
func leaks(text string) string {
	for _, whole := range append(encodings(mark), mark) {
		for _, piece := range []string{whole, whole[:len(whole)*2/3], whole[len(whole)/3:]} {
			if len(piece) >= 6 && strings.Contains(text, piece) {
				return piece
			}
		}
	}
	return ""
}

// TestNoActionShowsASecret checks that no action shows a secret of its connection, whatever the other side does:
// not in an error, a receipt, the result of Check or the destination.
func TestNoActionShowsASecret(t *testing.T) {
	t.Parallel()
	for _, text := range []string{mark, url.QueryEscape(mark), mark[:8], fmt.Sprintf("%q", "a"+mark), "eFMzY3IzdC9NK3JrIQ=="} {
		if leaks(text) == "" {
			t.Fatalf("the search does not find the secret in %s", text)
		}
	}
	servers := leakServers(t)
	for _, kind := range Kinds() {
		cases, ok := leakCases[kind.Name]
		if !ok {
			t.Errorf("the action %s has no cases here", kind.Name)
			continue
		}
		t.Run(kind.Name, func(t *testing.T) {
			t.Parallel()
			guard := newGuard(t, "127.0.0.1")
			var sent, failed atomic.Int32
			var wg sync.WaitGroup
			for name, address := range servers {
				connections, requests := cases(address)
				for n, c := range connections {
					if len(c.Secrets()) == 0 {
						t.Errorf("connection %d has no secrets", n)
					}
					checked := fmt.Sprintf("%+v", c.Check())
					if piece := leaks(checked); piece != "" {
						t.Errorf("connection %d: Check shows %q: %s", n, piece, checked)
					}
				}
				// A server that does not speak the action's protocol might never answer, so do not wait long.
				patience := 30 * time.Second
				if strings.HasPrefix(name, "a mail server") != (kind.Name == "email") || name == "a mail server with TLS" || name == "one that says nothing" {
					patience = 100 * time.Millisecond
				}
				wg.Go(func() {
					for n, c := range connections {
						for _, r := range requests {
							if d := r.Destination(c); leaks(d) != "" {
								t.Errorf("connection %d: the destination is %s", n, d)
							}
							ctx, cancel := context.WithTimeout(t.Context(), patience)
							receipt, err := r.Do(ctx, Dispatch{ID: "d-1", Connection: c, Guard: guard})
							cancel()
							if err == nil {
								sent.Add(1)
							} else {
								failed.Add(1)
							}
							kept, _ := json.Marshal(receipt)
							for what, text := range map[string]string{
								"the error": fmt.Sprintf("%v %+v %#v", err, err, err), "the receipt": string(kept), "the bare receipt": fmt.Sprint(receipt),
							} {
								if piece := leaks(text); piece != "" {
									t.Errorf("%s, connection %d: %s shows %q: %s", name, n, what, piece, text)
								}
							}
						}
					}
				})
			}
			wg.Wait()
			if sent.Load() == 0 || failed.Load() == 0 {
				t.Errorf("%d sent, %d failed: the servers do not try what they should", sent.Load(), failed.Load())
			}
			t.Logf("%d sent, %d failed", sent.Load(), failed.Load())
		})
	}
}
