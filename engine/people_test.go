package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"bellhop/actions"
	"bellhop/engine/people"
	"bellhop/engine/record"
	"bellhop/engine/work"
	"bellhop/rules"
)

// A platform answers look-ups of people in a test, and records them.
type platform struct {
	mu      sync.Mutex
	asked   []string // such as "contact c1"
	contact func(ctx context.Context, id string) (rules.Contact, error)
	user    func(ctx context.Context, id string) (rules.User, error)
}

func (p *platform) note(what, id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, what+" "+id)
}

func (p *platform) count(of string) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, one := range p.asked {
		if of == "" || one == of {
			n++
		}
	}
	return n
}

func (p *platform) Contact(ctx context.Context, _, id string) (rules.Contact, error) {
	p.note("contact", id)
	return p.contact(ctx, id)
}

func (p *platform) User(ctx context.Context, _, id string) (rules.User, error) {
	p.note("user", id)
	return p.user(ctx, id)
}

func (p *platform) Calendar(_ context.Context, _, id string) (rules.Calendar, error) {
	p.note("calendar", id)
	return rules.Calendar{ID: id, Name: "Calendar " + id}, nil
}

func (p *platform) Location(_ context.Context, id string) (rules.Location, error) {
	p.note("location", id)
	return rules.Location{ID: id, Name: "Location " + id, Timezone: "America/Chicago"}, nil
}

// guests knows every contact.
func guests() *platform {
	return &platform{
		contact: func(_ context.Context, id string) (rules.Contact, error) {
			return rules.Contact{ID: id, FirstName: "Guest", Email: id + "@example.com", Timezone: "Asia/Tokyo", Tags: []string{"vip"}}, nil
		},
		user: func(_ context.Context, id string) (rules.User, error) {
			return rules.User{ID: id, Name: "Colleague " + id, Email: id + "@example.com"}, nil
		},
	}
}

// by returns an event of an appointment of a contact that starts in d.
func by(kind, id, contact string, d time.Duration, more string) string {
	return fmt.Sprintf(`{"type":"Appointment%s","locationId":"l1","appointment":{"id":%q,"contactId":%q,"assignedUserId":"u1","calendarId":"k1","startTime":%q%s}}`,
		kind, id, contact, time.Now().Add(d).UTC().Format(time.RFC3339Nano), more)
}

const peopleRules = `rules:
  - name: greet
    on: booked
    when: appointment.calendarId == "k1" && "vip" in contact.tags
    then:
      - http: { connection: desk, path: /greet, json: { to: "{{ contact.email }}", by: "{{ user.name }}", in: "{{ calendar.name }}" } }
  - name: other
    on: booked
    when: '"regular" in contact.tags && appointment.calendarId == "k1"'
    then:
      - http: { connection: desk, path: /other, json: { to: "{{ contact.email }}" } }
  - name: elsewhere
    on: booked
    when: contact.email != "" && appointment.calendarId == "k2"
    then:
      - http: { connection: desk, path: /elsewhere, json: { to: "{{ contact.email }}" } }
`

// What nobody has said of people is looked up after the sender was answered, only where the rest of a condition leaves it
// open, and stored with the delivery.
func TestLookUp(t *testing.T) {
	t.Parallel()
	desk := newSink(t, nil)
	p := guests()
	s := start(t, setup{rules: map[string]string{"r.yaml": peopleRules}, yaml: deskYAML(desk.URL), people: p})
	s.accept(by("Create", "a1", "c1", 48*time.Hour, ""))
	until(t, "both are decided", func() bool { return len(s.deliveries("state=sent")) == 1 && len(s.deliveries("state=skipped")) == 1 })
	if all := s.deliveries(""); len(all) != 2 {
		t.Errorf("there are %d deliveries, want 2: %+v", len(all), all)
	}
	if got := strings.Join(desk.got, "\n"); got != `{"by":"Colleague u1","in":"Calendar k1","to":"c1@example.com"}` {
		t.Errorf("the desk got %s", got)
	}
	if p.count("contact c1") != 2 || p.count("user u1") != 1 || p.count("calendar k1") != 1 || p.count("") != 4 {
		t.Errorf("looked up %q", p.asked)
	}
	sent, skipped := s.deliveries("state=sent")[0], s.deliveries("state=skipped")[0]
	if !strings.Contains(string(sent.People), `"c1@example.com"`) || !strings.Contains(string(sent.People), `"Calendar k1"`) || len(sent.Attempts) != 1 {
		t.Errorf("the delivery holds %s and %+v", sent.People, sent.Attempts)
	}
	if skipped.Rule != "other" || skipped.Reason != "the condition is not true" {
		t.Errorf("skipped %s: %s", skipped.Rule, skipped.Reason)
	}
}

// A webhook that carries what a rule needs, or that has no id, needs no look-up.
func TestNothingToLookUp(t *testing.T) {
	t.Parallel()
	desk := newSink(t, nil)
	p := guests()
	s := start(t, setup{rules: map[string]string{"r.yaml": `rules:
  - name: greet
    on: booked
    when: contact.id == "" || contact.email endsWith "@example.org"
    then:
      - http: { connection: desk, path: /greet, json: { to: "{{ contact.email ?? 'nobody' }}" } }
`}, yaml: deskYAML(desk.URL), people: p})
	s.accept(`{"contact_id":"c1","email":"guest@example.org","calendar":{"appointmentId":"a1","startTime":"2099-01-02T10:00:00Z"}}`)
	s.accept(`{"type":"AppointmentCreate","appointment":{"id":"a2","startTime":"2099-01-02T10:00:00Z"}}`)
	until(t, "both are sent", func() bool { return len(s.deliveries("state=sent")) == 2 })
	if p.count("") != 0 {
		t.Errorf("looked up %q", p.asked)
	}
}

// Each failure of a look-up ends right, and says why.
func TestLookUpFails(t *testing.T) {
	t.Parallel()
	desk := newSink(t, nil)
	p := guests()
	fails := 2
	p.contact = func(_ context.Context, id string) (rules.Contact, error) {
		switch id {
		case "unknown":
			return rules.Contact{}, people.ErrNotFound
		case "refused":
			return rules.Contact{}, actions.Permanent(errors.New("the token may not read contacts"))
		case "flaky":
			p.mu.Lock()
			defer p.mu.Unlock()
			if fails--; fails >= 0 {
				return rules.Contact{}, errors.New("the API answered 500")
			}
		}
		return rules.Contact{ID: id, Email: id + "@example.com"}, nil
	}
	s := start(t, setup{rules: map[string]string{"r.yaml": `rules:
  - name: greet
    on: booked
    then:
      - http: { connection: desk, path: /greet, json: { to: "{{ contact.email }}" } }
`}, yaml: deskYAML(desk.URL), people: p, tune: func(o *work.Options) { o.Backoff = time.Millisecond }})
	for _, id := range []string{"unknown", "refused", "flaky"} {
		s.accept(by("Create", id, id, 48*time.Hour, ""))
	}
	until(t, "all have ended", func() bool {
		return s.one("unknown").State == record.Skipped && s.one("refused").State == record.Dead && s.one("flaky").State == record.Sent
	})
	if d := s.one("unknown"); !strings.HasPrefix(d.Reason, "unresolved contact: ") || len(d.Attempts) != 0 {
		t.Errorf("unknown: %s, %+v", d.Reason, d.Attempts)
	}
	if d := s.one("refused"); d.Reason != "look up the contact refused: the token may not read contacts" || len(d.Attempts) != 1 || d.Attempts[0].Outcome != record.LookedUp {
		t.Errorf("refused: %s, %+v", d.Reason, d.Attempts)
	}
	if d := s.one("flaky"); len(d.Attempts) != 3 || d.Attempts[0].Outcome != record.LookedUp || d.Attempts[2].Outcome != "sent" {
		t.Errorf("flaky: %+v", d.Attempts)
	}
	// Once it is known, an operator can have it sent.
	p.contact = guests().contact
	if code, body := s.call(http.MethodPost, "/api/v1/deliveries/"+s.one("unknown").ID+"/retry", nil); code != http.StatusOK {
		t.Fatalf("retry: %d %s", code, body)
	}
	until(t, "the unknown one is sent", func() bool { return s.one("unknown").State == record.Sent })
}

// A look-up that hangs delays no rule that needs none, to the same destination (P5).
func TestLookUpHangs(t *testing.T) {
	t.Parallel()
	const n = 40
	desk := newSink(t, nil)
	p := guests()
	p.contact = func(ctx context.Context, _ string) (rules.Contact, error) {
		<-ctx.Done()
		return rules.Contact{}, ctx.Err()
	}
	s := start(t, setup{rules: map[string]string{"r.yaml": `rules:
  - name: greet
    on: booked
    then:
      - http: { connection: desk, path: /greet, json: { to: "{{ contact.email }}" } }
      - http: { connection: desk, path: /plain, json: { id: "{{ appointment.id }}" } }
`}, yaml: deskYAML(desk.URL) + "delivery: { concurrency: 32, shutdown: 100ms }\n", people: p, tune: func(o *work.Options) { o.LookUps = 8 }})
	for i := range n {
		s.accept(by("Create", fmt.Sprint("a", i), fmt.Sprint("c", i), 48*time.Hour, ""))
	}
	until(t, "all that need no look-up have arrived", func() bool { return desk.count() == n })
	if got := p.count(""); got > 8 {
		t.Errorf("%d look-ups were under way at once, want at most 8", got)
	}
}

// A step whose moment depends on who booked waits for the look-up, then for its moment.
func TestMomentNeedsLookUp(t *testing.T) {
	t.Parallel()
	desk := newSink(t, nil)
	p := guests()
	s := start(t, setup{rules: map[string]string{"r.yaml": `rules:
  - name: remind
    on: booked
    timezone: contact
    then:
      - at: clock(addDays(appointment.startTime, -1), "09:00")
        http: { connection: desk, path: /remind, json: { at: "{{ date(appointment.startTime, 'Mon 15:04') }}" } }
`}, yaml: deskYAML(desk.URL), people: p})
	s.accept(`{"type":"AppointmentCreate","locationId":"l1","appointment":{"id":"a1","contactId":"c1","startTime":"2099-01-05T20:00:00Z"}}`)
	until(t, "its moment is known", func() bool { return !s.one("a1").At.IsZero() })
	d := s.one("a1")
	if want := time.Date(2099, 1, 5, 0, 0, 0, 0, time.UTC); !d.At.Equal(want) || d.State != record.Waiting { // 6 January in Tokyo
		t.Errorf("%s, due %v, want %v", d.State, d.At, want)
	}
	if p.count("contact c1") != 1 || p.count("") != 1 {
		t.Errorf("looked up %q", p.asked)
	}
	// It follows its appointment like any other.
	s.accept(`{"type":"AppointmentUpdate","locationId":"l1","appointment":{"id":"a1","startTime":"2099-02-05T20:00:00Z"}}`)
	until(t, "it has moved", func() bool { return s.one("a1").At.Equal(time.Date(2099, 2, 5, 0, 0, 0, 0, time.UTC)) })
	s.accept(cancelling("a1"))
	if d := s.one("a1"); d.State != record.Cancelled {
		t.Errorf("after a cancellation it is %s", d.State)
	}
}

// A message whose appointment is cancelled while somebody is looked up for it is not sent (P6), nor is it lost in a restart.
func TestCancelledDuringLookUp(t *testing.T) {
	t.Parallel()
	slack := newSink(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) })
	p := guests()
	entered, let := make(chan string, 10), make(chan struct{})
	p.contact = func(ctx context.Context, id string) (rules.Contact, error) {
		entered <- id
		select {
		case <-let:
			return rules.Contact{ID: id, FirstName: "Guest " + id}, nil
		case <-ctx.Done():
			return rules.Contact{}, ctx.Err()
		}
	}
	set := setup{dir: t.TempDir(), rules: map[string]string{"r.yaml": `rules:
  - name: greet
    on: booked
    then:
      - slack: { text: "{{ contact.firstName }}" }
`}, yaml: fmt.Sprintf("sources: { hoopai: { verify: none } }\nconnections: { slack: { webhook: %q } }\negress: { allow: [127.0.0.1] }\ndelivery: { shutdown: 100ms }\n", slack.URL+"/services/x"), people: p}
	s := start(t, set)
	s.accept(by("Create", "a1", "c1", 48*time.Hour, ""))
	s.accept(by("Create", "a2", "c2", 48*time.Hour, ""))
	for range 2 {
		<-entered
	}
	s.accept(cancelling("a1"))
	s.close()

	s = start(t, set)
	var again []string
	again = append(again, <-entered)
	close(let)
	until(t, "both have ended", func() bool { return s.one("a1").State == record.Cancelled && s.one("a2").State == record.Sent })
	if again[0] != "c2" || slices.Contains(p.asked[2:], "contact c1") {
		t.Errorf("looked up again: %q", p.asked)
	}
	if slack.count() != 1 || !strings.Contains(slack.got[0], "Guest c2") {
		t.Errorf("sent %q", slack.got)
	}
	if d := s.one("a2"); d.Tried() && d.Attempts[len(d.Attempts)-1].Outcome != "sent" {
		t.Errorf("the attempts are %+v", d.Attempts)
	}
}

// A mailbox is a mail server that keeps the recipients of each mail, and its data.
type mailbox struct {
	mu    sync.Mutex
	mails []string
}

func (m *mailbox) NewSession(*smtp.Conn) (smtp.Session, error) { return &mailSession{m: m}, nil }

type mailSession struct {
	m  *mailbox
	to []string
}

func (s *mailSession) Reset()                               { s.to = nil }
func (s *mailSession) Logout() error                        { return nil }
func (s *mailSession) Mail(string, *smtp.MailOptions) error { return nil }
func (s *mailSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = append(s.to, to)
	return nil
}

func (s *mailSession) Data(r io.Reader) error {
	data, err := io.ReadAll(r)
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	s.m.mails = append(s.m.mails, strings.Join(s.to, ",")+"\n"+string(data))
	return err
}

// The documented payload, which has ids only, an API that answers as HighLevel's does, and a rule for the guest: one mail to
// the right person.
func TestMailToTheGuest(t *testing.T) {
	t.Parallel()
	api := newSink(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Version") == "" || r.Header.Get("Authorization") != "Bearer pit-harbour-street" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = fmt.Fprintf(w, `{"contact":{"id":"epfJBd0Kh8oOOL8dKLzd","firstName":"Guest","email":"guest@example.com","timezone":"America/New_York"}}`)
	})
	box := &mailbox{}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := smtp.NewServer(box)
	server.Domain = "mail.example.com"
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	s := start(t, setup{
		rules: map[string]string{"r.yaml": `rules:
  - name: confirmation
    on: booked
    timezone: contact
    then:
      - email:
          to: "{{ contact.email }}"
          subject: "Booked: {{ appointment.title }}"
          text: "Dear {{ contact.firstName }}, see you at {{ date(appointment.startTime, '15:04') }}."
`},
		yaml: sourceNone + fmt.Sprintf(`egress: { allow: [127.0.0.1] }
connections:
  mail: { smtp: "smtp://%s?tls=none", from: desk@example.com }
  platform: { url: %q }
people: { connection: platform, tokens: { 0007BWpSzSwfiuSl0tR2: [pit-outdated, pit-harbour-street] } }
`, listener.Addr(), api.URL),
	})
	s.accept(read(t, "events/create.json"))
	until(t, "the mail is sent", func() bool { return len(s.deliveries("state=sent")) == 1 })
	box.mu.Lock()
	defer box.mu.Unlock()
	if len(box.mails) != 1 || !strings.HasPrefix(box.mails[0], "guest@example.com\n") || !strings.Contains(box.mails[0], "Dear Guest, see you at 23:30.") {
		t.Errorf("the mails are %q", box.mails)
	}
	if strings.Contains(s.log.String(), "pit-") {
		t.Error("a token is in the log")
	}
}
