package verify

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"bellhop/engine/config"
)

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

var sampleBody = []byte(`{"type":"AppointmentCreate","locationId":"0007BWpSzSwfiuSl0tR2","appointment":{"id":"a1"}}`)

type edPair struct {
	public  ed25519.PublicKey
	private ed25519.PrivateKey
}

func newEdPair(t testing.TB) edPair {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return edPair{public, private}
}

func (p edPair) sign(body []byte) string {
	return base64.StdEncoding.EncodeToString(ed25519.Sign(p.private, body))
}

func (p edPair) spki(t testing.TB) string { return base64.StdEncoding.EncodeToString(der(t, p.public)) }

func der(t testing.TB, public any) []byte {
	t.Helper()
	raw, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func pemOf(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// rsaKeys makes the keys once, because it is slow.
var rsaKeys = sync.OnceValues(func() ([2]*rsa.PrivateKey, error) {
	var keys [2]*rsa.PrivateKey
	for i := range keys {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return keys, err
		}
		keys[i] = key
	}
	return keys, nil
})

func header(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

// A scheme is one way to configure a verification, with the way to sign for it.
type scheme struct {
	name   string
	verify config.Verify
	header string                   // the header with the signature
	value  func(body []byte) string // returns the value of the header
	others func(body []byte) http.Header
	body   bool // the signature covers the body
}

func schemes(t testing.TB) []scheme {
	ed, other := newEdPair(t), newEdPair(t)
	keys, err := rsaKeys()
	if err != nil {
		t.Fatal(err)
	}
	rsaSign := func(key *rsa.PrivateKey) func([]byte) string {
		return func(body []byte) string {
			sum := sha256.Sum256(body)
			sig, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
			if err != nil {
				t.Fatal(err)
			}
			return base64.StdEncoding.EncodeToString(sig)
		}
	}
	mac := func(secret string, encode func([]byte) string) func([]byte) string {
		return func(body []byte) string {
			m := hmac.New(sha256.New, []byte(secret))
			m.Write(body)
			return encode(m.Sum(nil))
		}
	}
	standardSecret := "whsec_" + base64.StdEncoding.EncodeToString([]byte("twenty-four bytes or more"))
	standard, err := standardwebhooks.NewWebhook(standardSecret)
	if err != nil {
		t.Fatal(err)
	}
	standardSign := func(body []byte) string {
		sig, err := standard.Sign("msg_1", now, body)
		if err != nil {
			t.Fatal(err)
		}
		return sig
	}
	standardOthers := func([]byte) http.Header {
		return header("webhook-id", "msg_1", "webhook-timestamp", strconv.FormatInt(now.Unix(), 10))
	}
	oldSecret := "whsec_" + base64.StdEncoding.EncodeToString([]byte("the secret of last year"))

	return []scheme{
		{"highlevel", config.Verify{Scheme: "highlevel", Keys: []string{ed.spki(t)}}, "X-GHL-Signature", ed.sign, nil, true},
		{"ed25519, PEM", config.Verify{Scheme: "ed25519", Keys: []string{pemOf("PUBLIC KEY", der(t, ed.public))}}, "X-Signature", ed.sign, nil, true},
		{"ed25519, PEM on one line", config.Verify{Scheme: "ed25519", Keys: []string{strings.ReplaceAll(pemOf("PUBLIC KEY", der(t, ed.public)), "\n", `\n`)}}, "X-Signature", ed.sign, nil, true},
		{"ed25519, 32 bytes", config.Verify{Scheme: "ed25519", Keys: []string{base64.StdEncoding.EncodeToString(ed.public)}}, "X-Signature", ed.sign, nil, true},
		{"ed25519, hex", config.Verify{Scheme: "ed25519", Header: "x-other", Keys: []string{ed.spki(t)}}, "X-Other", func(b []byte) string {
			return hex.EncodeToString(ed25519.Sign(ed.private, b))
		}, nil, true},
		{"ed25519, url base64", config.Verify{Scheme: "ed25519", Keys: []string{ed.spki(t)}}, "X-Signature", func(b []byte) string {
			return base64.RawURLEncoding.EncodeToString(ed25519.Sign(ed.private, b))
		}, nil, true},
		{"ed25519, second key", config.Verify{Scheme: "ed25519", Keys: []string{other.spki(t), ed.spki(t)}}, "X-Signature", ed.sign, nil, true},
		{"rsa-sha256", config.Verify{Scheme: "rsa-sha256", Keys: []string{base64.StdEncoding.EncodeToString(der(t, &keys[0].PublicKey))}}, "X-WH-Signature", rsaSign(keys[0]), nil, true},
		{"rsa-sha256, PKCS1", config.Verify{Scheme: "rsa-sha256", Keys: []string{pemOf("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&keys[0].PublicKey))}}, "X-WH-Signature", rsaSign(keys[0]), nil, true},
		{"rsa-sha256, second key", config.Verify{Scheme: "rsa-sha256", Header: "X-Sig", Keys: []string{pemOf("PUBLIC KEY", der(t, &keys[0].PublicKey)), pemOf("PUBLIC KEY", der(t, &keys[1].PublicKey))}}, "X-Sig", rsaSign(keys[1]), nil, true},
		{"hmac-sha256, hex", config.Verify{Scheme: "hmac-sha256", Secrets: []string{"s3cret-one"}}, "X-Signature", mac("s3cret-one", hex.EncodeToString), nil, true},
		{"hmac-sha256, HEX", config.Verify{Scheme: "hmac-sha256", Secrets: []string{"s3cret-one"}}, "X-Signature", mac("s3cret-one", func(b []byte) string { return strings.ToUpper(hex.EncodeToString(b)) }), nil, true},
		{"hmac-sha256, sha256=", config.Verify{Scheme: "hmac-sha256", Header: "X-Hub-Signature-256", Secrets: []string{"s3cret-one"}}, "X-Hub-Signature-256", mac("s3cret-one", func(b []byte) string { return "sha256=" + hex.EncodeToString(b) }), nil, true},
		{"hmac-sha256, base64", config.Verify{Scheme: "hmac-sha256", Secrets: []string{"old-secret", "s3cret-one"}}, "X-Signature", mac("s3cret-one", base64.StdEncoding.EncodeToString), nil, true},
		{"standard-webhooks", config.Verify{Scheme: "standard-webhooks", Secrets: []string{standardSecret}}, "Webhook-Signature", standardSign, standardOthers, true},
		{"standard-webhooks, second", config.Verify{Scheme: "standard-webhooks", Secrets: []string{oldSecret, standardSecret}}, "Webhook-Signature", func(b []byte) string {
			return "v1,bm90IHRoaXMgb25l v2,x " + standardSign(b)
		}, standardOthers, true},
		{"token", config.Verify{Scheme: "token", Tokens: []string{"let-me-in"}}, "X-Bellhop-Token", func([]byte) string { return "let-me-in" }, nil, false},
		{"token, second", config.Verify{Scheme: "token", Header: "Authorization", Tokens: []string{"last-year's", "let-me-in"}}, "Authorization", func([]byte) string { return "Bearer let-me-in" }, nil, false},
	}
}

func (s scheme) headers(body []byte) http.Header {
	h := http.Header{}
	if s.others != nil {
		h = s.others(body)
	}
	h.Set(s.header, s.value(body))
	return h
}

func TestEverySchemeIsTried(t *testing.T) {
	t.Parallel()
	tried := map[string]bool{config.None: true}
	for _, s := range schemes(t) {
		tried[s.verify.Scheme] = true
	}
	for _, name := range config.Schemes() {
		if !tried[name] {
			t.Errorf("the scheme %s has no case in schemes", name)
		}
	}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	for _, s := range schemes(t) {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			v, err := New(s.verify)
			if err != nil {
				t.Fatal(err)
			}
			good := s.headers(sampleBody)
			if err := v.Verify(good, sampleBody, now); err != nil {
				t.Fatalf("a genuine webhook is refused: %v", err)
			}
			padded := good.Clone()
			padded.Set(s.header, " "+good.Get(s.header)+" ")
			if err := v.Verify(padded, sampleBody, now); err != nil {
				t.Errorf("spaces around the value: %v", err)
			}
			refused := func(what string, h http.Header, body []byte, want string) {
				t.Helper()
				err := v.Verify(h, body, now)
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%s: %v, want an error with %q", what, err, want)
				}
			}
			with := func(value string) http.Header {
				h := good.Clone()
				h.Set(s.header, value)
				return h
			}
			value := good.Get(s.header)
			missing := good.Clone()
			missing.Del(s.header)
			refused("no headers", http.Header{}, sampleBody, "is missing")
			refused("no signature", missing, sampleBody, "is missing")
			for _, absent := range []string{"", " ", "N/A", "n/a", " N/A\t"} {
				refused("absent as "+strconv.Quote(absent), with(absent), sampleBody, "is missing")
			}
			twice := good.Clone()
			twice.Add(s.header, value)
			refused("the header twice", twice, sampleBody, "more than once")
			twice.Set(s.header, "N/A")
			twice.Add(s.header, value)
			refused("twice, once as N/A", twice, sampleBody, "more than once")
			for _, wrong := range []string{
				"x", "=", value + "x", value[:len(value)-6], strings.Repeat("A", len(value)), strings.Repeat("A", 1<<14), "\xff\x00",
				"sha256=", value + "," + value, "Bearer",
			} {
				if s.verify.Scheme == config.StandardWebhooks && strings.HasPrefix(wrong, value+",") {
					continue // a list of signatures, one of which is right
				}
				h := with(wrong)
				if err := v.Verify(h, sampleBody, now); err == nil {
					t.Errorf("taken with %.50q", wrong)
				}
			}
			if !s.body {
				return
			}
			const mismatch = "does not match"
			refused("another body", good, append([]byte(" "), sampleBody...), mismatch)
			refused("no body", good, nil, mismatch)
			for i := range sampleBody {
				tampered := append([]byte(nil), sampleBody...)
				tampered[i] ^= 1
				refused("a tampered body", good, tampered, mismatch)
			}
			refused("another body's signature", with(s.value([]byte("{}"))), sampleBody, mismatch)
		})
	}
}

func TestVerifyHighLevelKey(t *testing.T) {
	t.Parallel()
	v, err := New(config.Verify{Scheme: config.HighLevel})
	if err != nil {
		t.Fatal(err)
	}
	key := v.(*keyed[ed25519.PublicKey]).keys[0]
	if got := base64.StdEncoding.EncodeToString(der(t, key)); got != "MCowBQYDK2VwAyEAi2HR1srL4o18O8BRa7gVJY7G7bupbN3H9AwJrHCDiOg=" {
		t.Errorf("the built-in key is %s", got)
	}
	// If keys are configured, the built-in key is not used.
	own := newEdPair(t)
	v, err = New(config.Verify{Scheme: config.HighLevel, Keys: []string{own.spki(t)}})
	if err != nil {
		t.Fatal(err)
	}
	if keys := v.(*keyed[ed25519.PublicKey]).keys; len(keys) != 1 || !keys[0].Equal(own.public) {
		t.Errorf("keys are %x", keys)
	}
}

func TestVerifyTimestamp(t *testing.T) {
	t.Parallel()
	secret := "whsec_" + base64.StdEncoding.EncodeToString([]byte("twenty-four bytes or more"))
	signer, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	v, err := New(config.Verify{Scheme: config.StandardWebhooks, Secrets: []string{secret}})
	if err != nil {
		t.Fatal(err)
	}
	for ago, fine := range map[time.Duration]bool{
		0: true, 5 * time.Minute: true, -5 * time.Minute: true, 5*time.Minute + time.Second: false,
		-5*time.Minute - time.Second: false, 24 * time.Hour: false, 50 * 365 * 24 * time.Hour: false,
	} {
		at := now.Add(-ago)
		sig, err := signer.Sign("msg_1", at, sampleBody)
		if err != nil {
			t.Fatal(err)
		}
		h := header("Webhook-Id", "msg_1", "Webhook-Timestamp", strconv.FormatInt(at.Unix(), 10), "Webhook-Signature", sig)
		if err := v.Verify(h, sampleBody, now); (err == nil) != fine {
			t.Errorf("signed %v ago: %v", ago, err)
		}
		h.Set("Webhook-Id", "msg_2")
		if err := v.Verify(h, sampleBody, now); err == nil {
			t.Error("another id is taken")
		}
	}
	for _, at := range []string{"", "N/A", "soon", "-1", "99999999999999999999", "1e9", strconv.FormatInt(-1<<63, 10)} {
		h := header("Webhook-Id", "msg_1", "Webhook-Timestamp", at, "Webhook-Signature", "v1,xxxx")
		if err := v.Verify(h, sampleBody, now); err == nil {
			t.Errorf("timestamp %q is taken", at)
		}
	}
}

func TestNewVerifierRefuses(t *testing.T) {
	t.Parallel()
	keys, err := rsaKeys()
	if err != nil {
		t.Fatal(err)
	}
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ed := newEdPair(t)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(ed.private)
	if err != nil {
		t.Fatal(err)
	}
	rsaPEM, edPEM := pemOf("PUBLIC KEY", der(t, &keys[0].PublicKey)), pemOf("PUBLIC KEY", der(t, ed.public))
	const hidden = "c2VjcmV0LXRleHQ"
	for _, c := range []struct {
		verify config.Verify
		want   string
	}{
		{config.Verify{}, "not a verification scheme"},
		{config.Verify{Scheme: "md5"}, "not a verification scheme"},
		{config.Verify{Scheme: "ed25519"}, "no key"},
		{config.Verify{Scheme: "ed25519", Keys: []string{""}}, "not a public key"},
		{config.Verify{Scheme: "ed25519", Keys: []string{"!" + hidden}}, "neither PEM nor base64"},
		{config.Verify{Scheme: "ed25519", Keys: []string{hidden}}, "not a public key"},
		{config.Verify{Scheme: "ed25519", Keys: []string{ed.spki(t), rsaPEM}}, "key 2 is not an Ed25519 key"},
		{config.Verify{Scheme: "ed25519", Keys: []string{pemOf("PRIVATE KEY", pkcs8)}}, "not a public key"},
		{config.Verify{Scheme: "ed25519", Keys: []string{"-----BEGIN PUBLIC KEY-----\n" + hidden}}, "not PEM"},
		{config.Verify{Scheme: "ed25519", Keys: []string{edPEM + edPEM}}, "more than one key"},
		{config.Verify{Scheme: "highlevel", Keys: []string{rsaPEM}}, "not an Ed25519 key"},
		{config.Verify{Scheme: "rsa-sha256"}, "no key"},
		{config.Verify{Scheme: "rsa-sha256", Keys: []string{edPEM}}, "not an RSA key"},
		{config.Verify{Scheme: "rsa-sha256", Keys: []string{pemOf("PUBLIC KEY", der(t, &ec.PublicKey))}}, "not an RSA key"},
		{config.Verify{Scheme: "rsa-sha256", Keys: []string{pemOf("PUBLIC KEY", der(t, &small.PublicKey))}}, "1024 bits"},
		{config.Verify{Scheme: "hmac-sha256"}, "no secret"},
		{config.Verify{Scheme: "hmac-sha256", Secrets: []string{hidden, " "}}, "secret 2 is empty"},
		{config.Verify{Scheme: "standard-webhooks"}, "no secret"},
		{config.Verify{Scheme: "standard-webhooks", Secrets: []string{"whsec_"}}, "whsec_"},
		{config.Verify{Scheme: "standard-webhooks", Secrets: []string{"whsec_!" + hidden}}, "whsec_"},
		{config.Verify{Scheme: "token"}, "no token"},
		{config.Verify{Scheme: "token", Tokens: []string{hidden, ""}}, "token 2 is empty"},
		{config.Verify{Scheme: "token", Tokens: []string{"n/a"}}, "token 1 is empty"},
	} {
		err := Check(c.verify)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want an error with %q", c.verify, err, c.want)
		} else if strings.Contains(err.Error(), hidden) {
			t.Errorf("the error tells the secret: %v", err)
		}
	}
	if err := Check(config.Verify{Scheme: config.None}); err != nil {
		t.Error(err)
	}
}

// Only the genuine signature is accepted, whatever the header contains.
func FuzzVerify(f *testing.F) {
	ed := newEdPair(f)
	secret := "whsec_" + base64.StdEncoding.EncodeToString([]byte("twenty-four bytes or more"))
	keys, err := rsaKeys()
	if err != nil {
		f.Fatal(err)
	}
	var verifiers []Verifier
	for _, v := range []config.Verify{
		{Scheme: "highlevel"},
		{Scheme: "ed25519", Header: "X-Signature", Keys: []string{ed.spki(f)}},
		{Scheme: "rsa-sha256", Header: "X-Signature", Keys: []string{pemOf("PUBLIC KEY", der(f, &keys[0].PublicKey))}},
		{Scheme: "hmac-sha256", Secrets: []string{"a secret that no fuzzer finds 9f1c"}},
		{Scheme: "standard-webhooks", Secrets: []string{secret}},
		{Scheme: "token", Header: "X-Signature", Tokens: []string{"a token that no fuzzer finds 77aa"}},
	} {
		verifier, err := New(v)
		if err != nil {
			f.Fatal(err)
		}
		verifiers = append(verifiers, verifier)
	}
	f.Add("N/A", "1795145000", []byte("{}"))
	f.Add(ed.sign([]byte("{}")), "", []byte("[]"))
	f.Add("v1,"+base64.StdEncoding.EncodeToString(make([]byte, 32)), strconv.FormatInt(now.Unix(), 10), []byte(""))
	f.Add("sha256="+strings.Repeat("0", 64), "0", sampleBody)
	f.Fuzz(func(t *testing.T, value, at string, body []byte) {
		h := header("X-Signature", value, "X-GHL-Signature", value, "Webhook-Id", "msg_1", "Webhook-Timestamp", at, "Webhook-Signature", value)
		for i, v := range verifiers {
			if v.Verify(h, body, now) == nil {
				t.Fatalf("verifier %d took %q", i, value)
			}
		}
	})
}
