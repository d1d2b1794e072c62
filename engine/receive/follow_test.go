package receive_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"bellhop/engine/hook"
	"bellhop/engine/metrics"
	"bellhop/engine/payload"
	"bellhop/engine/receive"
	"bellhop/engine/record"
	"bellhop/engine/store"
	"bellhop/engine/store/storetest"
	"bellhop/rules"
	"bellhop/rules/live"
)

// monday is the time at which every history begins.
var monday = time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)

const reminder = `rules:
  - name: reminder
    on: booked
    then:
      - at: appointment.startTime - duration("24h")
        http: { url: "https://api.example.com/remind", json: { title: "{{ appointment.title }}", start: "{{ appointment.startTime }}", now: "{{ now() }}" } }
`

// A desk is a receiver with its own store, a clock that only the test moves, and rules that the test can change.
type desk struct {
	t     *testing.T
	now   time.Time
	set   *rules.Set
	store *store.Store
	r     *receive.Receiver
	sent  int
}

func newDesk(t *testing.T, src string) *desk {
	t.Helper()
	d := &desk{t: t, now: monday}
	d.rules(src)
	clock := func() time.Time { return d.now }
	var err error
	if d.store, err = store.Open(t.Context(), store.Options{At: storetest.At(t), Now: clock}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.store.Close() })
	d.r = receive.New(receive.Options{
		Store: d.store, Rules: func() live.Snapshot { return live.Snapshot{Set: d.set, ID: "test"} }, Zone: time.UTC,
		Metrics: metrics.New(), Logger: slog.New(slog.DiscardHandler), Now: clock,
	})
	return d
}

func (d *desk) rules(src string) {
	d.t.Helper()
	f, findings := rules.Compile("desk.yaml", []byte(src), rules.Options{Connections: map[string]string{"mail": "email"}})
	if f == nil {
		d.t.Fatalf("%+v", findings)
	}
	d.set, _ = rules.NewSet([]*rules.File{f})
}

// day returns the time of a text like "tue 10:00", in the week of the histories. Each "+" before the day adds a week.
func day(t *testing.T, text string) time.Time {
	t.Helper()
	name, clock, _ := strings.Cut(text, " ")
	n := strings.Index("mon tue wed thu fri sat sun", strings.TrimLeft(name, "+")) / 4
	at, err := time.Parse("15:04", clock)
	if err != nil {
		t.Fatal(err)
	}
	return monday.Truncate(24*time.Hour).AddDate(0, 0, n+7*strings.Count(name, "+")).Add(at.Sub(at.Truncate(24 * time.Hour)))
}

// tell sends an event, for example "update start=fri 10:00, status=cancelled". The event must be accepted.
func (d *desk) tell(text string) hook.Receipt {
	d.t.Helper()
	kind, rest, _ := strings.Cut(text, " ")
	d.sent++
	fields := []string{`"id":"a1"`, fmt.Sprintf(`"dateUpdated":%q`, d.now.Add(time.Duration(d.sent)*time.Second).Format(time.RFC3339))}
	for pair := range strings.SplitSeq(rest, ", ") {
		key, value, ok := strings.Cut(pair, "=")
		if !ok {
			continue
		}
		switch name := map[string]string{"start": "startTime", "end": "endTime", "status": "appointmentStatus", "title": "title"}[key]; name {
		case "startTime", "endTime":
			fields = append(fields, fmt.Sprintf("%q:%q", name, day(d.t, value).Format(time.RFC3339)))
		default:
			fields = append(fields, fmt.Sprintf("%q:%q", name, value))
		}
	}
	wire := map[string]string{"create": rules.Create, "update": rules.Update, "delete": rules.Delete}[kind]
	body := fmt.Sprintf(`{"type":%q,"locationId":"l1","appointment":{%s}}`, wire, strings.Join(fields, ","))
	ev, err := payload.Normalise("hoopai", []byte(body), d.now, time.UTC)
	if err != nil {
		d.t.Fatal(err)
	}
	receipt, err := d.r.Receive(d.t.Context(), ev)
	if err != nil || receipt.Status != record.Accepted {
		d.t.Fatalf("%s: %+v %v", text, receipt, err)
	}
	return receipt
}

func (d *desk) deliveries() []record.Delivery {
	d.t.Helper()
	list, err := d.store.Deliveries(d.t.Context(), store.DeliveryFilter{Limit: 500})
	if err != nil {
		d.t.Fatal(err)
	}
	return list
}

// open returns the one delivery that is waiting, pending, being sent or retrying.
func (d *desk) open() record.Delivery {
	d.t.Helper()
	var found []record.Delivery
	for _, x := range d.deliveries() {
		switch x.State {
		case record.Waiting, record.Pending, record.Sending, record.Retrying:
			found = append(found, x)
		}
	}
	if len(found) != 1 {
		d.t.Fatalf("%d deliveries are open:\n%s", len(found), d.shown())
	}
	return found[0]
}

// shown returns a line for each delivery, the oldest first: "waiting tue 10:00" or "cancelled: why".
func (d *desk) shown() string {
	var lines []string
	list := d.deliveries()
	for i := len(list) - 1; i >= 0; i-- {
		x := &list[i]
		line := string(x.State)
		if x.State == record.Waiting {
			line += " " + moment(x.Due)
		}
		if reason, _, _ := strings.Cut(x.Reason, ", for event"); reason != "" {
			line += ": " + reason
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

func moment(t time.Time) string {
	plus := strings.Repeat("+", int(t.Sub(monday.Truncate(24*time.Hour))/(7*24*time.Hour)))
	return plus + strings.ToLower(t.UTC().Format("Mon 15:04"))
}

// due calls Due for the open delivery, as the claim of a worker does, and returns the result. It does not store it.
func (d *desk) due() (out record.Delivery) {
	d.t.Helper()
	x := d.open()
	err := d.store.Write(d.t.Context(), 0, func(tx *store.Tx) error {
		out = x
		out.State = record.Sending
		return d.r.Due(tx, &out)
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return out
}

func (d *desk) want(what, want string) {
	d.t.Helper()
	if got := d.shown(); got != want {
		d.t.Errorf("%s:\ngot\n%s\nwant\n%s", what, got, want)
	}
}

// A waiting delivery follows its appointment (P6).
func TestWaitingFollows(t *testing.T) {
	t.Parallel()
	const booking = "create status=confirmed, title=Checkup, start=thu 10:00, end=thu 11:00"
	again := strings.Replace(reminder, "on: booked", "on: [booked, rescheduled]", 1)
	any := strings.Replace(reminder, "on: booked", "on: [booked, updated]", 1)
	const tooLate = "skipped: too late: it was due at 2026-03-01 20:00:00 +00:00"
	type told struct{ event, want string }
	for name, tt := range map[string]struct {
		rules   string
		history []told
	}{
		"booked":                 {reminder, []told{{booking, "waiting wed 10:00"}}},
		"booked too late for it": {reminder, []told{{"create start=mon 20:00", tooLate}}},
		"booked without a time":  {reminder, []told{{"create title=A", `skipped: there is no time to count from: a time that "at" names is missing`}, {"update start=fri 10:00", "waiting thu 10:00"}}},
		"late again and again, then moved": {any, []told{
			{"create start=mon 20:00", tooLate}, {"update title=B", tooLate + "\n" + tooLate},
			{"update start=fri 10:00", tooLate + "\nwaiting thu 10:00"},
		}},
		"cancelled":                       {reminder, []told{{booking, "waiting wed 10:00"}, {"update status=cancelled", "cancelled: the appointment was cancelled"}}},
		"deleted":                         {reminder, []told{{booking, "waiting wed 10:00"}, {"delete", "cancelled: the appointment was cancelled"}}},
		"cancelled and deleted":           {reminder, []told{{booking, "waiting wed 10:00"}, {"update status=cancelled", "cancelled: the appointment was cancelled"}, {"delete", "cancelled: the appointment was cancelled"}}},
		"cancelled and taken back":        {reminder, []told{{booking, "waiting wed 10:00"}, {"update status=cancelled", "cancelled: the appointment was cancelled"}, {"update status=confirmed", "waiting wed 10:00"}}},
		"cancelled, moved and taken back": {reminder, []told{{booking, "waiting wed 10:00"}, {"update status=cancelled", "cancelled: the appointment was cancelled"}, {"update start=fri 10:00", "cancelled: the appointment was cancelled"}, {"update status=confirmed", "waiting thu 10:00"}}},
		"moved":                           {reminder, []told{{booking, "waiting wed 10:00"}, {"update start=fri 15:00", "waiting thu 15:00"}, {"update start=+mon 15:00", "waiting sun 15:00"}}},
		"moved to where it is too late":   {reminder, []told{{booking, "waiting wed 10:00"}, {"update start=mon 20:00", tooLate}}},
		"and back":                        {reminder, []told{{booking, "waiting wed 10:00"}, {"update start=mon 20:00", tooLate}, {"update start=fri 10:00", "waiting thu 10:00"}}},
		"booked late, then moved":         {reminder, []told{{"create start=mon 20:00", tooLate}, {"update start=fri 10:00", "waiting thu 10:00"}}},
		"changed in another way":          {reminder, []told{{booking, "waiting wed 10:00"}, {"update title=B", "waiting wed 10:00"}}},
		"the rule applies again":          {again, []told{{booking, "waiting wed 10:00"}, {"update start=fri 15:00", "cancelled: the rule applied again\nwaiting thu 15:00"}}},
		"again and again":                 {any, []told{{booking, "waiting wed 10:00"}, {"update title=B", "cancelled: the rule applied again\nwaiting wed 10:00"}, {"update title=C", "cancelled: the rule applied again\ncancelled: the rule applied again\nwaiting wed 10:00"}}},
		"again, then cancelled and back": {any, []told{
			{booking, "waiting wed 10:00"}, {"update title=B", "cancelled: the rule applied again\nwaiting wed 10:00"},
			{"update status=cancelled", "cancelled: the rule applied again\ncancelled: the appointment was cancelled"},
			{"update status=confirmed", "cancelled: the rule applied again\nwaiting wed 10:00"},
		}},
		"cancelled and moved at once": {again, []told{
			{booking, "waiting wed 10:00"},
			{"update status=cancelled, start=fri 15:00", "cancelled: the rule applied again\nskipped: the appointment is cancelled"},
			{"update title=B", "cancelled: the rule applied again\nskipped: the appointment is cancelled"},
			{"update start=fri 16:00", "cancelled: the rule applied again\nskipped: the appointment is cancelled\nskipped: the appointment is cancelled"},
			{"update status=confirmed", "cancelled: the rule applied again\nskipped: the appointment is cancelled\nwaiting thu 16:00"},
			{"delete", "cancelled: the rule applied again\nskipped: the appointment is cancelled\ncancelled: the appointment was cancelled"},
		}},
		"on every change, without a condition": {strings.Replace(reminder, "on: booked", "on: [AppointmentCreate, AppointmentUpdate]", 1), []told{
			{booking, "waiting wed 10:00"},
			{"update status=cancelled", "cancelled: the rule applied again\nskipped: the appointment is cancelled"},
		}},
		"for what is cancelled, by its condition": {
			strings.NewReplacer("on: booked", "on: AppointmentUpdate\n    when: contact.email == \"\" && appointment.appointmentStatus == \"cancelled\"", `appointment.startTime - duration("24h")`, `now() + duration("2h")`).Replace(reminder),
			[]told{{booking, ""}, {"update status=cancelled", "waiting mon 10:00"}, {"update status=confirmed", "cancelled: the appointment takes place after all"}},
		},
		"for what is cancelled": {strings.NewReplacer("on: booked", "on: cancelled", `appointment.startTime - duration("24h")`, `now() + duration("2h")`).Replace(reminder), []told{
			{booking, ""}, {"update status=cancelled", "waiting mon 10:00"}, {"update title=B", "waiting mon 10:00"},
			{"update status=confirmed", "cancelled: the appointment takes place after all"},
			{"update status=cancelled", "cancelled: the appointment takes place after all\nwaiting mon 10:00"},
		}},
		"counted from now it does not move":      {strings.Replace(reminder, `appointment.startTime - duration("24h")`, `now() + duration("2h")`, 1), []told{{booking, "waiting mon 10:00"}, {"update start=fri 15:00", "waiting mon 10:00"}}},
		"late: send":                             {strings.Replace(reminder, "        http:", "        late: send\n        http:", 1), []told{{"create start=mon 20:00", "waiting mon 08:00"}}},
		"late within its grace":                  {strings.Replace(reminder, "        http:", "        late: 13h\n        http:", 1), []told{{"create start=mon 20:00", "waiting mon 08:00"}}},
		"late beyond its grace":                  {strings.Replace(reminder, "        http:", "        late: 11h\n        http:", 1), []told{{"create start=mon 20:00", tooLate}}},
		"a moment within the minute is not late": {strings.Replace(reminder, `appointment.startTime - duration("24h")`, `receivedAt`, 1), []told{{booking, "waiting mon 08:00"}}},
		"an expression that fails":               {strings.Replace(reminder, `appointment.startTime - duration("24h")`, `date(appointment.title)`, 1), []told{{booking, `skipped: rendering error: at: desk.yaml:5:13: "Checkup" is not a date`}}},
		"a rule that only watches":               {strings.Replace(reminder, "on: booked", "on: booked\n    mode: shadow", 1), []told{{booking, "waiting wed 10:00"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, tt.rules)
			for i, h := range tt.history {
				d.tell(h.event)
				d.want(fmt.Sprintf("after event %d (%s)", i+1, h.event), h.want)
			}
		})
	}
}

// When a waiting delivery is due, it is decided again with the rules and the appointment as they are then.
func TestDue(t *testing.T) {
	t.Parallel()
	const booking = "create status=confirmed, title=Checkup, start=thu 10:00, end=thu 11:00"
	for name, tt := range map[string]struct {
		rules string        // "" is the reminder
		then  func(d *desk) // is called between the booking and the moment
		now   string        // when it is claimed; "" is its moment
		state record.State  // "" is sending
		want  string        // the reason, or a part of the request
	}{
		"nothing happened":  {want: `{"now":"2026-03-04T10:00:00Z","start":"2026-03-05T10:00:00Z","title":"Checkup"}`},
		"the title changed": {then: func(d *desk) { d.tell("update title=Long visit") }, want: `"title":"Long visit"`},
		"the text changed":  {then: func(d *desk) { d.rules(strings.Replace(reminder, "{{ appointment.title }}", "Do come!", 1)) }, want: `"title":"Do come!"`},
		"the rule went":     {then: func(d *desk) { d.rules("rules: []") }, state: record.Skipped, want: "the rule is no longer there"},
		"it was switched off": {
			then:  func(d *desk) { d.rules(strings.Replace(reminder, "on: booked", "on: booked\n    enabled: false", 1)) },
			state: record.Skipped, want: "the rule was switched off",
		},
		"it only watches now": {
			then:  func(d *desk) { d.rules(strings.Replace(reminder, "on: booked", "on: booked\n    mode: shadow", 1)) },
			state: record.Shadow, want: "the rule is in shadow mode, which sends nothing",
		},
		"the step went": {
			then: func(d *desk) {
				d.rules(strings.Replace(reminder, "      - at: appointment.startTime - duration(\"24h\")\n        http", "      - http", 1))
			},
			state: record.Skipped, want: "the rule no longer has this step",
		},
		"another step was put before it": {
			then: func(d *desk) {
				d.rules(strings.Replace(reminder, "    then:\n", "    then:\n      - at: appointment.startTime - duration(\"1h\")\n        http: { url: \"https://api.example.com/soon\" }\n", 1))
			},
			want: `"title":"Checkup"`,
		},
		"its moment is later now": {
			then:  func(d *desk) { d.rules(strings.Replace(reminder, "24h", "2h", 1)) },
			state: record.Waiting, want: "",
		},
		"its moment was to be earlier": {
			then: func(d *desk) { d.rules(strings.Replace(reminder, "24h", "48h", 1)) },
			want: `"title":"Checkup"`,
		},
		"the condition is no longer true": {
			rules: strings.Replace(reminder, "on: booked", "on: booked\n    when: appointment.appointmentStatus == \"confirmed\"", 1),
			then:  func(d *desk) { d.tell("update status=noshow") },
			state: record.Skipped, want: "the condition is no longer true",
		},
		"the condition sees the event that planned it": {
			rules: strings.Replace(reminder, "on: booked", "on: booked\n    when: '\"booked\" in on && type == \"AppointmentCreate\" && appointment.startTime > now()'", 1),
			then:  func(d *desk) { d.tell("update title=Long visit") },
			want:  `"title":"Long visit"`,
		},
		"the condition fails": {
			rules: strings.Replace(reminder, "on: booked", "on: booked\n    when: appointment.title == \"Checkup\" || date(appointment.title) > now()", 1),
			then:  func(d *desk) { d.tell("update title=Long visit") },
			state: record.Skipped, want: "rendering error: condition: ",
		},
		"no recipient": {
			rules: reminder[:strings.Index(reminder, "        http")] + "        email: { to: \"{{ contact.email }}\", subject: Soon, text: Soon }\n",
			state: record.Skipped, want: "unresolved recipient",
		},
		"an e-mail has the date of its moment": {
			rules: reminder[:strings.Index(reminder, "        http")] + "        email: { to: guest@example.com, subject: Soon, text: Soon }\n",
			want:  `"date":"2026-03-04T10:00:00Z"`,
		},
		"half an hour late": {now: "wed 10:30", want: `"now":"2026-03-04T10:30:00Z"`},
		"two hours late":    {now: "wed 12:00", state: record.Skipped, want: "too late: it was due at 2026-03-04 10:00:00 +00:00"},
		"two hours late, but allowed": {
			rules: strings.Replace(reminder, "        http:", "        late: 3h\n        http:", 1),
			now:   "wed 12:00", want: `"title":"Checkup"`,
		},
		"two days late, but allowed": {
			rules: strings.Replace(reminder, "        http:", "        late: send\n        http:", 1),
			now:   "fri 12:00", want: `"title":"Checkup"`,
		},
		"not after the appointment has begun": {
			rules: strings.Replace(reminder, "24h", "10m", 1),
			now:   "thu 10:05", state: record.Skipped, want: "too late: it was due at 2026-03-05 09:50:00 +00:00",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			src := tt.rules
			if src == "" {
				src = reminder
			}
			d := newDesk(t, src)
			d.tell(booking)
			if tt.then != nil {
				tt.then(d)
			}
			d.now = d.open().Due
			if tt.now != "" {
				d.now = day(t, tt.now)
			}
			state := tt.state
			if state == "" {
				state = record.Sending
			}
			got := d.due()
			text := got.Reason
			if state == record.Sending {
				text = string(got.Request)
			}
			if got.State != state || !strings.Contains(text, tt.want) {
				t.Errorf("is %s %q %s, want %s %s", got.State, got.Reason, got.Request, state, tt.want)
			}
			if state == record.Waiting && !got.Due.Equal(day(t, "thu 08:00")) {
				t.Errorf("waits until %s", got.Due)
			}
		})
	}
}

// A delivery that was rendered before is sent as it is, or not at all.
func TestDueAgain(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		then  func(d *desk, x *record.Delivery)
		state record.State // "" is sending
		want  string
	}{
		"the process ended":        {then: func(d *desk, _ *record.Delivery) { d.now = d.now.Add(30 * time.Minute) }},
		"and came back too late":   {func(d *desk, _ *record.Delivery) { d.now = d.now.Add(2 * time.Hour) }, record.Dead, "too late for another attempt"},
		"it failed before":         {func(d *desk, x *record.Delivery) { d.now, x.Reason = d.now.Add(2*time.Hour), "the server is busy" }, record.Dead, "too late for another attempt: the server is busy"},
		"an operator wants it":     {then: func(d *desk, x *record.Delivery) { d.now, x.Retried = d.now.Add(2*time.Hour), d.now }},
		"it is for another moment": {func(_ *desk, x *record.Delivery) { x.Retried, x.Follows = x.Due, false }, record.Cancelled, "the appointment was moved since this was prepared"},
		"the rule was edited":      {then: func(d *desk, _ *record.Delivery) { d.rules(strings.Replace(reminder, "24h", "2h", 1)) }},
		"the rule went":            {then: func(d *desk, _ *record.Delivery) { d.rules("rules: []") }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, reminder)
			d.tell("create status=confirmed, title=Checkup, start=thu 10:00, end=thu 11:00")
			d.now = d.open().Due
			first := d.due()
			again := first
			tt.then(d, &again)
			err := d.store.Write(t.Context(), 0, func(tx *store.Tx) error {
				again.State = record.Sending
				return d.r.Due(tx, &again)
			})
			if err != nil {
				t.Fatal(err)
			}
			state := tt.state
			if state == "" {
				state = record.Sending
			}
			if again.State != state || state != record.Sending && again.Reason != tt.want || string(again.Request) != string(first.Request) {
				t.Errorf("is %s %q %s, want %s %q", again.State, again.Reason, again.Request, state, tt.want)
			}
		})
	}
}

// A replayed event plans its deliveries for the present state of the appointment.
func TestReplayedLater(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ since, want string }{
		"nothing since": {"", "waiting wed 10:00"},
		"moved earlier": {"update start=wed 10:00", "waiting tue 10:00"},
		"moved later":   {"update start=fri 10:00", "waiting thu 10:00"},
		"cancelled":     {"update status=cancelled", "cancelled: the appointment was cancelled"},
		"deleted":       {"delete", "cancelled: the appointment was cancelled"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, "rules: []")
			e := d.tell("create status=confirmed, title=Checkup, start=thu 10:00, end=thu 11:00")
			if tt.since != "" {
				d.tell(tt.since)
			}
			d.rules(reminder)
			added, err := d.r.Replay(t.Context(), e.Event)
			if err != nil || len(added) != 1 {
				t.Fatalf("%+v %v", added, err)
			}
			d.want("after the replay", tt.want)
			if got := d.deliveries()[0]; got.State != added[0].State || !got.Due.Equal(added[0].Due) {
				t.Errorf("the answer is %+v, and stored is %+v", added[0], got)
			}
		})
	}
}

// A waiting delivery finds its step again after the steps of its rule were reordered, changed, added or removed.
func TestStepsPutInOrder(t *testing.T) {
	t.Parallel()
	step := func(hours, path string) string {
		return fmt.Sprintf("      - at: appointment.startTime - duration(%q)\n        late: send\n        http: { url: https://api.example.com/%s }\n", hours, path)
	}
	head := reminder[:strings.Index(reminder, "      - at")]
	const gone = "the rule no longer has this step"
	a, b, c := step("24h", "a"), step("2h", "b"), step("1h", "c")
	for name, tt := range map[string]struct{ edited, first, second string }{
		"as they were":                    {a + b, "/a", "/b"},
		"turned round":                    {b + a, "/a", "/b"},
		"the first went":                  {b, gone, "/b"},
		"the second went":                 {a, "/a", gone},
		"another before them":             {c + a + b, "/a", "/b"},
		"the first is written anew":       {c + b, "/c", "/b"},
		"both are":                        {c + step("30m", "d"), "/c", "/d"},
		"the first went, the other moved": {c + b + step("30m", "d"), "/c", "/b"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, head+a+b)
			d.tell("create start=thu 10:00")
			list := d.deliveries()
			d.rules(head + tt.edited)
			d.now = day(t, "thu 09:30")
			for i, want := range []string{tt.first, tt.second} {
				x := list[1-i]
				err := d.store.Write(t.Context(), 0, func(tx *store.Tx) error {
					x.State = record.Sending
					return d.r.Due(tx, &x)
				})
				if err != nil {
					t.Fatal(err)
				}
				if got := x.Reason + string(x.Request); !strings.Contains(got, want) {
					t.Errorf("step %d: %s %s, want %s", i+1, x.State, got, want)
				}
			}
		})
	}
}

// The event and the appointment of a waiting delivery are kept, also if it waits longer than the retention.
func TestWaitingOutlivesRetention(t *testing.T) {
	t.Parallel()
	d := newDesk(t, strings.Replace(reminder, `appointment.startTime - duration("24h")`, `appointment.startTime + duration("60d")`, 1))
	prune := func() int {
		t.Helper()
		n, err := d.store.Prune(t.Context(), time.Now().Add(365*24*time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	d.tell("create title=Checkup, start=thu 10:00")
	if n := prune(); n != 0 {
		t.Errorf("%d events were deleted while one waits", n)
	}
	d.tell("update title=Long visit")
	prune()
	d.now = d.open().Due
	if got := d.due(); got.State != record.Sending || !strings.Contains(string(got.Request), "Long visit") {
		t.Errorf("is %s %q %s", got.State, got.Reason, got.Request)
	}
	d.tell("update status=cancelled")
	prune()
	if list := d.deliveries(); len(list) != 0 {
		t.Errorf("%d deliveries are left", len(list))
	}
	d.tell("update title=New again") // the appointment is unknown, so this books it
	d.want("after all is forgotten", `skipped: there is no time to count from: a time that "at" names is missing`)
}
