// Package verify checks that a webhook is genuine, by one of the schemes that the configuration of a source can name.
package verify

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"bellhop/engine/config"
)

// highLevelKey is the public key for webhooks of HighLevel and its white labels. It is the base64 of the
// SubjectPublicKeyInfo in HighLevel's developer documentation.
const highLevelKey = "MCowBQYDK2VwAyEAi2HR1srL4o18O8BRa7gVJY7G7bupbN3H9AwJrHCDiOg="

// timestampTolerance is how far a Standard Webhooks timestamp can be from now, in both directions. The specification
// asks for a limit but names none. The libraries of Standard Webhooks use this one.
const timestampTolerance = 5 * time.Minute

// minRSABits is the smallest accepted size of an RSA key. HighLevel's key has 4096 bits.
const minRSABits = 2048

// A Verifier decides whether a webhook is genuine, by its headers and its unchanged body. An error means that it is
// not. Its text says why and holds no secret, so that the sender can see it. now is for schemes with a signed
// timestamp. A Verifier is safe for concurrent use.
type Verifier interface {
	Verify(h http.Header, body []byte, now time.Time) error
}

// These are the errors for a wrong signature, token or timestamp. They do not say how close a forgery was.
var (
	errMismatch  = errors.New("the signature does not match")
	errToken     = errors.New("the token is not the right one")
	errTimestamp = errors.New("the signature's timestamp is not within five minutes of now")
)

// Check returns the error of [New]. It is for the field CheckVerify of [config.Env].
func Check(v config.Verify) error {
	_, err := New(v)
	return err
}

// New returns the verifier for v, which accepts a webhook if one of the keys, secrets or tokens matches. It returns an
// error if the scheme is unknown, if there is no key, or if one cannot be used. The error holds no secret.
func New(v config.Verify) (Verifier, error) {
	switch v.Scheme {
	case config.HighLevel:
		if len(v.Keys) == 0 {
			v.Keys = []string{highLevelKey}
		}
		return newEd25519(v)
	case config.Ed25519:
		return newEd25519(v)
	case config.RSASHA256:
		return newRSA(v) // HighLevel's former scheme
	case config.HMACSHA256:
		return newHMAC(v)
	case config.StandardWebhooks:
		return newStandard(v)
	case config.Token:
		return newToken(v)
	case config.None:
		return unverified{}, nil
	}
	return nil, fmt.Errorf("%q is not a verification scheme", v.Scheme)
}

// unverified accepts every webhook. It is for `verify: none`.
type unverified struct{}

func (unverified) Verify(http.Header, []byte, time.Time) error { return nil }

// only returns the single value of a header. It returns an error if the header is missing, empty or "N/A", which
// HighLevel sends in the header of the scheme that it does not use. It also returns an error if the header is given
// twice, because a proxy in front of the server could have checked the other value.
func only(h http.Header, name string) (string, error) {
	values := h.Values(name)
	if len(values) > 1 {
		return "", fmt.Errorf("the header %s occurs more than once", name)
	}
	value := ""
	if len(values) == 1 {
		value = strings.TrimSpace(values[0])
	}
	if value == "" || strings.EqualFold(value, "N/A") {
		return "", fmt.Errorf("the header %s is missing", name)
	}
	return value, nil
}

// Header returns the name of the header with the signature or the token. It returns "" for [config.None], which has no
// header, and for [config.StandardWebhooks], which has three.
func Header(v config.Verify) string {
	if v.Header != "" {
		return v.Header
	}
	return map[string]string{
		config.HighLevel:  "X-GHL-Signature",
		config.Ed25519:    "X-Signature",
		config.RSASHA256:  "X-WH-Signature",
		config.HMACSHA256: "X-Signature",
		config.Token:      "X-Bellhop-Token",
	}[v.Scheme]
}

// ed25519Verifier checks an Ed25519 signature of the body.
type ed25519Verifier struct {
	header string
	keys   []ed25519.PublicKey
}

func newEd25519(v config.Verify) (Verifier, error) {
	out := &ed25519Verifier{header: Header(v)}
	for i, text := range v.Keys {
		raw, err := decodeKey(text)
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", i+1, err)
		}
		key := ed25519.PublicKey(raw)
		if len(raw) != ed25519.PublicKeySize {
			parsed, err := x509.ParsePKIXPublicKey(raw)
			if err != nil {
				return nil, fmt.Errorf("key %d is not a public key: %w", i+1, err)
			}
			var ok bool
			if key, ok = parsed.(ed25519.PublicKey); !ok {
				return nil, fmt.Errorf("key %d is not an Ed25519 key", i+1)
			}
		}
		out.keys = append(out.keys, key)
	}
	if len(out.keys) == 0 {
		return nil, errors.New("there is no key")
	}
	return out, nil
}

func (v *ed25519Verifier) Verify(h http.Header, body []byte, _ time.Time) error {
	value, err := only(h, v.header)
	if err != nil {
		return err
	}
	sig, ok := decodeSignature(value, ed25519.SignatureSize)
	if !ok {
		return errMismatch
	}
	for _, key := range v.keys {
		if ed25519.Verify(key, body, sig) {
			return nil
		}
	}
	return errMismatch
}

// rsaVerifier checks an RSA signature (PKCS #1 v1.5) of the body's SHA-256.
type rsaVerifier struct {
	header string
	keys   []*rsa.PublicKey
}

func newRSA(v config.Verify) (Verifier, error) {
	out := &rsaVerifier{header: Header(v)}
	for i, text := range v.Keys {
		raw, err := decodeKey(text)
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", i+1, err)
		}
		key, err := x509.ParsePKCS1PublicKey(raw)
		if err != nil {
			parsed, err := x509.ParsePKIXPublicKey(raw)
			if err != nil {
				return nil, fmt.Errorf("key %d is not a public key: %w", i+1, err)
			}
			var ok bool
			if key, ok = parsed.(*rsa.PublicKey); !ok {
				return nil, fmt.Errorf("key %d is not an RSA key", i+1)
			}
		}
		if key.N.BitLen() < minRSABits {
			return nil, fmt.Errorf("key %d has %d bits; at least %d are needed", i+1, key.N.BitLen(), minRSABits)
		}
		out.keys = append(out.keys, key)
	}
	if len(out.keys) == 0 {
		return nil, errors.New("there is no key")
	}
	return out, nil
}

func (v *rsaVerifier) Verify(h http.Header, body []byte, _ time.Time) error {
	value, err := only(h, v.header)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(body)
	for _, key := range v.keys {
		sig, ok := decodeSignature(value, key.Size())
		if ok && rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], sig) == nil {
			return nil
		}
	}
	return errMismatch
}

// hmacVerifier checks an HMAC-SHA256 of the body. The value of the header can begin with "sha256=".
type hmacVerifier struct {
	header  string
	secrets [][]byte
}

func newHMAC(v config.Verify) (Verifier, error) {
	out := &hmacVerifier{header: Header(v)}
	for i, secret := range v.Secrets {
		if strings.TrimSpace(secret) == "" {
			return nil, fmt.Errorf("secret %d is empty", i+1)
		}
		out.secrets = append(out.secrets, []byte(secret))
	}
	if len(out.secrets) == 0 {
		return nil, errors.New("there is no secret")
	}
	return out, nil
}

func (v *hmacVerifier) Verify(h http.Header, body []byte, _ time.Time) error {
	value, err := only(h, v.header)
	if err != nil {
		return err
	}
	const prefix = "sha256="
	if len(value) > len(prefix) && strings.EqualFold(value[:len(prefix)], prefix) {
		value = value[len(prefix):]
	}
	sig, ok := decodeSignature(value, sha256.Size)
	if !ok {
		return errMismatch
	}
	for _, secret := range v.secrets {
		mac := hmac.New(sha256.New, secret)
		mac.Write(body)
		if hmac.Equal(mac.Sum(nil), sig) {
			return nil
		}
	}
	return errMismatch
}

// standardVerifier checks a signature of Standard Webhooks (standardwebhooks.com) and its timestamp.
type standardVerifier struct{ hooks []*standardwebhooks.Webhook }

func newStandard(v config.Verify) (Verifier, error) {
	out := &standardVerifier{}
	for i, secret := range v.Secrets {
		secret = strings.TrimSpace(secret)
		hook, err := standardwebhooks.NewWebhook(secret)
		if err != nil || strings.TrimPrefix(secret, "whsec_") == "" {
			return nil, fmt.Errorf("secret %d must be whsec_ and base64", i+1)
		}
		out.hooks = append(out.hooks, hook)
	}
	if len(out.hooks) == 0 {
		return nil, errors.New("there is no secret")
	}
	return out, nil
}

func (v *standardVerifier) Verify(h http.Header, body []byte, now time.Time) error {
	clean := make(http.Header, 3)
	for _, name := range []string{
		standardwebhooks.HeaderWebhookID, standardwebhooks.HeaderWebhookTimestamp, standardwebhooks.HeaderWebhookSignature,
	} {
		value, err := only(h, name)
		if err != nil {
			return err
		}
		clean.Set(name, value)
	}
	// The timestamp is checked here, because the library compares it with the system clock and not with now.
	at, err := strconv.ParseUint(clean.Get(standardwebhooks.HeaderWebhookTimestamp), 10, 40)
	if err != nil || now.Sub(time.Unix(int64(at), 0)).Abs() > timestampTolerance {
		return errTimestamp
	}
	for _, hook := range v.hooks {
		if hook.VerifyIgnoringTimestamp(body, clean) == nil {
			return nil
		}
	}
	return errMismatch
}

// tokenVerifier compares a header with the accepted tokens. It compares hashes, so that its time does not depend on the
// length of the tokens. In the header Authorization, the value can begin with "Bearer".
type tokenVerifier struct {
	header string
	hashes [][sha256.Size]byte
}

func newToken(v config.Verify) (Verifier, error) {
	out := &tokenVerifier{header: Header(v)}
	for i, token := range v.Tokens {
		if token = strings.TrimSpace(token); token == "" || strings.EqualFold(token, "N/A") {
			return nil, fmt.Errorf("token %d is empty", i+1)
		}
		out.hashes = append(out.hashes, sha256.Sum256([]byte(token)))
	}
	if len(out.hashes) == 0 {
		return nil, errors.New("there is no token")
	}
	return out, nil
}

func (v *tokenVerifier) Verify(h http.Header, _ []byte, _ time.Time) error {
	value, err := only(h, v.header)
	if err != nil {
		return err
	}
	if word, rest, ok := strings.Cut(value, " "); ok && strings.EqualFold(word, "Bearer") && strings.EqualFold(v.header, "Authorization") {
		value = strings.TrimSpace(rest)
	}
	hash, match := sha256.Sum256([]byte(value)), 0
	for _, want := range v.hashes {
		match |= subtle.ConstantTimeCompare(hash[:], want[:])
	}
	if match != 1 {
		return errToken
	}
	return nil
}

// decodeKey returns the DER, or the raw bytes, of a public key in PEM or base64. In PEM, line breaks can be written as
// \n, for environment variables.
func decodeKey(text string) ([]byte, error) {
	text = strings.TrimSpace(text)
	if strings.HasPrefix(text, "-----BEGIN") {
		block, rest := pem.Decode([]byte(strings.ReplaceAll(text, `\n`, "\n")))
		switch {
		case block == nil:
			return nil, errors.New("it is not PEM")
		case !strings.HasSuffix(block.Type, "PUBLIC KEY"):
			return nil, fmt.Errorf("it is a %s, not a public key", strings.ToLower(block.Type))
		case len(bytes.TrimSpace(rest)) > 0:
			return nil, errors.New("there is more than one key in it; list them one by one")
		}
		return block.Bytes, nil
	}
	raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.Join(strings.Fields(text), ""), "="))
	if err != nil {
		return nil, errors.New("it is neither PEM nor base64")
	}
	return raw, nil
}

// decodeSignature reads a signature of size bytes from hex or from any form of base64. The length tells them apart.
func decodeSignature(text string, size int) ([]byte, bool) {
	if len(text) == hex.EncodedLen(size) {
		sig, err := hex.DecodeString(text)
		return sig, err == nil
	}
	text = strings.TrimRight(text, "=")
	encoding := base64.RawStdEncoding
	if strings.ContainsAny(text, "-_") {
		encoding = base64.RawURLEncoding
	}
	if len(text) != encoding.EncodedLen(size) {
		return nil, false
	}
	sig, err := encoding.DecodeString(text)
	return sig, err == nil && len(sig) == size
}
