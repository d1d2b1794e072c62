package actions

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/mail"
	"net/netip"
	"net/textproto"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wneessen/go-mail/smtp"
)

// Mail is the connection for e-mails: a mail server and a sender.
type Mail struct {
	SMTP string `json:"smtp" like:"^smtps?://" words:"write the mail server's address, such as smtps://user:password@smtp.example.com" doc:"The mail server: smtps:// for implicit TLS, smtp:// for STARTTLS, with user and password; ?auth= names a login method, ?tls=none is for servers on this machine only." example:"smtps://bookings:${SMTP_PASSWORD}@smtp.example.com"`
	From string `json:"from" like:"@" words:"write an e-mail address, such as Bookings <bookings@example.com>" doc:"Who e-mails come from, unless a step says otherwise; the user of smtp if that is an address." example:"Bookings <bookings@example.com>"`
	CA   string `json:"ca" doc:"A PEM file with the authority that signed the server's certificate, where it is a private one." example:"mail-ca.pem"`

	scrub scrubber
	pool  mailPool
}

var _ Connection = (*Mail)(nil)
var _ Rebaser = (*Mail)(nil)

// A Rebaser is a connection that names files. Rebase makes its relative paths relative to dir, the folder
// of the configuration; it is called once, after decoding.
type Rebaser interface {
	Rebase(dir string)
}

// Rebase makes the path of the CA relative to dir.
func (m *Mail) Rebase(dir string) {
	if m.CA != "" && !filepath.IsAbs(m.CA) {
		m.CA = filepath.Join(dir, m.CA)
	}
}

// Secrets returns the URL and the password, also in the form in which it is sent. A URL without an @ contains no
// password, and then there are no secrets.
func (m *Mail) Secrets() []string {
	_, rest, ok := strings.Cut(m.SMTP, "://")
	at := strings.LastIndexByte(rest, '@')
	if ok && at < 0 {
		return nil
	}
	secrets := []string{m.SMTP}
	if user, raw, _ := strings.Cut(rest[:max(at, 0)], ":"); raw != "" {
		password := unescape(raw)
		login := base64.StdEncoding.EncodeToString([]byte("\x00" + unescape(user) + "\x00" + password))
		secrets = append(secrets, raw, password, login)
	}
	return secrets
}

// Check finds mistakes in the entry. Its messages quote nothing of the URL, which holds the password.
func (m *Mail) Check() []Problem {
	var found problems
	srv, problem := parseSMTP(m.SMTP)
	if problem != nil {
		found = append(found, *problem)
	}
	if a, err := mail.ParseAddress(m.From); m.From == "" {
		if problem == nil && m.sender(srv) == "" {
			found.add("from", "from is missing: e-mails need a sender", "")
		}
	} else if err != nil {
		found.add("from", fmt.Sprintf("%q is not an e-mail address", m.From), "")
	} else if _, err := mailbox(a); err != nil {
		found.add("from", err.Error(), "")
	}
	if _, err := m.roots(); err != nil {
		found.add("ca", err.Error(), "")
	}
	return found
}

// sender is the From address: from, else the user if that is an address, else "".
func (m *Mail) sender(srv server) string {
	if m.From != "" {
		return m.From
	}
	if a, err := mail.ParseAddress(srv.user); err == nil && a.Address == srv.user {
		return srv.user
	}
	return ""
}

// roots returns the certificate authorities to trust; nil means those of the system.
func (m *Mail) roots() (*x509.CertPool, error) {
	if m.CA == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(m.CA)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate authority: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate in PEM form", m.CA)
	}
	return pool, nil
}

// A server is what an SMTP URL says.
type server struct {
	host, port     string
	implicit       bool // TLS from the first byte
	plain          bool // no TLS at all
	user, password string
	auth           string // the login method, "" for the best that is offered
}

// authMethods are the login methods, in the order of preference. CRAM-MD5 is the last choice because servers
// that store hashed passwords offer it although it cannot work. XOAUTH2 takes a token, not a password, and is
// used only when the URL names it.
var authMethods = []string{"scram-sha-256", "scram-sha-1", "plain", "login", "cram-md5", "xoauth2"}

// parseSMTP parses an SMTP URL. It splits off the user and password itself, because a password from the
// environment can contain @, / or #, and because errors of net/url quote their input.
func parseSMTP(text string) (server, *Problem) {
	bad := func(format string, args ...any) (server, *Problem) {
		return server{}, &Problem{Field: "smtp", Message: fmt.Sprintf(format, args...)}
	}
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok || scheme != "smtp" && scheme != "smtps" {
		return bad("smtp must begin with smtps:// (implicit TLS) or smtp:// (STARTTLS)")
	}
	s := server{implicit: scheme == "smtps"}
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		user, password, _ := strings.Cut(rest[:i], ":")
		s.user, s.password = unescape(user), unescape(password)
		if s.user == "" || s.password == "" {
			return bad("smtp has an @ but not both a user and a password before it")
		}
		rest = rest[i+1:]
	}
	u, err := url.Parse("smtp://" + rest)
	if err != nil || u.Path != "" && u.Path != "/" || u.Fragment != "" {
		return bad("smtp is not a URL such as smtps://user:password@smtp.example.com:465")
	}
	if s.host, err = serverHost(u.Hostname()); err != nil {
		return bad("smtp names no usable host")
	}
	s.port = u.Port()
	if s.port == "" {
		s.port = "587"
		if s.implicit {
			s.port = "465"
		}
	}
	if n, err := strconv.Atoi(s.port); err != nil || n < 1 || n > 65535 {
		return bad("smtp has a port that is not between 1 and 65535")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return bad("smtp has options after the ? that cannot be read")
	}
	for key, values := range query {
		switch value := strings.ToLower(values[0]); key {
		case "tls":
			switch {
			case value != "none":
				return bad("tls= can only be none: smtp:// requires STARTTLS and smtps:// is TLS throughout")
			case s.implicit:
				return bad("smtps:// and tls=none contradict each other")
			case !Loopback(s.host):
				return bad("tls=none is only for a mail server on this machine: the password and the mail would be readable on the way")
			}
			s.plain = true
		case "auth":
			if !slices.Contains(authMethods, value) {
				return bad("auth= is none of %s", strings.Join(authMethods, ", "))
			}
			if s.user == "" {
				return bad("auth= needs a user and a password in the URL")
			}
			s.auth = value
		default:
			return bad("smtp has an option that is neither auth nor tls")
		}
	}
	return s, nil
}

// serverHost returns an address unchanged, and a host name in the spelling of hostName.
func serverHost(host string) (string, error) {
	if _, err := netip.ParseAddr(host); err == nil {
		return host, nil
	}
	return hostName(host)
}

// unescape decodes %40 and the like; a text with a % that encodes nothing is meant as it stands.
func unescape(s string) string {
	if plain, err := url.PathUnescape(s); err == nil {
		return plain
	}
	return s
}

// dial opens a session: connect, TLS, greeting, login.
func (m *Mail) dial(ctx context.Context, guard *Guard, srv server) (*session, error) {
	conn, err := guard.dialContext(ctx, "tcp", net.JoinHostPort(srv.host, srv.port))
	if err != nil {
		return nil, fmt.Errorf("connecting to the mail server: %w", err)
	}
	s := &session{conn: &boundedConn{Conn: conn}, guard: guard, scrub: m.scrub.of(m)}
	s.begin(ctx, mailTimeout)
	if err := s.open(m, srv); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// A session is one connection to a mail server, over which e-mails are sent one after the other.
type session struct {
	*smtp.Client
	conn  *boundedConn
	guard *Guard // made the connection
	stop  func() bool
	scrub func(string) string // removes the connection's secrets

	mails  int         // sent so far
	reused bool        // it was kept from an earlier e-mail
	expiry *time.Timer // ends it if it is kept for too long

	// Of the last e-mail: orderly, if another can follow on this connection; handed, if the server may have accepted
	// it; lost, if the connection broke or the server closed it.
	orderly, handed, lost bool
}

// begin makes the connection usable until ctx ends, but for no longer than limit.
func (s *session) begin(ctx context.Context, limit time.Duration) {
	deadline := time.Now().Add(limit)
	if end, ok := ctx.Deadline(); ok && end.Before(deadline) {
		deadline = end
	}
	s.conn.left = 1 << 20
	_ = s.conn.SetDeadline(deadline) // fails only on a closed connection, and then reading fails
	s.stop = context.AfterFunc(ctx, func() { _ = s.conn.SetDeadline(time.Unix(1, 0)) })
}

func (s *session) close() {
	s.stop()
	_ = s.conn.Close() // what matters has been answered or has failed
}

// quit sends QUIT and closes the connection. The server's answer makes no difference and is not waited for.
func (s *session) quit() {
	_ = s.conn.SetDeadline(time.Now().Add(farewell))
	_ = s.Text.PrintfLine("QUIT")
	_ = s.conn.Close()
}

func (s *session) open(m *Mail, srv server) error {
	roots, err := m.roots()
	if err != nil {
		return err
	}
	config := &tls.Config{ServerName: srv.host, RootCAs: roots, MinVersion: tls.VersionTLS12}
	var conn net.Conn = s.conn
	if srv.implicit {
		secured := tls.Client(conn, config)
		if err := secured.Handshake(); err != nil {
			return fmt.Errorf("securing the connection to the mail server: %w", err)
		}
		conn = secured
	}
	if s.Client, err = smtp.NewClient(conn, srv.host); err != nil {
		return s.failed("the mail server's greeting", err)
	}
	if err := s.Hello(helloName(conn)); err != nil {
		return s.failed("greeting the mail server", err)
	}
	if !srv.implicit && !srv.plain {
		if ok, _ := s.Extension("STARTTLS"); !ok {
			return errors.New("the mail server does not offer STARTTLS, and without it the mail would be readable on the way; smtps:// is for servers with implicit TLS")
		}
		if err := s.StartTLS(config); err != nil {
			return s.failed("securing the connection to the mail server", err)
		}
	}
	if srv.user == "" {
		return nil
	}
	return s.login(srv)
}

// helloName returns this machine's full name, or else its address in the form of RFC 5321 section 4.1.3.
func helloName(conn net.Conn) string {
	if name, err := os.Hostname(); err == nil && strings.Contains(name, ".") {
		if name, err := hostName(name); err == nil {
			return name
		}
	}
	ap, err := netip.ParseAddrPort(conn.LocalAddr().String())
	switch addr := ap.Addr().WithZone("").Unmap(); {
	case err != nil:
		return "localhost"
	case addr.Is4():
		return "[" + addr.String() + "]"
	default:
		return "[IPv6:" + addr.String() + "]"
	}
}

func (s *session) login(srv server) error {
	_, offer := s.Extension("AUTH")
	offered := strings.Fields(strings.ToLower(offer))
	method := srv.auth
	for _, m := range authMethods {
		if method == "" && m != "xoauth2" && slices.Contains(offered, m) {
			method = m
		}
	}
	if !slices.Contains(offered, method) {
		wanted := cmp.Or(method, strings.Join(authMethods, ", "))
		return fmt.Errorf("logging in to the mail server: it does not offer %s, but %q", wanted, head(s.scrub(offer), 200))
	}
	auth := map[string]smtp.Auth{
		"scram-sha-256": boundedScram{smtp.ScramSHA256Auth(srv.user, srv.password)},
		"scram-sha-1":   boundedScram{smtp.ScramSHA1Auth(srv.user, srv.password)},
		"plain":         smtp.PlainAuth("", srv.user, srv.password, srv.host, srv.plain),
		"login":         smtp.LoginAuth(srv.user, srv.password, srv.host, srv.plain),
		"cram-md5":      smtp.CRAMMD5Auth(srv.user, srv.password),
		"xoauth2":       smtp.XOAuth2Auth(srv.user, srv.password),
	}[method]
	return s.failed("logging in to the mail server", s.authenticate(auth, srv, offered))
}

// authenticate runs the exchange of a login. The library's own waits for the server's reply to QUIT when it fails.
func (s *session) authenticate(auth smtp.Auth, srv server, offered []string) error {
	_, secured := s.TLSConnectionState()
	method, response, err := auth.Start(&smtp.ServerInfo{Name: srv.host, TLS: secured, Auth: offered})
	if err != nil {
		return err
	}
	line := strings.TrimSpace("AUTH " + method + " " + base64.StdEncoding.EncodeToString(response))
	for {
		if err := s.Text.PrintfLine("%s", line); err != nil {
			return err
		}
		code, text, err := s.Text.ReadResponse(0)
		switch {
		case err != nil:
			return err
		case code == 235:
			_, err = auth.Next([]byte(text), false)
			return err
		case code != 334:
			return &textproto.Error{Code: code, Msg: text}
		}
		challenge, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return errors.New("the server's challenge is not base64")
		}
		if response, err = auth.Next(challenge, true); err != nil {
			return err
		}
		line = base64.StdEncoding.EncodeToString(response)
	}
}

// boundedScram refuses a server that asks for so many rounds of hashing that this machine would be kept busy.
type boundedScram struct{ smtp.Auth }

const maxScramRounds = 1_000_000

func (a boundedScram) Next(fromServer []byte, more bool) ([]byte, error) {
	if _, rounds, ok := strings.Cut(string(fromServer), ",i="); ok && more {
		rounds, _, _ = strings.Cut(rounds, ",")
		if n, err := strconv.Atoi(rounds); err != nil || n < 1 || n > maxScramRounds {
			return nil, errors.New("the server asks for an unreasonable number of rounds")
		}
	}
	return a.Auth.Next(fromServer, more)
}

// boundedConn ends a connection on which the server sends more than any mail server needs to.
type boundedConn struct {
	net.Conn
	left int
}

func (c *boundedConn) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, errors.New("the server sends too much")
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

// failed adds to an error what was being done when it happened. A 5xx answer is permanent; nil stays nil.
func (s *session) failed(doing string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, io.EOF) {
		err = errors.New("the server hung up")
	}
	answer, answered := errors.AsType[*textproto.Error](err)
	s.lost = !answered || answer.Code == 421
	err = fmt.Errorf("%s: %s", doing, s.said(err))
	if answered && answer.Code >= 500 && answer.Code <= 599 {
		return Permanent(err)
	}
	return err
}

// said writes an error for people: the code and text of a server's answer, without secrets, on one line.
func (s *session) said(err error) string {
	text := err.Error()
	if answer, ok := errors.AsType[*textproto.Error](err); ok {
		text = strconv.Itoa(answer.Code) + " " + answer.Msg
	}
	return head(oneLine(s.scrub(text)), 300)
}
