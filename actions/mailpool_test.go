package actions

import (
	"bufio"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// mailer returns a function that sends the same e-mail over m, always through the same guard.
func mailer(t *testing.T, m *Mail) func() (Receipt, error) {
	t.Helper()
	m.From = "desk@example.com"
	guard := newGuard(t, "127.0.0.1")
	t.Cleanup(m.Close)
	return func() (Receipt, error) {
		return note().Do(t.Context(), Dispatch{ID: "1", Connection: m, Guard: guard})
	}
}

func TestMailConnectionIsUsedAgain(t *testing.T) {
	t.Parallel()
	srv := (&mailServer{mechs: []string{"PLAIN"}, refuse: map[string]error{"gone@example.com": smtpAnswer(550, "no")}}).start(t, true)
	m := &Mail{SMTP: srv.url("smtps", ""), CA: srv.ca}
	send := mailer(t, m)
	for range mailsOfSession {
		if receipt, err := send(); err != nil || !slices.Equal(receipt.Accepted, note().To) {
			t.Fatalf("%+v, %v", receipt, err)
		}
	}
	if n := len(srv.received()); n != mailsOfSession || srv.sessions != 1 || len(srv.authed) != 1 {
		t.Errorf("%d e-mails in %d conversations with %d logins", n, srv.sessions, len(srv.authed))
	}
	if _, err := send(); err != nil || srv.sessions != 2 {
		t.Errorf("one more than a conversation may have: %d conversations, %v", srv.sessions, err)
	}
	// A conversation in which all recipients were refused can be used again, but not by another guard.
	gone := note()
	gone.To = List{"gone@example.com"}
	guard := newGuard(t, "127.0.0.1")
	for range 2 {
		if _, err := gone.Do(t.Context(), Dispatch{ID: "2", Connection: m, Guard: guard}); !Classify(err).Permanent || srv.sessions != 3 {
			t.Errorf("%d conversations, %v", srv.sessions, err)
		}
	}
}

// talk starts a server that takes e-mails and reports each command. It does not answer the command silent.
func talk(t *testing.T, silent string) (address string, commands chan string) {
	t.Helper()
	commands = make(chan string, 100)
	return serveTCP(t, func(conn net.Conn) {
		lines := bufio.NewScanner(conn)
		for answer, data := "220 hi", false; ; {
			if answer != "" {
				_, _ = io.WriteString(conn, answer+"\r\n")
			}
			if !lines.Scan() {
				commands <- "hung up"
				return
			}
			line := lines.Text()
			switch {
			case data && line != ".":
				answer = ""
				continue
			case data:
				data, answer = false, "250 taken"
			case line == "DATA":
				data, answer = true, "354 go"
			case line == silent:
				answer = ""
			case strings.HasPrefix(line, "EHLO"):
				answer = "250-hi\r\n250 AUTH PLAIN"
			case strings.HasPrefix(line, "AUTH"):
				answer = "535 no"
			default:
				answer = "250 ok"
			}
			commands <- line
		}
	}), commands
}

// until returns the commands up to last.
func until(commands chan string, last string) (all []string) {
	for c := range commands {
		if all = append(all, c); c == last {
			return all
		}
	}
	return all
}

func TestMailWaitsForNoFarewell(t *testing.T) {
	t.Parallel()
	for name, again := range map[string]bool{"when it is closed": false, "after its time": true} {
		address, commands := talk(t, "QUIT")
		m := &Mail{SMTP: "smtp://" + address + "?tls=none"}
		if again {
			m.pool.idle = time.Nanosecond
		}
		send := mailer(t, m)
		if receipt, err := send(); err != nil || receipt.Status != "250 taken" {
			t.Fatalf("%s: %+v, %v", name, receipt, err)
		}
		until(commands, ".")
		if !again {
			select {
			case c := <-commands:
				t.Fatalf("%s: %s while the e-mail was being sent", name, c)
			default:
			}
			m.Close()
		}
		if got := until(commands, "hung up"); !slices.Equal(got, []string{"QUIT", "hung up"}) {
			t.Errorf("%s: %q", name, got)
		}
		// After Close a connection can still send, but keeps nothing.
		if _, err := send(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := until(commands, "hung up"); !slices.Contains(got, "QUIT") || len(m.pool.kept) != 0 {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// TestMailWaitsForNothingAfterLogin checks that a login that fails does not wait for the answer to QUIT.
func TestMailWaitsForNothingAfterLogin(t *testing.T) {
	t.Parallel()
	address, commands := talk(t, "QUIT")
	_, err := mailer(t, &Mail{SMTP: "smtp://user:" + mailUser + "@" + address + "?tls=none"})()
	if !Classify(err).Permanent || !strings.Contains(err.Error(), "535") {
		t.Errorf("%v", err)
	}
	if got := until(commands, "hung up"); len(got) != 3 {
		t.Errorf("%q", got)
	}
}

// TestMailReplacesWhatHasGoneStale checks that a kept connection that has broken is replaced within the attempt, unless
// the server may have the e-mail.
func TestMailReplacesWhatHasGoneStale(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		after []string // what the server answers after the first e-mail
		again bool     // the second e-mail goes over another connection
	}{
		"it is gone":                          {[]string{"250 taken", ""}, true},
		"its time was up":                     {[]string{"250 taken\r\n421 too long", ""}, true},
		"421 to the first command":            {[]string{"250 taken", "421 bye"}, true},
		"the first command is unknown":        {[]string{"250 taken", "502 what"}, true},
		"421 to the sender":                   {[]string{"250 taken", "250 ok", "421 enough"}, true},
		"a cut at the sender":                 {[]string{"250 taken", "250 ok", ""}, true},
		"421 to the recipient":                {[]string{"250 taken", "250 ok", "250 ok", "421 enough"}, true},
		"421 to DATA":                         {[]string{"250 taken", "250 ok", "250 ok", "250 ok", "421 enough"}, true},
		"a cut after the e-mail":              {[]string{"250 taken", "250 ok", "250 ok", "250 ok", "354 go", ""}, false},
		"421 after the e-mail":                {[]string{"250 taken", "250 ok", "250 ok", "250 ok", "354 go", "421 bye"}, false},
		"another sender would be as unwanted": {[]string{"250 taken", "250 ok", "450 later"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var connections atomic.Int32
			first := []string{"220 hi", "250 hello", "250 ok", "250 ok", "354 go"}
			address := serveTCP(t, func(conn net.Conn) {
				if connections.Add(1) == 1 {
					script(append(slices.Clone(first), c.after...)...)(conn)
				} else {
					script(append(slices.Clone(first), "250 taken")...)(conn)
				}
			})
			send := mailer(t, &Mail{SMTP: "smtp://" + address + "?tls=none"})
			if _, err := send(); err != nil {
				t.Fatal(err)
			}
			receipt, err := send()
			switch {
			case c.again && (err != nil || !slices.Equal(receipt.Accepted, note().To) || connections.Load() != 2):
				t.Errorf("%+v after %d connections: %v", receipt, connections.Load(), err)
			case !c.again && (err == nil || Classify(err).Permanent || len(receipt.Accepted) != 0 || connections.Load() != 1):
				t.Errorf("%+v after %d connections: %v", receipt, connections.Load(), err)
			}
		})
	}
}

func TestMailsAtOnce(t *testing.T) {
	t.Parallel()
	srv := (&mailServer{noTLS: true}).start(t, false)
	m := &Mail{SMTP: "smtp://" + srv.addr + "?tls=none"}
	send := mailer(t, m)
	const senders, each = 8, 10
	var wg sync.WaitGroup
	for range senders {
		wg.Go(func() {
			for range each {
				if _, err := send(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	mails := srv.received()
	for _, got := range mails {
		if !slices.Equal(got.to, note().To) || !strings.Contains(string(got.data), "A booking.") {
			t.Errorf("%+v", got)
		}
	}
	if n := len(m.pool.kept); len(mails) != senders*each || n == 0 || n > keptSessions {
		t.Errorf("%d e-mails, %d conversations are kept", len(mails), n)
	}
}
