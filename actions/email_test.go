package actions

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestEmailCheck(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		email Email
		want  []Problem
	}{
		{Email{To: List{"a@example.com", "Desk <b@example.com>", "{{ contact.email }}"}, Text: "x", From: "{{ a, b }}"}, nil},
		{Email{To: List{"a@example.com"}}, []Problem{{Message: "an e-mail needs text or html"}}},
		{Email{To: List{"desk"}, Cc: List{"mailto:c@example.com"}, ReplyTo: "a@example.com, @", From: "a b@example.com", HTML: "x"}, []Problem{
			{Field: "to", Message: `"desk" is not an e-mail address`},
			{Field: "cc", Message: `"mailto:c@example.com" is not an e-mail address`, Suggestion: "c@example.com"},
			{Field: "reply_to", Message: `"@" is not an e-mail address`},
			{Field: "from", Message: `"a b@example.com" is not an e-mail address`},
		}},
	} {
		if got := c.email.Check(); !slices.Equal(got, c.want) {
			t.Errorf("%+v: %+v", c.email, got)
		}
	}
	if d := note().Destination(&Mail{SMTP: "smtps://u:secret@Mail.example.com"}); d != "smtps://u@mail.example.com:465" {
		t.Errorf("destination %s", d)
	}
	for _, c := range []Connection{nil, &Mail{SMTP: "u:secret@example.com"}} {
		if d := note().Destination(c); d != "smtp:" {
			t.Errorf("destination %s", d)
		}
	}
}

// part finds the part of a type in a message and returns its decoded text.
func part(t *testing.T, header map[string][]string, body io.Reader, want string) (string, bool) {
	t.Helper()
	get := func(k string) string { return mail.Header(header).Get(k) }
	kind, params, err := mime.ParseMediaType(get("Content-Type"))
	if err != nil {
		t.Fatalf("%q: %v", get("Content-Type"), err)
	}
	if strings.HasPrefix(kind, "multipart/") {
		for r := multipart.NewReader(body, params["boundary"]); ; {
			p, err := r.NextRawPart()
			if err == io.EOF {
				return "", false
			}
			if err != nil {
				t.Fatal(err)
			}
			if text, ok := part(t, p.Header, p, want); ok {
				return text, true
			}
		}
	}
	if kind != want {
		return "", false
	}
	switch get("Content-Transfer-Encoding") {
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	}
	text, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text), true
}

func readMail(t *testing.T, data []byte) (*mail.Message, func(kind string) string) {
	t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(data))
	if err != nil {
		t.Fatalf("%v in %s", err, data)
	}
	body, err := io.ReadAll(m.Body)
	if err != nil {
		t.Fatal(err)
	}
	return m, func(kind string) string {
		text, _ := part(t, m.Header, bytes.NewReader(body), kind)
		return text
	}
}

func TestEmailArrivesAsWritten(t *testing.T) {
	t.Parallel()
	srv := (&mailServer{}).start(t, false)
	e := &Email{
		To: List{"Zoë Ünal <desk@bücher.example.com>, b@example.com"}, Cc: List{`"Desk, Front" <c@example.com>`}, Bcc: List{"hidden@example.com", "B@example.com", "Again <b@EXAMPLE.com>"},
		ReplyTo: "answers@example.com", Subject: "Größe: 日本語 " + strings.Repeat("long ", 40), Text: "Grüße 🎉\n.\n..dots\nend " + strings.Repeat("x", 2000), HTML: "<p>日本語</p>",
	}
	if err := e.Prepare(Facts{Now: time.Date(2026, 3, 1, 9, 0, 0, 5, time.FixedZone("", 19800))}); err != nil {
		t.Fatal(err)
	}
	receipt, err := attempt(t, e, &Mail{SMTP: "smtp://" + srv.addr, From: "Büro <bookings@example.com>", CA: srv.ca})
	if err != nil {
		t.Fatal(err)
	}
	got := srv.received()[0]
	envelope := []string{"desk@xn--bcher-kva.example.com", "b@example.com", "c@example.com", "hidden@example.com", "B@example.com"}
	if got.from != "bookings@example.com" || !slices.Equal(got.to, envelope) || !slices.Equal(receipt.Accepted, envelope) || got.utf8 {
		t.Errorf("envelope %+v, accepted %v", got.to, receipt.Accepted)
	}
	if bytes.Contains(got.data, []byte("hidden")) {
		t.Error("bcc is in the message")
	}
	for line := range bytes.Lines(got.data) {
		if len(line) > 100 || slices.ContainsFunc(line, func(b byte) bool { return b > 0x7e }) {
			t.Errorf("the line %q is too long or not ASCII", line)
		}
	}
	m, find := readMail(t, got.data)
	var dec mime.WordDecoder
	subject, err := dec.DecodeHeader(m.Header.Get("Subject"))
	if err != nil || subject != strings.TrimSpace(e.Subject) {
		t.Errorf("subject %q, %v", subject, err)
	}
	for header, want := range map[string]string{
		"From": `"Büro" <bookings@example.com>`, "To": `"Zoë Ünal" <desk@xn--bcher-kva.example.com> <b@example.com>`,
		"Cc": `"Desk, Front" <c@example.com>`, "Reply-To": "<answers@example.com>",
	} {
		list, err := m.Header.AddressList(header)
		var all []string
		for _, a := range list {
			if a.Name != "" {
				all = append(all, `"`+a.Name+`" <`+a.Address+">")
			} else {
				all = append(all, "<"+a.Address+">")
			}
		}
		if err != nil || strings.Join(all, " ") != want {
			t.Errorf("%s: %v, %v", header, all, err)
		}
	}
	if id := m.Header.Get("Message-Id"); id != "<0197a2b4-1@example.com>" || receipt.ID != id {
		t.Errorf("Message-ID %s, receipt %s", id, receipt.ID)
	}
	if date, err := m.Header.Date(); err != nil || !date.Equal(time.Date(2026, 3, 1, 3, 30, 0, 0, time.UTC)) {
		t.Errorf("date %v, %v", date, err)
	}
	if m.Header.Get("Auto-Submitted") != "auto-generated" {
		t.Error("absence notes may answer")
	}
	if text := strings.ReplaceAll(find("text/plain"), "\r\n", "\n"); strings.TrimSuffix(text, "\n") != e.Text {
		t.Errorf("text %q", text)
	}
	if html := find("text/html"); strings.TrimSpace(html) != e.HTML {
		t.Errorf("html %q", html)
	}
}

func TestEmailIsTheSameInEveryAttempt(t *testing.T) {
	t.Parallel()
	srv := (&mailServer{}).start(t, false)
	e := note()
	e.HTML, e.Invite = "<p>hi</p>", true
	if err := e.Prepare(Facts{Now: time.Now(), AppointmentID: "a1", Start: time.Now()}); err != nil {
		t.Fatal(err)
	}
	stored, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	m := &Mail{SMTP: "smtp://" + srv.addr, From: "desk@example.com", CA: srv.ca}
	for range 3 {
		again := emailKind.New().(*Email)
		if err := json.Unmarshal(stored, again); err != nil {
			t.Fatal(err)
		}
		if _, err := attempt(t, again, m); err != nil {
			t.Fatal(err)
		}
	}
	mails := srv.received()
	if len(mails) != 3 || !bytes.Equal(mails[0].data, mails[1].data) || !bytes.Equal(mails[0].data, mails[2].data) {
		t.Errorf("attempts differ:\n%s\n%s", mails[0].data, mails[1].data)
	}
	other, err := e.compose("another", "desk@example.com")
	if err != nil || bytes.Equal(other.data, mails[0].data) {
		t.Errorf("another delivery has the same bytes, %v", err)
	}
}

func TestEmailRecipientsAreSettledOneByOne(t *testing.T) {
	t.Parallel()
	srv := (&mailServer{refuse: map[string]error{
		"gone@example.com": smtpAnswer(550, "no such user"),
		"full@example.com": smtpAnswer(452, "later"),
	}}).start(t, false)
	m := &Mail{SMTP: "smtp://" + srv.addr, From: "desk@example.com", CA: srv.ca}
	e := note()
	e.To = List{"a@example.com", "gone@example.com", "full@example.com"}
	e.Bcc = List{"b@example.com"}

	first, err := attempt(t, e, m)
	if err == nil || Classify(err).Permanent || !strings.Contains(err.Error(), "full@example.com") {
		t.Fatalf("first: %v", err)
	}
	if !slices.Equal(first.Accepted, []string{"a@example.com", "b@example.com"}) || len(first.Refused) != 1 || first.Refused[0].Recipient != "gone@example.com" ||
		!strings.Contains(first.Refused[0].Answer, "550") {
		t.Fatalf("first: %+v", first)
	}
	// The server puts off the last recipient once more. Those who have the e-mail or were refused are not tried again.
	second, err := attempt(t, e, m, first)
	if err == nil || len(second.Accepted)+len(second.Refused) != 0 || len(srv.received()) != 1 {
		t.Fatalf("second: %+v, %v", second, err)
	}
	srv.mu.Lock()
	delete(srv.refuse, "full@example.com")
	srv.mu.Unlock()
	third, err := attempt(t, e, m, first, second)
	if err != nil || !slices.Equal(third.Accepted, []string{"full@example.com"}) {
		t.Fatalf("third: %+v, %v", third, err)
	}
	mails := srv.received()
	if len(mails) != 2 || !slices.Equal(mails[1].to, []string{"full@example.com"}) || !bytes.Equal(mails[0].data, mails[1].data) {
		t.Fatalf("%d mails", len(mails))
	}
	// All are settled: there is nothing to do, so no conversation begins.
	sessions := srv.sessions
	fourth, err := attempt(t, e, m, first, second, third)
	if err != nil || len(fourth.Accepted) != 0 || srv.sessions != sessions {
		t.Fatalf("fourth: %+v, %v", fourth, err)
	}
}

func TestEmailRefusedByAll(t *testing.T) {
	t.Parallel()
	srv := (&mailServer{refuse: map[string]error{"a@example.com": smtpAnswer(550, "no"), "b@example.com": smtpAnswer(551, "no")}}).start(t, false)
	m := &Mail{SMTP: "smtp://" + srv.addr, From: "desk@example.com", CA: srv.ca}
	e := note()
	e.To = List{"a@example.com", "b@example.com"}
	receipt, err := attempt(t, e, m)
	if !Classify(err).Permanent || len(receipt.Refused) != 2 {
		t.Errorf("%+v, %v", receipt, err)
	}
	if again, err := attempt(t, e, m, receipt); !Classify(err).Permanent || len(again.Accepted) != 0 {
		t.Errorf("again: %+v, %v", again, err)
	}
	// One recipient had it before and the rest are refused now: the e-mail counts as sent.
	if last, err := attempt(t, e, m, Receipt{Accepted: []string{"a@example.com"}}); err != nil || len(last.Refused) != 1 {
		t.Errorf("last: %+v, %v", last, err)
	}
}

func TestEmailCutInTheMiddle(t *testing.T) {
	t.Parallel()
	srv := (&mailServer{cutData: 1}).start(t, false)
	m := &Mail{SMTP: "smtp://" + srv.addr, From: "desk@example.com", CA: srv.ca}
	e := note()
	e.Text = strings.Repeat("a long text\n", 100_000)
	receipt, err := attempt(t, e, m)
	if err == nil || Classify(err).Permanent || len(receipt.Accepted) != 0 || len(srv.received()) != 0 {
		t.Fatalf("%+v, %v", receipt, err)
	}
	if _, err := attempt(t, e, m, receipt); err != nil || len(srv.received()) != 1 {
		t.Fatalf("%v", err)
	}
}

func TestEmailAddressesBeyondASCII(t *testing.T) {
	t.Parallel()
	able, unable := (&mailServer{utf8: true}).start(t, false), (&mailServer{}).start(t, false)
	e := note()
	e.To = List{"Jürgen <jürgen@bücher.example.com>"}
	receipt, err := attempt(t, e, &Mail{SMTP: "smtp://" + able.addr, From: "desk@example.com", CA: able.ca})
	if err != nil || !able.received()[0].utf8 || !slices.Equal(receipt.Accepted, []string{"jürgen@xn--bcher-kva.example.com"}) {
		t.Errorf("%+v, %v", receipt, err)
	}
	if _, err := attempt(t, e, &Mail{SMTP: "smtp://" + unable.addr, From: "desk@example.com", CA: unable.ca}); !Classify(err).Permanent || len(unable.received()) != 0 {
		t.Errorf("%v", err)
	}
}

func TestEmailRefusesLineBreaks(t *testing.T) {
	t.Parallel()
	for _, e := range []*Email{
		{To: List{"a@example.com"}, Subject: "x\r\nBcc: evil@example.com"},
		{To: List{"a@example.com"}, Subject: "x\rBcc: evil@example.com"},
		{To: List{"a@example.com\r\nBcc: evil@example.com"}, Subject: "x"},
		{To: List{"\"x\r\n\" <a@example.com>"}, Subject: "x"},
		{To: List{"a@example.com"}, Cc: List{"b@example.com\n"}, Subject: "x"},
		{To: List{"a@example.com"}, From: "a@example.com\n", Subject: "x"},
		{To: List{"a@example.com"}, ReplyTo: "a@example.com\nX: y", Subject: "x"},
		{To: List{"a@example.com>\x00"}, Subject: "x"},
		{To: List{`"a> b"@example.com`}, Subject: "x"},
	} {
		e.Text = "x"
		if m, err := e.compose("1", "desk@example.com"); err == nil {
			t.Errorf("%+v is composed: %s", e, m.data)
		}
		_, err := attempt(t, e, &Mail{SMTP: "smtp://127.0.0.1:1", From: "desk@example.com"})
		if !Classify(err).Permanent {
			t.Errorf("%+v: %v", e, err)
		}
	}
	if _, err := (&Email{To: List{"a@example.com"}, Text: "x"}).compose("1", ""); err == nil {
		t.Error("an e-mail without a sender is composed")
	}
	if _, err := (&Email{To: List{" "}, Text: "x"}).compose("1", "a@example.com"); err == nil {
		t.Error("an e-mail without a recipient is composed")
	}
}

// FuzzEmailHeaders checks that a composed message has only the headers that it should have, whatever is in the
// fields, and that each address of its envelope is on one line.
func FuzzEmailHeaders(f *testing.F) {
	f.Add("a@example.com", "Booked", "text", "Room 1", "a1")
	f.Add("\"x, y\" <a@example.com>, b@example.com", strings.Repeat(" ", 300)+strings.Repeat("y", 1200)+" z", ".\r\n.", "; CN=x:\r\nX:y", "\r\n")
	f.Add("ü@example.com", "=?utf-8?q?x?=\u2028", "a\x00b", "日本語", strings.Repeat("é", 100))
	f.Add("<a@example.com> (c\r\n)", "a  b   "+strings.Repeat("w ", 200), "--bellhop", "\\", "\"")
	f.Add("ü@"+strings.Repeat("h", 1100), "x", "", "", "")
	f.Add(strings.Repeat("n", 1100)+" <a@example.com>", "x", "", "", "")
	f.Fuzz(func(t *testing.T, to, subject, text, title, id string) {
		e := &Email{To: List{to}, ReplyTo: to, Subject: subject, Text: text, HTML: title, Invite: true, Date: time.Unix(1e9, 0)}
		if id != "" {
			if err := e.Prepare(Facts{Now: time.Unix(1e9, 0), AppointmentID: id, Start: time.Unix(2e9, 0), Title: title, Address: subject, Notes: text}); err != nil {
				t.Fatal(err)
			}
		}
		m, err := e.compose(id, "Desk <desk@example.com>")
		if err != nil {
			return
		}
		for _, who := range append(m.recipients, m.sender) {
			if strings.ContainsAny(who, "\r\n<> \x00") {
				t.Fatalf("the envelope address %q", who)
			}
		}
		if strings.ContainsAny(m.id, "\r\n \x00") {
			t.Fatalf("the id %q", m.id)
		}
		header, _, _ := bytes.Cut(m.data, []byte("\r\n\r\n"))
		known := []string{"Auto-Submitted", "Date", "MIME-Version", "Message-ID", "Subject", "From", "To", "Reply-To", "Content-Type", "Content-Transfer-Encoding"}
		seen := map[string]bool{}
		for _, line := range strings.Split(string(header), "\r\n") {
			if strings.ContainsAny(line, "\r\n\x00") || len(line) > 998 {
				t.Fatalf("the header line %q", line)
			}
			if strings.TrimSpace(line) == "" {
				t.Fatalf("an empty line in the header %q", header)
			}
			if line[0] == ' ' || line[0] == '\t' {
				continue
			}
			name, _, ok := strings.Cut(line, ":")
			if !ok || seen[name] || !slices.Contains(known, name) {
				t.Fatalf("the header line %q in %q", line, header)
			}
			seen[name] = true
		}
		parsed, err := mail.ReadMessage(bytes.NewReader(m.data))
		if err != nil {
			t.Fatalf("%v in %q", err, m.data)
		}
		if list, err := parsed.Header.AddressList("To"); err != nil || len(list) == 0 {
			t.Fatalf("To is %q: %v", parsed.Header.Get("To"), err)
		}
	})
}
