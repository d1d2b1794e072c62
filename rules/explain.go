package rules

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"bellhop/rules/lang"
)

// An Explanation says what one rule did about an event, and why.
type Explanation struct {
	Rule    string   `json:"rule"`
	File    string   `json:"file"`
	Line    int      `json:"line"`
	Outcome Outcome  `json:"outcome"`
	Reason  string   `json:"reason"` // one sentence
	On      []string `json:"on"`     // the events that the rule is for
	Shadow  bool     `json:"shadow"` // the rule is in shadow mode

	// When is the condition with its parts, nil if the rule has none or it was not evaluated.
	When *lang.Part `json:"when,omitempty"`
	// Let are the rule's named values, if its condition was evaluated.
	Let []lang.Part `json:"let,omitempty"`
	// Steps are the results of the steps of a rule that fired.
	Steps []ExplainedStep `json:"steps,omitempty"`
}

// Outcome is what a rule did about an event.
type Outcome string

const (
	Fired      Outcome = "fired"
	NotTrue    Outcome = "not-true"    // its condition is false
	Failing    Outcome = "failed"      // its condition could not be evaluated
	OtherEvent Outcome = "other-event" // it is for other events
	Disabled   Outcome = "disabled"
	Open       Outcome = "open" // it depends on what is looked up before the steps are sent
)

// An ExplainedStep is a step of a rule that fired: what is sent, or why nothing is.
type ExplainedStep struct {
	Step        int             `json:"step"`
	Action      string          `json:"action"`
	Connection  string          `json:"connection,omitempty"`
	Destination string          `json:"destination,omitempty"`
	Request     json.RawMessage `json:"request,omitempty"`
	Skip        string          `json:"skip,omitempty"`
	Error       string          `json:"error,omitempty"`

	// For a step that waits: until when, in the rule's zone if it has one. The request is then what is sent at that
	// moment if nothing changes before, and Then says why nothing is. If Skip or Error say that the step does not
	// even wait, they are about the event.
	At   time.Time `json:"at,omitzero"`
	Then string    `json:"then,omitempty"`
	// Moment is the expression of `at` with its parts. What keeps it from having a time is marked as the cause.
	Moment *lang.Part `json:"moment,omitempty"`
}

// Explain says for every rule of the set, in file order, what Match does with it for ev and now, and why. Whether a
// rule fires is decided by the same code as in Match; the parts are evaluated in addition, each on its own, so that
// one that fails does not hide the others.
func (s *Set) Explain(ev *Event, now time.Time) []Explanation {
	ev = s.know(ev)
	out := make([]Explanation, 0, len(s.rules))
	for _, rule := range s.rules {
		out = append(out, explain(rule, ev, now))
	}
	return out
}

// ExplainRule is Explain for the rule with a name. ok is false if there is none.
func (s *Set) ExplainRule(ev *Event, now time.Time, name string) (e Explanation, ok bool) {
	i := slices.IndexFunc(s.rules, func(r *Rule) bool { return r.Name == name })
	if i < 0 {
		return Explanation{}, false
	}
	return explain(s.rules[i], s.know(ev), now), true
}

func explain(rule *Rule, ev *Event, now time.Time) Explanation {
	out := Explanation{Rule: rule.Name, File: rule.File, Line: rule.line, On: rule.On, Shadow: rule.Shadow}
	switch {
	case !rule.Enabled:
		out.Outcome, out.Reason = Disabled, "the rule is switched off (enabled: false)"
		return out
	case eventNames(rule.On)&eventNames(ev.On) == 0:
		out.Outcome, out.Reason = OtherEvent, "the rule is for "+wordList(rule.On)+", but this event is "+wordList(ev.On)
		return out
	}
	if !rule.isFor(ev) {
		out.Outcome, out.Reason = NotTrue, "the rule is for "+wordList(rule.only)+", but this event is of "+wordList(ev.locationNames())
		return out
	}
	r := newRun(ev, now)
	r.start(rule)
	out.Outcome, out.Reason = Fired, "the rule has no condition"
	yes, failed := r.applies()
	unknown, open := lang.UnknownIn(failed)
	switch {
	case open:
		out.Outcome = Open
	case failed != nil:
		out.Outcome = Failing
	case !yes:
		out.Outcome = NotTrue
	}
	if out.Outcome == Fired {
		for _, st := range r.body.steps {
			out.Steps = append(out.Steps, explained(st, r, now))
		}
	}

	again := newRun(ev, now)
	again.start(rule)
	p := lang.NewProber(world, again.Machine)
	names := make([]string, len(r.body.lets))
	for i, l := range r.body.lets {
		names[i] = l.name
	}
	out.Let = p.Lets(names)
	for i := range out.Steps {
		if w := r.body.steps[i].wait; w != nil {
			out.Steps[i].Moment = explainMoment(p, again, w, &out.Steps[i])
		}
	}
	if r.body.when == nil {
		return out
	}
	truth := map[Outcome]lang.Truth{Fired: lang.True, NotTrue: lang.False, Failing: lang.Failed, Open: lang.Failed}[out.Outcome]
	root := p.Condition(r.body.when)
	if got := root.Outcome(); got != truth {
		// This can differ only for a condition that is stopped for taking too much work, because its parts have a
		// larger budget each.
		root.Value, root.Error = "", ""
		if failed == nil {
			root.Value = strconv.FormatBool(truth == lang.True)
		}
	}
	if failed != nil {
		root.Error = lang.InPlace(failed, r.body.when.Place)
	}
	causes := root.Mark(truth)
	out.When = root
	if open {
		out.Reason = unknown.Error() + ": it is looked up before anything is sent"
		return out
	}
	out.Reason = reason(out.Outcome, causes, root.Error)
	return out
}

// explainMoment explains the time that a step waits for.
func explainMoment(p *lang.Prober, r *run, w *wait, step *ExplainedStep) *lang.Part {
	root := p.Whole(w.program, func() (any, error) {
		at, err := w.moment(r)
		return at, errors.Unwrap(err) // without the prefix that names the field
	})
	absent := step.Skip == noMoment
	if absent { // a time counted from a missing time is missing
		root.Value, root.Missing = "", true
	}
	if step.At.IsZero() {
		root.Untimely(absent)
	}
	return root
}

func explained(st *step, r *run, now time.Time) ExplainedStep {
	var s Step
	var then string
	if st.wait == nil {
		s = st.render(r)
	} else {
		if s = st.plan(r, now); s.Err == nil && s.Skip == "" {
			due := st.due(r.rule, Held{Planned: now, At: s.At}, r.ev, later(s.At, now))
			s.Request, s.Destination = due.Request, due.Destination
			if then = due.Skip; due.Err != nil {
				then = due.Err.Error()
			}
		}
		if s.Request == nil { // the name that the queue uses means nothing to people
			s.Destination = cmp.Or(st.connection, st.to)
		}
	}
	if zone := r.Zone; zone != nil && !s.At.IsZero() {
		s.At = s.At.In(zone)
	}
	out := ExplainedStep{
		At: s.At, Then: then,
		Step: s.Number, Action: s.Action, Connection: s.Connection, Destination: s.Destination, Request: s.Request, Skip: s.Skip,
	}
	if s.Err != nil {
		out.Error = s.Err.Error()
	}
	if !s.Opens.IsZero() {
		out.Then = "its hours are closed: it is sent when they open, at " + s.Opens.Format("15:04 on Mon 2 Jan 2006")
	}
	if s.Wants != nil {
		out.Then = s.Wants.Error() + ": it is looked up before this is sent"
	}
	return out
}

// wordList returns "a", "a and b" or "a, b and c".
func wordList(words []string) string {
	switch n := len(words); n {
	case 0:
		return "none that a rule can be for"
	case 1:
		return words[0]
	default:
		return strings.Join(words[:n-1], ", ") + " and " + words[n-1]
	}
}

// reason describes the marked parts in a sentence.
func reason(o Outcome, causes []*lang.Part, failed string) string {
	if o == Fired {
		return "its condition is true"
	}
	var said []string
	for i, c := range causes {
		if i == 3 {
			said = append(said, fmt.Sprintf("and %d more", len(causes)-i))
			break
		}
		said = append(said, c.Sentence())
	}
	switch text := strings.Join(said, "; "); {
	case text != "":
		return text
	case o == Failing:
		return "its condition could not be evaluated: " + failed
	default:
		return "its condition is false"
	}
}
