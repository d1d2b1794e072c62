package rules

import (
	"time"

	"bellhop/rules/lang"
)

// A run is the evaluation of rules on one event. It is for one goroutine.
type run struct {
	*lang.Machine
	ev   *Event
	rule *Rule
	due  bool // now is the moment of a step that waited
}

func newRun(ev *Event, now time.Time) *run {
	return &run{ev: ev, Machine: lang.NewMachine(values(ev), ev.rawBody, now)}
}

// start readies the run for a rule.
func (r *run) start(rule *Rule) {
	r.rule = rule
	zone, naive := rule.zones(r.ev)
	r.Use(rule.programs, zone, naive, rule.language)
}

// applies says whether the condition of the run's rule is true.
func (r *run) applies() (bool, error) {
	if r.rule.when == nil {
		return true, nil
	}
	return r.rule.when.Holds(r.Machine)
}
