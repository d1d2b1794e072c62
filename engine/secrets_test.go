package engine_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bellhop/engine/record"
	"bellhop/engine/store/storetest"
	"bellhop/engine/work"
)

// No secret of the configuration gets into the log, an answer of the engine, a receipt or the store, also if
// destinations send back everything that they get. Tests beside the actions check each action alone.
func TestNoSecretAnywhere(t *testing.T) {
	t.Parallel()
	storetest.InFolder(t)
	env := map[string]string{
		"BEARER": "bearer-5ecret-0f-the-crm", "PASSWORD": "pa55:w0rd/with?signs", "CLIENT_SECRET": "0auth-5ecret-value", "SLACK": "xoxb-5ecret-t0ken",
		"HEADER": "header-5ecret-value", "SIGN": "whsec_" + base64.StdEncoding.EncodeToString([]byte("a-5ecret-to-sign-with")),
		"SMTP": "smtp-5ecret-pa55", "HOOK": "token-5ecret-0f-the-hook", "ADMIN": "admin-5ecret-token",
	}
	echo := newSink(t, nil)
	echo.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		echo.mu.Lock()
		echo.got = append(echo.got, string(body))
		echo.mu.Unlock()
		if strings.HasSuffix(r.URL.Path, "/token") {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"access_token":"fetched-5ecret-token","token_type":"Bearer","expires_in":3600}`)
			return
		}
		w.WriteHeader(http.StatusBadRequest)
		_, _ = fmt.Fprintf(w, "you sent %s %s %v %s", r.Method, r.URL, r.Header, body)
		for _, secret := range env {
			_, _ = fmt.Fprintf(w, " and it is %s or %s", secret, url.QueryEscape(secret))
		}
	})
	mailServer := echoingMailServer(t)
	yaml := fmt.Sprintf(`admin_token: "${ADMIN}"
sources:
  hoopai: { verify: { token: "${HOOK}" } }
egress: { allow: [127.0.0.1] }
connections:
  mail: { smtp: "smtp://desk:${SMTP}@%s?tls=none&auth=plain", from: desk@example.com }
  slack: { token: "${SLACK}", api: "%[2]s/" }
  bearer: { url: %[2]q, bearer: "${BEARER}" }
  basic: { url: %[2]q, basic: { user: desk, password: "${PASSWORD}" } }
  oauth2: { url: %[2]q, oauth2: { token_url: "%[2]s/token", client_id: desk, client_secret: "${CLIENT_SECRET}" } }
  sign: { url: %[2]q, sign: "${SIGN}" }
  headers: { url: %[2]q, headers: { X-Api-Key: "${HEADER}" } }
  closed: { url: "http://127.0.0.1:1/", bearer: "${BEARER}" }
`, mailServer, echo.URL)
	rules := "rules:\n  - { name: mail, on: booked, then: [ email: { to: a@example.com, subject: s, text: t } ] }\n" +
		"  - { name: slack, on: booked, then: [ slack: { channel: \"#desk\", text: t } ] }\n"
	for _, name := range []string{"bearer", "basic", "oauth2", "sign", "headers", "closed"} {
		rules += fmt.Sprintf("  - { name: %[1]s, on: booked, then: [ http: { connection: %[1]s, path: /x, json: { a: 1 } } ] }\n", name)
	}
	dir := t.TempDir()
	s := start(t, setup{dir: dir, env: env, yaml: yaml, rules: map[string]string{"a.yaml": rules}, tune: func(o *work.Options) { o.Attempts = 1 }})

	var seen strings.Builder
	ask := func(method, target, token string, header http.Header, body string) string {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if header != nil {
			req.Header = header
		}
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&seen, "%s %s: %s %v %s\n", method, target, resp.Status, resp.Header, text)
		return string(text)
	}
	hook, api := s.e.HookURL()+"/hooks/hoopai", s.e.AdminURL()
	ask("POST", hook, "", http.Header{"X-Bellhop-Token": {"wrong"}}, booking(1))
	if got := ask("POST", hook, "", http.Header{"X-Bellhop-Token": {env["HOOK"]}}, booking(1)); !strings.Contains(got, "accepted") {
		t.Fatalf("the webhook was answered %s", got)
	}
	if got := ask("GET", api+"/api/v1/rules", "", nil, ""); !strings.Contains(got, "token is missing") {
		t.Errorf("without a token the API answers %s", got)
	}
	until(t, "all have failed", func() bool {
		seen.Reset()
		return strings.Count(ask("GET", api+"/api/v1/deliveries?state="+string(record.Dead), env["ADMIN"], nil, ""), `"state": "dead"`) == 8
	})
	for _, path := range []string{"/api/v1/deliveries", "/api/v1/events", "/api/v1/rules", "/api/v1/files", "/api/v1/openapi.json", "/metrics", "/readyz", "/"} {
		ask("GET", api+path, env["ADMIN"], nil, "")
	}
	if !strings.Contains(seen.String(), "[redacted]") {
		t.Error("nothing was redacted, so the sinks did not echo")
	}
	s.close()

	places := map[string]string{"the answers": seen.String(), "the log": s.log.String()}
	files, err := filepath.Glob(filepath.Join(dir, "data", "*"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		places["the store's "+filepath.Base(file)] = string(data)
	}
	env["FETCHED"] = "fetched-5ecret-token"
	for place, text := range places {
		for name, secret := range env {
			for _, form := range []string{secret, url.QueryEscape(secret), base64.StdEncoding.EncodeToString([]byte("desk:" + secret)), base64.StdEncoding.EncodeToString([]byte("\x00desk\x00" + secret))} {
				if i := strings.Index(text, form); i >= 0 {
					t.Errorf("%s: the secret %s is there: …%.200s", place, name, text[max(0, i-80):])
				}
			}
		}
	}
}

// echoingMailServer runs a mail server that refuses every login and repeats it in the answer.
func echoingMailServer(t *testing.T) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serveEchoingMail(conn)
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return l.Addr().String()
}

func serveEchoingMail(conn net.Conn) {
	defer conn.Close()
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(conn, format+"\r\n", args...) }
	say("220 mail.example.com")
	buf := make([]byte, 4096)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		line := strings.TrimSpace(string(buf[:n]))
		switch {
		case strings.HasPrefix(line, "EHLO"):
			say("250-mail.example.com\r\n250 AUTH PLAIN LOGIN")
		case strings.HasPrefix(line, "AUTH"):
			say("535 you said %s", line)
		case strings.HasPrefix(line, "QUIT"):
			say("221 bye")
			return
		default:
			say("500 you said %s", line)
		}
	}
}
