package actions

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
)

const (
	receiptBody = 1 << 10  // how many bytes of an answer are kept
	drainedBody = 64 << 10 // how many bytes are read, so that the connection can be used again

	usualTimeout   = 30 * time.Second // of one attempt over HTTP
	longestTimeout = 5 * time.Minute
	longestPause   = 24 * time.Hour // the longest that the other side can ask for
)

// An answer is a response whose body has been read, up to a limit, and closed.
type answer struct {
	*http.Response
	body  []byte
	scrub func(string) string // removes the connection's secrets
}

// exchange sends r and reads the answer, up to a limit in bytes. doing begins every error, which never quotes the URL,
// since that may hold a credential. It uses the transport directly because the client fails on a redirect it cannot
// parse, though it would not follow it.
func exchange(guard *Guard, r *http.Request, doing string, scrub func(string) string, limit int64) (*answer, error) {
	if err := sendable(r); err != nil {
		return nil, Own(fmt.Errorf("%s: %w", doing, err))
	}
	resp, err := guard.httpClient().Transport.RoundTrip(r)
	if err != nil {
		return nil, transportError(doing, err, scrub)
	}
	defer func() { _ = resp.Body.Close() }() // what is needed has been read
	a := &answer{Response: resp, scrub: scrub}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return a, nil // its body is a connection, which may never end
	}
	// The status is known: a body that breaks off, or lasts until the attempt ends, does not change it.
	body, _ := io.ReadAll(io.LimitReader(resp.Body, limit))
	a.body = []byte(scrub(string(body)))
	return a, nil
}

// sendable finds what HTTP cannot carry in a request. The transport would refuse it too, with an error that looks
// like one of the connection.
func sendable(r *http.Request) error {
	for name, values := range r.Header {
		if !httpguts.ValidHeaderFieldName(name) {
			return fmt.Errorf("%q cannot be the name of a header", name)
		}
		for _, value := range values {
			if !httpguts.ValidHeaderFieldValue(value) {
				return fmt.Errorf("the value of the header %s cannot be sent", name)
			}
		}
	}
	if !httpguts.ValidHostHeader(r.URL.Host) {
		return errors.New("the host of the URL cannot be sent")
	}
	return nil
}

// transportError says that there was no answer. It leaves out the URL, and secrets that the other side repeats in its
// answer.
func transportError(doing string, err error, scrub func(string) string) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	switch {
	case Classify(err).Permanent:
		return fmt.Errorf("%s: %w", doing, err)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: no answer in time: %w", doing, context.DeadlineExceeded)
	default:
		return fmt.Errorf("%s: %s", doing, head(scrub(err.Error()), 300))
	}
}

// receipt is the part of the answer that is kept.
func (a *answer) receipt() Receipt {
	return Receipt{Status: status(a.StatusCode), Body: head(string(a.body), receiptBody)}
}

// failure classifies an answer that is not a success.
func (a *answer) failure(doing string) error {
	err := a.error(doing, "")
	switch code := a.StatusCode; {
	case code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable:
		return RetryAfter(err, retryAfter(a.Header))
	case code == http.StatusRequestTimeout || code == http.StatusTooEarly:
		return err
	case code >= 300 && code < 500:
		return Permanent(err)
	default:
		return err
	}
}

// error quotes the other side's sentence first, because lists show only the beginning, then what was being done and
// the details.
func (a *answer) error(doing, more string) error {
	if said := a.said(); said != "" {
		return fmt.Errorf("%d: %s (%s%s)", a.StatusCode, said, doing, more)
	}
	return fmt.Errorf("%s: the answer is %s%s", doing, status(a.StatusCode), more)
}

// status writes a status with its standard name: the server's own words are not kept.
func status(code int) string {
	return strings.TrimSpace(strconv.Itoa(code) + " " + http.StatusText(code))
}

// retryAfter reads Retry-After, in seconds or as a date (RFC 9110 section 10.2.3), up to longestPause. It returns 0
// without one. A date counts from the answer's own Date, so that the clocks need not agree.
func retryAfter(h http.Header) time.Duration {
	text := strings.TrimSpace(h.Get("Retry-After"))
	if seconds, err := strconv.ParseUint(text, 10, 64); err == nil {
		return time.Duration(min(seconds, uint64(longestPause/time.Second))) * time.Second
	}
	until, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	now, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		now = time.Now()
	}
	return max(0, min(until.Sub(now), longestPause))
}

// parseHTTP parses an absolute http or https URL. Its errors do not quote the text.
func parseHTTP(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, errors.New("is not a URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("must begin with https:// or http://")
	case u.Hostname() == "":
		return nil, errors.New("names no host")
	case u.User != nil:
		return nil, errors.New("must not hold a user or a password")
	}
	u.RawQuery = tidyQuery(u.RawQuery)
	return u, nil
}

// tidyQuery escapes the characters that a query must not contain, such as a space, which would end the URL in the
// request line.
func tidyQuery(query string) string {
	var b strings.Builder
	for i := range len(query) {
		if c := query[i]; c <= ' ' || c > '~' || strings.IndexByte("\"#<>", c) >= 0 {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// destination returns the scheme and host of a URL, or "http:" if it cannot be parsed.
func destination(text string) string {
	u, err := parseHTTP(text)
	if err != nil {
		return "http:"
	}
	return u.Scheme + "://" + strings.ToLower(u.Host)
}
