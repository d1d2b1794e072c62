package actions

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/md5"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"hash"
	"io"
	"log"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

const (
	mailUser     = "desk@example.com"
	mailPassword = `p@ss/w#rd:?é`
)

// A mailServer is a real SMTP server whose behaviour can be set before it starts.
type mailServer struct {
	mechs   []string
	user    string // mailUser and mailPassword if empty
	pass    string
	noTLS   bool
	utf8    bool
	refuse  map[string]error // by recipient
	from    error
	data    error
	cutData int // connections to cut in the middle of DATA

	mu        sync.Mutex
	mails     []receivedMail
	authed    []string
	sessions  int
	ca, addr  string
	tlsConfig *tls.Config
	port      string
}

type receivedMail struct {
	from string
	to   []string
	data []byte
	utf8 bool
	tls  bool
}

// start serves until the test ends. implicit means TLS from the first byte.
func (m *mailServer) start(t *testing.T, implicit bool) *mailServer {
	t.Helper()
	m.tlsConfig, m.ca = authority(t)
	if m.user == "" {
		m.user, m.pass = mailUser, mailPassword
	}
	s := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.sessions++
		return &mailSession{server: m, conn: c}, nil
	}))
	s.Domain = "mx.example.com"
	s.EnableSMTPUTF8 = m.utf8
	s.AllowInsecureAuth = true
	s.ErrorLog = log.New(io.Discard, "", 0)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m.addr = listener.Addr().String()
	_, m.port, _ = net.SplitHostPort(m.addr)
	switch {
	case implicit:
		listener = tls.NewListener(listener, m.tlsConfig)
	case !m.noTLS:
		s.TLSConfig = m.tlsConfig
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(listener)
	}()
	t.Cleanup(func() {
		_ = s.Close()
		<-done
	})
	return m
}

func (m *mailServer) received() []receivedMail {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.mails)
}

type mailSession struct {
	server *mailServer
	conn   *smtp.Conn
	mail   receivedMail
}

func (s *mailSession) Reset()        { s.mail = receivedMail{} }
func (s *mailSession) Logout() error { return nil }

func (s *mailSession) AuthMechanisms() []string { return s.server.mechs }

func (s *mailSession) Auth(mech string) (sasl.Server, error) {
	ok := func() {
		s.server.mu.Lock()
		defer s.server.mu.Unlock()
		s.server.authed = append(s.server.authed, mech)
	}
	switch mech {
	case sasl.Plain:
		return sasl.NewPlainServer(func(identity, user, password string) error { return s.verify(user, password, ok) }), nil
	case "LOGIN":
		return &steps{[]func([]byte) ([]byte, error){
			func([]byte) ([]byte, error) { return []byte("Username:"), nil },
			func(got []byte) ([]byte, error) { return []byte("Password:"), equal(string(got), s.server.user) },
			func(got []byte) ([]byte, error) { return nil, s.verify(s.server.user, string(got), ok) },
		}}, nil
	case "CRAM-MD5":
		const challenge = "<1.2@mx.example.com>"
		return &steps{[]func([]byte) ([]byte, error){
			func([]byte) ([]byte, error) { return []byte(challenge), nil },
			func(got []byte) ([]byte, error) {
				mac := hmac.New(md5.New, []byte(s.server.pass))
				mac.Write([]byte(challenge))
				if err := equal(string(got), fmt.Sprintf("%s %x", s.server.user, mac.Sum(nil))); err != nil {
					return nil, err
				}
				ok()
				return nil, nil
			},
		}}, nil
	case "XOAUTH2":
		return &steps{[]func([]byte) ([]byte, error){
			func(got []byte) ([]byte, error) {
				if err := equal(string(got), "user="+s.server.user+"\x01auth=Bearer "+s.server.pass+"\x01\x01"); err != nil {
					return nil, err
				}
				ok()
				return nil, nil
			},
		}}, nil
	case "SCRAM-SHA-1":
		return s.scram(sha1.New, ok), nil
	case "SCRAM-SHA-256":
		return s.scram(sha256.New, ok), nil
	}
	return nil, smtp.ErrAuthUnknownMechanism
}

func equal(got, want string) error {
	if got != want {
		return smtp.ErrAuthFailed
	}
	return nil
}

func (s *mailSession) verify(user, password string, ok func()) error {
	if user != s.server.user || password != s.server.pass {
		return smtp.ErrAuthFailed
	}
	ok()
	return nil
}

// steps is a SASL exchange. Each function takes what the client sent and returns the next challenge. The
// exchange ends after the last function.
type steps struct {
	left []func([]byte) ([]byte, error)
}

func (s *steps) Next(response []byte) ([]byte, bool, error) {
	step := s.left[0]
	s.left = s.left[1:]
	challenge, err := step(response)
	return challenge, len(s.left) == 0 && err == nil && challenge == nil, err
}

// scram is the server's side of RFC 5802.
func (s *mailSession) scram(h func() hash.Hash, ok func()) sasl.Server {
	const rounds = 4096
	salt := []byte("some salt")
	mac := func(key []byte, text string) []byte {
		m := hmac.New(h, key)
		m.Write([]byte(text))
		return m.Sum(nil)
	}
	var bare, first, nonce string
	return &steps{[]func([]byte) ([]byte, error){
		func([]byte) ([]byte, error) { return []byte{}, nil },
		func(got []byte) ([]byte, error) {
			bare = strings.TrimPrefix(string(got), "n,,")
			user, r, found := strings.Cut(bare, ",r=")
			if !found || user != "n="+s.server.user {
				return nil, smtp.ErrAuthFailed
			}
			nonce = r + "server"
			first = fmt.Sprintf("r=%s,s=%s,i=%d", nonce, base64.StdEncoding.EncodeToString(salt), rounds)
			return []byte(first), nil
		},
		func(got []byte) ([]byte, error) {
			without, proof64, _ := strings.Cut(string(got), ",p=")
			salted, err := pbkdf2.Key(h, s.server.pass, salt, rounds, h().Size())
			if err != nil {
				return nil, err
			}
			message := bare + "," + first + "," + without
			key := mac(salted, "Client Key")
			stored := h()
			stored.Write(key)
			signature := mac(stored.Sum(nil), message)
			for i := range key {
				key[i] ^= signature[i]
			}
			if without != "c=biws,r="+nonce || proof64 != base64.StdEncoding.EncodeToString(key) {
				return nil, smtp.ErrAuthFailed
			}
			return []byte("v=" + base64.StdEncoding.EncodeToString(mac(mac(salted, "Server Key"), message))), nil
		},
		func([]byte) ([]byte, error) {
			ok()
			return nil, nil
		},
	}}
}

func (s *mailSession) Mail(from string, o *smtp.MailOptions) error {
	if len(s.server.mechs) > 0 && len(s.server.authed) == 0 {
		return smtp.ErrAuthRequired
	}
	_, secured := s.conn.TLSConnectionState()
	s.mail = receivedMail{from: from, utf8: o.UTF8, tls: secured}
	return s.server.from
}

func (s *mailSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	if err := s.server.refuse[to]; err != nil {
		return err
	}
	s.mail.to = append(s.mail.to, to)
	return nil
}

func (s *mailSession) Data(r io.Reader) error {
	s.server.mu.Lock()
	cut := s.server.cutData > 0
	if cut {
		s.server.cutData--
	}
	s.server.mu.Unlock()
	if cut {
		_, _ = io.CopyN(io.Discard, r, 100)
		_ = s.conn.Conn().Close()
		return errors.New("cut")
	}
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if s.server.data != nil {
		return s.server.data
	}
	s.mail.data = data
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.server.mails = append(s.server.mails, s.mail)
	return nil
}

// smtpAnswer returns an error that the server sends as its answer.
func smtpAnswer(code int, text string) error {
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 1, 1}, Message: text}
}

// authority makes a certificate for loopback and the PEM file of the authority that signed it.
func authority(t *testing.T) (*tls.Config, string) {
	t.Helper()
	key := func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	now := time.Now()
	caKey, leafKey := key(), key()
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		t.Fatal(err)
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca, leafKey.Public(), caKey)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER}), 0o600); err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{leafDER}, PrivateKey: leafKey}}}, file
}

// serveTCP runs talk for each connection until the test ends, and returns the address.
func serveTCP(t *testing.T, talk func(net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, conn)
			mu.Unlock()
			running.Go(func() {
				defer func() { _ = conn.Close() }()
				talk(conn)
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		mu.Lock()
		for _, c := range conns {
			_ = c.Close()
		}
		mu.Unlock()
		running.Wait()
	})
	return listener.Addr().String()
}

// script is an SMTP server that sends prepared answers: the first is the greeting, then comes one for each line,
// and the last is repeated. It ends the conversation at the answer "". After an answer 354, it answers no line before
// the one with a single dot.
func script(answers ...string) func(net.Conn) {
	return func(conn net.Conn) {
		lines := bufio.NewReader(conn)
		for i := 0; ; i++ {
			answer := answers[min(i, len(answers)-1)]
			if answer == "" {
				return
			}
			if _, err := io.WriteString(conn, answer+"\r\n"); err != nil {
				return
			}
			for {
				line, err := lines.ReadBytes('\n')
				if err != nil {
					return
				}
				if !strings.HasPrefix(answer, "354") || bytes.Equal(line, []byte(".\r\n")) {
					break
				}
			}
		}
	}
}
