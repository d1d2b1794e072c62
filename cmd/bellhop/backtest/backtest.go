// Package backtest runs two sets of rules on the same recorded events and reports which messages are added, removed
// or changed. It sends nothing and writes nothing.
//
// A step that waits follows the later events of its appointment, as it does on the server, and is decided when it is
// due. Steps that still wait at the end of the span are counted as if nothing changes any more. This shows at once if
// a rule is about to write to everybody. They are also counted separately. Steps planned by events before the span
// are not counted.
package backtest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"bellhop/actions"
	"bellhop/engine/decide"
	"bellhop/engine/payload"
	"bellhop/engine/record"
	"bellhop/engine/store"
	"bellhop/rules"
)

// Options say what is compared. Examples, Memory, PresentID and Progress can be left out.
type Options struct {
	Store *store.Reader
	Span  store.Span
	// Present are the current rules, and Proposed are the rules to compare with them.
	Present, Proposed *rules.Set
	PresentID         string         // the id that the store has for the rule set Present, "" if unknown
	Zone              *time.Location // for the days, and for times without an offset

	Examples int                   // most examples for each rule and each kind of difference
	Memory   int                   // approximate bytes for steps that wait; 0 is 256 MiB
	Progress func(done, total int) // called after each batch of events, from Run's goroutine
}

// The limits of what a backtest keeps in memory, however many events there are.
const (
	batch         = 50      // events read at a time; one can have some MiB
	maxCounted    = 200_000 // tallies of recipients: one in all, and one for each rule that writes to them
	topRecipients = 50      // most recipients in the report, and in each rule
	maxReasons    = 10      // most reasons of a rule
)

// A Tally counts messages. One step that is sent for one event is one message.
type Tally struct {
	Present  int `json:"present"`  // sent by the present rules
	Proposed int `json:"proposed"` // sent by the proposed rules
	Added    int `json:"added"`
	Removed  int `json:"removed"`
	Changed  int `json:"changed"`
}

// Differs says whether anything is added, removed or changed.
func (t *Tally) Differs() bool { return t.Added+t.Removed+t.Changed > 0 }

// A Report is the result of a backtest. The counts come first because they show at once what a rule is about to do.
//
// A message is counted on the day on which it is sent: the day of its event, or the day on which it is due if its
// step waits. Messages that are due after Until are in the counts of the report, the recipients and the rules, as if
// nothing changes any more. They are in no Day. Waiting says how many there are.
type Report struct {
	Since    time.Time `json:"since"`
	Until    time.Time `json:"until"`
	Received int       `json:"received"` // events
	Events   int       `json:"events"`   // events that were accepted and could be read

	Tally
	Waiting    Tally       `json:"waiting"` // the messages among these that still wait at the end
	Days       []Day       `json:"days"`
	Recipients []Recipient `json:"recipients"` // those with the largest differences
	Distinct   int         `json:"distinct"`   // how many recipients the proposed rules have
	Rules      []Rule      `json:"rules"`      // the largest differences first

	// OtherVersions counts the events that were received under other rules than the present ones. RecordedDiffers
	// counts the differences between the recorded messages and those of the present rules: messages that only one
	// of the two has, or that differ. RecordedDiffers leaves out steps that wait, because later rules can have
	// changed what was recorded of them.
	OtherVersions   int `json:"otherVersions"`
	RecordedDiffers int `json:"recordedDiffers"`
	Unreadable      int `json:"unreadable"` // recorded events that cannot be read any more
	Uncounted       int `json:"uncounted"`  // counts of recipients that were left out because there were too many
	Unfollowed      int `json:"unfollowed"` // steps that were not followed for lack of memory; counted as if nothing changed after their event
}

// A Day counts the messages of one day.
type Day struct {
	Day string `json:"day"` // 2026-01-31
	Tally
}

// A Recipient counts the messages to one person, or to a destination if the action names no recipient.
type Recipient struct {
	Action string `json:"action"`
	To     string `json:"to"`
	Tally
}

// A Rule counts the messages of one rule.
type Rule struct {
	Rule string `json:"rule"`
	New  bool   `json:"new"`  // the present rules have no rule of this name
	Gone bool   `json:"gone"` // the proposed rules have no rule of this name
	Tally
	Waiting    Tally        `json:"waiting"`  // the messages among these that still wait at the end
	Events     int          `json:"events"`   // events for which the proposed rule sends something
	Distinct   int          `json:"distinct"` // recipients of the proposed rule
	Watched    int          `json:"watched"`  // messages that the proposed rule only records (mode: shadow)
	Days       []Day        `json:"days"`
	Recipients []Recipient  `json:"recipients"`
	Unsent     []Reason     `json:"unsent"` // why steps of the proposed rule send nothing, including steps that wait
	Examples   []Difference `json:"examples"`
}

// A Reason says why steps are not sent, and how many.
type Reason struct {
	Reason string `json:"reason"`
	Count  int    `json:"count"`
}

// Kind says how a message differs.
type Kind string

const (
	Added   Kind = "added"
	Removed Kind = "removed"
	Changed Kind = "changed"
)

// A Difference is one message that differs.
type Difference struct {
	Kind        Kind            `json:"kind"`
	Event       string          `json:"event"`
	At          time.Time       `json:"at"`
	Appointment string          `json:"appointment"`
	Step        int             `json:"step"` // its number in the proposed rule, or in the present rule if it is removed
	Action      string          `json:"action"`
	Reason      string          `json:"reason,omitempty"` // why it is no longer sent, if the proposed rule says why
	Present     json.RawMessage `json:"present,omitempty"`
	Proposed    json.RawMessage `json:"proposed,omitempty"`

	// For a step that waits: when it is due, and whether that is after the end of the span and can still change.
	PresentDue  time.Time `json:"presentDue,omitzero"`
	ProposedDue time.Time `json:"proposedDue,omitzero"`
	Waiting     bool      `json:"waiting,omitempty"`
}

// A test is one run of a backtest.
type test struct {
	o      Options
	report *Report
	n      *payload.Normaliser
	all    group
	rules  map[string]*ruleGroup
	room   int // how many more tallies of recipients can be kept
	fields map[string][]string
	held   held
}

// A group is a set of messages that are counted together.
type group struct {
	Tally
	waiting Tally
	days    map[string]*Tally
	to      map[address]*Tally
}

type address struct{ action, to string }

type ruleGroup struct {
	group
	events, watched int
	unsent          map[string]int
	examples        map[Kind][]Difference
}

func newGroup() group { return group{days: map[string]*Tally{}, to: map[address]*Tally{}} }

// Run compares the rules over all events of the span. It returns an error if the store cannot be read, if an event
// cannot be run through the rules, or if ctx ends.
func Run(ctx context.Context, o Options) (*Report, error) {
	t := &test{
		o: o, report: &Report{Since: o.Span.Since, Until: o.Span.Until}, n: &payload.Normaliser{Zone: o.Zone},
		all: newGroup(), rules: map[string]*ruleGroup{}, room: maxCounted, fields: map[string][]string{},
		held: held{sets: [2]*rules.Set{o.Present, o.Proposed}, of: map[place]*appointment{}, memory: cmp.Or(o.Memory, defaultMemory)},
	}
	total, err := o.Store.CountEvents(ctx, o.Span)
	if err != nil {
		return nil, err
	}
	after := ""
	for {
		events, err := o.Store.EventsAfter(ctx, o.Span, after, batch)
		if err != nil {
			return nil, err
		}
		if len(events) == 0 {
			break
		}
		after = events[len(events)-1].ID
		recorded, err := o.Store.DeliveriesOf(ctx, events[0].ID, after)
		if err != nil {
			return nil, err
		}
		for i := range events {
			n := 0
			for n < len(recorded) && recorded[n].Event <= events[i].ID {
				n++
			}
			if err := t.event(ctx, &events[i], recorded[:n]); err != nil {
				return nil, err
			}
			recorded = recorded[n:]
		}
		t.report.Received += len(events)
		if o.Progress != nil {
			o.Progress(t.report.Received, max(total, t.report.Received))
		}
	}
	if err := t.settleRest(ctx); err != nil {
		return nil, err
	}
	return t.finish(), nil
}

// event puts one event to both.
func (t *test) event(ctx context.Context, e *record.Event, recorded []record.Delivery) error {
	if e.Status != record.Accepted {
		return nil
	}
	ev, err := decide.Restore(t.n, e)
	if err != nil {
		t.report.Unreadable++
		return nil //nolint:nilerr // it is counted, and the others are still compared
	}
	if ev.Answers, err = decide.Answers(recorded...); err != nil {
		t.report.Unreadable++
		return nil //nolint:nilerr // it is counted, and the others are still compared
	}
	ev.History = t.visits(ctx, ev, e.ID)
	t.report.Events++
	if err := t.settleDue(ctx, func(due time.Time) bool { return !due.After(e.ReceivedAt) }); err != nil {
		return err
	}
	var made [2][]record.Delivery
	for set, name := range [2]string{"present", "proposed"} {
		if made[set], err = decide.Deliveries(t.held.sets[set], ev, e.ReceivedAt); err != nil {
			return fmt.Errorf("run event %s through the %s rules: %w", e.ID, name, err)
		}
		for i := range made[set] {
			d := &made[set][i]
			if d.Event = e.ID; !d.Opens.IsZero() {
				if err := opened(t.held.sets[set], d, e, ev); err != nil {
					return err
				}
			}
		}
	}
	if t.o.PresentID != "" && e.Rules != t.o.PresentID {
		t.report.OtherVersions++
	}
	t.report.RecordedDiffers += differing(made[0], recorded)
	if err := t.follow(ctx, e, ev, &made); err != nil {
		return err
	}
	c := comparison{t, occasion{e.ID, place{e.Source, e.Appointment}, e.ReceivedAt}}
	for name, lists := range byRule(&made) {
		if slices.ContainsFunc(slices.Concat(lists[0], lists[1]), decide.Follows) {
			if err := c.hold(ctx, name, c.of, lists[0], lists[1]); err != nil {
				return err
			}
		} else {
			c.rule(name, lists[0], lists[1])
		}
	}
	return nil
}

// visits returns what reads the other appointments of a contact as they were before the event with an id.
func (t *test) visits(ctx context.Context, ev *rules.Event, before string) func(contact string) ([]rules.Appointment, error) {
	return decide.Visits(ev, func(v record.Visitor) ([]json.RawMessage, error) { return t.o.Store.HistoryAt(ctx, v, before) })
}

// opened renders a step that waits for its hours, for the appointment as it is with its event.
func opened(set *rules.Set, d *record.Delivery, e *record.Event, ev *rules.Event) error {
	state, err := decide.DecodeState(e.After)
	if err != nil {
		return fmt.Errorf("event %s: %w", e.ID, err)
	}
	if err := decide.Opened(set, d, decide.Origin{Event: ev, State: state}); err != nil {
		return fmt.Errorf("event %s: %w", e.ID, err)
	}
	if d.State == record.Sending {
		d.State, d.Reason = record.Pending, ""
	}
	return nil
}

// byRule gives what each rule makes of an event, in both sets.
func byRule(made *[2][]record.Delivery) map[string][2][]*record.Delivery {
	out := map[string][2][]*record.Delivery{}
	for set := range made {
		for i := range made[set] {
			d := &made[set][i]
			lists := out[d.Rule]
			lists[set] = append(lists[set], d)
			out[d.Rule] = lists
		}
	}
	return out
}

// differing counts the messages that only one of the two has, and those that it has otherwise, of steps that do not
// wait.
func differing(present, recorded []record.Delivery) int {
	sent := func(list []record.Delivery) (out []*record.Delivery) {
		for i := range list {
			if d := &list[i]; d.At.IsZero() && d.State != record.Skipped && d.State != record.Shadow {
				out = append(out, d)
			}
		}
		return out
	}
	rest, others := unmatched(sent(present), sent(recorded), func(a, b *record.Delivery) bool { return a.Rule == b.Rule && same(a, b) })
	_, only := unmatched(rest, others, func(a, b *record.Delivery) bool { return a.Rule == b.Rule && a.Action == b.Action })
	return len(rest) + len(only)
}

func same(a, b *record.Delivery) bool {
	return a.Action == b.Action && a.Connection == b.Connection && bytes.Equal(a.Request, b.Request)
}

// A comparison compares the messages of one event.
type comparison struct {
	*test
	of occasion
}

// An occasion is the event that caused the messages.
type occasion struct {
	event string
	place
	at time.Time
}

// rule compares what one rule says. Messages that are the same are matched first, whatever their steps are, so
// that a step put before others makes no difference of them; then those of the same action, in their order.
func (c *comparison) rule(name string, present, proposed []*record.Delivery) {
	r := c.rules[name]
	if r == nil {
		r = &ruleGroup{group: newGroup(), unsent: map[string]int{}, examples: map[Kind][]Difference{}}
		c.rules[name] = r
	}
	var before, after, unsent []*record.Delivery
	for _, d := range present {
		if d.State == record.Pending {
			before = append(before, d)
			c.count(r, d, func(t *Tally) { t.Present++ })
		}
	}
	for _, d := range proposed {
		switch d.State {
		case record.Pending:
			after = append(after, d)
			c.count(r, d, func(t *Tally) { t.Proposed++ })
		case record.Shadow:
			r.watched++
			unsent = append(unsent, d)
		default:
			r.why(d.Reason)
			unsent = append(unsent, d)
		}
	}
	if len(after) > 0 {
		r.events++
	}
	before, after = unmatched(before, after, func(a, b *record.Delivery) bool { return same(a, b) && a.Due.Equal(b.Due) })
	for _, d := range before {
		i := slices.IndexFunc(after, func(other *record.Delivery) bool { return other.Action == d.Action })
		if i < 0 {
			c.count(r, d, func(t *Tally) { t.Removed++ })
			c.example(r, Difference{Kind: Removed, Step: d.Step, Reason: reasonFor(d, unsent)}, d, nil)
			continue
		}
		c.count(r, after[i], func(t *Tally) { t.Changed++ })
		c.example(r, Difference{Kind: Changed, Step: after[i].Step}, d, after[i])
		after = slices.Delete(after, i, i+1)
	}
	for _, d := range after {
		c.count(r, d, func(t *Tally) { t.Added++ })
		c.example(r, Difference{Kind: Added, Step: d.Step}, nil, d)
	}
}

// unmatched drops the pairs that are the same.
func unmatched(a, b []*record.Delivery, same func(a, b *record.Delivery) bool) (restA, restB []*record.Delivery) {
	restB = slices.Clone(b)
	for _, d := range a {
		if i := slices.IndexFunc(restB, func(other *record.Delivery) bool { return same(d, other) }); i >= 0 {
			restB = slices.Delete(restB, i, i+1)
			continue
		}
		restA = append(restA, d)
	}
	return restA, restB
}

// reasonFor is why the proposed rule sends nothing where the present one does, if it says so itself.
func reasonFor(d *record.Delivery, unsent []*record.Delivery) string {
	for _, other := range unsent {
		if other.Step == d.Step || other.Step == 0 {
			return other.Reason
		}
	}
	return ""
}

// why counts a reason. It cuts off the details of the single message, so that equal reasons are counted together.
func (r *ruleGroup) why(reason string) {
	reason, _, _ = strings.Cut(reason, ": it was due at ")
	if strings.HasPrefix(reason, decide.AppliedAgain) {
		reason = decide.AppliedAgain
	}
	if _, known := r.unsent[reason]; !known && len(r.unsent) >= maxReasons {
		reason = "other reasons"
	}
	r.unsent[reason]++
}

// count counts one message wherever it belongs.
func (c *comparison) count(r *ruleGroup, d *record.Delivery, add func(*Tally)) {
	on := c.of.at
	if !d.At.IsZero() {
		on = d.Due
	}
	for _, g := range []*group{&c.all, &r.group} {
		add(&g.Tally)
		if c.toCome(d) {
			add(&g.waiting)
			continue
		}
		day := on.In(c.o.Zone).Format(time.DateOnly)
		if g.days[day] == nil {
			g.days[day] = &Tally{}
		}
		add(g.days[day])
	}
	for _, to := range c.recipients(d) {
		at := address{d.Action, to}
		for _, g := range []*group{&c.all, &r.group} {
			switch {
			case g.to[at] != nil:
			case c.room == 0:
				c.report.Uncounted++
				continue
			default:
				c.room--
				g.to[at] = &Tally{}
			}
			add(g.to[at])
		}
	}
}

// example keeps a difference between two messages, of which one may be nil.
func (c *comparison) example(r *ruleGroup, out Difference, present, proposed *record.Delivery) {
	if len(r.examples[out.Kind]) >= c.o.Examples {
		return
	}
	out.Event, out.At, out.Appointment = c.of.event, c.of.at, c.of.appointment
	for _, side := range []struct {
		of      *record.Delivery
		request *json.RawMessage
		due     *time.Time
	}{{present, &out.Present, &out.PresentDue}, {proposed, &out.Proposed, &out.ProposedDue}} {
		if side.of == nil {
			continue
		}
		out.Action, *side.request = side.of.Action, side.of.Request
		if !side.of.At.IsZero() {
			*side.due = side.of.Due
		}
		out.Waiting = c.toCome(side.of)
	}
	r.examples[out.Kind] = append(r.examples[out.Kind], out)
}

// recipients are whom a message goes to: what the fields hold that its action says are of recipients, or its
// destination if it has none.
func (t *test) recipients(d *record.Delivery) []string {
	fields, known := t.fields[d.Action]
	if !known {
		if kind, ok := actions.Lookup(d.Action); ok {
			for _, f := range actions.Fields(kind) {
				if f.Recipient {
					fields = append(fields, f.Name)
				}
			}
		}
		t.fields[d.Action] = fields
	}
	var out []string
	add := func(text string) {
		if text != "" && !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	for _, name := range fields {
		switch v := gjson.GetBytes(d.Request, name); {
		case v.IsArray():
			for _, e := range v.Array() {
				add(e.String())
			}
		default:
			add(v.String())
		}
	}
	if len(out) == 0 {
		out = []string{d.Destination}
	}
	return out
}

func (t *test) finish() *Report {
	r := t.report
	r.Tally, r.Waiting = t.all.Tally, t.all.waiting
	r.Days, r.Recipients, r.Distinct = t.all.lists()
	r.Rules = []Rule{}
	present, proposed := names(t.o.Present), names(t.o.Proposed)
	for name, g := range t.rules {
		if g.Tally == (Tally{}) && len(g.unsent) == 0 && g.watched == 0 {
			continue
		}
		rule := Rule{Rule: name, Tally: g.Tally, Waiting: g.waiting, Events: g.events, Watched: g.watched, Unsent: []Reason{}, Examples: []Difference{}}
		rule.New, rule.Gone = !present[name], !proposed[name]
		rule.Days, rule.Recipients, rule.Distinct = g.lists()
		for reason, n := range g.unsent {
			rule.Unsent = append(rule.Unsent, Reason{reason, n})
		}
		slices.SortFunc(rule.Unsent, func(a, b Reason) int { return cmp.Or(b.Count-a.Count, strings.Compare(a.Reason, b.Reason)) })
		for _, kind := range []Kind{Added, Removed, Changed} {
			rule.Examples = append(rule.Examples, g.examples[kind]...)
		}
		r.Rules = append(r.Rules, rule)
	}
	slices.SortFunc(r.Rules, func(a, b Rule) int {
		return cmp.Or(larger(&a.Tally, &b.Tally), strings.Compare(a.Rule, b.Rule))
	})
	return r
}

func names(s *rules.Set) map[string]bool {
	out := map[string]bool{}
	for _, r := range s.Rules() {
		out[r.Name] = true
	}
	return out
}

// larger compares tallies for sorting: most added first, then most removed or changed, then most sent.
func larger(a, b *Tally) int {
	return cmp.Or(b.Added-a.Added, b.Removed+b.Changed-a.Removed-a.Changed, b.Proposed-a.Proposed)
}

// lists returns the days in order, the recipients with the largest differences, and how many recipients the
// proposed rules have in all.
func (g *group) lists() (days []Day, to []Recipient, distinct int) {
	days, to = []Day{}, []Recipient{}
	for _, day := range slices.Sorted(maps.Keys(g.days)) {
		days = append(days, Day{day, *g.days[day]})
	}
	for at, tally := range g.to {
		if tally.Proposed > 0 {
			distinct++
		}
		to = append(to, Recipient{at.action, at.to, *tally})
	}
	slices.SortFunc(to, func(a, b Recipient) int {
		return cmp.Or(larger(&a.Tally, &b.Tally), strings.Compare(a.Action, b.Action), strings.Compare(a.To, b.To))
	})
	return days, slices.Clip(to[:min(len(to), topRecipients)]), distinct
}
