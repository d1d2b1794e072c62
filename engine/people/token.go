package people

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"bellhop/actions"
	"bellhop/engine/config"
)

// tokens remembers which token of a location works, and those that were exchanged.
type tokens struct {
	mu        sync.Mutex
	working   map[string]int   // by location, the number of the private token that worked last
	exchanged map[string]token // by location
	company   token
	renewing  sync.Mutex
}

// A token is good until a time.
type token struct {
	text  string
	until time.Time
}

// token returns the token for an attempt to ask about a location, of which the token with the number first comes first; ""
// stands for the connection's own credentials.
func (c *Client) token(ctx context.Context, location string, first, attempt int) (string, error) {
	if own := c.o.Tokens[location]; len(own) > 0 {
		return own[(first+attempt)%len(own)], nil
	}
	if c.o.App == nil {
		return "", nil
	}
	return c.exchange(ctx, location, attempt > 0)
}

// first returns the number of the private token that worked last.
func (c *Client) first(location string) int {
	c.tokens.mu.Lock()
	defer c.tokens.mu.Unlock()
	return c.tokens.working[location]
}

// another reports whether there is another token to try after one was refused.
func (c *Client) another(location string, attempt int) bool {
	if own := c.o.Tokens[location]; len(own) > 0 {
		return attempt+1 < len(own)
	}
	return c.o.App != nil && attempt == 0
}

// worked notes that the private token with a number works.
func (c *Client) worked(location string, number int) {
	if n := len(c.o.Tokens[location]); n > 0 {
		c.tokens.mu.Lock()
		defer c.tokens.mu.Unlock()
		c.tokens.working[location] = number % n
	}
}

// early is how long before its end a token is renewed.
const early = time.Minute

// exchange returns the token of a location, for which the app's token is exchanged if there is none yet, or if it was
// refused.
func (c *Client) exchange(ctx context.Context, location string, refused bool) (string, error) {
	c.tokens.mu.Lock()
	have := c.tokens.exchanged[location]
	c.tokens.mu.Unlock()
	if !refused && c.o.Now().Add(early).Before(have.until) {
		return have.text, nil
	}
	company, err := c.companyToken(ctx, false)
	if err != nil {
		return "", err
	}
	path := "/oauth/locationToken"
	version := usualVersion
	if c.o.App.Version == "v3" {
		path, version = "/oauth/location-token", "v3"
	}
	ask := func() (actions.Answer, error) {
		return c.o.API.Ask(ctx, c.o.Guard, actions.Inquiry{
			Method: http.MethodPost, Path: path, Token: company, Headers: map[string]string{"Version": version},
			Form: url.Values{"companyId": {c.o.App.Company}, "locationId": {location}},
		})
	}
	ans, err := ask()
	if err == nil && ans.Status == http.StatusUnauthorized {
		if company, err = c.companyToken(ctx, true); err != nil {
			return "", err
		}
		ans, err = ask()
	}
	if err != nil {
		return "", err
	}
	if err := passing(&ans); err != nil {
		return "", err
	}
	if ans.Err != nil {
		return "", fmt.Errorf("the app's token could not be exchanged for one of the location %s; the app must be installed there, and the token of a private integration cannot be exchanged (%s)",
			location, ans.Err.Error())
	}
	got, err := c.read(ans.Body)
	if err != nil {
		return "", fmt.Errorf("the token of the location %s: %w", location, err)
	}
	c.tokens.mu.Lock()
	defer c.tokens.mu.Unlock()
	c.tokens.exchanged[location] = got.token
	return got.text, nil
}

// passing returns the error of an answer that says nothing of the request: the platform is down, or takes no more.
func passing(ans *actions.Answer) error {
	switch {
	case ans.Status == http.StatusTooManyRequests:
		return &Wait{max(actions.Classify(ans.Err).After, time.Second)}
	case ans.Status >= http.StatusInternalServerError:
		return ans.Err
	}
	return nil
}

// A granted is the answer to a request for a token.
type granted struct {
	token
	refresh string
}

func (c *Client) read(body []byte) (granted, error) {
	var in struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
		Seconds int64  `json:"expires_in"`
	}
	if err := decode(body, &in); err != nil {
		return granted{}, err
	}
	if in.Access == "" {
		return granted{}, errors.New("the answer holds no access_token")
	}
	if in.Seconds <= 0 {
		in.Seconds = 3600
	}
	return granted{token{in.Access, c.o.Now().Add(time.Duration(in.Seconds) * time.Second)}, in.Refresh}, nil
}

// keptNames returns the names under which the app's tokens are kept. They depend on the refresh token in the configuration, so
// that a new one, after the app was installed again, is used in place of what was kept.
func keptNames(a *config.App) (refresh, access string) {
	sum := sha256.Sum256([]byte(a.ClientID + "\x00" + a.Company + "\x00" + a.RefreshToken))
	of := hex.EncodeToString(sum[:8])
	return "people refresh " + of, "people access " + of
}

// renewTurn is how long one process has the turn to renew the app's token, and others wait for it.
const renewTurn = 30 * time.Second

// companyToken returns the app's token for its company. A refresh token is good once, so one process at a time uses it, and
// keeps the next one before it goes on.
func (c *Client) companyToken(ctx context.Context, refused bool) (string, error) {
	t := &c.tokens
	t.renewing.Lock()
	defer t.renewing.Unlock()
	if !refused && c.o.Now().Add(early).Before(t.company.until) {
		return t.company.text, nil
	}
	refreshName, accessName := keptNames(c.o.App)
	// Another process may have renewed it.
	if kept, err := c.stored(ctx, accessName); err != nil {
		return "", err
	} else if kept.text != t.company.text && c.o.Now().Add(early).Before(kept.until) {
		t.company = kept
		return kept.text, nil
	}
	turn, err := c.o.Store.Turn(ctx, refreshName, renewTurn)
	if err != nil {
		return "", fmt.Errorf("renewing the app's token: %w", err)
	}
	if !turn {
		return "", &Wait{time.Second}
	}
	refresh, err := c.o.Store.Token(ctx, refreshName)
	if err != nil {
		return "", fmt.Errorf("reading the app's token: %w", err)
	}
	if refresh == "" {
		refresh = c.o.App.RefreshToken
	}
	ans, err := c.o.API.Ask(ctx, c.o.Guard, actions.Inquiry{
		Method: http.MethodPost, Path: "/oauth/token", Headers: map[string]string{"Version": usualVersion},
		Form: url.Values{
			"client_id": {c.o.App.ClientID}, "client_secret": {c.o.App.ClientSecret}, "grant_type": {"refresh_token"},
			"refresh_token": {refresh}, "user_type": {"Company"},
		},
	})
	if err != nil {
		return "", err
	}
	if err := passing(&ans); err != nil {
		return "", err
	}
	if ans.Err != nil {
		return "", fmt.Errorf("the app's token could not be renewed; if this goes on, install the app again and put its new refresh token into `people.app` (%s)", ans.Err.Error())
	}
	got, err := c.read(ans.Body)
	if err != nil {
		return "", fmt.Errorf("renewing the app's token: %w", err)
	}
	if got.refresh != "" {
		if err := c.o.Store.SetToken(ctx, refreshName, got.refresh); err != nil {
			return "", fmt.Errorf("keeping the app's token: %w", err)
		}
	}
	if err := c.o.Store.SetToken(ctx, accessName, got.until.UTC().Format(time.RFC3339)+" "+got.text); err != nil {
		return "", fmt.Errorf("keeping the app's token: %w", err)
	}
	t.company = got.token
	return got.text, nil
}

// stored returns the app's token that is in the store, empty if there is none.
func (c *Client) stored(ctx context.Context, name string) (token, error) {
	text, err := c.o.Store.Token(ctx, name)
	if err != nil {
		return token{}, fmt.Errorf("reading the app's token: %w", err)
	}
	until, text, _ := strings.Cut(text, " ")
	at, err := time.Parse(time.RFC3339, until)
	if err != nil {
		return token{}, nil //nolint:nilerr // nothing was kept
	}
	return token{text, at}, nil
}
