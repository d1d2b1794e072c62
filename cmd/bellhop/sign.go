package main

import (
	"crypto"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"bellhop/actions"
	"bellhop/engine/config"
	"bellhop/engine/verify"
	"bellhop/rules/live"
)

// signature returns the headers that prove under v who sends body, with the first of several secrets or tokens, or with
// the private key in the file keyFile.
func signature(v config.Verify, keyFile string, body []byte, now time.Time) (http.Header, error) {
	key, err := privateKey(v.Scheme, keyFile)
	if err != nil {
		return nil, err
	}
	return sign(v, key, body, now)
}

// sign is [signature] with a key that was read before.
func sign(v config.Verify, key crypto.Signer, body []byte, now time.Time) (http.Header, error) {
	header := verify.Header(v)
	h := http.Header{}
	switch v.Scheme {
	case "", config.None: // the server refuses a source that is not configured
	case config.Token:
		if len(v.Tokens) == 0 {
			return nil, errors.New("the configuration has no token for it")
		}
		h.Set(header, v.Tokens[0])
	case config.HMACSHA256, config.StandardWebhooks:
		if len(v.Secrets) == 0 {
			return nil, errors.New("the configuration has no secret for it")
		}
		if v.Scheme == config.HMACSHA256 {
			mac := hmac.New(sha256.New, []byte(v.Secrets[0]))
			mac.Write(body)
			h.Set(header, "sha256="+hex.EncodeToString(mac.Sum(nil)))
		} else if err := actions.Sign(h, v.Secrets[0], "msg_"+rand.Text(), now, body); err != nil {
			return nil, errors.New("its secret is not base64 with whsec_ before it")
		}
	case config.HighLevel, config.Ed25519, config.RSASHA256:
		message, hash := body, crypto.Hash(0)
		if v.Scheme == config.RSASHA256 {
			sum := sha256.Sum256(body)
			message, hash = sum[:], crypto.SHA256
		}
		sig, err := key.Sign(rand.Reader, message, hash)
		if err != nil {
			return nil, err
		}
		h.Set(header, base64.StdEncoding.EncodeToString(sig))
	default:
		return nil, fmt.Errorf("%q is not a verification scheme", v.Scheme)
	}
	return h, nil
}

// privateKey reads the private key with which a scheme signs from a PEM file. It is nil for a scheme that takes none.
func privateKey(scheme, file string) (crypto.Signer, error) {
	switch scheme {
	case config.HighLevel, config.Ed25519, config.RSASHA256:
	default:
		return nil, nil
	}
	if file == "" {
		return nil, fmt.Errorf("its scheme is %s, which takes the sender's private key: name one with --key, or write `verify: none` for a trial on this machine", scheme)
	}
	key, err := readKey(file, scheme == config.RSASHA256)
	if err != nil {
		return nil, fmt.Errorf("the key %s: %w", file, err)
	}
	return key, nil
}

func readKey(file string, wantRSA bool) (crypto.Signer, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, live.WithoutPath(err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("it is not PEM")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		if parsed, err = x509.ParsePKCS1PrivateKey(block.Bytes); err != nil {
			return nil, errors.New("it holds no private key")
		}
	}
	switch key := parsed.(type) {
	case ed25519.PrivateKey:
		if !wantRSA {
			return key, nil
		}
	case *rsa.PrivateKey:
		if wantRSA {
			return key, nil
		}
	}
	return nil, errors.New("it is of another kind than the scheme takes")
}
