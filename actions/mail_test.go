package actions

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wneessen/go-mail/smtp"
)

func TestParseSMTP(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]server{
		"smtps://smtp.example.com":                               {host: "smtp.example.com", port: "465", implicit: true},
		"smtp://smtp.example.com":                                {host: "smtp.example.com", port: "587"},
		"smtp://SMTP.Example.com:25/":                            {host: "smtp.example.com", port: "25"},
		"smtps://u:p@smtp.example.com:4650":                      {host: "smtp.example.com", port: "4650", implicit: true, user: "u", password: "p"},
		"smtps://desk@example.com:p@ss/w#rd:?é@smtp.example.com": {host: "smtp.example.com", port: "465", implicit: true, user: "desk@example.com", password: "p@ss/w#rd:?é"},
		"smtps://desk%40example.com:100%25%2Fx@smtp.example.com": {host: "smtp.example.com", port: "465", implicit: true, user: "desk@example.com", password: "100%/x"},
		"smtps://u:50%off@smtp.example.com?auth=LOGIN":           {host: "smtp.example.com", port: "465", implicit: true, user: "u", password: "50%off", auth: "login"},
		"smtp://localhost:2525?tls=none":                         {host: "localhost", port: "2525", plain: true},
		"smtp://[::1]:2525?tls=none":                             {host: "::1", port: "2525", plain: true},
		"smtp://u:p@127.0.0.1?tls=none&auth=scram-sha-256":       {host: "127.0.0.1", port: "587", plain: true, user: "u", password: "p", auth: "scram-sha-256"},
		"smtps://u:p@bücher.example.com":                         {host: "xn--bcher-kva.example.com", port: "465", implicit: true, user: "u", password: "p"},
	} {
		if got, problem := parseSMTP(in); problem != nil || got != want {
			t.Errorf("%s: %+v, %v", in, got, problem)
		}
	}
	for _, in := range []string{
		"", "smtp.example.com", "http://u:hunter2222@example.com", "smtps://", "smtps://u:hunter2222@", "smtps://u:hunter2222@:465", "smtps://u@example.com",
		"smtps://:hunter2222@example.com", "smtps://u:hunter2222@example.com:0", "smtps://u:hunter2222@example.com:70000", "smtps://u:hunter2222@example.com:hunter2222",
		"smtps://u:hunter2222@example.com/hunter2222", "smtps://u:hunter2222@exa mple.com", "smtps://u:hunter2222@example.com#hunter2222",
		"smtp://u:hunter2222@example.com?tls=none", "smtps://localhost?tls=none", "smtp://localhost?tls=hunter2222", "smtp://u:hunter2222@example.com?auth=hunter2222",
		"smtp://example.com?auth=plain", "smtp://example.com?hunter2222=1", "smtp://10.0.0.1?tls=none", "smtp://localhost.example.com?tls=none",
		"smtps://u:hunter2222@example.com?%zz",
	} {
		_, problem := parseSMTP(in)
		if problem == nil {
			t.Errorf("%s is accepted", in)
			continue
		}
		if strings.Contains(problem.Message, "hunter2222") {
			t.Errorf("%s: the message holds the password: %s", in, problem.Message)
		}
		for _, p := range (&Mail{SMTP: in, From: "a@example.com"}).Check() {
			if strings.Contains(p.Message, "hunter2222") {
				t.Errorf("%s: Check shows the password: %s", in, p.Message)
			}
		}
		clean := NewRedactor((&Mail{SMTP: in}).Secrets()).Redact(in + " password hunter2222")
		if strings.Contains(in, ":hunter2222@") && strings.Contains(clean, "hunter2222") {
			t.Errorf("%s: Secrets lacks the password: %s", in, clean)
		}
	}
}

func TestMailCheck(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "empty.pem"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, ca := authority(t)
	for _, c := range []struct {
		mail *Mail
		want string // the fields with problems
	}{
		{&Mail{SMTP: "smtps://u:p@smtp.example.com", From: "Desk <desk@example.com>", CA: ca}, ""},
		{&Mail{SMTP: "smtps://desk@example.com:p@smtp.example.com"}, ""},
		{&Mail{SMTP: "smtps://u:p@smtp.example.com"}, "from"},
		{&Mail{SMTP: "smtps://smtp.example.com", From: "Desk"}, "from"},
		{&Mail{SMTP: "nonsense", From: "desk@"}, "smtp from"},
		{&Mail{SMTP: "smtps://smtp.example.com", From: "d@example.com", CA: filepath.Join(dir, "none.pem")}, "ca"},
		{&Mail{SMTP: "smtps://smtp.example.com", From: "d@example.com", CA: filepath.Join(dir, "empty.pem")}, "ca"},
	} {
		var fields []string
		for _, p := range c.mail.Check() {
			fields = append(fields, p.Field)
		}
		if got := strings.Join(fields, " "); got != c.want {
			t.Errorf("%+v: problems with %q, want %q", c.mail, got, c.want)
		}
	}
	m := Mail{CA: "ca.pem"}
	m.Rebase(dir)
	if m.CA != filepath.Join(dir, "ca.pem") {
		t.Errorf("ca is %s", m.CA)
	}
	if s := (&Mail{SMTP: "smtp://localhost:2525?tls=none"}).Secrets(); len(s) != 0 {
		t.Errorf("a URL without a password is a secret: %q", s)
	}
}

func (m *mailServer) url(scheme, options string) string {
	return scheme + "://" + mailUser + ":" + url.PathEscape(mailPassword) + "@" + m.addr + options
}

func attempt(t *testing.T, e *Email, m *Mail, earlier ...Receipt) (Receipt, error) {
	t.Helper()
	return e.Do(t.Context(), Dispatch{ID: "0197a2b4-1", Connection: m, Guard: newGuard(t, "127.0.0.1"), Earlier: earlier})
}

func note() *Email {
	return &Email{To: List{"desk@example.com"}, Subject: "Booked", Text: "A booking.", Date: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)}
}

func TestMailLogin(t *testing.T) {
	t.Parallel()
	all := []string{"CRAM-MD5", "LOGIN", "PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256", "XOAUTH2"}
	for _, c := range []struct {
		offered []string
		options string
		used    string // "" for a failure
	}{
		{[]string{"PLAIN"}, "", "PLAIN"},
		{[]string{"LOGIN"}, "", "LOGIN"},
		{[]string{"CRAM-MD5"}, "", "CRAM-MD5"},
		{[]string{"SCRAM-SHA-1"}, "", "SCRAM-SHA-1"},
		{[]string{"SCRAM-SHA-256"}, "", "SCRAM-SHA-256"},
		{all, "", "SCRAM-SHA-256"},
		{[]string{"CRAM-MD5", "LOGIN", "PLAIN"}, "", "PLAIN"},
		{all, "?auth=login", "LOGIN"},
		{all, "?auth=plain", "PLAIN"},
		{all, "?auth=cram-md5", "CRAM-MD5"},
		{all, "?auth=scram-sha-1", "SCRAM-SHA-1"},
		{all, "?auth=xoauth2", "XOAUTH2"},
		{[]string{"XOAUTH2"}, "", ""},
		{[]string{"PLAIN"}, "?auth=login", ""},
	} {
		srv := (&mailServer{mechs: c.offered}).start(t, false)
		receipt, err := attempt(t, note(), &Mail{SMTP: srv.url("smtp", c.options), From: "desk@example.com", CA: srv.ca})
		if c.used == "" {
			if err == nil || len(srv.received()) != 0 {
				t.Errorf("%v%s: no failure: %+v", c.offered, c.options, receipt)
			}
			continue
		}
		if err != nil || !slices.Equal(srv.authed, []string{c.used}) || len(srv.received()) != 1 || !srv.received()[0].tls {
			t.Errorf("%v%s: %v, logged in by %v, got %d", c.offered, c.options, err, srv.authed, len(srv.received()))
		}
	}
}

func TestMailConnects(t *testing.T) {
	t.Parallel()
	offers := (&mailServer{}).start(t, false)
	implicit := (&mailServer{mechs: []string{"PLAIN"}}).start(t, true)
	bare := (&mailServer{noTLS: true, mechs: []string{"PLAIN"}}).start(t, false)
	for name, c := range map[string]struct {
		mail *Mail
		want string // of the error; "" for success
	}{
		"STARTTLS":                   {&Mail{SMTP: "smtp://" + offers.addr, CA: offers.ca}, ""},
		"STARTTLS by name":           {&Mail{SMTP: "smtp://localhost:" + offers.port, CA: offers.ca}, ""},
		"implicit TLS":               {&Mail{SMTP: implicit.url("smtps", ""), CA: implicit.ca}, ""},
		"no TLS on loopback":         {&Mail{SMTP: bare.url("smtp", "?tls=none")}, ""},
		"STARTTLS is not offered":    {&Mail{SMTP: bare.url("smtp", "")}, "does not offer STARTTLS"},
		"an unknown authority":       {&Mail{SMTP: "smtp://" + offers.addr}, "certificate"},
		"another authority":          {&Mail{SMTP: implicit.url("smtps", ""), CA: offers.ca}, "certificate"},
		"implicit TLS to plain text": {&Mail{SMTP: bare.url("smtps", "")}, "securing"},
		"a port without a server":    {&Mail{SMTP: "smtp://127.0.0.1:1"}, "connecting"},
	} {
		c.mail.From = "Desk <desk@example.com>"
		e := note()
		d := Dispatch{ID: "1", Connection: c.mail, Guard: newGuard(t, "127.0.0.1", "localhost")}
		receipt, err := e.Do(t.Context(), d)
		if c.want == "" {
			if err != nil || !slices.Equal(receipt.Accepted, []string{"desk@example.com"}) || !strings.HasPrefix(receipt.Status, "250 ") {
				t.Errorf("%s: %+v, %v", name, receipt, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || Classify(err).Permanent || len(receipt.Accepted) != 0 {
			t.Errorf("%s: %+v, %v", name, receipt, err)
		}
	}
	for name, srv := range map[string]*mailServer{"STARTTLS": offers, "implicit": implicit, "none": bare} {
		if got := len(srv.received()); got == 0 || srv.received()[0].tls == (name == "none") {
			t.Errorf("%s: %d mails, over TLS: %v", name, got, srv.received()[0].tls)
		}
	}
	_, err := note().Do(t.Context(), Dispatch{ID: "1", Connection: &Mail{SMTP: "smtp://" + offers.addr, From: "a@example.com"}, Guard: newGuard(t)})
	if _, refused := errors.AsType[*RefusedError](err); !refused || !Classify(err).Permanent {
		t.Errorf("the guard is not asked: %v", err)
	}
}

func TestMailAnswers(t *testing.T) {
	t.Parallel()
	greet := []string{"220 mx.example.com", "250-mx.example.com\r\n250 AUTH PLAIN SCRAM-SHA-256"}
	for name, c := range map[string]struct {
		login     bool
		answers   []string
		permanent bool
	}{
		"a greeting 554":             {false, []string{"554 go away"}, true},
		"a greeting 421":             {false, []string{"421 busy"}, false},
		"a greeting that is garbage": {false, []string{"HTTP/1.1 400 Bad Request"}, false},
		"no greeting":                {false, []string{""}, false},
		"a refused hello":            {false, []string{"220 hi", "550 no"}, true},
		"a wrong password":           {true, append(slices.Clone(greet), "334 ", "535 no"), true},
		"login not now":              {true, append(slices.Clone(greet), "454 later"), false},
		"too many rounds":            {true, append(slices.Clone(greet), "334 ", "334 cj14LHM9eCxpPTk5OTk5OTk5OQ=="), false},
		"a refused sender":           {false, append(slices.Clone(greet), "550 no"), true},
		"a sender not now":           {false, append(slices.Clone(greet), "451 later"), false},
		"a refused recipient":        {false, append(slices.Clone(greet), "250 ok", "550 no"), true},
		"a recipient not now":        {false, append(slices.Clone(greet), "250 ok", "450 later"), false},
		"goodbye at the recipient":   {false, append(slices.Clone(greet), "250 ok", "421 bye"), false},
		"a recipient and a cut":      {false, append(slices.Clone(greet), "250 ok", ""), false},
		"refused data":               {false, append(slices.Clone(greet), "250 ok", "250 ok", "554 no"), true},
		"a refused message":          {false, append(slices.Clone(greet), "250 ok", "250 ok", "354 go", "552 too big"), true},
		"a message not now":          {false, append(slices.Clone(greet), "250 ok", "250 ok", "354 go", "451 later"), false},
		"a cut before the answer":    {false, append(slices.Clone(greet), "250 ok", "250 ok", "354 go", ""), false},
		"data answered wrongly":      {false, append(slices.Clone(greet), "250 ok", "250 ok", "250 ok"), false},
		"an endless answer":          {false, []string{"220-" + strings.Repeat("x", 2<<20)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address, user := serveTCP(t, script(c.answers...)), ""
			if c.login {
				user = mailUser + ":" + mailPassword + "@"
			}
			receipt, err := attempt(t, note(), &Mail{SMTP: "smtp://" + user + address + "?tls=none", From: "a@example.com"})
			if err == nil || Classify(err).Permanent != c.permanent || len(receipt.Accepted) != 0 || receipt.Status != "" {
				t.Errorf("%+v, permanent %v: %v", receipt, Classify(err).Permanent, err)
			}
			if len(err.Error()) > 600 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
		})
	}
}

func TestMailRefusesEndlessHashing(t *testing.T) {
	t.Parallel()
	a := boundedScram{smtp.ScramSHA256Auth("u", "p")}
	if _, err := a.Next(nil, true); err != nil {
		t.Fatal(err)
	}
	for _, rounds := range []string{"1000001", "99999999999999999999", "0", "-1", "x"} {
		if _, err := a.Next([]byte("r=x,s=eA==,i="+rounds), true); err == nil || !strings.Contains(err.Error(), "rounds") {
			t.Errorf("%s rounds: %v", rounds, err)
		}
	}
}

func TestMailEndsWithItsContext(t *testing.T) {
	t.Parallel()
	connected := make(chan struct{})
	address := serveTCP(t, func(conn net.Conn) {
		_, _ = io.WriteString(conn, "220 hi\r\n")
		_, _ = conn.Read(make([]byte, 100))
		close(connected)
		_, _ = io.Copy(io.Discard, conn) // the client waits for an answer that never comes
	})
	started := time.Now()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-connected
		cancel()
	}()
	_, err := note().Do(ctx, Dispatch{ID: "1", Connection: &Mail{SMTP: "smtp://" + address + "?tls=none", From: "a@example.com"}, Guard: newGuard(t, "127.0.0.1")})
	if err == nil || Classify(err).Permanent {
		t.Errorf("%v", err)
	}
	if took := time.Since(started); took > mailTimeout/2 {
		t.Errorf("it took %v", took)
	}
}
