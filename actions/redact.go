package actions

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"log/slog"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// redacted replaces a secret.
const redacted = "[redacted]"

// A Redactor removes secrets from texts, also if they are encoded: for URLs, in base64 (alone or inside
// other text, as in basic authentication), in JSON, in HTML and in quotes. It is safe for concurrent use.
type Redactor struct {
	replacer atomic.Pointer[strings.Replacer]
	mu       sync.Mutex
	known    map[string]bool
}

// NewRedactor returns a Redactor for the given secrets.
func NewRedactor(secrets []string) *Redactor {
	r := &Redactor{known: map[string]bool{}}
	r.replacer.Store(strings.NewReplacer())
	r.Add(secrets)
	return r
}

// Add adds secrets. One shorter than 4 characters is ignored, because it would remove ordinary text.
func (r *Redactor) Add(secrets []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := len(r.known)
	for _, secret := range secrets {
		if len([]rune(secret)) >= 4 {
			r.known[secret] = true
		}
	}
	if len(r.known) == before {
		return
	}
	var forms []string
	for secret := range r.known {
		forms = append(forms, secret)
		for _, form := range encodings(secret) {
			if len(form) >= 4 {
				forms = append(forms, form)
			}
		}
	}
	// The replacer takes the first form that fits at a place, so the longest come first.
	slices.SortFunc(forms, func(a, b string) int {
		return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b))
	})
	var pairs []string
	for _, form := range slices.Compact(forms) {
		pairs = append(pairs, form, redacted)
	}
	r.replacer.Store(strings.NewReplacer(pairs...))
}

// encodings lists the forms in which a secret may appear.
func encodings(secret string) []string {
	query, path := url.QueryEscape(secret), url.PathEscape(secret)
	marshalled, _ := json.Marshal(secret) // a string always marshals
	plain, _ := compactJSON(secret)
	quoted := strconv.Quote(secret)
	forms := []string{
		query, path, lowerEscapes(query), lowerEscapes(path),
		string(marshalled[1 : len(marshalled)-1]),
		string(plain[1 : len(plain)-1]),
		quoted[1 : len(quoted)-1],
		html.EscapeString(secret),
	}
	for _, e := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		forms = append(forms, e.EncodeToString([]byte(secret)))
	}
	// Within other bytes, base64 cuts the secret at one of three places. Only the characters made entirely from the
	// secret's bits are always the same.
	if len(secret) >= 6 {
		for lead := range 3 {
			data := append(make([]byte, lead), secret...)
			first := (lead*8 + 5) / 6
			last := len(data) * 8 / 6
			for _, e := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
				forms = append(forms, e.EncodeToString(data)[first:last])
			}
		}
	}
	return forms
}

var urlEscape = regexp.MustCompile(`%[0-9A-F]{2}`)

// lowerEscapes writes %2F as %2f.
func lowerEscapes(s string) string { return urlEscape.ReplaceAllStringFunc(s, strings.ToLower) }

// Redact returns s with every secret replaced by "[redacted]".
func (r *Redactor) Redact(s string) string { return r.replacer.Load().Replace(s) }

// A scrubber takes a connection's own secrets out of the other side's answers before they are shortened: half a
// secret would not be recognised.
type scrubber struct {
	once     sync.Once
	redactor *Redactor
}

func (s *scrubber) of(c Connection) func(string) string {
	s.once.Do(func() { s.redactor = NewRedactor(c.Secrets()) })
	return s.redactor.Redact
}

// RedactHandler returns a handler that removes secrets from a record's message, keys and values, whatever
// their type, before h gets it.
func RedactHandler(h slog.Handler, r *Redactor) slog.Handler { return &redactHandler{h, r} }

type redactHandler struct {
	next slog.Handler
	r    *Redactor
}

var _ slog.Handler = (*redactHandler)(nil)

func (h *redactHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

func (h *redactHandler) Handle(ctx context.Context, rec slog.Record) error {
	clean := slog.NewRecord(rec.Time, rec.Level, h.r.Redact(rec.Message), rec.PC)
	rec.Attrs(func(a slog.Attr) bool {
		clean.AddAttrs(h.attr(a))
		return true
	})
	return h.next.Handle(ctx, clean)
}

func (h *redactHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &redactHandler{h.next.WithAttrs(h.attrs(attrs)), h.r}
}

func (h *redactHandler) WithGroup(name string) slog.Handler {
	return &redactHandler{h.next.WithGroup(h.r.Redact(name)), h.r}
}

func (h *redactHandler) attrs(attrs []slog.Attr) []slog.Attr {
	clean := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		clean[i] = h.attr(a)
	}
	return clean
}

func (h *redactHandler) attr(a slog.Attr) slog.Attr {
	a.Key = h.r.Redact(a.Key)
	switch v := a.Value.Resolve(); v.Kind() {
	case slog.KindString:
		a.Value = slog.StringValue(h.r.Redact(v.String()))
	case slog.KindGroup:
		a.Value = slog.GroupValue(h.attrs(v.Group())...)
	case slog.KindAny:
		a.Value = h.any(v.Any())
	default: // numbers, times and booleans contain no secret
		a.Value = v
	}
	return a
}

// any keeps a value that shows no secret in any form a handler may print, and otherwise makes it a redacted text.
func (h *redactHandler) any(v any) slog.Value {
	switch v := v.(type) {
	case error:
		return slog.StringValue(h.r.Redact(v.Error()))
	case []byte:
		return slog.StringValue(h.r.Redact(string(v)))
	}
	text := fmt.Sprintf("%+v", v)
	if clean := h.r.Redact(text); clean != text {
		return slog.StringValue(clean)
	}
	if data, err := json.Marshal(v); err == nil {
		if clean := h.r.Redact(string(data)); clean != string(data) {
			return slog.StringValue(clean)
		}
	}
	return slog.AnyValue(v)
}
