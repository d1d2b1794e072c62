package actions

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/textproto"
	"regexp"
	"slices"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"
	"golang.org/x/net/idna"
)

var emailKind = Kind{
	Name:           "email",
	Summary:        "Sends an e-mail, with a calendar invitation if wanted.",
	New:            func() Request { return new(Email) },
	Message:        true,
	NewConnection:  func() Connection { return new(Mail) },
	ConnectionKeys: []string{"smtp"},
}

// mailTimeout is how long one attempt can take. Mail servers that check e-mails closely are slow.
const mailTimeout = 2 * time.Minute

// Email is the e-mail that a step sends.
type Email struct {
	To         List   `json:"to,omitempty" escape:"mailbox" required:"true" recipient:"true" header:"true" doc:"Who gets the e-mail: a list, or addresses with commas between them." example:"desk@example.com"`
	Cc         List   `json:"cc,omitempty" escape:"mailbox" recipient:"true" header:"true" doc:"Who gets a copy." example:"[team@example.com, Office <office@example.com>]"`
	Bcc        List   `json:"bcc,omitempty" escape:"mailbox" recipient:"true" header:"true" doc:"Who gets a copy that the others do not see." example:"archive@example.com"`
	ReplyTo    string `json:"reply_to,omitempty" escape:"mailbox" header:"true" doc:"Where answers go, if not to the sender." example:"desk@example.com"`
	From       string `json:"from,omitempty" escape:"mailbox" header:"true" doc:"The sender, if not the connection's." example:"Bookings <bookings@example.com>"`
	Subject    string `json:"subject,omitempty" required:"true" header:"true" doc:"The subject line." example:"Booked: {{ appointment.title }}"`
	Text       string `json:"text,omitempty" doc:"The message as plain text." example:"{{ appointment.title }} at {{ appointment.address }}"`
	HTML       string `json:"html,omitempty" escape:"html" doc:"The message as HTML; with text as well, the reader's program chooses." example:"<p>{{ appointment.title }}</p>"`
	Invite     bool   `json:"invite,omitempty" literal:"true" doc:"Adds a calendar invitation for the appointment; for a cancelled one, its withdrawal." example:"true"`
	Connection string `json:"connection,omitempty" literal:"true" doc:"The connection to send with, if there are several of this kind." example:"mail"`

	Date       time.Time   `json:"date,omitzero" internal:"true" doc:"The date in the e-mail's header."`
	Invitation *Invitation `json:"invitation,omitempty" internal:"true" doc:"What the calendar invitation says."`
}

var (
	_ Request   = (*Email)(nil)
	_ Addressed = (*Email)(nil)
	_ Preparer  = (*Email)(nil)
)

// Check finds e-mails without content, and texts that are not addresses.
func (e *Email) Check() []Problem {
	var found problems
	if e.Text == "" && e.HTML == "" {
		found.add("", "an e-mail needs text or html", "")
	}
	for _, f := range []struct {
		name  string
		texts List
	}{{"to", e.To}, {"cc", e.Cc}, {"bcc", e.Bcc}, {"reply_to", SplitList(e.ReplyTo)}, {"from", List{e.From}}} {
		for _, text := range f.texts {
			if _, err := addresses(List{text}); err != nil && known(text) {
				suggestion, isLink := strings.CutPrefix(text, "mailto:")
				if !isLink {
					suggestion = ""
				}
				found.add(f.name, err.Error(), suggestion)
			}
		}
	}
	return found
}

func (e *Email) ConnectionName() string { return e.Connection }

func (e *Email) NeedsConnection() bool { return true }

// Destination returns the mail server and the account on it.
func (e *Email) Destination(c Connection) string {
	m, ok := c.(*Mail)
	if !ok {
		return "smtp:"
	}
	srv, problem := parseSMTP(m.SMTP)
	if problem != nil {
		return "smtp:"
	}
	scheme, user := "smtp://", ""
	if srv.implicit {
		scheme = "smtps://"
	}
	if srv.user != "" {
		user = srv.user + "@"
	}
	return scheme + user + srv.host + ":" + srv.port
}

// Addresses returns who gets the e-mail.
func (e *Email) Addresses() (channel string, list []string) {
	for _, field := range []List{e.To, e.Cc, e.Bcc} {
		for _, text := range field {
			list = append(list, Address(emailKind.Name, text))
		}
	}
	return emailKind.Name, list
}

// Without leaves out recipients. An e-mail whose copies alone are left has no recipient.
func (e *Email) Without(no func(address string) bool) (left bool) {
	for _, field := range []*List{&e.To, &e.Cc, &e.Bcc} {
		*field = slices.DeleteFunc(slices.Clone(*field), func(text string) bool { return no(Address(emailKind.Name, text)) })
	}
	return len(e.To) > 0
}

// Prepare sets the e-mail's date and the contents of its invitation.
func (e *Email) Prepare(f Facts) error {
	e.Date = f.Now.UTC().Truncate(time.Second)
	if !e.Invite {
		return nil
	}
	var err error
	e.Invitation, err = newInvitation(f)
	return err
}

// Do sends the e-mail to the recipients who, according to earlier receipts, have neither received nor refused it.
func (e *Email) Do(ctx context.Context, d Dispatch) (Receipt, error) {
	var receipt Receipt
	m, ok := d.Connection.(*Mail)
	if !ok {
		return receipt, Own(errors.New("there is no mail connection"))
	}
	srv, problem := parseSMTP(m.SMTP)
	if problem != nil {
		return receipt, Own(errors.New(problem.Message))
	}
	msg, err := e.compose(d.ID, m.sender(srv))
	if err != nil {
		return receipt, Own(fmt.Errorf("composing the e-mail: %w", err))
	}
	receipt.ID = msg.id

	accepted, settled := 0, map[string]bool{}
	for _, r := range d.Earlier {
		accepted += len(r.Accepted)
		for _, who := range r.Accepted {
			settled[who] = true
		}
		for _, no := range r.Refused {
			settled[no.Recipient] = true
		}
	}
	left := slices.DeleteFunc(slices.Clone(msg.recipients), func(who string) bool { return settled[who] })
	if len(left) == 0 {
		if accepted == 0 {
			return receipt, Own(errors.New("every recipient was refused"))
		}
		return receipt, nil
	}

	ctx, cancel := context.WithTimeout(ctx, mailTimeout)
	defer cancel()
	s, err := m.session(ctx, d.Guard, srv)
	if err != nil {
		return receipt, err
	}
	defer func() { m.pool.put(s) }() // a function, because s can be replaced below
	err = s.send(msg, left, &receipt)
	if s.lost && s.reused && !s.handed && ctx.Err() == nil {
		// The kept conversation ended before the e-mail was handed over, so a new one can send it.
		s.close()
		receipt.Refused = nil
		if s, err = m.dial(ctx, d.Guard, srv); err != nil {
			return receipt, err
		}
		err = s.send(msg, left, &receipt)
	}
	if err == nil && accepted+len(receipt.Accepted) == 0 {
		err = Permanent(fmt.Errorf("every recipient was refused: %s", receipt.Refused[0].Answer))
	}
	return receipt, err
}

// send sends one message. It records in receipt who was refused and, once the server has taken the message, who was
// accepted. Recipients the server asked to try later are in neither list and give an error that is retried. It does
// not send QUIT: the connection may be used again.
func (s *session) send(msg *message, recipients []string, receipt *Receipt) error {
	s.orderly, s.handed, s.lost = false, false, false
	utf8, _ := s.Extension("SMTPUTF8")
	if msg.utf8 && !utf8 {
		return Permanent(errors.New("an address has letters before its @ that this mail server cannot handle (it does not offer SMTPUTF8)"))
	}
	s.SkipSMTPUTF8(!msg.utf8)
	if err := s.Mail("<" + msg.sender + ">"); err != nil {
		return s.failed("the mail server refused the sender "+msg.sender, err)
	}
	var accepted []string
	var deferred error
	for _, who := range recipients {
		err := s.Rcpt("<" + who + ">")
		answer, answered := errors.AsType[*textproto.Error](err)
		switch {
		case err == nil:
			accepted = append(accepted, who)
		case !answered || answer.Code == 421: // the conversation is over
			return s.failed("naming the recipient "+who, err)
		case answer.Code >= 500:
			receipt.Refused = append(receipt.Refused, Refusal{Recipient: who, Answer: s.said(answer)})
		case deferred == nil:
			// A server that answers like this works, so this must not count against the destination.
			deferred = &Failure{Own: true, Err: fmt.Errorf("the mail server put off the recipient %s: %s", who, s.said(answer))}
		}
	}
	if len(accepted) == 0 {
		s.orderly = true
		return deferred
	}
	w, err := s.Data()
	if err != nil {
		return s.failed("sending the e-mail", err)
	}
	s.handed = true
	if _, err = w.Write(msg.data); err == nil {
		err = w.Close()
	}
	if err != nil {
		return s.failed("sending the e-mail", err)
	}
	receipt.Accepted = accepted
	receipt.Status = "250"
	if r, ok := w.(interface{ ServerResponse() string }); ok {
		receipt.Status = strings.TrimSpace("250 " + head(s.scrub(r.ServerResponse()), 300))
	}
	s.mails++
	s.orderly = true
	return deferred
}

// A message is an e-mail in the form in which it is sent.
type message struct {
	id         string
	sender     string
	recipients []string // each once, as in the envelope
	utf8       bool     // an address needs SMTPUTF8
	data       []byte
}

// plainID matches an id that can be a part of a Message-ID.
var plainID = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// compose makes the message. The same e-mail, id and default sender always produce the same bytes.
func (e *Email) compose(id, sender string) (*message, error) {
	for name, text := range map[string]string{"subject": e.Subject, "from": e.From, "reply_to": e.ReplyTo} {
		if strings.ContainsAny(text, "\r\n\x00") {
			return nil, fmt.Errorf("%s must not contain a line break", name)
		}
	}
	sender = cmp.Or(e.From, sender)
	if sender == "" {
		return nil, errors.New("the e-mail has no sender: neither the step nor the connection has a from")
	}
	var from, to, cc, bcc, replyTo []*mail.Address
	for _, f := range []struct {
		into *[]*mail.Address
		from List
	}{{&from, List{sender}}, {&to, e.To}, {&cc, e.Cc}, {&bcc, e.Bcc}, {&replyTo, List{e.ReplyTo}}} {
		var err error
		if *f.into, err = addresses(f.from); err != nil {
			return nil, err
		}
	}
	if len(from) != 1 {
		return nil, errors.New("an e-mail has exactly one sender")
	}
	m := &message{sender: from[0].Address}
	for _, a := range slices.Concat(to, cc, bcc) {
		if !slices.Contains(m.recipients, a.Address) {
			m.recipients = append(m.recipients, a.Address)
		}
	}
	if len(m.recipients) == 0 {
		return nil, errors.New("the e-mail has no recipient")
	}
	for _, a := range slices.Concat(from, to, cc, bcc, replyTo) {
		m.utf8 = m.utf8 || !isASCII(a.Address)
	}
	sum := sha256.Sum256([]byte(id))
	mark := hex.EncodeToString(sum[:16])
	local := id
	if !plainID.MatchString(id) {
		local = mark
	}
	m.id = "<" + local + m.sender[strings.LastIndexByte(m.sender, '@'):] + ">"

	g := gomail.NewMsg(gomail.WithNoDefaultUserAgent(), gomail.WithBoundary("bellhop-"+mark))
	g.SetMessageIDWithValue(strings.Trim(m.id, "<>"))
	g.SetDateWithValue(e.Date)
	g.SetGenHeader("Auto-Submitted", "auto-generated") // so that no out-of-office reply comes back
	g.Subject(foldable(e.Subject))
	g.FromMailAddress(from[0])
	g.ToMailAddress(to...)
	if len(cc) > 0 {
		g.CcMailAddress(cc...)
	}
	if len(replyTo) > 0 {
		g.ReplyToMailAddress(replyTo...)
	}
	e.body(g, mark, from[0], to)
	var data bytes.Buffer
	if _, err := g.WriteTo(&data); err != nil {
		return nil, err
	}
	m.data = data.Bytes()
	return m, nil
}

// body adds the text, the HTML and the invitation.
func (e *Email) body(g *gomail.Msg, mark string, from *mail.Address, to []*mail.Address) {
	text, html := gomail.ContentType("text/plain"), gomail.ContentType("text/html")
	if e.Invitation == nil {
		switch {
		case e.HTML == "":
			g.SetBodyString(text, e.Text)
		case e.Text == "":
			g.SetBodyString(html, e.HTML)
		default:
			g.SetBodyString(text, e.Text)
			g.AddAlternativeString(html, e.HTML)
		}
		return
	}
	// Calendar programs look for the invitation among the alternatives, people among the attachments. The
	// alternatives are written here because the library gives nested parts the same boundary.
	calendar := e.Invitation.calendar(e.Subject, from, to)
	parts := []struct{ contentType, content string }{
		{"text/plain; charset=UTF-8", e.Text},
		{"text/html; charset=UTF-8", e.HTML},
		{"text/calendar; charset=UTF-8; method=" + e.Invitation.method(), calendar},
	}
	inner := "bellhop-alt-" + mark
	g.SetBodyWriter(gomail.ContentType("multipart/alternative; boundary="+inner), func(w io.Writer) (int64, error) {
		var buf bytes.Buffer
		mp := multipart.NewWriter(&buf)
		if err := mp.SetBoundary(inner); err != nil {
			return 0, err
		}
		for _, p := range parts {
			if p.content == "" {
				continue
			}
			part, err := mp.CreatePart(textproto.MIMEHeader{
				"Content-Type": {p.contentType}, "Content-Transfer-Encoding": {"quoted-printable"},
			})
			if err != nil {
				return 0, err
			}
			qp := quotedprintable.NewWriter(part)
			if _, err := io.WriteString(qp, p.content); err != nil {
				return 0, err
			}
			if err := qp.Close(); err != nil {
				return 0, err
			}
		}
		if err := mp.Close(); err != nil {
			return 0, err
		}
		return buf.WriteTo(w)
	}, gomail.WithPartEncoding(gomail.NoEncoding))
	g.AttachReadSeeker("invite.ics", strings.NewReader(calendar),
		gomail.WithFileContentType(gomail.ContentType("application/ics")))
}

// addresses parses e-mail addresses. One text can contain several, with commas between them. Domains are
// returned in ASCII. The error quotes the text.
func addresses(list List) ([]*mail.Address, error) {
	var all []*mail.Address
	for _, text := range list {
		if strings.TrimSpace(text) == "" {
			continue
		}
		if strings.ContainsAny(text, "\r\n\x00") {
			return nil, errors.New("an e-mail address must not contain a line break")
		}
		parsed, err := mail.ParseAddressList(text)
		if err != nil && strings.HasSuffix(strings.TrimSpace(text), ".") { // the domain ends with the dot of the DNS root
			parsed, err = mail.ParseAddressList(strings.TrimSuffix(strings.TrimSpace(text), "."))
		}
		if err != nil {
			return nil, fmt.Errorf("%q is not an e-mail address", head(text, 200))
		}
		for _, a := range parsed {
			clean, err := mailbox(a)
			if err != nil {
				return nil, err
			}
			all = append(all, clean)
		}
	}
	return all, nil
}

// mailbox returns the address with its domain in ASCII, or an error for one that the parser wrongly accepts.
func mailbox(a *mail.Address) (*mail.Address, error) {
	bad := fmt.Errorf("%q is not an e-mail address", head(a.Address, 200))
	at := strings.LastIndexByte(a.Address, '@')
	if at < 1 {
		return nil, bad
	}
	local, domain := a.Address[:at], a.Address[at+1:]
	if len(local) > 64 || strings.ContainsFunc(local, func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune("<>()[],;:\\\"@", r) }) {
		return nil, bad
	}
	if !strings.HasPrefix(domain, "[") {
		var err error
		if domain, err = idna.Lookup.ToASCII(domain); err != nil || domain == "" {
			return nil, bad
		}
	}
	if len(domain) > 253 {
		return nil, bad
	}
	name := strings.Join(strings.FieldsFunc(a.Name, func(r rune) bool { return r <= ' ' || r == 0x7f }), " ")
	return &mail.Address{Name: head(name, 200), Address: local + "@" + domain}, nil // a longer name does not fit on a line
}

// foldable makes a header's text fit for folding: it allows single spaces only, since folding a run of them can give
// a line of nothing but spaces, and writes words that are too long for a line as encoded words.
func foldable(text string) string {
	words := strings.Fields(text)
	for i, word := range words {
		if len(word) <= 400 || !isASCII(text) {
			continue
		}
		var parts []string
		for chunk := range slices.Chunk([]byte(word), 45) {
			parts = append(parts, "=?UTF-8?B?"+base64.StdEncoding.EncodeToString(chunk)+"?=")
		}
		words[i] = strings.Join(parts, " ")
	}
	return strings.Join(words, " ")
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > 0x7e })
}

// head returns the first n bytes of s at most, as valid UTF-8 without NUL.
func head(s string, n int) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") // without a half character
}
