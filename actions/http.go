package actions

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/hbollon/go-edlib"
	"golang.org/x/net/http/httpguts"
)

var httpKind = Kind{
	Name:           "http",
	Summary:        "Calls an HTTP API.",
	New:            func() Request { return new(HTTP) },
	NewConnection:  func() Connection { return new(HTTPAPI) },
	ConnectionKeys: []string{"url"},
	Choices: []Choice{
		{connectionOrURL, []string{"connection", "url"}},
		{pathOrURL, []string{"url", "path"}},
		{oneBody, []string{"json", "form", "body"}},
	},
	ConnectionChoices: []Choice{{oneCredential, []string{"bearer", "basic", "oauth2"}}},
}

// Keys of which a call, or its connection, has at most one.
const (
	connectionOrURL = "an http step has a connection (and a path) or a url, not both"
	pathOrURL       = "path goes with a connection; with a url, write the path into the url"
	oneBody         = "an http step has at most one of json, form and body"
	oneCredential   = "an http connection has at most one of bearer, basic and oauth2"
)

// HTTP is the HTTP call that a step makes.
type HTTP struct {
	Connection string            `json:"connection,omitempty" literal:"true" doc:"The connection to call; it holds the base URL and the credentials." example:"crm"`
	Path       string            `json:"path,omitempty" header:"true" escape:"path" doc:"What comes after the connection's URL; it may hold a query." example:"/appointments/{{ appointment.id }}"`
	URL        string            `json:"url,omitempty" header:"true" escape:"address" doc:"The whole URL, for a call without a connection." example:"https://api.example.com/hook"`
	Method     string            `json:"method,omitempty" literal:"true" doc:"The method; without one, POST if there is a body, else GET." example:"PUT"`
	Query      map[string]string `json:"query,omitempty" doc:"Parameters to add to the URL." example:"{notify: \"true\"}"`
	Headers    map[string]string `json:"headers,omitempty" header:"true" doc:"Headers to send; credentials belong into the connection." example:"{X-Desk: front}"`
	JSON       any               `json:"json,omitempty" doc:"The body, written as YAML and sent as JSON." example:"{id: \"{{ appointment.id }}\"}"`
	Form       map[string]string `json:"form,omitempty" doc:"The body, sent as a form." example:"{id: \"{{ appointment.id }}\"}"`
	Body       string            `json:"body,omitempty" escape:"json" doc:"The body as it is, sent as plain text unless headers say otherwise." example:"{{ appointment.title }}"`
	Timeout    Duration          `json:"timeout,omitzero" literal:"true" doc:"How long one attempt may take: 30s if not given, at most 5m." example:"10s"`
	Expect     []int             `json:"expect,omitempty" literal:"true" doc:"The statuses that mean success; without it, 200 to 299." example:"[200, 409]"`
}

var _ Request = (*HTTP)(nil)

// UnmarshalJSON keeps numbers in json as they were written, so that a long id keeps all its digits.
func (h *HTTP) UnmarshalJSON(data []byte) error {
	type plain HTTP
	return decodeNumbers(data, (*plain)(h))
}

func decodeNumbers(data []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	return dec.Decode(into)
}

// compactJSON encodes v without the escapes that are meant for HTML.
func compactJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

var httpMethods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

// ownHeaders are headers that belong to the connection between two machines, or that Bellhop sets itself. Rules and
// connections must not set them.
var ownHeaders = []string{
	"Connection", "Content-Length", "Expect", "Host", "Idempotency-Key", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
	"Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
	"Webhook-Id", "Webhook-Signature", "Webhook-Timestamp",
}

const maxRedirects = 5

func (h *HTTP) bodies() int { return countTrue(h.JSON != nil, h.Form != nil, h.Body != "") }

func countTrue(given ...bool) (n int) {
	for _, is := range given {
		if is {
			n++
		}
	}
	return n
}

func (h *HTTP) method() string {
	switch {
	case h.Method != "":
		return strings.ToUpper(h.Method)
	case h.bodies() > 0:
		return http.MethodPost
	default:
		return http.MethodGet
	}
}

// Check finds contradictions, and values that no server would accept.
func (h *HTTP) Check() []Problem {
	var found problems
	switch {
	case h.URL != "" && h.Connection != "":
		found.add("url", connectionOrURL, "")
	case h.URL != "" && h.Path != "":
		found.add("path", pathOrURL, "")
	case h.URL == "" && h.Connection == "" && h.Path == "":
		found.add("", "an http step needs a url, or a path on a connection", "")
	case known(h.URL):
		if _, err := parseHTTP(h.URL); err != nil {
			suggestion := ""
			if guess := "https://" + h.URL; !strings.Contains(h.URL, "://") && !strings.HasPrefix(h.URL, "/") && destination(guess) != "http:" {
				suggestion = guess
			}
			found.add("url", "url "+err.Error(), suggestion)
		}
	case strings.HasPrefix(h.Path, "http://") || strings.HasPrefix(h.Path, "https://"):
		found.add("path", "path is what comes after the connection's url; for a whole URL write url: and no connection", "")
	case known(h.Path):
		if _, err := joinPath(&url.URL{Scheme: "https", Host: "example.com"}, h.Path); err != nil {
			found.add("path", err.Error(), "")
		}
	}
	if h.Method != "" && !slices.Contains(httpMethods, h.method()) {
		suggestion := ""
		for _, m := range httpMethods {
			if edlib.OSADamerauLevenshteinDistance(h.method(), m) == 1 {
				suggestion = m
			}
		}
		found.add("method", fmt.Sprintf("%q is none of the methods %s", h.Method, strings.Join(httpMethods, ", ")), suggestion)
	} else if h.bodies() > 0 && (h.method() == http.MethodGet || h.method() == http.MethodHead) {
		found.add("method", "a "+h.method()+" request has no body", http.MethodPost)
	}
	if h.bodies() > 1 {
		found.add("", oneBody, "")
	}
	for _, name := range slices.Sorted(maps.Keys(h.Headers)) {
		if err := checkHeader(name); err != nil {
			found.add("headers", err.Error(), "")
		}
	}
	if t := time.Duration(h.Timeout); t < 0 || t > longestTimeout {
		found.add("timeout", "timeout is at most "+Duration(longestTimeout).String(), Duration(longestTimeout).String())
	}
	for _, code := range h.Expect {
		if code < 100 || code > 599 {
			found.add("expect", fmt.Sprintf("%d is no HTTP status: they go from 100 to 599", code), "")
		}
	}
	return found
}

// checkHeader returns an error if a step or a connection must not set the header.
func checkHeader(name string) error {
	if strings.Contains(name, "{{") {
		return fmt.Errorf("the name of the header %q must be fixed", name)
	}
	if !httpguts.ValidHeaderFieldName(name) {
		return fmt.Errorf("%q cannot be the name of a header", name)
	}
	if slices.Contains(ownHeaders, http.CanonicalHeaderKey(name)) {
		return fmt.Errorf("the header %s is set by Bellhop itself", name)
	}
	return nil
}

func (h *HTTP) ConnectionName() string { return h.Connection }

// NeedsConnection is false for a step with a url.
func (h *HTTP) NeedsConnection() bool { return h.URL == "" }

// Destination returns the scheme and host of the URL to call.
func (h *HTTP) Destination(c Connection) string {
	if api, ok := c.(*HTTPAPI); ok && h.URL == "" {
		return destination(api.URL)
	}
	return destination(h.URL)
}

// joinPath appends p, which may hold a query, to base. A path that would lead outside base is an error.
func joinPath(base *url.URL, p string) (*url.URL, error) {
	u := *base
	p, query, _ := strings.Cut(p, "?")
	switch {
	case strings.ContainsFunc(p+query, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return nil, errors.New("path must not hold a line break or another control character")
	case strings.HasPrefix(p, "//") || strings.Contains(p, "://") || strings.Contains(p, `\`):
		return nil, errors.New("path must begin with one / and stay below the connection's url")
	}
	// Servers differ in how often they decode before they resolve dots, so no level of decoding may show any.
	for plain := p; ; {
		for segment := range strings.FieldsFuncSeq(plain, func(r rune) bool { return r == '/' || r == '\\' }) {
			if name, _, _ := strings.Cut(segment, ";"); name == "." || name == ".." {
				return nil, errors.New("path must not hold . or .. between slashes")
			}
		}
		next := unescape(plain)
		if next == plain {
			break
		}
		plain = next
	}
	if p = strings.TrimPrefix(p, "/"); p != "" {
		plain := unescape(p)
		u.RawPath = strings.TrimSuffix(base.EscapedPath(), "/") + "/" + p
		u.Path = strings.TrimSuffix(base.Path, "/") + "/" + plain
	}
	u.RawQuery = joinQuery(u.RawQuery, tidyQuery(query))
	return &u, nil
}

func joinQuery(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "&" + b
}

// target returns the URL to call.
func (h *HTTP) target(api *HTTPAPI) (*url.URL, error) {
	var u *url.URL
	var err error
	if h.URL != "" {
		if u, err = parseHTTP(h.URL); err != nil {
			return nil, fmt.Errorf("url %w", err)
		}
		u.Fragment, u.RawFragment = "", ""
	} else {
		if u, err = parseHTTP(api.URL); err != nil {
			return nil, fmt.Errorf("the connection's url %w", err)
		}
		if u, err = joinPath(u, h.Path); err != nil {
			return nil, err
		}
	}
	u.RawQuery = joinQuery(u.RawQuery, urlEncoded(h.Query))
	return u, nil
}

func urlEncoded(m map[string]string) string {
	values := url.Values{}
	for name, value := range m {
		values.Set(name, value)
	}
	return values.Encode()
}

// payload returns the body and its content type.
func (h *HTTP) payload() ([]byte, string, error) {
	switch {
	case h.JSON != nil:
		body, err := compactJSON(h.JSON)
		return body, "application/json", err
	case h.Form != nil:
		return []byte(urlEncoded(h.Form)), "application/x-www-form-urlencoded", nil
	case h.Body != "":
		return []byte(h.Body), "text/plain; charset=utf-8", nil
	}
	return nil, "", nil
}

// Do makes the call once. It follows redirects that leave the request unchanged.
func (h *HTTP) Do(ctx context.Context, d Dispatch) (Receipt, error) {
	var api *HTTPAPI
	if h.URL == "" {
		var ok bool
		if api, ok = d.Connection.(*HTTPAPI); !ok {
			return Receipt{}, Own(errors.New("there is no http connection"))
		}
	}
	u, err := h.target(api)
	if err != nil {
		return Receipt{}, Own(err)
	}
	c := call{id: d.ID, guard: d.Guard, api: api, method: h.method(), url: u, headers: http.Header{}}
	c.scrub = func(text string) string { return text } // without a connection there are no secrets
	if api != nil {
		c.scrub = api.scrub.of(api)
	}
	var kind string
	if c.body, kind, err = h.payload(); err != nil {
		return Receipt{}, Own(fmt.Errorf("composing the body: %w", err))
	}
	if kind != "" {
		c.headers.Set("Content-Type", kind)
	}
	for _, name := range slices.Sorted(maps.Keys(h.Headers)) {
		value := h.Headers[name]
		if err := checkHeader(name); err != nil {
			return Receipt{}, Own(err)
		}
		if strings.ContainsAny(value, "\r\n\x00") {
			return Receipt{}, Own(fmt.Errorf("the header %s must not contain a line break", name))
		}
		c.headers.Set(name, value)
	}
	timeout := time.Duration(h.Timeout)
	if timeout <= 0 {
		timeout = usualTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, min(timeout, longestTimeout))
	defer cancel()
	ans, err := c.follow(ctx, h.Expect)
	if ans == nil {
		return Receipt{}, err
	}
	return ans.receipt(), err
}

// A call is one attempt, including its redirects.
type call struct {
	id      string
	guard   *Guard
	api     *HTTPAPI // nil without a connection, and after a redirect to another host
	method  string
	url     *url.URL
	headers http.Header // of the step
	body    []byte
	strayed bool // a redirect led to another host
	scrub   func(string) string
}

func (c *call) doing() string { return c.method + " " + c.url.Scheme + "://" + c.url.Host }

// follow makes the call and follows its redirects. An answer that is not a success is returned with an error.
func (c *call) follow(ctx context.Context, expect []int) (*answer, error) {
	for redirects := 0; ; redirects++ {
		ans, err := c.authorised(ctx)
		if err != nil {
			return nil, err
		}
		code := ans.StatusCode
		if slices.Contains(expect, code) || len(expect) == 0 && code >= 200 && code <= 299 {
			return ans, nil
		}
		if len(expect) > 0 && code >= 200 && code <= 299 {
			return ans, Permanent(ans.error(c.doing(), ", which the step does not expect"))
		}
		location := ans.Header.Get("Location")
		if !slices.Contains([]int{301, 302, 303, 307, 308}, code) || location == "" {
			return ans, ans.failure(c.doing())
		}
		next, err := c.url.Parse(location)
		if err != nil || next.Scheme != "http" && next.Scheme != "https" || next.Hostname() == "" {
			return ans, Permanent(fmt.Errorf("%s: the answer %s redirects to what is no http URL", c.doing(), status(code)))
		}
		next.User, next.Fragment, next.RawFragment = nil, "", ""
		next.RawQuery = tidyQuery(next.RawQuery)
		switch {
		case code <= 303 && c.method != http.MethodGet && c.method != http.MethodHead:
			return ans, Permanent(fmt.Errorf("%s: the answer %s redirects to %s, and following it would turn the %s into a GET; call that URL instead",
				c.doing(), status(code), ans.scrub(whereTo(next)), c.method))
		case redirects == maxRedirects:
			return ans, Permanent(fmt.Errorf("%s: more than %d redirects, the last to %s", c.doing(), maxRedirects, ans.scrub(whereTo(next))))
		}
		if !sameHost(c.url, next) {
			c.strayed, c.api = true, nil
			for _, name := range []string{"Authorization", "Cookie"} {
				c.headers.Del(name)
			}
		}
		c.url = next
	}
}

// whereTo writes a URL for people, without its query, which may be long or hold a credential.
func whereTo(u *url.URL) string { return u.Scheme + "://" + u.Host + u.EscapedPath() }

// sameHost reports whether credentials for a may be sent to b: the same host and port, or from http to https on the
// usual ports.
func sameHost(a, b *url.URL) bool {
	if !strings.EqualFold(a.Hostname(), b.Hostname()) {
		return false
	}
	port := func(u *url.URL) string {
		if p := u.Port(); p != "" {
			return p
		}
		return map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	upgrade := a.Scheme == "http" && b.Scheme == "https" && port(a) == "80" && port(b) == "443"
	return upgrade || a.Scheme == b.Scheme && port(a) == port(b)
}

// authorised sends the request with the connection's credentials. After a 401 for an OAuth2 token it fetches a new
// token and tries again, once.
func (c *call) authorised(ctx context.Context) (*answer, error) {
	used, err := c.token(ctx, "")
	if err != nil {
		return nil, err
	}
	ans, err := c.send(ctx, used)
	if err != nil || ans.StatusCode != http.StatusUnauthorized || used == "" {
		return ans, err
	}
	if used, err = c.token(ctx, used); err != nil {
		return nil, err
	}
	return c.send(ctx, used)
}

// token returns an OAuth2 token other than the rejected one, or "" if the connection has no OAuth2.
func (c *call) token(ctx context.Context, rejected string) (string, error) {
	if c.api == nil || c.api.OAuth2 == nil {
		return "", nil
	}
	return c.api.token(ctx, c.guard, rejected)
}

func (c *call) send(ctx context.Context, token string) (*answer, error) {
	var body io.Reader
	if c.body != nil {
		body = bytes.NewReader(c.body)
	}
	r, err := http.NewRequestWithContext(ctx, c.method, c.url.String(), body)
	if err != nil {
		return nil, Own(fmt.Errorf("%s: the URL cannot be used", c.doing()))
	}
	r.Header = c.headers.Clone()
	if c.api != nil {
		if err := c.api.authorise(r, c.id, token, c.body); err != nil {
			return nil, Own(err)
		}
	}
	if !c.strayed {
		r.Header.Set("Idempotency-Key", c.id)
	}
	if r.Header.Get("User-Agent") == "" {
		r.Header.Set("User-Agent", "bellhop")
	}
	scrub := c.scrub
	if token != "" { // a fetched token is not among the connection's secrets
		fetched := NewRedactor([]string{token})
		scrub = func(text string) string { return fetched.Redact(c.scrub(text)) }
	}
	return exchange(c.guard, r, c.doing(), scrub, drainedBody)
}
