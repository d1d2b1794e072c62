package rules

import (
	"time"

	"bellhop/rules/lang"
)

// A run evaluates rules for one event. It is not safe for concurrent use.
type run struct {
	*lang.Machine
	ev   *Event
	rule *Rule
	body *body // of the rule

	due bool // now is the time at which a waiting step is due

	known map[conditionID]bool // the results of conditions; nil if they are not kept
}

// A conditionID identifies a condition without named values, with all that its result depends on besides the event.
type conditionID struct {
	source      string
	zone, naive *time.Location
	language    *lang.Language
	hours       *Hours // of the rule, for their closed days
}

func newRun(ev *Event, now time.Time) *run {
	return &run{ev: ev, Machine: lang.NewMachine(values(ev), ev.lazyValue, now)}
}

// start prepares the run for a rule.
func (r *run) start(rule *Rule) {
	r.rule, r.body = rule, rule.body()
	r.Use(r.body.programs, r.body.view(r.ev))
}

// applies reports whether the condition of the run's rule is true. Rules with the same condition share one evaluation,
// unless it fails, because the error tells the rule's place.
func (r *run) applies() (bool, error) {
	b := r.body
	if !r.rule.isFor(r.ev) {
		return false, nil
	}
	if b.when == nil {
		return b.err == nil, b.err
	}
	if r.known == nil || len(b.lets) > 0 {
		return b.when.Holds(r.Machine)
	}
	id := conditionID{b.when.Source, r.Zone, r.Naive, r.Language, b.window.hours}
	yes, ok := r.known[id]
	if ok {
		return yes, nil
	}
	yes, err := b.when.Holds(r.Machine)
	if err == nil {
		r.known[id] = yes
	}
	return yes, err
}
