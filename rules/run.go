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
	due  bool // now is the time at which a waiting step is due
}

func newRun(ev *Event, now time.Time) *run {
	return &run{ev: ev, Machine: lang.NewMachine(values(ev), ev.rawBody, now)}
}

// start prepares the run for a rule.
func (r *run) start(rule *Rule) {
	r.rule = rule
	zone, naive := rule.zones(r.ev)
	r.Use(rule.programs, zone, naive, rule.language)
}

// applies reports whether the condition of the run's rule is true.
func (r *run) applies() (bool, error) {
	if r.rule.when == nil {
		return true, nil
	}
	return r.rule.when.Holds(r.Machine)
}
