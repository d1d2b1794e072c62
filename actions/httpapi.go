package actions

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// HTTPAPI is the connection for HTTP calls: a base URL and the credentials for it.
type HTTPAPI struct {
	URL     string            `json:"url" like:"^[Hh][Tt][Tt][Pp][Ss]?://" words:"write a URL, such as https://crm.example.com/api" doc:"The URL that every path comes after." example:"https://crm.example.com/api"`
	Bearer  string            `json:"bearer" doc:"A token to send as Authorization: Bearer." example:"${CRM_TOKEN}"`
	Basic   *Basic            `json:"basic" doc:"A user and a password for basic authentication." example:"{user: bookings, password: \"${CRM_PASSWORD}\"}"`
	OAuth2  *OAuth2           `json:"oauth2" doc:"Credentials to fetch tokens with (OAuth2 client credentials)." example:"{token_url: \"https://login.example.com/token\", client_id: bookings, client_secret: \"${CRM_SECRET}\"}"`
	Sign    string            `json:"sign" doc:"A secret to sign requests with, as standardwebhooks.com describes." example:"${CRM_SIGNING_SECRET}"`
	Headers map[string]string `json:"headers" doc:"Headers to send with every request." example:"{X-Api-Key: \"${CRM_KEY}\"}"`

	scrub   scrubber
	once    sync.Once
	config  *clientcredentials.Config
	turn    chan struct{} // a lock on the token, held while it is read or fetched
	current *oauth2.Token
}

// Basic is a user and a password.
type Basic struct {
	User     string `json:"user" doc:"The user." example:"bookings"`
	Password string `json:"password" doc:"The user's password." example:"${CRM_PASSWORD}"`
}

// OAuth2 is what the client credentials grant needs.
type OAuth2 struct {
	TokenURL     string   `json:"token_url" like:"^[Hh][Tt][Tt][Pp][Ss]?://" words:"write the URL that tokens come from, such as https://login.example.com/token" doc:"The URL that tokens are fetched from." example:"https://login.example.com/token"`
	ClientID     string   `json:"client_id" doc:"The client's id." example:"bookings"`
	ClientSecret string   `json:"client_secret" doc:"The client's secret." example:"${CRM_SECRET}"`
	Scopes       []string `json:"scopes" doc:"What the token is to allow, as the API calls it." example:"[bookings.write]"`
}

var _ Connection = (*HTTPAPI)(nil)

// Check finds a URL that cannot be called, and credentials that are incomplete or contradict each other.
func (a *HTTPAPI) Check() []Problem {
	var found problems
	add := func(field, message string) { found.add(field, message, "") }
	if u, err := parseHTTP(a.URL); err != nil {
		message := "url " + err.Error()
		if strings.Contains(a.URL, "@") {
			message += "; credentials go under basic"
		}
		add("url", message)
	} else if u.Fragment != "" {
		add("url", "url must not hold a #")
	}
	ways := countTrue(a.Bearer != "", a.Basic != nil, a.OAuth2 != nil)
	if ways > 1 {
		add("", oneCredential)
	}
	if strings.ContainsFunc(a.Bearer, func(r rune) bool { return r <= ' ' || r > '~' }) {
		add("bearer", "bearer holds a character that no token has, such as a space or a line break")
	}
	if a.Basic != nil && (a.Basic.User == "" || strings.Contains(a.Basic.User, ":")) {
		add("basic", "basic needs a user, without a colon in it")
	}
	if o := a.OAuth2; o != nil {
		if _, err := parseHTTP(o.TokenURL); err != nil {
			add("oauth2", "token_url "+err.Error())
		}
		if o.ClientID == "" || o.ClientSecret == "" {
			add("oauth2", "oauth2 needs a client_id and a client_secret")
		}
	}
	if a.Sign != "" {
		if _, err := standardwebhooks.NewWebhook(a.Sign); err != nil || strings.TrimPrefix(a.Sign, "whsec_") == "" {
			add("sign", "sign is not a signing secret: whsec_ and then base64")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(a.Headers)) {
		if err := checkHeader(name); err != nil {
			add("headers", err.Error())
		} else if strings.ContainsAny(a.Headers[name], "\r\n\x00") {
			add("headers", fmt.Sprintf("the header %s must not contain a line break", name))
		} else if ways > 0 && http.CanonicalHeaderKey(name) == "Authorization" {
			add("headers", "the header Authorization is set from bearer, basic or oauth2")
		}
	}
	return found
}

// Headers whose values are not secret. The values of all other headers of a connection are treated as secrets.
var publicHeaders = []string{
	"Accept", "Accept-Charset", "Accept-Encoding", "Accept-Language", "Cache-Control", "Content-Encoding", "Content-Language",
	"Content-Type", "From", "Origin", "Pragma", "Prefer", "Referer", "User-Agent", "X-Requested-With",
}

// Secrets are the credentials, also as they are sent, and the values of headers and of long query parameters, which
// are often credentials.
func (a *HTTPAPI) Secrets() []string {
	secrets := []string{a.Bearer, a.Sign, strings.TrimPrefix(a.Sign, "whsec_")}
	if u, err := parseHTTP(a.URL); err != nil {
		if strings.ContainsAny(a.URL, "@?") {
			secrets = append(secrets, a.URL)
		}
		if _, rest, ok := strings.Cut(a.URL, "://"); ok {
			if i := strings.LastIndexByte(rest, '@'); i >= 0 {
				_, raw, _ := strings.Cut(rest[:i], ":")
				secrets = append(secrets, raw, unescape(raw))
			}
		}
	} else {
		for _, values := range u.Query() {
			for _, value := range values {
				if len(value) >= 8 {
					secrets = append(secrets, value)
				}
			}
		}
	}
	if b := a.Basic; b != nil {
		secrets = append(secrets, b.Password, base64.StdEncoding.EncodeToString([]byte(b.User+":"+b.Password)))
	}
	if o := a.OAuth2; o != nil {
		secrets = append(secrets, o.ClientSecret, base64.StdEncoding.EncodeToString([]byte(o.ClientID+":"+o.ClientSecret)))
	}
	for name, value := range a.Headers {
		if !slices.Contains(publicHeaders, http.CanonicalHeaderKey(name)) {
			secrets = append(secrets, value)
			if _, credential, ok := strings.Cut(value, " "); ok { // "Token abc"
				secrets = append(secrets, credential)
			}
		}
	}
	return slices.DeleteFunc(secrets, func(s string) bool { return s == "" })
}

// authorise adds the connection's headers, credentials and signature. The signature has the time of the attempt,
// since receivers refuse old ones; its id and body are the delivery's.
func (a *HTTPAPI) authorise(r *http.Request, id, token string, body []byte) error {
	for _, name := range slices.Sorted(maps.Keys(a.Headers)) {
		value := a.Headers[name]
		if err := checkHeader(name); err != nil {
			return err
		}
		if _, given := r.Header[http.CanonicalHeaderKey(name)]; !given || !slices.Contains(publicHeaders, http.CanonicalHeaderKey(name)) {
			r.Header.Set(name, value)
		}
	}
	switch {
	case token != "":
		r.Header.Set("Authorization", "Bearer "+token)
	case a.Bearer != "":
		r.Header.Set("Authorization", "Bearer "+a.Bearer)
	case a.Basic != nil:
		r.SetBasicAuth(a.Basic.User, a.Basic.Password)
	}
	if a.Sign == "" {
		return nil
	}
	if err := Sign(r.Header, a.Sign, id, time.Now(), body); err != nil {
		return fmt.Errorf("signing the request: %w", err)
	}
	return nil
}

// Sign adds the headers of a Standard Webhooks signature. Its errors hold no secret.
func Sign(h http.Header, secret, id string, now time.Time, body []byte) error {
	signer, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		return errors.New("the secret is not base64")
	}
	signature, err := signer.Sign(id, now, body)
	if err != nil {
		return err
	}
	h.Set(standardwebhooks.HeaderWebhookID, id)
	h.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	h.Set(standardwebhooks.HeaderWebhookSignature, signature)
	return nil
}

// token gives a valid OAuth2 token other than the rejected one, and fetches it if necessary. Only one attempt fetches
// at a time; the others wait, each no longer than its own ctx.
func (a *HTTPAPI) token(ctx context.Context, guard *Guard, rejected string) (string, error) {
	const doing = "fetching an OAuth2 token"
	a.once.Do(func() {
		a.turn = make(chan struct{}, 1)
		a.config = &clientcredentials.Config{
			ClientID: a.OAuth2.ClientID, ClientSecret: a.OAuth2.ClientSecret, TokenURL: a.OAuth2.TokenURL, Scopes: a.OAuth2.Scopes,
		}
	})
	select {
	case a.turn <- struct{}{}:
		defer func() { <-a.turn }()
	case <-ctx.Done():
		return "", fmt.Errorf("%s: %w", doing, ctx.Err())
	}
	if a.current.Valid() && a.current.AccessToken != rejected {
		return a.current.AccessToken, nil
	}
	fresh, err := a.config.Token(context.WithValue(ctx, oauth2.HTTPClient, guard.httpClient()))
	if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		// The text of this error quotes all of the answer, so it is not used.
		scrub := a.scrub.of(a)
		ans := answer{Response: refused.Response, body: []byte(scrub(string(refused.Body))), scrub: scrub}
		return "", ans.failure(doing)
	}
	if err != nil {
		return "", transportError(doing, err, a.scrub.of(a))
	}
	a.current = fresh
	return fresh.AccessToken, nil
}
