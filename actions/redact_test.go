package actions

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"
)

func TestRedact(t *testing.T) {
	t.Parallel()
	secret := `pä"ss/w+rd <&> 1`
	marshalled, err := json.Marshal(secret)
	if err != nil {
		t.Fatal(err)
	}
	r := NewRedactor([]string{secret, "key", "longer-secret", "longer-secret-still", ""})
	for name, text := range map[string]string{
		"plain":       "before " + secret + " after",
		"query":       "?x=" + url.QueryEscape(secret),
		"path":        "/" + url.PathEscape(secret),
		"lower case":  "/" + strings.ToLower(url.QueryEscape(secret)),
		"base64":      base64.StdEncoding.EncodeToString([]byte(secret)),
		"base64url":   base64.RawURLEncoding.EncodeToString([]byte(secret)),
		"json":        string(marshalled),
		"quoted":      fmt.Sprintf("%q", secret),
		"html":        "pä&#34;ss/w+rd &lt;&amp;&gt; 1",
		"two of them": secret + secret,
	} {
		clean := r.Redact(text)
		if strings.Contains(clean, "rd") || !strings.Contains(clean, redacted) {
			t.Errorf("%s: %q becomes %q", name, text, clean)
		}
	}
	if got := r.Redact("longer-secret-still and longer-secret"); got != redacted+" and "+redacted {
		t.Errorf("the longest does not come first: %q", got)
	}
	if got := r.Redact("the key to the desk"); got != "the key to the desk" {
		t.Errorf("a short secret blots out text: %q", got)
	}
	for _, user := range []string{"a", "ab", "abc", "bookings"} {
		login := base64.StdEncoding.EncodeToString([]byte(user + ":longer-secret-still:x"))
		clean := r.Redact("Basic " + login)
		if !strings.Contains(clean, redacted) {
			t.Fatalf("user %s: %q is not redacted", user, clean)
		}
		// The rest on either side contains no complete character of the secret.
		for _, part := range strings.Split(strings.TrimPrefix(clean, "Basic "), redacted) {
			if len(part) > len(user)+6 {
				t.Errorf("user %s: %q leaves %q", user, clean, part)
			}
		}
	}
	if got := NewRedactor(nil).Redact("as it was"); got != "as it was" {
		t.Error(got)
	}
}

type valuer struct{ s string }

func (v valuer) LogValue() slog.Value { return slog.GroupValue(slog.String("in", v.s)) }

func TestRedactHandler(t *testing.T) {
	t.Parallel()
	const secret = "correct-horse-battery"
	for _, asJSON := range []bool{false, true} {
		var out bytes.Buffer
		var h slog.Handler = slog.NewTextHandler(&out, nil)
		if asJSON {
			h = slog.NewJSONHandler(&out, nil)
		}
		log := slog.New(RedactHandler(h, NewRedactor([]string{secret})))
		log = log.With("with", secret, slog.Group("g", "deep", secret)).WithGroup("outer")
		log.Info("message "+secret, "string", secret, "error", fmt.Errorf("login: %w", errors.New(secret)), "bytes", []byte(secret),
			"struct", struct{ Token string }{secret}, "map", map[string]any{"a": []string{secret}}, "valuer", valuer{secret},
			"pointer", &struct{ Token string }{secret}, "url", &url.URL{Scheme: "https", Host: "example.com", Path: secret},
			secret, 1, "number", 42, "kept", []int{1, 2})
		text := out.String()
		if strings.Contains(text, secret) || strings.Contains(text, base64.StdEncoding.EncodeToString([]byte(secret))) {
			t.Errorf("the log holds the secret: %s", text)
		}
		if !strings.Contains(text, "42") || !strings.Contains(text, "message "+redacted) || strings.Count(text, redacted) < 11 {
			t.Errorf("the log lacks what it should hold: %s", text)
		}
		if asJSON && (!strings.Contains(text, `"kept":[1,2]`) || !strings.Contains(text, `"outer":{`)) {
			t.Errorf("values without a secret change: %s", text)
		}
	}
}
