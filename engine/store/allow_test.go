package store_test

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"bellhop/actions"
	"bellhop/engine/metrics"
	"bellhop/engine/payload"
	"bellhop/engine/receive"
	"bellhop/engine/record"
	"bellhop/engine/store"
	"bellhop/engine/store/storetest"
	"bellhop/rules"
	"bellhop/rules/live"
)

// A post is a receiver and a store with a clock that only the test moves. The test is the worker.
type post struct {
	t        testing.TB
	now      time.Time
	set      *rules.Set
	s        *store.Store
	r        *receive.Receiver
	known    []string             // the appointments
	fails    bool                 // every attempt fails
	location string               // of the events; "" is l1
	again    map[string]time.Time // when jobs that were put off come again, by their deliveries
}

// newPost returns a post on a Monday at eight in London, with rules and a directory in the same file.
func newPost(t testing.TB, text string, o rules.Options) *post {
	t.Helper()
	p := &post{t: t, now: time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC), again: map[string]time.Time{}}
	p.rules(text, o)
	clock := func() time.Time { return p.now }
	var err error
	if p.s, err = store.Open(t.Context(), store.Options{At: storetest.At(t), Now: clock}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.s.Close(); err != nil {
			t.Error(err)
		}
	})
	p.r = receive.New(receive.Options{
		Store: p.s, Rules: func() live.Snapshot { return live.Snapshot{Set: p.set, ID: "test"} }, Zone: time.UTC,
		Metrics: metrics.New(), Logger: slog.New(slog.DiscardHandler), Now: clock,
	})
	return p
}

func (p *post) rules(text string, o rules.Options) {
	p.t.Helper()
	o.Connections = map[string]string{"mail": "email", "slack": "slack"}
	f, found := rules.Compile("r.yaml", []byte(text), o)
	if f == nil {
		p.t.Fatal(found)
	}
	p.set, _ = rules.NewSet([]*rules.File{f})
}

// tell sends an event of an appointment of a contact.
func (p *post) tell(kind, id, contact, more string) {
	p.t.Helper()
	if !slices.Contains(p.known, id) {
		p.known = append(p.known, id)
	}
	body := fmt.Sprintf(`{"type":"Appointment%s","locationId":%q,"appointment":{"id":%q,"contactId":%q%s}}`, kind, cmp.Or(p.location, "l1"), id, contact, more)
	ev, err := payload.Normalise("hoopai", []byte(body), p.now, time.UTC)
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := p.r.Receive(p.t.Context(), ev); err != nil {
		p.t.Fatal(err)
	}
}

func starts(at string) string { return fmt.Sprintf(`,"startTime":%q`, at) }

// until moves the clock and works off what is due meanwhile, at its time. It returns what was sent, each as "time appointment
// rule request".
func (p *post) until(at time.Time) (sent []string) {
	p.t.Helper()
	for {
		var due *store.Queued
		for _, id := range p.known {
			jobs, err := p.s.Queued(p.t.Context(), id)
			if err != nil {
				p.t.Fatal(err)
			}
			for _, j := range jobs {
				if when := p.again[j.Delivery]; when.After(j.Scheduled) {
					j.Scheduled = when
				}
				if !j.Scheduled.After(at) && (due == nil || j.Scheduled.Before(due.Scheduled)) {
					due = &j
				}
			}
		}
		if due == nil {
			p.now = at
			return sent
		}
		if due.Scheduled.After(p.now) {
			p.now = due.Scheduled
		}
		if line := p.work(due); line != "" {
			sent = append(sent, line)
		}
	}
}

// work claims a job, and ends it or puts it off as a worker does.
func (p *post) work(job *store.Queued) (sent string) {
	p.t.Helper()
	d, ok, err := job.Claim(p.t.Context(), p.r.Due)
	if err != nil {
		p.t.Fatal(err)
	}
	if ok {
		attempt := record.Attempt{At: p.now, Outcome: "sent"}
		if d.State = record.Sent; p.fails {
			d.State, d.Due = record.Retrying, p.now.Add(10*time.Minute)
			attempt.Outcome, attempt.Error = "retry", "the mail server is down"
		} else {
			sent = fmt.Sprintf("%s %s %s %s", p.now.Format("Mon 15:04"), d.Appointment, d.Rule, d.Request)
		}
		d.Attempts = append(d.Attempts, attempt)
		if err := job.Record(p.t.Context(), &d); err != nil {
			p.t.Fatal(err)
		}
	}
	if d.State.Open() && d.State != record.Held {
		p.again[d.ID] = d.Due
	} else if err := job.End(p.t.Context()); err != nil {
		p.t.Fatal(err)
	}
	return sent
}

// reasons returns the states and reasons of all deliveries, sorted.
func (p *post) reasons() (list []string) {
	p.t.Helper()
	all, err := p.s.Deliveries(p.t.Context(), store.DeliveryFilter{Limit: 500})
	if err != nil {
		p.t.Fatal(err)
	}
	for _, d := range all {
		list = append(list, fmt.Sprintf("%s %s %s: %s", d.Appointment, d.Rule, d.State, d.Reason))
	}
	slices.Sort(list)
	return list
}

// wants compares what was sent by the beginnings and ends of its lines.
func (p *post) wants(what string, got []string, want ...string) {
	p.t.Helper()
	ok := len(got) == len(want)
	for i := 0; ok && i < len(want); i++ {
		begin, end, _ := strings.Cut(want[i], " … ")
		ok = strings.HasPrefix(got[i], begin) && strings.Contains(got[i], end)
	}
	if !ok {
		p.t.Errorf("%s: sent\n%s\nwant\n%s\nall:\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"), strings.Join(p.reasons(), "\n"))
	}
}

func (p *post) at(day int, clock string) time.Time {
	p.t.Helper()
	of, err := time.Parse("15:04", clock)
	if err != nil {
		p.t.Fatal(err)
	}
	return time.Date(2026, 3, day, of.Hour(), of.Minute(), 0, 0, time.UTC)
}

const guest = `contacts: { c1: { name: Ana, email: ana@example.com }, c2: { email: ben@example.com } }
`

// Nothing goes out at three in the morning: what is due outside the hours waits until they open, or goes out before, or
// not at all, as its rule says (P8).
func TestAtThreeInTheMorning(t *testing.T) {
	t.Parallel()
	p := newPost(t, guest+`rules:
  - name: told
    on: [booked, cancelled]
    timezone: Europe/London
    hours: Mon-Fri 09:00-18:00
    then: [{ email: { to: "{{ contact.email }}", subject: "{{ appointment.title }} {{ date(appointment.startTime, '15:04') }}", text: x } }]
  - name: waits
    on: booked
    timezone: Europe/London
    hours: Mon-Fri 09:00-18:00
    then: [{ at: appointment.startTime - duration("6h"), email: { to: "{{ contact.email }}", subject: soon, text: x } }]
  - name: earlier
    on: booked
    timezone: Europe/London
    hours: Mon-Fri 09:00-18:00
    outside: earlier
    then: [{ at: appointment.startTime - duration("6h"), email: { to: "{{ contact.email }}", subject: soon, text: x } }]
  - name: skips
    on: booked
    timezone: Europe/London
    hours: Mon-Fri 09:00-18:00
    outside: skip
    then:
      - email: { to: "{{ contact.email }}", subject: now, text: x }
      - { at: appointment.startTime - duration("6h"), email: { to: "{{ contact.email }}", subject: soon, text: x } }
`, rules.Options{})
	p.now = p.at(2, "22:00")
	p.tell("Create", "a1", "c1", `,"title":"Tea"`+starts("2026-03-04T09:00:00Z")) // six hours before is three o'clock
	p.wants("in the night", p.until(p.at(3, "08:59")))
	p.tell("Update", "a1", "c1", starts("2026-03-04T09:30:00Z")) // moved before the message was sent
	p.wants("in the day", p.until(p.at(4, "23:00")),
		`Tue 09:00 a1 told … Tea 09:30`, `Tue 17:59 a1 earlier … soon`, `Wed 09:00 a1 waits … soon`)
	for _, want := range []string{"are closed at 22:00 on Mon 2 Mar 2026", "are closed at 03:30 on Wed 4 Mar 2026"} {
		if !slices.ContainsFunc(p.reasons(), func(s string) bool {
			return strings.HasPrefix(s, "a1 skips skipped: the hours") && strings.Contains(s, want)
		}) {
			t.Errorf("nothing says %q: %s", want, strings.Join(p.reasons(), "\n"))
		}
	}

	// What is cancelled before the hours open is not sent; that it is cancelled is told when they open.
	p.now = p.at(5, "23:00")
	p.tell("Create", "a2", "c1", `,"title":"Tea"`+starts("2026-03-20T12:00:00Z"))
	p.now = p.at(5, "23:30")
	p.tell("Update", "a2", "c1", `,"appointmentStatus":"cancelled"`)
	p.wants("cancelled in the night", p.until(p.at(20, "23:00")), `Fri 09:00 a2 told … Tea`)
}

// A message whose mail server is down when its hours close is not tried again before they open.
func TestRetryWaitsForHours(t *testing.T) {
	t.Parallel()
	p := newPost(t, guest+`rules:
  - name: told
    on: booked
    hours: Mon-Fri 09:00-18:00
    then: [{ email: { to: "{{ contact.email }}", subject: x, text: x } }]
  - name: reminded
    on: booked
    hours: Mon-Fri 09:00-18:00
    then:
      - at: clock(appointment.startTime, "17:55")
        late: 2h
        email: { to: "{{ contact.email }}", subject: x, text: x }
`, rules.Options{})
	p.now, p.fails = p.at(2, "17:45"), true
	p.tell("Create", "a1", "c1", starts("2026-03-02T23:00:00Z"))
	p.until(p.at(3, "08:00"))
	p.fails = false
	p.wants("in the morning", p.until(p.at(3, "12:00")), "Tue 09:00 a1 told")
	list, err := p.s.Deliveries(t.Context(), store.DeliveryFilter{Rule: "told"})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range list[0].Attempts {
		if at := a.At.Format("15:04"); at > "18:01" || at < "09:00" {
			t.Errorf("there was an attempt at %s", at)
		}
	}
	if got := p.reasons(); !strings.HasPrefix(got[0], "a1 reminded dead: too late") {
		t.Errorf("the reminder: %s", got[0])
	}
}

// The hours may be closed for longer than a delivery is tried.
func TestLongHolidays(t *testing.T) {
	t.Parallel()
	p := newPost(t, guest+`rules:
  - name: told
    on: booked
    hours: { open: "Mon-Fri 09:00-18:00", closed: [2026-03-05, 03-06, 2026-03-09, 2026-03-10] }
    then: [{ email: { to: "{{ contact.email }}", subject: x, text: x } }]
`, rules.Options{})
	p.now = p.at(4, "18:30")
	p.tell("Create", "a1", "c1", starts("2026-03-12T23:00:00Z"))
	p.wants("after the holidays", p.until(p.at(12, "00:00")), "Wed 09:00 a1 told")
	list, err := p.s.Deliveries(t.Context(), store.DeliveryFilter{})
	if err != nil {
		t.Fatal(err)
	}
	if !list[0].Opens.Equal(p.at(11, "09:00")) {
		t.Errorf("it says that they open at %s", list[0].Opens)
	}
}

// A rule sends as many messages as its limit allows, for each value of its expression; what is over is skipped and says why.
// The immediate steps of one event count once.
func TestLimit(t *testing.T) {
	t.Parallel()
	p := newPost(t, guest+`rules:
  - name: r
    on: [booked, rescheduled]
    limit: [{ per: contact.id, max: 1, every: 24h }, { max: 3, every: 7d }]
    then:
      - email: { to: "{{ contact.email }}", subject: one, text: x }
      - email: { to: "{{ contact.email }}", subject: two, text: x }
`, rules.Options{})
	for i, contact := range []string{"c1", "c1", "c2", "c2"} {
		p.now = p.at(2, fmt.Sprintf("%02d:00", 9+i))
		p.tell("Create", fmt.Sprint("a", i), contact, starts("2026-03-12T23:00:00Z"))
		p.until(p.now)
	}
	p.wants("one a day each", p.until(p.now))
	if got, want := strings.Join(p.reasons(), "\n"), "a0 r sent: \na0 r sent: \n"+
		"a1 r skipped: over the limit: 1 in 1d for \"c1\"\na1 r skipped: over the limit: 1 in 1d for \"c1\"\n"+
		"a2 r sent: \na2 r sent: \na3 r skipped: over the limit: 1 in 1d for \"c2\"\na3 r skipped: over the limit: 1 in 1d for \"c2\""; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	p.now = p.at(3, "08:59")
	p.tell("Create", "a4", "c1", starts("2026-03-12T23:00:00Z"))
	p.wants("a minute before a day is over", p.until(p.at(3, "09:00")))
	p.now = p.at(3, "09:01")
	p.tell("Update", "a4", "c1", starts("2026-03-13T23:00:00Z"))
	p.wants("a day later", p.until(p.now), "Tue 09:01 a4 … one", "Tue 09:01 a4 … two")
	p.now = p.at(4, "10:00")
	p.tell("Create", "a5", "c2", starts("2026-03-12T23:00:00Z"))
	p.wants("three in the week are sent", p.until(p.now))
	if got := p.reasons(); !strings.HasSuffix(got[len(got)-1], "over the limit: 3 in 1w") {
		t.Errorf("the last says %s", got[len(got)-1])
	}
	// An appointment without a contact is not limited by the contact.
	p.now = p.at(20, "10:00")
	for i := range 3 {
		p.tell("Create", fmt.Sprint("b", i), "", `,"title":"x"`+starts("2026-03-22T23:00:00Z"))
	}
	for _, s := range p.reasons() {
		if strings.HasPrefix(s, "b") && strings.Contains(s, "limit") {
			t.Error(s)
		}
	}
}

// A contact who wants no e-mails gets none, also not as a copy, and nor does a suppressed address; unless the step must be
// sent (P8).
func TestConsent(t *testing.T) {
	t.Parallel()
	const text = `contacts: { c1: { email: Ana@example.com }, c2: { email: ben@example.com, dnd: true }, c3: { email: cara@example.com, dnd: [email] }, c4: { email: dan@example.com, dnd: [sms] } }
rules:
  - name: told
    on: booked
    then: [{ email: { to: "{{ contact.email }}", subject: x, text: x } }]
  - name: copied
    on: booked
    then: [{ email: { to: desk@example.com, cc: "Guest <{{ contact.email }}>", subject: x, text: x } }]
  - name: must
    on: booked
    then: [{ transactional: true, email: { to: "{{ contact.email }}", subject: x, text: x } }]
  - name: later
    on: booked
    then: [{ at: appointment.startTime - duration("1h"), email: { to: "{{ contact.email }}", subject: x, text: x } }]
`
	p := newPost(t, text, rules.Options{})
	for _, c := range []string{"c1", "c2", "c3", "c4"} {
		p.tell("Create", c, c, starts("2026-03-02T12:00:00Z"))
	}
	// Ana's address is suppressed while her reminder waits.
	first := p.until(p.at(2, "10:00"))
	sent := func(list []string, appointment, rule string) string {
		for _, s := range list {
			if _, rest, ok := strings.Cut(s, " "+appointment+" "+rule+" "); ok {
				return rest
			}
		}
		return ""
	}
	for _, c := range []struct{ appointment, rule, in string }{
		{"c1", "told", "Ana@"}, {"c1", "copied", "Ana@"}, {"c1", "must", "Ana@"},
		{"c2", "told", ""}, {"c2", "copied", "desk@"}, {"c2", "must", "ben@"},
		{"c3", "told", ""}, {"c3", "copied", "desk@"}, {"c3", "must", "cara@"},
		{"c4", "told", "dan@"}, {"c4", "copied", "dan@"}, {"c4", "must", "dan@"},
	} {
		got := sent(first, c.appointment, c.rule)
		if c.in == "" && got != "" || !strings.Contains(got, c.in) || c.rule == "copied" && c.in == "desk@" && strings.Contains(got, "Guest") {
			t.Errorf("%s to %s sends %q, want %q", c.rule, c.appointment, got, c.in)
		}
	}
	entry := store.Suppressed{Channel: "email", Address: actions.Address("email", "ana@EXAMPLE.com"), Location: "l1", Reason: "by telephone", At: p.now}
	other := store.Suppressed{Channel: "email", Address: "dan@example.com", Location: "l2", At: p.now}
	for _, e := range []store.Suppressed{entry, other} {
		if err := p.s.Suppress(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	then := p.until(p.at(2, "23:00"))
	if len(then) != 1 || sent(then, "c4", "later") == "" {
		t.Errorf("in the end these are sent:\n%s", strings.Join(then, "\n"))
	}
	for _, want := range []string{
		"c1 later skipped: the recipient is suppressed", "c2 later skipped: the contact wants no messages by email (dnd)",
		"c2 told skipped: the contact wants no messages by email (dnd)", "c3 told skipped: the contact wants no messages by email (dnd)",
	} {
		if !slices.Contains(p.reasons(), want) {
			t.Errorf("nothing says %q:\n%s", want, strings.Join(p.reasons(), "\n"))
		}
	}
	list, err := p.s.SuppressedList(t.Context(), store.Suppressed{}, 1)
	if err != nil || len(list) != 1 || list[0] != entry {
		t.Errorf("the list begins with %+v, %v", list, err)
	}
	if list, err = p.s.SuppressedList(t.Context(), list[0], 0); err != nil || len(list) != 1 || list[0].Location != "l2" {
		t.Errorf("the list goes on with %+v, %v", list, err)
	}
	if err := p.s.Unsuppress(t.Context(), entry); err != nil {
		t.Error(err)
	}
	if err := p.s.Unsuppress(t.Context(), entry); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("removed twice: %v", err)
	}
	p.now = p.at(3, "08:00")
	p.tell("Create", "again", "c1", starts("2026-03-04T12:00:00Z"))
	if got := p.until(p.now); sent(got, "again", "told") == "" {
		t.Errorf("after it was removed: %v", got)
	}
}

// An address that a mail server refused for good is proposed, and still written to.
func TestRefusedIsProposed(t *testing.T) {
	t.Parallel()
	p := newPost(t, guest+`rules: [{ name: told, on: booked, then: [{ email: { to: "{{ contact.email }}", subject: x, text: x } }] }]
`, rules.Options{})
	p.tell("Create", "a1", "c1", starts("2026-03-04T12:00:00Z"))
	jobs, err := p.s.Queued(t.Context(), "a1")
	if err != nil || len(jobs) != 1 {
		t.Fatal(jobs, err)
	}
	d, ok, err := jobs[0].Claim(t.Context(), p.r.Due)
	if err != nil || !ok {
		t.Fatal(d, err)
	}
	d.State = record.Dead
	d.Attempts = []record.Attempt{{At: p.now, Outcome: "permanent", Receipt: actions.Receipt{Refused: []actions.Refusal{{Recipient: "Ana@example.com", Answer: "550 no such user"}}}}}
	if err := jobs[0].Record(t.Context(), &d); err != nil {
		t.Fatal(err)
	}
	list, err := p.s.SuppressedList(t.Context(), store.Suppressed{}, 0)
	want := store.Suppressed{Location: "l1", Channel: "email", Address: "ana@example.com", Reason: "refused: 550 no such user", At: p.now, Proposed: true}
	if err != nil || len(list) != 1 || list[0] != want {
		t.Fatalf("proposed: %+v %v", list, err)
	}
	p.tell("Create", "a2", "c1", starts("2026-03-04T12:00:00Z"))
	p.wants("it is written to", p.until(p.now), "Mon 08:00 a2 told")
}

// A rule sees what else is remembered of the contact at the location, as it is when the rule is decided.
func TestHistory(t *testing.T) {
	t.Parallel()
	p := newPost(t, guest+`rules:
  - name: first
    on: booked
    when: none(contact.appointments, .appointmentStatus != "cancelled")
    then: [{ email: { to: "{{ contact.email }}", subject: welcome, text: x } }]
  - name: third
    on: noshow
    when: count(contact.appointments, .appointmentStatus == "noshow") == 2
    then: [{ email: { to: manager@example.com, subject: "{{ join(map(contact.appointments, date(.startTime, '2 Jan')), ', ') }}", text: x } }]
  - name: invited
    on: booked
    when: none(contact.appointments, .startTime > appointment.startTime && .appointmentStatus != "cancelled")
    then: [{ at: appointment.startTime + duration("5d"), email: { to: "{{ contact.email }}", subject: again, text: x } }]
`, rules.Options{})
	p.tell("Create", "a1", "c1", starts("2026-03-03T10:00:00Z"))
	p.wants("the first visit", p.until(p.now), "Mon 08:00 a1 first")
	p.tell("Update", "a1", "c1", `,"appointmentStatus":"cancelled"`)
	p.tell("Create", "a2", "c1", starts("2026-03-04T10:00:00Z"))
	p.wants("the first was cancelled", p.until(p.now), "Mon 08:00 a2 first")
	p.tell("Create", "a3", "c1", starts("2026-03-05T10:00:00Z"))
	p.tell("Create", "a4", "c1", starts("2026-03-06T10:00:00Z"))
	p.location = "l2"
	p.tell("Create", "b1", "c1", starts("2026-03-05T10:00:00Z"))
	p.location = ""
	p.tell("Create", "b2", "c2", starts("2026-03-05T10:00:00Z"))
	p.wants("another location, and another contact", p.until(p.now), "Mon 08:00 b1 first", "Mon 08:00 b2 first")
	for i, id := range []string{"a2", "a3", "a4"} {
		p.now = p.at(4+i, "11:00")
		p.tell("Update", id, "c1", `,"appointmentStatus":"noshow"`)
	}
	p.wants("the third no-show", p.until(p.now), "Fri 11:00 a4 third … 5 Mar, 4 Mar, 3 Mar")
	p.wants("who has no later appointment is invited", p.until(p.at(30, "11:00")), "Tue 10:00 b1 invited", "Tue 10:00 b2 invited", "Wed 10:00 a4 invited")

	// The list has at most a hundred, the latest first.
	p.rules(`rules: [{ name: counted, on: booked, then: [{ slack: { channel: "#c", text: "{{ len(contact.appointments) }} {{ contact.appointments[0].id }}" } }] }]`, rules.Options{})
	for i := range 102 {
		p.tell("Create", fmt.Sprint("m", i), "c3", starts(p.at(1, "10:00").AddDate(0, 1, i).Format(time.RFC3339)))
	}
	got := p.until(p.now)
	if len(got) != 101 || !strings.Contains(got[100], `"100 m100"`) || !strings.Contains(got[2], `"3 m2"`) { // the first has nothing to name
		t.Errorf("%d, the last %s", len(got), got[len(got)-1])
	}
}
