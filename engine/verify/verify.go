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

// keyed accepts a webhook if the value of a header fits one of several keys, secrets or tokens.
type keyed[K any] struct {
	header string
	keys   []K
	fits   func(key K, value string, body []byte) bool
	wrong  error // if none fits
}

func (v *keyed[K]) Verify(h http.Header, body []byte, _ time.Time) error {
	value, err := only(h, v.header)
	if err != nil {
		return err
	}
	for _, key := range v.keys {
		if v.fits(key, value, body) {
			return nil
		}
	}
	return v.wrong
}

// readAll reads keys, secrets or tokens; what is the name of one. There must be at least one.
func readAll[K any](what string, texts []string, read func(string) (K, error)) (keys []K, err error) {
	for i, text := range texts {
		key, err := read(text)
		if err != nil {
			return nil, fmt.Errorf("%s %d %w", what, i+1, err)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("there is no %s", what)
	}
	return keys, nil
}

// publicKey reads a public key. bare reads the form of its scheme that does not name the kind of key.
func publicKey[K any](text, kind string, bare func([]byte) (K, bool)) (key K, err error) {
	raw, err := decodeKey(text)
	if err != nil {
		return key, err
	}
	key, ok := bare(raw)
	if ok {
		return key, nil
	}
	parsed, err := x509.ParsePKIXPublicKey(raw)
	if err != nil {
		return key, fmt.Errorf("is not a public key: %w", err)
	}
	if key, ok = parsed.(K); !ok {
		return key, fmt.Errorf("is not an %s key", kind)
	}
	return key, nil
}

func newEd25519(v config.Verify) (Verifier, error) {
	keys, err := readAll("key", v.Keys, func(text string) (ed25519.PublicKey, error) {
		return publicKey(text, "Ed25519", func(raw []byte) (ed25519.PublicKey, bool) { return raw, len(raw) == ed25519.PublicKeySize })
	})
	return &keyed[ed25519.PublicKey]{Header(v), keys, func(key ed25519.PublicKey, value string, body []byte) bool {
		sig, ok := decodeSignature(value, ed25519.SignatureSize)
		return ok && ed25519.Verify(key, body, sig)
	}, errMismatch}, err
}

// newRSA returns a verifier of RSA signatures (PKCS #1 v1.5) of the body's SHA-256.
func newRSA(v config.Verify) (Verifier, error) {
	keys, err := readAll("key", v.Keys, func(text string) (*rsa.PublicKey, error) {
		key, err := publicKey(text, "RSA", func(raw []byte) (*rsa.PublicKey, bool) {
			key, err := x509.ParsePKCS1PublicKey(raw)
			return key, err == nil
		})
		if err == nil && key.N.BitLen() < minRSABits {
			err = fmt.Errorf("has %d bits; at least %d are needed", key.N.BitLen(), minRSABits)
		}
		return key, err
	})
	return &keyed[*rsa.PublicKey]{Header(v), keys, func(key *rsa.PublicKey, value string, body []byte) bool {
		sum := sha256.Sum256(body)
		sig, ok := decodeSignature(value, key.Size())
		return ok && rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], sig) == nil
	}, errMismatch}, err
}

// newHMAC returns a verifier of an HMAC-SHA256 of the body. The value of the header can begin with "sha256=".
func newHMAC(v config.Verify) (Verifier, error) {
	secrets, err := readAll("secret", v.Secrets, func(secret string) (string, error) {
		if strings.TrimSpace(secret) == "" {
			return "", errors.New("is empty")
		}
		return secret, nil
	})
	return &keyed[string]{Header(v), secrets, func(secret, value string, body []byte) bool {
		const prefix = "sha256="
		if len(value) > len(prefix) && strings.EqualFold(value[:len(prefix)], prefix) {
			value = value[len(prefix):]
		}
		sig, ok := decodeSignature(value, sha256.Size)
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(body)
		return ok && hmac.Equal(mac.Sum(nil), sig)
	}, errMismatch}, err
}

// newToken returns a verifier that compares a header with the accepted tokens. It compares hashes, so that its time does
// not depend on the length of the tokens. In the header Authorization, the value can begin with "Bearer".
func newToken(v config.Verify) (Verifier, error) {
	header := Header(v)
	hashes, err := readAll("token", v.Tokens, func(token string) (hash [sha256.Size]byte, err error) {
		if token = strings.TrimSpace(token); token == "" || strings.EqualFold(token, "N/A") {
			return hash, errors.New("is empty")
		}
		return sha256.Sum256([]byte(token)), nil
	})
	return &keyed[[sha256.Size]byte]{header, hashes, func(want [sha256.Size]byte, value string, _ []byte) bool {
		if word, rest, ok := strings.Cut(value, " "); ok && strings.EqualFold(word, "Bearer") && strings.EqualFold(header, "Authorization") {
			value = strings.TrimSpace(rest)
		}
		hash := sha256.Sum256([]byte(value))
		return subtle.ConstantTimeCompare(hash[:], want[:]) == 1
	}, errToken}, err
}

// standardVerifier checks a signature of Standard Webhooks (standardwebhooks.com) and its timestamp.
type standardVerifier struct{ hooks []*standardwebhooks.Webhook }

func newStandard(v config.Verify) (Verifier, error) {
	hooks, err := readAll("secret", v.Secrets, func(secret string) (*standardwebhooks.Webhook, error) {
		secret = strings.TrimSpace(secret)
		hook, err := standardwebhooks.NewWebhook(secret)
		if err != nil || strings.TrimPrefix(secret, "whsec_") == "" {
			return nil, errors.New("must be whsec_ and base64")
		}
		return hook, nil
	})
	return &standardVerifier{hooks}, err
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

// decodeKey returns the DER, or the raw bytes, of a public key in PEM or base64. In PEM, line breaks can be written as
// \n, for environment variables. Its errors go on after the name of the key.
func decodeKey(text string) ([]byte, error) {
	text = strings.TrimSpace(text)
	if strings.HasPrefix(text, "-----BEGIN") {
		block, rest := pem.Decode([]byte(strings.ReplaceAll(text, `\n`, "\n")))
		switch {
		case block == nil:
			return nil, errors.New("is not PEM")
		case !strings.HasSuffix(block.Type, "PUBLIC KEY"):
			return nil, fmt.Errorf("is a %s, not a public key", strings.ToLower(block.Type))
		case len(bytes.TrimSpace(rest)) > 0:
			return nil, errors.New("holds more than one key; list them one by one")
		}
		return block.Bytes, nil
	}
	raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.Join(strings.Fields(text), ""), "="))
	if err != nil {
		return nil, errors.New("is neither PEM nor base64")
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
