package people_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"bellhop/actions"
	"bellhop/engine/config"
	"bellhop/engine/people"
	"bellhop/engine/store"
)

// A platform answers as HighLevel's API does, and records the requests.
type platform struct {
	*httptest.Server
	mu     sync.Mutex
	got    []*http.Request
	forms  []map[string][]string
	answer func(w http.ResponseWriter, r *http.Request) bool // before the usual answers; false leaves it to them
	tokens []string                                          // that are accepted; nil accepts all
}

func newPlatform(t *testing.T) *platform {
	p := &platform{}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	return p
}

func (p *platform) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	p.mu.Lock()
	p.got, p.forms = append(p.got, r), append(p.forms, r.PostForm)
	answer, tokens := p.answer, p.tokens
	p.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if answer != nil && answer(w, r) {
		return
	}
	say := func(status int, body string) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
	_, id, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	want := "2021-07-28"
	if strings.HasPrefix(r.URL.Path, "/calendars/") {
		want = "2021-04-15"
	}
	switch {
	case r.Header.Get("Version") != want:
		say(401, `{"statusCode":401,"message":"version header was not found."}`)
	case tokens != nil && !slices.Contains(tokens, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")):
		say(401, `{"statusCode":401,"message":"Invalid JWT"}`)
	case id == "unknown":
		say(404, `{"statusCode":404,"message":"Contact not found"}`)
	case id == "malformed":
		say(400, `{"statusCode":400,"message":"Contact with id malformed not found"}`)
	case strings.HasPrefix(r.URL.Path, "/contacts/"):
		say(200, fmt.Sprintf(`{"contact":{"id":%q,"firstName":"Guest","lastName":"Sample","email":%q,"phone":"+15550100123","timezone":"Europe/Paris","dnd":false,
			"dndSettings":{"Email":{"status":"active"},"SMS":{"status":"inactive"},"Call":{"status":"permanent"}},"tags":["vip"],"customFields":[{"id":"f1","value":"blue"},{"id":"f2","value":[1,2]}]},"traceId":"x"}`, id, id+"@example.com"))
	case strings.HasPrefix(r.URL.Path, "/users/"):
		say(200, fmt.Sprintf(`{"id":%q,"name":"Front Desk","firstName":"Front","lastName":"Desk","email":"desk@example.com","roles":{"type":"account"}}`, id))
	case strings.HasPrefix(r.URL.Path, "/calendars/"):
		say(200, fmt.Sprintf(`{"calendar":{"id":%q,"name":"First consultation"}}`, id))
	case strings.HasPrefix(r.URL.Path, "/locations/"):
		say(200, fmt.Sprintf(`{"location":{"id":%q,"name":"Harbour Street","timezone":"America/Chicago","address":"12 Harbour Street","city":"Springfield"}}`, id))
	default:
		say(404, `{}`)
	}
}

func (p *platform) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.got)
}

// A clock is the time of a test.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func newClient(t *testing.T, p *platform, change func(*people.Options)) (*people.Client, *clock) {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{At: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	guard, err := actions.NewGuard(actions.GuardOptions{Allow: []string{"127.0.0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(guard.Close)
	c := &clock{at: time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)}
	o := people.Options{API: &actions.HTTPAPI{URL: p.URL, Bearer: "pit-usual-token"}, Guard: guard, Store: s, Now: c.now}
	if change != nil {
		change(&o)
	}
	return people.New(o), c
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	c, _ := newClient(t, p, nil)
	show := func(v any, err error) string {
		if err != nil {
			return err.Error()
		}
		data, _ := json.Marshal(v)
		return string(data)
	}
	contact, err := c.Contact(t.Context(), "l1", "c1")
	slices.Sort(contact.OptOuts)
	for got, want := range map[string]string{
		show(contact, err):                        `{"id":"c1","name":"Guest Sample","firstName":"Guest","lastName":"Sample","email":"c1@example.com","phone":"+15550100123","timezone":"Europe/Paris","language":"","tags":["vip"],"dnd":false,"custom":{"f1":"blue","f2":[1,2]},"optOuts":["call","email"]}`,
		show(c.User(t.Context(), "l1", "u1")):     `{"id":"u1","name":"Front Desk","firstName":"Front","lastName":"Desk","email":"desk@example.com","phone":"","timezone":"","language":"","slack":"","team":"","custom":null}`,
		show(c.Calendar(t.Context(), "l1", "k1")): `{"id":"k1","name":"First consultation","custom":null}`,
		show(c.Location(t.Context(), "l1")):       `{"id":"l1","name":"Harbour Street","timezone":"America/Chicago","language":"","email":"","phone":"","address":"12 Harbour Street, Springfield","custom":null}`,
	} {
		if !strings.HasPrefix(got, want) {
			t.Errorf("got %s\nwant %s", got, want)
		}
	}
	for _, id := range []string{"unknown", "malformed", "../users/u1", "c1?x=y"} {
		if _, err := c.Contact(t.Context(), "l1", id); !errors.Is(err, people.ErrNotFound) {
			t.Errorf("%s: %v", id, err)
		}
	}
	if got := p.got[0].Header.Get("Authorization"); got != "Bearer pit-usual-token" {
		t.Errorf("sent %s", got)
	}
}

// Ten thousand questions about 500 contacts are 500 requests, never more in any 10 seconds than the platform allows.
func TestManyQuestions(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	c, clock := newClient(t, p, nil)
	var at []time.Time
	waits := 0
	for i := range 10_000 {
		id := fmt.Sprint("c", (i*7)%500)
		for {
			before := p.count()
			_, err := c.Contact(t.Context(), "l1", id)
			if p.count() > before {
				at = append(at, clock.now())
			}
			wait, ok := errors.AsType[*people.Wait](err)
			if !ok {
				if err != nil {
					t.Fatal(err)
				}
				break
			}
			waits++
			clock.add(wait.For)
		}
		clock.add(time.Millisecond)
	}
	if len(at) != 500 || waits == 0 {
		t.Errorf("%d requests, %d waits", len(at), waits)
	}
	for i := 100; i < len(at); i++ {
		if at[i].Sub(at[i-100]) <= 10*time.Second {
			t.Fatalf("101 requests from %s to %s", at[i-100], at[i])
		}
	}
}

// Equal questions at the same time are one request.
func TestEqualQuestions(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	entered, let := make(chan bool, 10), make(chan struct{})
	p.answer = func(http.ResponseWriter, *http.Request) bool { entered <- true; <-let; return false }
	c, _ := newClient(t, p, nil)
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			if got, err := c.Contact(t.Context(), "l1", "c1"); err != nil || got.ID != "c1" {
				t.Errorf("%+v %v", got, err)
			}
		})
	}
	<-entered
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Contact(ctx, "l1", "c1"); !errors.Is(err, context.Canceled) {
		t.Errorf("who gives up gets %v", err)
	}
	close(let)
	group.Wait()
	if p.count() != 1 {
		t.Errorf("%d requests", p.count())
	}
	if _, err := c.Contact(t.Context(), "l2", "c1"); err != nil || p.count() != 2 {
		t.Errorf("another location is not given what was asked for one: %d requests, %v", p.count(), err)
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		status int
		header string
		body   string
		want   string
		wait   time.Duration
	}{
		"version":         {401, "", `{"message":"version header was not found."}`, "the URL of `people.connection` is not that of the platform's API", 0},
		"scope":           {401, "", `{"message":"The token is not authorized for this scope."}`, "the token lacks the scope contacts.readonly", 0},
		"token":           {401, "", `{"message":"Invalid JWT"}`, "the token is not valid any more", 0},
		"other location":  {403, "", `{"message":"The token does not have access to this location."}`, "the token is of another location: put one of the location l1 under `people.tokens`", 0},
		"too many":        {429, "Retry-After: 30", `{"message":"Too Many Requests"}`, "the platform's API takes no more requests for the next 30s", 30 * time.Second},
		"too many, still": {429, "", ``, "the platform's API takes no more requests for the next 11s", 11 * time.Second},
		"down":            {500, "", `oops`, "500: oops", 0},
		"no JSON":         {200, "", `<html>`, "it is not the JSON that is expected", 0},
		"another id":      {200, "", `{"contact":{"id":"c9"}}`, "the answer about the contact c1 is about c9", 0},
		"empty":           {200, "", ``, "it is empty", 0},
		"another shape":   {200, "", `{"contacts":[]}`, "it holds no contact", 0},
		"redirect":        {302, "Location: https://login.example.com", ``, "302", 0},
		"huge":            {200, "", `{"contact":{"id":"` + strings.Repeat("x", 2<<20) + `"}}`, "it is not the JSON that is expected", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlatform(t)
			p.answer = func(w http.ResponseWriter, _ *http.Request) bool {
				if key, value, ok := strings.Cut(tt.header, ": "); ok {
					w.Header().Set(key, value)
				}
				w.WriteHeader(tt.status)
				_, _ = w.Write([]byte(tt.body))
				return true
			}
			c, clock := newClient(t, p, nil)
			_, err := c.Contact(t.Context(), "l1", "c1")
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "pit-usual") || errors.Is(err, people.ErrNotFound) {
				t.Fatalf("%v, want %s", err, tt.want)
			}
			if actions.Classify(err).Permanent && tt.status != 302 {
				t.Errorf("%v is final, though the operator can mend it", err)
			}
			if wait, ok := errors.AsType[*people.Wait](err); ok != (tt.wait > 0) || ok && wait.For != tt.wait {
				t.Errorf("waits %+v, want %s", wait, tt.wait)
			}
			p.mu.Lock()
			p.answer = nil
			p.mu.Unlock()
			if tt.wait > 0 { // nothing is asked meanwhile, of this location
				before := p.count()
				if _, err := c.Contact(t.Context(), "l1", "c2"); err == nil || p.count() != before {
					t.Errorf("asked while it must wait: %v", err)
				}
				if _, err := c.Contact(t.Context(), "l2", "c2"); err != nil {
					t.Errorf("another location must wait too: %v", err)
				}
				clock.add(tt.wait)
			}
			if got, err := c.Contact(t.Context(), "l1", "c1"); err != nil || got.ID != "c1" {
				t.Errorf("when it answers again: %+v, %v", got, err)
			}
		})
	}
}

// A hang ends with the request's own limit, and says so.
func TestHang(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.answer = func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true }
	c, _ := newClient(t, p, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.Contact(ctx, "l1", "c1"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	p.CloseClientConnections()
}

// While the API is down for an hour, an older answer is used if the operator allows that.
func TestStale(t *testing.T) {
	t.Parallel()
	for _, stale := range []time.Duration{0, 24 * time.Hour} {
		p := newPlatform(t)
		c, clock := newClient(t, p, func(o *people.Options) { o.Keep, o.Stale = time.Hour, stale })
		if _, err := c.Contact(t.Context(), "l1", "c1"); err != nil {
			t.Fatal(err)
		}
		p.mu.Lock()
		p.answer = func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(500); return true }
		p.mu.Unlock()
		clock.add(59 * time.Minute)
		if _, err := c.Contact(t.Context(), "l1", "c1"); err != nil || p.count() != 1 {
			t.Errorf("a kept answer: %v, %d requests", err, p.count())
		}
		clock.add(time.Hour)
		if got, err := c.Contact(t.Context(), "l1", "c1"); (err == nil) != (stale > 0) || err == nil && got.ID != "c1" || p.count() != 2 {
			t.Errorf("stale %s: %+v %v, %d requests", stale, got, err, p.count())
		}
		clock.add(24 * time.Hour)
		if _, err := c.Contact(t.Context(), "l1", "c1"); err == nil {
			t.Error("an answer of two days ago is used")
		}
	}
}

// Of several tokens of a location, the one that works is used.
func TestTokens(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.tokens = []string{"pit-new-token", "pit-usual-token"}
	c, _ := newClient(t, p, func(o *people.Options) { o.Tokens = map[string][]string{"l1": {"pit-old-token", "pit-new-token"}} })
	for i := range 3 {
		if _, err := c.Contact(t.Context(), "l1", fmt.Sprint("c", i)); err != nil {
			t.Fatal(err)
		}
	}
	if p.count() != 4 { // only the first question tried the old one
		t.Errorf("%d requests", p.count())
	}
	if _, err := c.Contact(t.Context(), "l2", "c1"); err != nil || p.got[4].Header.Get("Authorization") != "Bearer pit-usual-token" {
		t.Errorf("another location: %v", err)
	}
}

// What belongs to another location is not given to this one, although the token can read it (P9).
func TestOtherLocation(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.answer = func(w http.ResponseWriter, _ *http.Request) bool {
		_, _ = w.Write([]byte(`{"contact":{"id":"c1","email":"guest@example.com","locationId":"l1"}}`))
		return true
	}
	c, _ := newClient(t, p, nil)
	if _, err := c.Contact(t.Context(), "l1", "c1"); err != nil {
		t.Error(err)
	}
	if got, err := c.Contact(t.Context(), "l2", "c1"); !errors.Is(err, people.ErrNotFound) {
		t.Errorf("%+v %v", got, err)
	}
}

// An agency's app renews its token, which is good once, and exchanges it for each location's.
func TestApp(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	refresh, company, renewed := "refresh-token-0", "", 0
	p.answer = func(w http.ResponseWriter, r *http.Request) bool {
		bearer := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		p.mu.Lock()
		defer p.mu.Unlock()
		switch r.URL.Path {
		case "/oauth/token":
			if r.PostForm.Get("refresh_token") != refresh || r.PostForm.Get("client_secret") != "app-secret" {
				w.WriteHeader(400)
				_, _ = fmt.Fprintf(w, `{"error":"invalid_grant","message":"%s is no good"}`, r.PostForm.Get("refresh_token"))
				return true
			}
			renewed++
			refresh, company = fmt.Sprint("refresh-token-", renewed), fmt.Sprint("company-token-", renewed)
			_, _ = fmt.Fprintf(w, `{"access_token":%q,"refresh_token":%q,"expires_in":86400}`, company, refresh)
		case "/oauth/locationToken":
			if bearer != company || r.PostForm.Get("companyId") != "agency1" {
				w.WriteHeader(401)
				return true
			}
			_, _ = fmt.Fprintf(w, `{"access_token":%q,"expires_in":86400}`, "token-of-"+r.PostForm.Get("locationId"))
		default:
			if !strings.HasPrefix(bearer, "token-of-") {
				w.WriteHeader(401)
				return true
			}
			return false
		}
		return true
	}
	var o people.Options
	c, clock := newClient(t, p, func(options *people.Options) {
		options.API.Bearer = ""
		options.App = &config.App{ClientID: "app", ClientSecret: "app-secret", Company: "agency1", RefreshToken: "refresh-token-0"}
		o = *options
	})
	for _, location := range []string{"l1", "l2", "l1"} {
		if _, err := c.Contact(t.Context(), location, "c1"); err != nil {
			t.Fatal(err)
		}
	}
	if renewed != 1 || p.count() != 1+2+2 {
		t.Errorf("renewed %d times, %d requests", renewed, p.count())
	}
	clock.add(25 * time.Hour) // all tokens are over
	if _, err := c.Contact(t.Context(), "l1", "c2"); err != nil || renewed != 2 {
		t.Errorf("%v, renewed %d times", err, renewed)
	}
	again := people.New(o) // a restart goes on with the refresh token that was kept
	clock.add(25 * time.Hour)
	if _, err := again.Contact(t.Context(), "l1", "c3"); err != nil || renewed != 3 {
		t.Errorf("after a restart: %v, renewed %d times", err, renewed)
	}
	p.mu.Lock()
	refresh = "refresh-token-anew"
	p.mu.Unlock()
	clock.add(25 * time.Hour)
	if _, err := again.Contact(t.Context(), "l1", "c4"); err == nil || !strings.Contains(err.Error(), "install the app again") || strings.Contains(err.Error(), "refresh-token") {
		t.Errorf("%v", err)
	}
	// The app was installed again, and its new refresh token is in the configuration.
	o.App = &config.App{ClientID: "app", ClientSecret: "app-secret", Company: "agency1", RefreshToken: "refresh-token-anew"}
	if _, err := people.New(o).Contact(t.Context(), "l1", "c4"); err != nil {
		t.Errorf("with a new refresh token: %v", err)
	}
}
