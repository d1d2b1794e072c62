package actions

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// A received is a call that a test server has received.
type received struct {
	method, path string
	header       http.Header
	body         string
}

// answering starts a server that sends the same answer to every call and keeps what it received.
func answering(t *testing.T, status int, header map[string]string, body string) (*httptest.Server, func() []received) {
	t.Helper()
	calls := make(chan received, 100)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(r.Body)
		calls <- received{r.Method, r.RequestURI, r.Header, string(data)}
		for name, value := range header {
			w.Header().Set(name, value)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(srv.Close)
	return srv, func() []received {
		var all []received
		for len(calls) > 0 {
			all = append(all, <-calls)
		}
		return all
	}
}

func post(t *testing.T, s *Slack, a *SlackAccess) (Receipt, error) {
	t.Helper()
	return s.Do(t.Context(), Dispatch{ID: "d-1", Connection: a, Guard: newGuard(t, "127.0.0.1")})
}

func TestSlackPosts(t *testing.T) {
	t.Parallel()
	srv, calls := answering(t, 200, nil, `{"ok":true,"channel":"C1","ts":"1718000000.000100","message":{"text":"x"}}`)
	var s Slack
	if err := json.Unmarshal([]byte(`{"channel":"#front-desk","text":"a &lt;b&gt; <@U1> 🎉","blocks":[{"type":"section","weird":{"n":12345678901234567890}}],
		"thread":"1717.1","username":"Desk","icon":":bell:"}`), &s); err != nil {
		t.Fatal(err)
	}
	receipt, err := post(t, &s, &SlackAccess{Token: "xoxb-1", API: srv.URL + "/api"})
	if err != nil || receipt.ID != "1718000000.000100" || receipt.Status != "ok" || !strings.Contains(receipt.Body, `"C1"`) {
		t.Fatalf("%+v, %v", receipt, err)
	}
	call := calls()[0]
	if call.method != "POST" || call.path != "/api/chat.postMessage" || call.header.Get("Authorization") != "Bearer xoxb-1" ||
		!strings.HasPrefix(call.header.Get("Content-Type"), "application/json") {
		t.Errorf("%+v", call)
	}
	want := `{"blocks":[{"type":"section","weird":{"n":12345678901234567890}}],"channel":"#front-desk","icon_emoji":":bell:",` +
		`"metadata":{"event_payload":{"id":"d-1"},"event_type":"bellhop_delivery"},"text":"a &lt;b&gt; <@U1> 🎉","thread_ts":"1717.1","username":"Desk"}`
	if call.body != want {
		t.Errorf("sent %s", call.body)
	}

	hook, calls := answering(t, 200, nil, "ok")
	receipt, err = post(t, &Slack{Text: "hi"}, &SlackAccess{Webhook: hook.URL + "/services/T0/B0/xyz"})
	if err != nil || receipt.Status != "ok" {
		t.Fatalf("%+v, %v", receipt, err)
	}
	if call := calls()[0]; call.path != "/services/T0/B0/xyz" || call.body != `{"text":"hi"}` || call.header.Get("Authorization") != "" {
		t.Errorf("%+v", call)
	}
}

func TestSlackAnswers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		webhook   bool
		status    int
		header    map[string]string
		body      string
		permanent bool
		after     time.Duration
		says      string
	}{
		{false, 429, map[string]string{"Retry-After": "30"}, `{"ok":false,"error":"ratelimited"}`, false, 30 * time.Second, "429"},
		{false, 429, nil, "", false, 0, "429"},
		{false, 200, map[string]string{"Retry-After": "7"}, `{"ok":false,"error":"ratelimited"}`, false, 7 * time.Second, "ratelimited"},
		{false, 200, nil, `{"ok":false,"error":"channel_not_found"}`, true, 0, "channel_not_found"},
		{false, 200, nil, `{"ok":false,"error":"invalid_auth"}`, true, 0, "invalid_auth"},
		{false, 200, nil, `{"ok":false,"error":"not_in_channel"}`, true, 0, "not_in_channel"},
		{false, 200, nil, `{"ok":false,"error":"is_archived"}`, true, 0, "is_archived"},
		{false, 200, nil, `{"ok":false,"error":"msg_too_long"}`, true, 0, "msg_too_long"},
		{false, 200, nil, `{"ok":false,"error":"no_text"}`, true, 0, "no_text"},
		{false, 200, nil, `{"ok":false,"error":"token_revoked"}`, true, 0, "token_revoked"},
		{false, 200, nil, `{"ok":false,"error":"account_inactive"}`, true, 0, "account_inactive"},
		{false, 200, nil, `{"ok":false,"error":"missing_scope","needed":"chat:write.customize"}`, true, 0, "the scope chat:write.customize"},
		{false, 200, nil, `{"ok":false,"error":"internal_error"}`, false, 0, "internal_error"},
		{false, 200, nil, `{"ok":false,"error":"something_new"}`, false, 0, "something_new"},
		{false, 200, nil, `{"ok":false}`, false, 0, "not one of Slack's"},
		{false, 200, nil, `<html>proxy login</html>`, false, 0, "not one of Slack's"},
		{false, 200, nil, ``, false, 0, "not one of Slack's"},
		{false, 500, nil, `{"ok":true}`, false, 0, "500"},
		{false, 503, map[string]string{"Retry-After": "9"}, `busy`, false, 9 * time.Second, "503"},
		{false, 404, nil, `not here`, true, 0, "404"},
		{false, 302, map[string]string{"Location": "http://127.0.0.1:1/"}, ``, true, 0, "302"},
		{true, 200, nil, "no", false, 0, "not one of Slack's"},
		{true, 400, nil, "invalid_payload", true, 0, "invalid_payload"},
		{true, 403, nil, "action_prohibited", true, 0, "action_prohibited"},
		{true, 404, nil, "channel_not_found", true, 0, "channel_not_found"},
		{true, 404, nil, "no_service", true, 0, "no_service"},
		{true, 410, nil, "channel_is_archived", true, 0, "channel_is_archived"},
		{true, 429, map[string]string{"Retry-After": "3"}, "", false, 3 * time.Second, "429"},
		{true, 500, nil, "rollup_error", false, 0, "500"},
		{true, 200, nil, "no_text", true, 0, "no_text"},
	} {
		srv, _ := answering(t, c.status, c.header, c.body)
		a := &SlackAccess{Token: "xoxb-1", API: srv.URL}
		if c.webhook {
			a = &SlackAccess{Webhook: srv.URL}
		}
		receipt, err := post(t, &Slack{Channel: "C1", Text: "x"}, a)
		got := Classify(err)
		if err == nil || got.Permanent != c.permanent || got.After != c.after || !strings.Contains(err.Error(), c.says) || receipt.Body != c.body || receipt.ID != "" {
			t.Errorf("%+v: %+v, %+v", c, got, receipt)
		}
	}
}

func TestSlackRefusesBeforeSending(t *testing.T) {
	t.Parallel()
	srv, calls := answering(t, 200, nil, `{"ok":true}`)
	token := &SlackAccess{Token: "xoxb-1", API: srv.URL}
	for name, c := range map[string]struct {
		s Slack
		a *SlackAccess
	}{
		"no channel": {Slack{Text: "x"}, token},
		"line break": {Slack{Channel: "a\nb", Text: "x"}, token},
		"no address": {Slack{Channel: "a", Text: "x"}, &SlackAccess{Token: "x", API: "://"}},
	} {
		if _, err := post(t, &c.s, c.a); !Classify(err).Permanent {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := (&Slack{Text: "x"}).Do(t.Context(), Dispatch{ID: "d", Guard: newGuard(t)}); !Classify(err).Permanent {
		t.Errorf("no connection: %v", err)
	}
	if n := len(calls()); n != 0 {
		t.Errorf("%d calls", n)
	}
	// The post goes through the guard.
	if _, err := (&Slack{Channel: "C1", Text: "x"}).Do(t.Context(), Dispatch{ID: "d", Connection: token, Guard: newGuard(t)}); !Classify(err).Permanent || !strings.Contains(err.Error(), "egress") {
		t.Errorf("%v", err)
	}
}

func TestSlackCheck(t *testing.T) {
	t.Parallel()
	fields := func(problems []Problem) string {
		var all []string
		for _, p := range problems {
			all = append(all, p.Field+"→"+p.Suggestion)
		}
		return strings.Join(all, " ")
	}
	for _, c := range []struct {
		s    Slack
		want string
	}{
		{Slack{Text: "x", Icon: ":bell:", Thread: "1.2"}, ""},
		{Slack{Text: "x", Icon: ":wave::skin-tone-2:"}, ""},
		{Slack{Text: "x", Icon: "{{ a }}", Thread: "{{ b }}", Blocks: "{{ c }}"}, ""},
		{Slack{Blocks: []any{}}, ""},
		{Slack{Channel: "C1"}, "→"},
		{Slack{Text: "x", Icon: "Bell"}, "icon→:bell:"},
		{Slack{Text: "x", Icon: "🔔"}, "icon→"},
		{Slack{Text: "x", Thread: "yesterday"}, "thread→"},
		{Slack{Blocks: map[string]any{}}, "blocks→"},
	} {
		if got := fields(c.s.Check()); got != c.want {
			t.Errorf("%+v: %s", c.s, got)
		}
	}
	for _, c := range []struct {
		a    *SlackAccess
		want string
	}{
		{&SlackAccess{Token: "xoxb-1"}, ""},
		{&SlackAccess{Webhook: "https://hooks.example.com/services/x"}, ""},
		{&SlackAccess{}, "→"},
		{&SlackAccess{Token: "xoxb-1\n"}, "token→"},
		{&SlackAccess{Token: "x", Webhook: "https://hooks.example.com"}, "webhook→"},
		{&SlackAccess{Webhook: "hooks.example.com"}, "webhook→"},
		{&SlackAccess{Token: "x", API: "slack.com"}, "api→"},
	} {
		if got := fields(c.a.Check()); got != c.want {
			t.Errorf("%+v: %s", c.a, got)
		}
	}
	one, two := (&Slack{}).Destination(&SlackAccess{Token: "xoxb-1"}), (&Slack{}).Destination(&SlackAccess{Token: "xoxb-2"})
	if one == two || !strings.HasPrefix(one, "https://slack.com#") || strings.Contains(one, "xoxb") {
		t.Errorf("destinations %s, %s", one, two)
	}
	secrets := (&SlackAccess{Webhook: "https://hooks.example.com/services/T0/B0/xyz"}).Secrets()
	if !reflect.DeepEqual(secrets, []string{"https://hooks.example.com/services/T0/B0/xyz", "T0/B0/xyz", "xyz"}) || slices.Contains(secrets, "") {
		t.Errorf("%q", secrets)
	}
}
