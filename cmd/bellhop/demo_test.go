package main

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"bellhop/engine/record"
)

func noEnvironment(string) (string, bool) { return "", false }

func TestDemo(t *testing.T) {
	t.Parallel()
	var out, errs bytes.Buffer
	code := run(t.Context(), []string{"bellhop", "demo", "--once", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"}, nil, &out, &errs, noEnvironment)
	if code != exitOK || errs.Len() > 0 {
		t.Fatalf("exit status %d\n%s%s", code, &out, &errs)
	}
	for _, s := range samples() {
		if !strings.Contains(out.String(), s.title) {
			t.Errorf("the sample %q is not shown", s.title)
		}
	}
}

// TestDemoNotices gives the demo expectations that the rules do not meet.
func TestDemoNotices(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]sample{
		"a rule that does not fire":  {"", "create.json", record.Accepted, []firing{{"crm-remove", record.Sent}}, nil},
		"a rule that is only shadow": {"", "create.json", record.Accepted, []firing{{"crm-sync", record.Sent}, {"desk-calendar", record.Sent}, {"desk-booked", record.Sent}, {"desk-reminder", record.Waiting}, {"two-colleagues", record.Sent}}, nil},
		"a reminder that is not":     {"", "create.json", record.Accepted, samples()[0].fires, []firing{{"desk-reminder", record.Cancelled}}},
		"another status":             {"", "install.json", record.Accepted, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := &program{stdout: newOutput(io.Discard, noEnvironment), stderr: newOutput(io.Discard, noEnvironment), lookup: noEnvironment}
			err := p.demo(t.Context(), demoOptions{once: true, listen: "127.0.0.1:0", admin: "127.0.0.1:0", samples: []sample{s}})
			if err == nil || !strings.Contains(err.Error(), "not everything came as it should") {
				t.Errorf("the demo says %v", err)
			}
		})
	}
}

func TestSinksKeepWhatArrived(t *testing.T) {
	t.Parallel()
	s := &sinks{news: make(chan struct{}, 1)}
	s.add(message{sink: "email", delivery: "one"})
	if _, ok := s.of("two"); ok {
		t.Error("what never arrived is there")
	}
	if m, ok := s.of("one"); !ok || m.sink != "email" {
		t.Errorf("what arrived is %v, %v", m, ok)
	}
	if got := len(s.from(1)); got != 0 {
		t.Errorf("%d messages after the last", got)
	}
}

func TestReadMail(t *testing.T) {
	t.Parallel()
	const mail = "From: =?utf-8?q?B=C3=BCro?= <desk@example.com>\r\nTo: guest@example.com\r\nSubject: =?utf-8?b?w4RuZGVydW5n?=\r\n" +
		"Message-ID: <abc-1@example.com>\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n" +
		"--x\r\nContent-Type: multipart/alternative; boundary=y\r\n\r\n" +
		"--y\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nUm =C3=BCnf\r\nzwei\r\ndrei\r\nvier\r\nf=\r\nuenf\r\nsechs\r\nsieben\r\n" +
		"--y\r\nContent-Type: text/calendar; method=cancel\r\nContent-Transfer-Encoding: base64\r\n\r\nQkVHSU4=\r\n--y--\r\n--x--\r\n"
	m, err := readMail([]byte(mail))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"From: Büro <desk@example.com>", "To: guest@example.com", "Subject: Änderung",
		"| Um ünf", "| zwei", "| drei", "| vier", "| fuenf", "| sechs", "| …", "with a calendar invitation (CANCEL)",
	}
	if got := strings.Join(m.lines, "\n"); m.delivery != "abc-1" || got != strings.Join(want, "\n") {
		t.Errorf("delivery %s:\n%s\nwant\n%s", m.delivery, got, strings.Join(want, "\n"))
	}
}

// TestAhead checks that the appointment of the samples is in the future whenever the demo runs, on the same day of the
// week.
func TestAhead(t *testing.T) {
	t.Parallel()
	event := []byte(`{"title":"2026-12-07","startTime":"2026-12-07T10:00:00+05:30","endTime":"2026-12-07 10:45","id":"x2026-12-07T1"}`)
	for now, want := range map[string]string{"2026-11-20": "2026-12-07", "2026-12-04": "2026-12-07", "2026-12-05": "2026-12-14", "2031-01-01": "2031-01-06"} {
		at, err := time.Parse(time.DateOnly, now)
		if err != nil {
			t.Fatal(err)
		}
		got := string(ahead(event, at))
		if got != `{"title":"2026-12-07","startTime":"`+want+`T10:00:00+05:30","endTime":"`+want+` 10:45","id":"x2026-12-07T1"}` {
			t.Errorf("on %s: %s", now, got)
		}
	}
}
