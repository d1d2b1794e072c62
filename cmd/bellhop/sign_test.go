package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"bellhop/engine/config"
	"bellhop/engine/verify"
)

// writeKey writes a private key as PEM. It returns the file, and the public key as PEM.
func writeKey(t *testing.T, private, public any) (file, publicPEM string) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	if der, err = x509.MarshalPKIXPublicKey(public); err != nil {
		t.Fatal(err)
	}
	return file, string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// TestSignaturesVerify signs as send does and verifies as the server does.
func TestSignaturesVerify(t *testing.T) {
	t.Parallel()
	edPublic, edPrivate, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaPrivate, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	edFile, edPEM := writeKey(t, edPrivate, edPublic)
	rsaFile, rsaPEM := writeKey(t, rsaPrivate, &rsaPrivate.PublicKey)

	const body = `{"type":"AppointmentCreate"}`
	cases := []struct {
		name   string
		verify config.Verify
		key    string
	}{
		{"none", config.Verify{Scheme: config.None}, ""},
		{"token", config.Verify{Scheme: config.Token, Tokens: []string{"first-token", "second-token"}}, ""},
		{"token in another header", config.Verify{Scheme: config.Token, Tokens: []string{"first-token"}, Header: "X-Desk"}, ""},
		{"hmac", config.Verify{Scheme: config.HMACSHA256, Secrets: []string{"a secret", "another"}}, ""},
		{"standard webhooks", config.Verify{Scheme: config.StandardWebhooks, Secrets: []string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}}, ""},
		{"ed25519", config.Verify{Scheme: config.Ed25519, Keys: []string{edPEM}}, edFile},
		{"highlevel", config.Verify{Scheme: config.HighLevel, Keys: []string{edPEM}}, edFile},
		{"rsa", config.Verify{Scheme: config.RSASHA256, Keys: []string{rsaPEM}}, rsaFile},
	}
	untried := config.Schemes()
	for _, c := range cases {
		untried = slices.DeleteFunc(untried, func(scheme string) bool { return scheme == c.verify.Scheme })
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			now := time.Now()
			verifier, err := verify.New(c.verify)
			if err != nil {
				t.Fatal(err)
			}
			header, err := signature(c.verify, c.key, []byte(body), now)
			if err != nil {
				t.Fatal(err)
			}
			if err := verifier.Verify(header, []byte(body), now); err != nil {
				t.Errorf("the server refuses what send signed: %v", err)
			}
			// The signatures are for this body and no other.
			switch c.verify.Scheme {
			case config.None, config.Token:
			default:
				if verifier.Verify(header, []byte(body+" "), now) == nil {
					t.Error("the signature is good for another body")
				}
			}
		})
	}
	if len(untried) > 0 {
		t.Errorf("no case signs for %v", untried)
	}
}

func TestWhatCannotBeSigned(t *testing.T) {
	t.Parallel()
	_, edPrivate, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	edFile, _ := writeKey(t, edPrivate, edPrivate.Public())
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		scheme, key string
	}{
		"no key":          {config.HighLevel, ""},
		"no such file":    {config.Ed25519, edFile + "x"},
		"no PEM":          {config.Ed25519, text},
		"of another kind": {config.RSASHA256, edFile},
		"no token":        {config.Token, ""},
		"no secret":       {config.HMACSHA256, ""},
		"no such scheme":  {"md5", ""},
	} {
		if h, err := signature(config.Verify{Scheme: c.scheme}, c.key, nil, time.Now()); err == nil {
			t.Errorf("%s: it is signed all the same: %v", name, h)
		}
	}
}
