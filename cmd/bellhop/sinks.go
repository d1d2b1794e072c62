package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	mime "github.com/emersion/go-message"
	"github.com/emersion/go-smtp"
)

// sinks are the servers that the demo sends to: a mail server, Slack's Web API and an HTTP API, on ports of
// this machine that the system chooses. They accept everything and keep it.
type sinks struct {
	mailAddr, slackAddr, apiAddr string

	news chan struct{} // gets a token when something has arrived

	mu      sync.Mutex
	arrived []message

	stop []func() error
	done sync.WaitGroup
}

// A message is what a sink received.
type message struct {
	sink     string // email, slack or http
	delivery string // the id of the delivery that sent it, "" if it does not say
	lines    []string
}

// startSinks starts all three servers. The caller closes them.
func startSinks(ctx context.Context) (_ *sinks, err error) {
	s := &sinks{news: make(chan struct{}, 1)}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	quiet := log.New(io.Discard, "", 0)
	mailServer := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &mailSession{sinks: s}, nil }))
	mailServer.Domain, mailServer.EnableSMTPUTF8, mailServer.ErrorLog = "localhost", true, quiet
	mailServer.ReadTimeout, mailServer.WriteTimeout, mailServer.MaxMessageBytes = time.Minute, time.Minute, 16<<20
	web := func(handle http.HandlerFunc) *http.Server {
		return &http.Server{Handler: handle, ReadHeaderTimeout: 10 * time.Second, ErrorLog: quiet}
	}
	var lc net.ListenConfig
	for _, sink := range []struct {
		addr   *string
		server interface {
			Serve(net.Listener) error
			Close() error
		}
	}{{&s.mailAddr, mailServer}, {&s.slackAddr, web(s.slack)}, {&s.apiAddr, web(s.api)}} {
		l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("starting a sink: %w", err)
		}
		*sink.addr = l.Addr().String()
		s.stop = append(s.stop, sink.server.Close)
		s.done.Go(func() { _ = sink.server.Serve(l) }) // it ends when it is stopped; if it ends before, the demo reports missing messages
	}
	return s, nil
}

func (s *sinks) close() error {
	var errs []error
	for _, stop := range s.stop {
		errs = append(errs, stop())
	}
	s.done.Wait()
	return errors.Join(errs...)
}

func (s *sinks) add(m message) {
	s.mu.Lock()
	s.arrived = append(s.arrived, m)
	s.mu.Unlock()
	select {
	case s.news <- struct{}{}:
	default: // there is a token already
	}
}

// of returns the last message that arrived from a delivery.
func (s *sinks) of(delivery string) (message, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range slices.Backward(s.arrived) {
		if m.delivery == delivery {
			return m, true
		}
	}
	return message{}, false
}

// from returns what arrived after the first n messages.
func (s *sinks) from(n int) []message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.arrived[min(n, len(s.arrived)):]
}

// slack answers as chat.postMessage does.
func (s *sinks) slack(w http.ResponseWriter, r *http.Request) {
	var post struct {
		Channel  string `json:"channel"`
		Text     string `json:"text"`
		Icon     string `json:"icon_emoji"`
		Blocks   []any  `json:"blocks"`
		Metadata struct {
			Payload struct {
				ID string `json:"id"`
			} `json:"event_payload"`
		} `json:"metadata"`
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&post); err != nil {
		_, _ = io.WriteString(w, `{"ok":false,"error":"invalid_json"}`) // the client is gone
		return
	}
	m := message{sink: "slack", delivery: post.Metadata.Payload.ID}
	text := post.Channel + "  "
	if post.Icon != "" {
		text += post.Icon + " "
	}
	m.lines = strings.Split(text+post.Text, "\n")
	if n := len(post.Blocks); n > 0 {
		m.lines = append(m.lines, fmt.Sprintf("(and %d blocks)", n))
	}
	s.add(m)
	ts := fmt.Sprintf("%d.%06d", time.Now().Unix(), time.Now().Nanosecond()/1000)
	answer, _ := json.Marshal(map[string]any{"ok": true, "channel": post.Channel, "ts": ts}) // texts marshal
	_, _ = w.Write(answer)
}

// api takes every call.
func (s *sinks) api(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return
	}
	m := message{sink: "http", delivery: r.Header.Get("Idempotency-Key"), lines: []string{r.Method + " " + r.URL.RequestURI()}}
	if len(body) > 0 {
		m.lines = append(m.lines, strings.Split(string(body), "\n")...)
	}
	s.add(m)
	w.WriteHeader(http.StatusNoContent)
}

// mailSession is one conversation with the mail server.
type mailSession struct{ sinks *sinks }

var _ smtp.Session = (*mailSession)(nil)

func (m *mailSession) Mail(string, *smtp.MailOptions) error { return nil }

func (m *mailSession) Rcpt(string, *smtp.RcptOptions) error { return nil }

func (m *mailSession) Data(r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	msg, err := readMail(data)
	if err != nil {
		return &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 6, 0}, Message: err.Error()}
	}
	m.sinks.add(msg)
	return nil
}

func (m *mailSession) Reset() {}

func (m *mailSession) Logout() error { return nil }

// mailLines is how many lines of an e-mail's text are shown.
const mailLines = 6

// readMail returns what the demo shows of an e-mail: its sender, recipients and subject, the beginning of its
// text, and whether it has an invitation.
func readMail(data []byte) (message, error) {
	mail, err := mime.Read(bytes.NewReader(data))
	if err != nil {
		return message{}, fmt.Errorf("reading the e-mail: %w", err)
	}
	id, _, _ := strings.Cut(strings.Trim(mail.Header.Get("Message-ID"), "<>"), "@")
	out := message{sink: "email", delivery: id}
	for _, name := range []string{"From", "To", "Subject"} {
		value, err := mail.Header.Text(name)
		if err != nil {
			return message{}, fmt.Errorf("reading the e-mail: %w", err)
		}
		out.lines = append(out.lines, name+": "+value)
	}
	text, method := "", "" // the invitation's method, such as REQUEST
	err = mail.Walk(func(_ []int, part *mime.Entity, err error) error {
		if err != nil {
			return err
		}
		switch kind, params, _ := part.Header.ContentType(); {
		case kind == "text/calendar":
			method = strings.ToUpper(params["method"])
		case kind == "text/plain" && text == "":
			data, err := io.ReadAll(part.Body)
			text = string(data)
			return err
		}
		return nil
	})
	if err != nil {
		return message{}, fmt.Errorf("reading the e-mail: %w", err)
	}
	lines := strings.Split(strings.TrimSpace(strings.ReplaceAll(text, "\r\n", "\n")), "\n")
	if len(lines) > mailLines {
		lines = append(lines[:mailLines], "…")
	}
	for _, line := range lines {
		out.lines = append(out.lines, "| "+line)
	}
	if method != "" {
		out.lines = append(out.lines, "with a calendar invitation ("+method+")")
	}
	return out, nil
}
