package actions

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// An Inquiry asks an HTTP API for data, of which the whole answer is wanted.
type Inquiry struct {
	Method  string
	Path    string // below the connection's URL; it may hold a query
	Token   string // is sent as Authorization: Bearer, in place of the connection's credentials; "" is those
	Headers map[string]string
	Form    url.Values    // the body; nil is none
	Timeout time.Duration // 0 is 10 s
}

// An Answer is what an API answered to an inquiry, whatever its status is.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte // at most 1 MiB, without the secrets of the connection
	Err    error  // for a status that is not a success: what the API says, as the error of an attempt
}

// largestAnswer is how many bytes of the answer to an inquiry are read.
const largestAnswer = 1 << 20

// Ask sends an inquiry, and follows no redirect. An error means that there was no answer; [Classify] understands it. It is
// safe for concurrent use.
func (a *HTTPAPI) Ask(ctx context.Context, guard *Guard, q Inquiry) (Answer, error) {
	u, err := (&HTTP{Path: q.Path}).target(a)
	if err != nil {
		return Answer{}, Own(err)
	}
	if q.Timeout == 0 {
		q.Timeout = 10 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, q.Timeout)
	defer cancel()
	doing := q.Method + " " + whereTo(u)
	token := q.Token
	if a.OAuth2 != nil && token == "" {
		if token, err = a.token(ctx, guard, ""); err != nil {
			return Answer{}, err
		}
	}
	var body io.Reader
	if q.Form != nil {
		body = strings.NewReader(q.Form.Encode())
	}
	r, err := http.NewRequestWithContext(ctx, q.Method, u.String(), body)
	if err != nil {
		return Answer{}, Own(fmt.Errorf("%s: the URL cannot be used", doing))
	}
	if err := a.authorise(r, "", token, nil); err != nil {
		return Answer{}, Own(err)
	}
	if q.Form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "bellhop")
	for name, value := range q.Headers {
		r.Header.Set(name, value)
	}
	own, of := NewRedactor([]string{token}), a.scrub.of(a)
	ans, err := exchange(guard, r, doing, func(s string) string { return own.Redact(of(s)) }, largestAnswer)
	if err != nil {
		return Answer{}, err
	}
	out := Answer{Status: ans.StatusCode, Header: ans.Header, Body: ans.body}
	if ans.StatusCode < 200 || ans.StatusCode > 299 {
		// An answer can repeat what the form holds, such as a refresh token.
		form := NewRedactor(slices.Concat(slices.Collect(maps.Values(q.Form))...))
		failure := Classify(ans.failure(doing))
		failure.Err = errors.New(form.Redact(failure.Err.Error()))
		out.Err = &failure
	}
	return out, nil
}
