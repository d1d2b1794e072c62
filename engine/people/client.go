package people

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/tidwall/gjson"
	"golang.org/x/sync/singleflight"

	"bellhop/actions"
	"bellhop/engine/store"
	"bellhop/rules"
)

const (
	keptAnswers = 50_000      // in memory
	keptUnknown = time.Minute // how long it is remembered that the platform does not know an id
)

// A Client looks up people and places. It is safe for concurrent use. The errors of its methods are [ErrNotFound], a [*Wait],
// or one that [actions.Classify] understands.
type Client struct {
	o      Options
	kept   *lru.Cache[string, answer]
	asking singleflight.Group
	tokens tokens

	mu      sync.Mutex
	blocked map[string]time.Time // by location: until when the platform takes no requests
}

// An answer is what is known of one id.
type answer struct {
	value any // nil: the platform does not know it
	at    time.Time
}

// New returns a client.
func New(o Options) *Client {
	if o.Keep == 0 {
		o.Keep = time.Hour
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	kept, err := lru.New[string, answer](keptAnswers)
	if err != nil { // only for a size below 1
		panic(err)
	}
	return &Client{o: o, kept: kept, blocked: map[string]time.Time{}, tokens: tokens{working: map[string]int{}, exchanged: map[string]token{}}}
}

// Contact looks up a contact of a location.
func (c *Client) Contact(ctx context.Context, location, id string) (rules.Contact, error) {
	return look(ctx, c, contacts, location, id)
}

// User looks up a colleague who works at a location.
func (c *Client) User(ctx context.Context, location, id string) (rules.User, error) {
	return look(ctx, c, users, location, id)
}

// Calendar looks up a calendar of a location.
func (c *Client) Calendar(ctx context.Context, location, id string) (rules.Calendar, error) {
	return look(ctx, c, calendars, location, id)
}

// Location looks up a location.
func (c *Client) Location(ctx context.Context, id string) (rules.Location, error) {
	return look(ctx, c, locations, id, id)
}

// look returns the answer for an id: one that is kept, one that another caller is waiting for, or a new one.
func look[T any](ctx context.Context, c *Client, k kind[T], location, id string) (T, error) {
	var none T
	if strings.ContainsAny(id, `/\?#%.`) { // the platform has no such ids, and they would lead elsewhere
		return none, ErrNotFound
	}
	key := k.noun + "\x00" + location + "\x00" + id // a location does not see what another one asked for
	old, known := c.kept.Get(key)
	if known && c.o.Now().Sub(old.at) < c.o.Keep && (old.value != nil || c.o.Now().Sub(old.at) < keptUnknown) {
		return k.of(old)
	}
	// Whoever gives up leaves the request to those who wait with it.
	done := c.asking.DoChan(key, func() (any, error) {
		value, err := ask(context.WithoutCancel(ctx), c, k, location, id)
		switch {
		case err == nil:
			c.kept.Add(key, answer{value, c.o.Now()})
		case errors.Is(err, ErrNotFound):
			c.kept.Add(key, answer{nil, c.o.Now()})
		}
		return value, err
	})
	select {
	case <-ctx.Done():
		return none, ctx.Err()
	case got := <-done:
		if got.Err == nil {
			return got.Val.(T), nil
		}
		if known && !errors.Is(got.Err, ErrNotFound) && c.o.Now().Sub(old.at) < c.o.Stale {
			c.o.Logger.Warn("an older answer is used, because the platform does not answer", "what", k.noun, "id", id, "asked", old.at.UTC(), "error", got.Err)
			return k.of(old)
		}
		return none, got.Err
	}
}

// of returns the value of an answer.
func (k kind[T]) of(a answer) (T, error) {
	if a.value == nil {
		var none T
		return none, ErrNotFound
	}
	return a.value.(T), nil
}

// ask asks the platform, with each token of the location until one works.
func ask[T any](ctx context.Context, c *Client, k kind[T], location, id string) (T, error) {
	var none T
	first := c.first(location)
	for attempt := 0; ; attempt++ {
		token, err := c.token(ctx, location, first, attempt)
		if err != nil {
			return none, err
		}
		if err := c.take(ctx, location); err != nil {
			return none, err
		}
		ans, err := c.o.API.Ask(ctx, c.o.Guard, actions.Inquiry{
			Method: http.MethodGet, Path: k.path(id), Token: token, Headers: map[string]string{"Version": k.version},
		})
		if err != nil {
			return none, err
		}
		c.obey(location, &ans)
		switch {
		case outdated(&ans) && c.another(location, attempt):
			continue
		case notFound(&ans):
			return none, ErrNotFound
		case ans.Err != nil:
			return none, explained(&ans, k.scope, location)
		}
		c.worked(location, first+attempt)
		value, err := k.read(ans.Body)
		if err != nil {
			return none, fmt.Errorf("the answer about the %s %s cannot be read: %w", k.noun, id, err)
		}
		return value, k.belongs(ans.Body, location, id)
	}
}

// belongs returns an error if an answer is about something else than what was asked for, or belongs to another location,
// which the token can read too.
func (k kind[T]) belongs(body []byte, location, id string) error {
	of := gjson.GetBytes(body, k.noun)
	if !of.IsObject() {
		of = gjson.ParseBytes(body)
	}
	if got := of.Get("id").String(); got != id {
		return fmt.Errorf("the answer about the %s %s is about %s", k.noun, id, got)
	}
	if owner := of.Get("locationId").String(); owner != "" && owner != location {
		return fmt.Errorf("%w: the %s is of another location", ErrNotFound, k.noun)
	}
	return nil
}

// outdated reports whether the platform refuses the token itself.
func outdated(ans *actions.Answer) bool {
	said := strings.ToLower(string(ans.Body))
	return ans.Status == http.StatusUnauthorized && !strings.Contains(said, "version header") && !strings.Contains(said, "scope")
}

// take waits for nothing: it returns a [*Wait] if the location has made as many requests as it may.
func (c *Client) take(ctx context.Context, location string) error {
	now := c.o.Now()
	c.mu.Lock()
	left := c.blocked[location].Sub(now)
	if left <= 0 {
		delete(c.blocked, location)
	}
	c.mu.Unlock()
	if left > 0 {
		return &Wait{left}
	}
	wait, err := c.o.Store.Count(ctx, store.Quota{Name: "people\x1f" + location, Limit: limit, Span: span}, now)
	if err != nil {
		return fmt.Errorf("counting requests to the platform: %w", err)
	}
	if wait > 0 {
		return &Wait{wait}
	}
	return nil
}

// obey notes for how long the platform takes no more requests of a location.
func (c *Client) obey(location string, ans *actions.Answer) {
	var pause time.Duration
	switch {
	case ans.Header.Get("X-RateLimit-Daily-Remaining") == "0":
		now := c.o.Now().UTC()
		pause = now.Truncate(24 * time.Hour).Add(24 * time.Hour).Sub(now)
	case ans.Status == http.StatusTooManyRequests:
		pause = wanted(ans)
	case ans.Header.Get("X-RateLimit-Remaining") == "0":
		if ms, err := time.ParseDuration(ans.Header.Get("X-RateLimit-Interval-Milliseconds") + "ms"); err == nil {
			pause = min(max(ms, 0), time.Minute)
		}
	default:
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.blocked[location] = c.o.Now().Add(pause)
}

// wanted returns the pause that a 429 asks for.
func wanted(ans *actions.Answer) time.Duration { return cmp.Or(actions.Classify(ans.Err).After, span) }

// notFound reports whether the platform does not know the id. It says so with several statuses.
func notFound(ans *actions.Answer) bool {
	if ans.Status == http.StatusNotFound {
		return true
	}
	said := strings.ToLower(string(ans.Body))
	return (ans.Status == http.StatusBadRequest || ans.Status == http.StatusUnprocessableEntity) && strings.Contains(said, "not found")
}

// explained says in plain words what a refusal means, and what to do. None of them is final, because the operator can mend
// it while deliveries wait.
func explained(ans *actions.Answer, scope, location string) error {
	said := strings.ToLower(string(ans.Body))
	var advice string
	switch {
	case ans.Status == http.StatusUnauthorized && strings.Contains(said, "version header"):
		advice = "the URL of `people.connection` is not that of the platform's API, or something between removes the header Version"
	case ans.Status == http.StatusUnauthorized && strings.Contains(said, "scope"):
		advice = "the token lacks the scope " + scope + ": add it to the private integration, or to the app"
	case ans.Status == http.StatusUnauthorized:
		advice = "the token is not valid any more: put the new one into `people.tokens` or into the connection"
	case ans.Status == http.StatusForbidden:
		advice = "the token is of another location: put one of the location " + location + " under `people.tokens`"
	case ans.Status == http.StatusTooManyRequests:
		return &Wait{wanted(ans)}
	default:
		return ans.Err
	}
	return fmt.Errorf("%s (%s)", advice, ans.Err.Error())
}

// decode reads JSON, and says in plain words what is wrong with it.
func decode(body []byte, into any) error {
	if err := json.Unmarshal(body, into); err != nil {
		if len(strings.TrimSpace(string(body))) == 0 {
			return errors.New("it is empty")
		}
		return fmt.Errorf("it is not the JSON that is expected: %w", err)
	}
	return nil
}
