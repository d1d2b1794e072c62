package store_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"bellhop/engine/decide"
	"bellhop/engine/metrics"
	"bellhop/engine/payload"
	"bellhop/engine/receive"
	"bellhop/engine/record"
	"bellhop/engine/store"
	"bellhop/engine/store/storetest"
	"bellhop/rules"
	"bellhop/rules/live"
)

// A modelStep is a step in the model. Its name is the path that it calls, so the path of a request tells its step. A
// step never changes.
type modelStep struct {
	name, at, late string
	moment         func(a *rules.Appointment, planned, received time.Time) time.Time // nil if the step is immediate
}

var modelSteps = []modelStep{
	{"day", `appointment.startTime - duration("24h")`, "", func(a *rules.Appointment, _, _ time.Time) time.Time { return a.StartTime.Add(-24 * time.Hour) }},
	{"two", `appointment.startTime - duration("2h")`, "30m", func(a *rules.Appointment, _, _ time.Time) time.Time { return a.StartTime.Add(-2 * time.Hour) }},
	{"thanks", `appointment.endTime + duration("3h")`, "send", func(a *rules.Appointment, _, _ time.Time) time.Time { return a.EndTime.Add(3 * time.Hour) }},
	{"soon", `now() + duration("90m")`, "", func(_ *rules.Appointment, planned, _ time.Time) time.Time { return planned.Add(90 * time.Minute) }},
	{"instant", `receivedAt`, "5h", func(_ *rules.Appointment, _, received time.Time) time.Time { return received }},
	{"atonce", "", "", nil},
	{told, "", "", nil},
}

// told is the immediate step that sends a message. The other steps are calls.
const told = "told"

func (s *modelStep) yaml() string {
	text := fmt.Sprintf("http: { url: \"https://api.example.com/%s\", json: { start: \"{{ appointment.startTime }}\", title: \"{{ appointment.title }}\" } }\n", s.name)
	if s.name == told {
		text = "slack: { channel: desk, text: \"{{ appointment.startTime }}\" }\n"
	}
	if s.at == "" {
		return "      - " + text
	}
	lines := "      - at: " + s.at + "\n"
	if s.late != "" {
		lines += "        late: " + s.late + "\n"
	}
	return lines + "        " + text
}

type modelRule struct {
	name, when, mode string
	on               []string
	enabled          bool
	steps            []int // indexes of modelSteps
}

// modelWhens maps each condition to a function that decides the same.
var modelWhens = map[string]func(a *rules.Appointment, now time.Time) bool{
	"": func(*rules.Appointment, time.Time) bool { return true },
	`appointment.appointmentStatus == "confirmed"`:   func(a *rules.Appointment, _ time.Time) bool { return a.AppointmentStatus == "confirmed" },
	`appointment.appointmentStatus == "cancelled"`:   func(a *rules.Appointment, _ time.Time) bool { return a.AppointmentStatus == "cancelled" },
	`appointment.startTime > now()`:                  func(a *rules.Appointment, now time.Time) bool { return a.StartTime.After(now) },
	`appointment.title in ["A", "B"] and type != ""`: func(a *rules.Appointment, _ time.Time) bool { return a.Title == "A" || a.Title == "B" },
}

func (r *modelRule) yaml() string {
	var b strings.Builder
	fmt.Fprintf(&b, "  - name: %s\n    on: [%s]\n    enabled: %v\n", r.name, strings.Join(r.on, ", "), r.enabled)
	if r.when != "" {
		fmt.Fprintf(&b, "    when: '%s'\n", r.when)
	}
	if r.mode != "" {
		fmt.Fprintf(&b, "    mode: %s\n", r.mode)
	}
	b.WriteString("    then:\n")
	for _, i := range r.steps {
		b.WriteString(modelSteps[i].yaml())
	}
	return b.String()
}

// forCancelled reports whether the deliveries that the rule plans for an event with these names are for a cancelled
// appointment.
func (r *modelRule) forCancelled(on []string) bool {
	if strings.Contains(r.when, "cancelled") {
		return true
	}
	for _, name := range []string{rules.Cancelled, rules.Delete} {
		if slices.Contains(r.on, name) && slices.Contains(on, name) {
			return true
		}
	}
	return false
}

func drawRule(t *rapid.T, name string) modelRule {
	words := []string{rules.Booked, rules.Rescheduled, rules.Updated, rules.Cancelled, rules.Confirmed, rules.Create, rules.Update, rules.Delete}
	r := modelRule{
		name:    name,
		on:      rapid.SliceOfNDistinct(rapid.SampledFrom(words), 1, 3, rapid.ID).Draw(t, "on"),
		when:    rapid.SampledFrom(slices.Sorted(maps.Keys(modelWhens))).Draw(t, "when"),
		enabled: rapid.IntRange(0, 9).Draw(t, "enabled") > 0,
		steps:   rapid.SliceOfNDistinct(rapid.IntRange(0, len(modelSteps)-1), 1, 3, rapid.ID).Draw(t, "steps"),
	}
	if rapid.IntRange(0, 5).Draw(t, "shadow") == 0 {
		r.mode = "shadow"
	}
	return r
}

// A claimed is a delivery that a worker has claimed.
type claimed struct {
	job     store.Queued
	d       record.Delivery
	started bool
}

// A model is one appointment, the rules, and the workers of its deliveries.
type model struct {
	s      *store.Store
	r      *receive.Receiver
	now    time.Time
	latest time.Time // the latest time of a claim; the clock can go back
	rules  []modelRule
	set    *rules.Set

	appointment string
	seq         int
	said        []byte   // the body of the latest accepted event
	bodies      [][]byte // of all events that were sent
	accepted    []string // the ids of the accepted events
	hands       []claimed
	// forced has the deliveries that an operator retried, and their copies. Some checks do not hold for them.
	forced map[string]bool
	bytes  map[string]string // the request that was first sent under a delivery's id
	// unfollowed has the deliveries whose appointment changed while their rule or step was missing, so that they did
	// not follow it. It also has the names of rules that were replaced, if the old or the new rule can be for cancelled
	// appointments.
	unfollowed map[string]bool
	known      map[string]*modelRow
}

// A modelRow is what the model knows of a delivery since it was first seen.
type modelRow struct {
	step   string
	rule   string
	remade bool // the rule was replaced since then
}

func (m *model) compile(t *rapid.T) {
	src := "rules:\n"
	for i := range m.rules {
		src += m.rules[i].yaml()
	}
	if len(m.rules) == 0 {
		src = "rules: []\n"
	}
	f, findings := rules.Compile("model.yaml", []byte(src), rules.Options{Connections: map[string]string{"slack": "slack"}})
	if f == nil {
		t.Fatalf("%s\n%+v", src, findings)
	}
	m.set, _ = rules.NewSet([]*rules.File{f})
}

func (m *model) rule(name string) *modelRule {
	for i := range m.rules {
		if m.rules[i].name == name {
			return &m.rules[i]
		}
	}
	return nil
}

// state returns the remembered state of the appointment, nil if there is none.
func (m *model) state(t *rapid.T) *decide.Memory {
	var data []byte
	err := m.s.Write(t.Context(), 0, func(tx *store.Tx) (err error) {
		data, _, err = tx.Memory("hoopai", m.appointment)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if data == nil {
		return nil
	}
	state := new(decide.Memory)
	if err := json.Unmarshal(data, state); err != nil {
		t.Fatal(err)
	}
	return state
}

func gone(s *decide.Memory) bool { return s.Deleted || s.AppointmentStatus == "cancelled" }

func (m *model) deliveries(t *rapid.T) []record.Delivery {
	list, err := m.s.Deliveries(t.Context(), store.DeliveryFilter{Appointment: m.appointment, Limit: 500})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func unfinished(d *record.Delivery) bool {
	switch d.State {
	case record.Waiting, record.Pending, record.Sending, record.Retrying:
		return true
	}
	return false
}

// tell sends a random event.
func (m *model) tell(t *rapid.T) {
	m.seq++
	kind := rapid.SampledFrom([]string{rules.Create, rules.Create, rules.Update, rules.Update, rules.Update, rules.Update, rules.Delete}).Draw(t, "type")
	fields := map[string]any{"id": m.appointment}
	if rapid.Bool().Draw(t, "moves") || kind == rules.Create {
		start := m.now.Add(time.Duration(rapid.IntRange(-30, 60).Draw(t, "start")) * time.Hour)
		fields["startTime"], fields["endTime"] = start.Format(time.RFC3339), start.Add(time.Hour).Format(time.RFC3339)
	}
	if rapid.Bool().Draw(t, "status?") {
		fields["appointmentStatus"] = rapid.SampledFrom([]string{"confirmed", "confirmed", "cancelled", "new"}).Draw(t, "status")
	}
	if rapid.Bool().Draw(t, "title?") {
		fields["title"] = rapid.SampledFrom([]string{"A", "B", "C"}).Draw(t, "title")
	}
	if rapid.IntRange(0, 3).Draw(t, "dated") > 0 {
		back := 0
		if rapid.IntRange(0, 4).Draw(t, "old") == 0 {
			back = rapid.IntRange(1, 3600).Draw(t, "by")
		}
		fields["dateUpdated"] = m.now.Add(time.Duration(m.seq-back) * time.Second).Format(time.RFC3339)
	}
	body, err := json.Marshal(map[string]any{"type": kind, "locationId": "l1", "n": m.seq, "appointment": fields})
	if err != nil {
		t.Fatal(err)
	}
	m.bodies = append(m.bodies, body)
	m.post(t, body)
}

func (m *model) post(t *rapid.T, body []byte) {
	ev, err := payload.Normalise("hoopai", body, m.now, time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range m.deliveries(t) {
		if row := m.known[d.ID]; d.Follows && (m.rule(row.rule) == nil || !m.has(row)) {
			m.unfollowed[d.ID] = true
		}
	}
	receipt, err := m.r.Receive(t.Context(), ev)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s %s: %s", m.now.Format("2 15:04"), receipt.Status, body)
	if receipt.Status == record.Accepted {
		if bytes.Equal(body, m.said) {
			t.Fatalf("an event was accepted twice")
		}
		m.accepted, m.said = append(m.accepted, receipt.Event), body
	}
}

// has reports whether the rule of a row still has its step.
func (m *model) has(row *modelRow) bool {
	r := m.rule(row.rule)
	return r != nil && slices.ContainsFunc(r.steps, func(i int) bool { return modelSteps[i].name == row.step })
}

func (m *model) take(t *rapid.T) {
	jobs := m.queued(t)
	for i := range m.hands {
		jobs = slices.DeleteFunc(jobs, func(q store.Queued) bool { return q.Is(&m.hands[i].job) })
	}
	if len(jobs) == 0 {
		t.Skip("nothing is queued")
	}
	m.claim(t, rapid.SampledFrom(jobs).Draw(t, "job"))
}

func (m *model) queued(t *rapid.T) []store.Queued {
	jobs, err := m.s.Queued(t.Context(), m.appointment)
	if err != nil {
		t.Fatal(err)
	}
	return jobs
}

func (m *model) claim(t *rapid.T, job store.Queued) {
	if m.now.After(m.latest) {
		m.latest = m.now
	}
	d, ok, err := job.Claim(t.Context(), m.r.Due)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s claim %s: %v %s %s", m.now.Format("2 15:04"), job.Delivery, ok, d.State, d.Reason)
	switch {
	case ok && !d.At.IsZero() && !m.forced[d.ID] && (m.latest.Before(d.At.Add(-time.Second)) || !d.Until.IsZero() && m.now.After(d.Until)):
		t.Fatalf("%s goes out at %s; it was to not before %s, and until %s", d.ID, m.now, d.At, d.Until)
	case ok:
		m.hands = append(m.hands, claimed{job: job, d: d})
	case d.State == record.Waiting, d.State == record.Pending, d.State == record.Retrying: // its job comes again
	default:
		m.end(t, job)
	}
}

func (m *model) end(t *rapid.T, job store.Queued) {
	if err := job.End(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (m *model) hand(t *rapid.T, started bool) int {
	var at []int
	for i := range m.hands {
		if m.hands[i].started == started {
			at = append(at, i)
		}
	}
	if len(at) == 0 {
		t.Skip("no worker has any")
	}
	return rapid.SampledFrom(at).Draw(t, "hand")
}

func (m *model) drop(i int) { m.hands = slices.Delete(m.hands, i, i+1) }

// start begins the attempt of a claimed delivery, unless it is no longer current.
func (m *model) start(t *rapid.T, i int) {
	h := &m.hands[i]
	ok, err := h.job.Current(t.Context(), &h.d)
	if err != nil {
		t.Fatal(err)
	}
	if !ok {
		t.Logf("%s %s is no longer current", m.now.Format("2 15:04"), h.d.ID)
		d, job := h.d, h.job
		m.drop(i)
		if !d.At.IsZero() {
			m.end(t, job)
			return
		}
		if d.State = record.Pending; len(d.Attempts) > 0 {
			d.State = record.Retrying
		}
		m.record(t, job, &d)
		return
	}
	h.started = true
	m.out(t, &h.d)
}

// out checks a request that is being sent.
func (m *model) out(t *rapid.T, d *record.Delivery) {
	first, again := m.bytes[d.ID]
	if again && first != string(d.Request) {
		t.Fatalf("%s went out as %s before, and now as %s", d.ID, first, d.Request)
	}
	m.bytes[d.ID] = string(d.Request)
	t.Logf("%s out %s: %s", m.now.Format("2 15:04"), d.ID, d.Request)
	if d.Action == "slack" {
		m.tells(t, d)
		return
	}
	if d.At.IsZero() {
		return
	}
	var req struct {
		URL  string
		JSON struct{ Start time.Time }
	}
	if err := json.Unmarshal(d.Request, &req); err != nil {
		t.Fatal(err)
	}
	state, row := m.state(t), m.known[d.ID]
	if !req.JSON.Start.Equal(state.StartTime) {
		t.Fatalf("%s says that the appointment begins at %s, but it does at %s", d.ID, req.JSON.Start, state.StartTime)
	}
	if path := strings.TrimPrefix(req.URL, "https://api.example.com/"); path != row.step && !row.remade {
		t.Fatalf("%s was planned as the step %q of %s and goes out as %q", d.ID, row.step, row.rule, path)
	}
	if meant := m.forCancelled(t, d); meant != gone(state) && !row.remade {
		t.Fatalf("%s goes out; its appointment being cancelled is %v, its rule being for such ones %v", d.ID, gone(state), meant)
	}
}

// tells checks that a message tells the present start time. It also checks that the appointment was not cancelled, or
// booked again, since its event. A rule for cancelled appointments can still send after a cancellation.
func (m *model) tells(t *rapid.T, d *record.Delivery) {
	var req struct{ Text time.Time }
	if err := json.Unmarshal(d.Request, &req); err != nil {
		t.Fatal(err)
	}
	state := m.state(t)
	if !req.Text.Equal(state.StartTime) {
		t.Fatalf("%s says that the appointment begins at %s, but it does at %s", d.ID, req.Text, state.StartTime)
	}
	e, err := m.s.Event(t.Context(), d.Event)
	if err != nil {
		t.Fatal(err)
	}
	var then decide.Memory
	if err := json.Unmarshal(e.After, &then); err != nil {
		t.Fatal(err)
	}
	if gone(&then) != gone(state) && !(gone(state) && m.forCancelled(t, d)) {
		t.Fatalf("%s goes out; its appointment being cancelled was %v and is %v", d.ID, gone(&then), gone(state))
	}
}

func (m *model) forCancelled(t *rapid.T, d *record.Delivery) bool {
	r := m.rule(d.Rule)
	if r == nil {
		return false
	}
	e, err := m.s.Event(t.Context(), d.Event)
	if err != nil {
		t.Fatal(err)
	}
	return r.forCancelled(e.On)
}

// finish records the outcome of an attempt.
func (m *model) finish(t *rapid.T, i int, outcome string) {
	h := m.hands[i]
	m.drop(i)
	d := h.d
	d.Attempts = append(slices.Clone(d.Attempts), record.Attempt{At: m.now, Outcome: outcome})
	switch outcome {
	case "sent":
		d.State, d.Reason = record.Sent, ""
	case "permanent":
		d.State, d.Reason = record.Dead, "no"
	case "retry":
		d.State, d.Reason, d.Due = record.Retrying, "not now", m.now.Add(20*time.Minute)
		if !d.Until.IsZero() && d.Retried.IsZero() && d.Due.After(d.Until) {
			d.State, d.Reason, d.Due = record.Dead, "too late for another attempt", m.now
		}
	}
	m.record(t, h.job, &d)
}

func (m *model) record(t *rapid.T, job store.Queued, d *record.Delivery) {
	if err := job.Record(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s record %s: %s", m.now.Format("2 15:04"), d.ID, d.State)
	if !unfinished(d) {
		m.end(t, job)
	}
}

// check checks the promises of the store after each action.
func (m *model) check(t *rapid.T) {
	list := m.deliveries(t)
	slices.Reverse(list)
	for i := range list {
		d := &list[i]
		if m.known[d.ID] != nil || d.Step == 0 {
			continue
		}
		row := &modelRow{rule: d.Rule}
		for j := range list[:i] { // a copy has the same step, even if that has another place in the rule now
			if o := &list[j]; o.Event == d.Event && o.Rule == d.Rule && o.Step == d.Step {
				*row = *m.known[o.ID]
				m.unfollowed[d.ID] = m.unfollowed[d.ID] || m.unfollowed[o.ID]
				m.forced[d.ID] = m.forced[d.ID] || m.forced[o.ID]
			}
		}
		if r := m.rule(d.Rule); row.step == "" && r != nil && d.Step <= len(r.steps) {
			row.step = modelSteps[r.steps[d.Step-1]].name
		}
		m.known[d.ID] = row
	}
	state := m.state(t)
	jobs := m.queued(t)
	type place struct{ rule, step string }
	alive := map[place]string{}
	for i := range list {
		d := &list[i]
		row := m.known[d.ID]
		if d.Step == 0 || row == nil {
			t.Fatalf("%+v", d)
		}
		if unfinished(d) {
			served := slices.ContainsFunc(jobs, func(q store.Queued) bool {
				return q.Serves(d) && (q.Scheduled.IsZero() || !q.Scheduled.After(d.Due.Add(time.Millisecond)))
			})
			if !served {
				t.Fatalf("no job will ever take %s, which is %s", d.ID, d.State)
			}
		}
		if d.Key == "" {
			continue
		}
		if at := (place{d.Rule, row.step}); unfinished(d) && !row.remade {
			if other := alive[at]; other != "" {
				t.Fatalf("%s and %s of the step %v are both open", other, d.ID, at)
			}
			alive[at] = d.ID
		}
		if !d.Follows || m.forced[d.ID] || m.unfollowed[d.ID] || row.remade {
			continue
		}
		r := m.rule(d.Rule)
		if r == nil || !m.has(row) {
			continue
		}
		applies := m.forCancelled(t, d) == gone(state)
		why := strings.TrimSuffix(d.Reason, record.UnderWay)
		if passing := why == "the appointment was cancelled" || why == "the appointment takes place after all"; !m.edited(d) {
			if unfinished(d) && !applies {
				t.Fatalf("%s is %s; the appointment being cancelled is %v", d.ID, d.State, gone(state))
			}
			if d.State == record.Cancelled && passing && applies {
				t.Fatalf("%s is %s (%s); the appointment being cancelled is %v", d.ID, d.State, d.Reason, gone(state))
			}
		}
		if d.State != record.Waiting {
			continue
		}
		e, err := m.s.Event(t.Context(), d.Event)
		if err != nil {
			t.Fatal(err)
		}
		step := modelSteps[slices.IndexFunc(modelSteps, func(s modelStep) bool { return s.name == row.step })]
		if want := step.moment(&state.Appointment, d.Created, e.ReceivedAt); want.Sub(d.At).Abs() > time.Millisecond {
			t.Fatalf("%s waits for %s, but its step %s is due at %s", d.ID, d.At, row.step, want)
		}
	}
}

func (m *model) edited(d *record.Delivery) bool { return m.unfollowed[d.Rule] }

// matched checks that an event that was just accepted has a delivery for every step of every rule that applied.
func (m *model) matched(t *rapid.T, id string) {
	e, err := m.s.Event(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	var state decide.Memory
	if err := json.Unmarshal(e.After, &state); err != nil {
		t.Fatal(err)
	}
	var want []string
	for i := range m.rules {
		r := &m.rules[i]
		if r.enabled && slices.ContainsFunc(r.on, func(n string) bool { return slices.Contains(e.On, n) }) && modelWhens[r.when](&state.Appointment, m.now) {
			for n := range r.steps {
				want = append(want, fmt.Sprint(r.name, n+1))
			}
		}
	}
	var got []string
	list, err := m.s.Deliveries(t.Context(), store.DeliveryFilter{Event: id, Limit: 500})
	if err != nil {
		t.Fatal(err)
	}
	for i := range list {
		got = append(got, fmt.Sprint(list[i].Rule, list[i].Step))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Fatalf("event %s (%v) has %v, want %v", id, e.On, got, want)
	}
}

// After any sequence of events, edits, crashes and operator actions, what is sent is wanted and true when it is sent,
// nothing is planned twice, and nothing is left behind (P1, P2, P4, P6).
func TestModel(t *testing.T) {
	t.Parallel()
	m := &model{}
	clock := func() time.Time { return m.now }
	s, err := store.Open(t.Context(), store.Options{At: storetest.At(t), Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r := receive.New(receive.Options{
		Store: s, Rules: func() live.Snapshot { return live.Snapshot{Set: m.set, ID: "model"} }, Zone: time.UTC,
		Metrics: metrics.New(), Logger: slog.New(slog.DiscardHandler), Now: clock,
	})
	runs := 0
	rapid.Check(t, func(t *rapid.T) {
		runs++
		*m = model{
			s: s, r: r, now: time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC), appointment: fmt.Sprintf("a%d", runs),
			forced: map[string]bool{}, bytes: map[string]string{}, unfollowed: map[string]bool{}, known: map[string]*modelRow{},
		}
		for i := range rapid.IntRange(1, 2).Draw(t, "rules") {
			m.rules = append(m.rules, drawRule(t, fmt.Sprintf("rule%d", i)))
		}
		m.compile(t)
		for i := range m.rules {
			t.Logf("%s", m.rules[i].yaml())
		}
		t.Repeat(m.actions())
		m.drain(t)
	})
	kept, err := s.CountDeliveries(t.Context())
	if counted := s.Recount(t); err != nil || !maps.Equal(kept, counted) {
		t.Errorf("the counts that are kept are %v (%v), but there are %v", kept, err, counted)
	}
}

func (m *model) actions() map[string]func(*rapid.T) {
	tell := func(t *rapid.T) {
		n := len(m.accepted)
		m.tell(t)
		if len(m.accepted) > n {
			m.matched(t, m.accepted[n])
		}
	}
	pick := func(t *rapid.T, states ...record.State) string {
		var ids []string
		for _, d := range m.deliveries(t) {
			if slices.Contains(states, d.State) {
				ids = append(ids, d.ID)
			}
		}
		if len(ids) == 0 {
			t.Skip("there is none")
		}
		return rapid.SampledFrom(ids).Draw(t, "delivery")
	}
	return map[string]func(*rapid.T){
		"":      m.check,
		"tell":  tell,
		"tell2": tell,
		"repeat": func(t *rapid.T) {
			if len(m.bodies) == 0 {
				t.Skip("nothing was sent")
			}
			// If the body is that of the latest event, this is a duplicate. Otherwise it is a new event: the
			// appointment goes back to an earlier state.
			m.post(t, rapid.SampledFrom(m.bodies).Draw(t, "body"))
		},
		"claim":  m.take,
		"claim2": m.take,
		"start":  func(t *rapid.T) { m.start(t, m.hand(t, false)) },
		"postpone": func(t *rapid.T) {
			i := m.hand(t, false)
			h := m.hands[i]
			m.drop(i)
			if h.d.State = record.Pending; len(h.d.Attempts) > 0 {
				h.d.State = record.Retrying
			}
			m.record(t, h.job, &h.d)
		},
		"finish": func(t *rapid.T) {
			m.finish(t, m.hand(t, true), rapid.SampledFrom([]string{"sent", "retry", "retry", "permanent"}).Draw(t, "outcome"))
		},
		"crash": func(t *rapid.T) {
			t.Logf("%s crash", m.now.Format("2 15:04"))
			m.crash()
		},
		"wait": func(t *rapid.T) {
			m.now = m.now.Add(time.Duration(rapid.SampledFrom([]int{1, 20, 61, 240, 1440, -10}).Draw(t, "minutes")) * time.Minute)
		},
		"until due": func(t *rapid.T) {
			for _, d := range m.deliveries(t) {
				if unfinished(&d) && d.Due.After(m.now) {
					m.now = d.Due
					return
				}
			}
			t.Skip("nothing waits")
		},
		"edit": func(t *rapid.T) {
			i := rapid.IntRange(0, len(m.rules)-1).Draw(t, "rule")
			r := &m.rules[i]
			switch rapid.SampledFrom([]string{"enabled", "mode", "turn", "away", "new"}).Draw(t, "edit") {
			case "enabled":
				r.enabled = !r.enabled
			case "mode":
				if r.mode == "" {
					r.mode = "shadow"
				} else {
					r.mode = ""
				}
			case "turn":
				r.steps = slices.Clone(r.steps)
				slices.Reverse(r.steps)
			case "away":
				if len(r.steps) < 2 {
					t.Skip("it has one step only")
				}
				r.steps = slices.Clone(r.steps[1:])
			case "new":
				was := r.forCancelledAny()
				*r = drawRule(t, r.name)
				for _, row := range m.known {
					row.remade = row.remade || row.rule == r.name
				}
				if was || r.forCancelledAny() {
					m.unfollowed[r.name] = true
				}
			}
			m.compile(t)
			t.Logf("%s edited: %s", m.now.Format("2 15:04"), r.yaml())
		},
		"cancel": func(t *rapid.T) {
			_, err := m.s.Cancel(t.Context(), pick(t, record.Waiting, record.Pending, record.Retrying), "cancelled by an operator")
			if err != nil {
				t.Fatal(err)
			}
		},
		"retry": func(t *rapid.T) {
			id := pick(t, record.Dead, record.Cancelled, record.Skipped)
			_, err := m.s.Retry(t.Context(), id)
			t.Logf("%s operator: retry %s: %v", m.now.Format("2 15:04"), id, err)
			if _, refused := errors.AsType[*record.ConflictError](err); refused {
				return // another delivery of its step is open, it is outdated, or it is a skipped immediate step
			}
			if err != nil {
				t.Fatal(err)
			}
			m.forced[id] = true
		},
		"replay": func(t *rapid.T) {
			if len(m.accepted) == 0 {
				t.Skip("nothing was accepted")
			}
			id := rapid.SampledFrom(m.accepted).Draw(t, "event")
			t.Logf("%s operator: replay %s", m.now.Format("2 15:04"), id)
			if _, err := m.r.Replay(t.Context(), id); err != nil && !errors.Is(err, receive.ErrNotReplayable) {
				t.Fatal(err)
			}
		},
	}
}

func (r *modelRule) forCancelledAny() bool {
	return r.forCancelled([]string{rules.Cancelled, rules.Delete})
}

// crash ends the process. The workers lose the deliveries that they have claimed.
func (m *model) crash() {
	m.hands = nil
}

// drain works the queue until nothing is left to do. Time passes, and every attempt succeeds.
func (m *model) drain(t *rapid.T) {
	m.crash()
	// Calls are sent in the order of their events, even if their jobs have another order, so each round sends at least
	// one.
	for range 3 + len(m.deliveries(t)) {
		for _, job := range m.queued(t) {
			m.claim(t, job)
			for len(m.hands) > 0 {
				if m.start(t, 0); len(m.hands) > 0 {
					m.finish(t, 0, "sent")
				}
			}
		}
		m.now = m.now.Add(100 * 24 * time.Hour)
	}
	for _, d := range m.deliveries(t) {
		if unfinished(&d) {
			t.Fatalf("%s is left %s", d.ID, d.State)
		}
	}
}
