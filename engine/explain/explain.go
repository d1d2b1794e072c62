// Package explain says what each rule did with an event, or would do, and why. Package rules explains the rules. This
// package finds the event, the state of its appointment, and the rules.
package explain

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"bellhop/engine/decide"
	"bellhop/engine/payload"
	"bellhop/engine/record"
	"bellhop/engine/store"
	"bellhop/rules"
	"bellhop/rules/live"
	"bellhop/rules/text"
)

// An Answer explains one event.
type Answer struct {
	Event   string        `json:"event,omitempty"` // its id, if it is recorded
	Type    string        `json:"type"`
	Status  record.Status `json:"status"` // of one that is stale or ignored, no rule hears
	On      []string      `json:"on"`     // what happened
	Changed []string      `json:"changed"`

	Problems []rules.Problem `json:"problems,omitempty"` // the parts of the payload that could not be read

	Now      time.Time `json:"now"` // what now() returns
	Versions Versions  `json:"versions"`
	Note     string    `json:"note,omitempty"` // a remark about the versions, one sentence

	Rules []rules.Explanation `json:"rules"`
}

// Versions says which versions of the rules an answer is about.
type Versions string

const (
	Recorded Versions = "recorded" // those in force when the event was received; they differ from the present ones
	Present  Versions = "present"
)

// A MistakeError is a mistake in the question. Its text is a sentence for the person who asked.
type MistakeError struct{ sentence string }

func (e *MistakeError) Error() string { return e.sentence }

func mistakef(format string, args ...any) error { return &MistakeError{fmt.Sprintf(format, args...)} }

// Options are what events are explained with. All but Rule are required.
type Options struct {
	Rules   live.Snapshot // the rules in force
	Compile rules.Options // for versions that are no longer in force
	Zone    *time.Location
	Rule    string // explain only this rule; "" is all
	Asks    bool   // what is not known of people and places is looked up before a delivery is sent
}

// Event explains a recorded event with the rules that were in force when it was received, or with the present ones if
// those are no longer known. It returns [store.ErrNotFound] if there is no such event, and a [MistakeError] if there
// is no such rule.
func Event(ctx context.Context, s *store.Store, id string, o Options) (Answer, error) {
	e, err := s.Event(ctx, id)
	if err != nil {
		return Answer{}, err
	}
	ev, err := decide.Restore(&payload.Normaliser{Zone: o.Zone}, &e)
	if err != nil {
		return Answer{}, fmt.Errorf("event %s: %w", id, err)
	}
	// What was looked up for its deliveries is known.
	deliveries, err := s.Deliveries(ctx, store.DeliveryFilter{Event: id})
	if err != nil {
		return Answer{}, err
	}
	ev.Asks = o.Asks
	if ev.Answers, err = decide.Answers(deliveries...); err != nil {
		return Answer{}, err
	}
	ev.History = decide.Visits(ev, func(v record.Visitor) ([]json.RawMessage, error) { return s.HistoryAt(ctx, v, ev.ID) })
	a := answer(ev, e.Status, ev.ReceivedAt)
	a.Event = e.ID
	set, err := a.choose(ctx, s, e.Rules, o)
	if err != nil {
		return Answer{}, err
	}
	return a, a.explain(set, ev, o.Rule)
}

// choose returns the rules that were in force under an id. If they are not known any more, it returns the present ones
// and adds a note.
func (a *Answer) choose(ctx context.Context, s *store.Store, id string, o Options) (*rules.Set, error) {
	a.Versions = Present
	if id == o.Rules.ID {
		return o.Rules.Set, nil
	}
	versions, err := s.RuleSet(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		a.Note = "the rules that were in force then are no longer known; these are the current ones"
		return o.Rules.Set, nil
	}
	if err != nil {
		return nil, err
	}
	a.Versions = Recorded
	sources := make([]live.Source, len(versions))
	for i, v := range versions {
		sources[i] = live.Source{Name: v.Path, Data: v.Data}
	}
	loaded := live.Load(sources, o.Compile)
	for _, f := range loaded.Mistakes() {
		a.Note = fmt.Sprintf("the version of %s that was in force then does not load under the present configuration and is left out: line %d: %s", f.File, f.Line, f.Message)
		break
	}
	return loaded.Set, nil
}

// A Payload is an event that was not received, but is given in the question.
type Payload struct {
	Source string
	Body   []byte
	// State is the appointment before the event, as JSON. It is an earlier event, in any shape of webhook, or an
	// object with some fields of the appointment; the other fields are then as in the event. nil means that the
	// appointment was never seen.
	State []byte
	At    time.Time // when it is received, and what now() returns
}

// Imagine explains an event as if it was received. It returns a [MistakeError] if the event or the state cannot be read,
// or if there is no such rule.
func Imagine(p Payload, o Options) (Answer, error) {
	n := &payload.Normaliser{Zone: o.Zone}
	ev, err := n.Event(p.Source, p.Body, p.At)
	if err != nil {
		return Answer{}, mistakef("the event: %s", err)
	}
	ev.Asks = o.Asks
	var prev *decide.Memory
	if p.State != nil {
		if prev, err = stateBefore(n, ev, p.State); err != nil {
			return Answer{}, err
		}
	}
	status := record.Ignored
	if decide.OfAppointment(ev) {
		status = record.Accepted
		if _, stale := decide.Derive(prev, ev); stale {
			status = record.Stale
		}
	}
	a := answer(ev, status, p.At)
	a.Versions = Present
	return a, a.explain(o.Rules.Set, ev, o.Rule)
}

// wrapped are keys that events have, but objects with fields of an appointment do not.
var wrapped = []string{"type", "appointment", "data", "body", "calendar"}

func stateBefore(n *payload.Normaliser, ev *rules.Event, data []byte) (*decide.Memory, error) {
	var given map[string]any
	if err := json.Unmarshal(data, &given); err != nil || given == nil {
		return nil, mistakef("the state before is not a JSON object")
	}
	if ev.Appointment.ID == "" {
		return nil, mistakef("the event names no appointment, so there is no state before it")
	}
	for _, key := range wrapped {
		if _, whole := given[key]; !whole {
			continue
		}
		first, err := n.Event(ev.Source, data, time.Time{})
		if err != nil {
			return nil, mistakef("the state before: %s", err)
		}
		if !decide.OfAppointment(first) {
			return nil, mistakef("the state before names no appointment")
		}
		first.Appointment.ID = ev.Appointment.ID
		state, _ := decide.Derive(nil, first)
		return &state, nil
	}
	state, unread, err := decide.Before(n, ev, given)
	switch {
	case err != nil:
		return nil, mistakef("the state before: %s", err)
	case len(unread) > 0:
		return nil, mistakef("the state before: this cannot be read as an appointment's %s", unread[0])
	}
	return state, nil
}

func answer(ev *rules.Event, status record.Status, now time.Time) Answer {
	return Answer{Type: ev.Type, Status: status, On: notNil(ev.On), Changed: notNil(ev.Changed), Problems: ev.Problems, Now: now, Rules: []rules.Explanation{}}
}

func notNil(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func noRule(set *rules.Set, name string, of Versions) error {
	names := make([]string, len(set.Rules()))
	for i, r := range set.Rules() {
		names[i] = r.Name
	}
	when := ""
	if of == Recorded {
		when = " that were in force when the event was received"
	}
	return mistakef("there is no rule %q among the %d%s%s", name, len(names), when, text.DidYouMean(text.Closest(name, names)))
}

// explain adds the explanations of the rules, or of the named rule. There are none if the event is not accepted.
func (a *Answer) explain(set *rules.Set, ev *rules.Event, rule string) error {
	if rule != "" {
		one, ok := set.ExplainRule(ev, a.Now, rule)
		if !ok {
			return noRule(set, rule, a.Versions)
		}
		if a.Status == record.Accepted {
			a.Rules = append(a.Rules, one)
		}
		return nil
	}
	if a.Status == record.Accepted {
		a.Rules = set.Explain(ev, a.Now)
	}
	return nil
}
