package rules

import (
	"fmt"
	"time"
)

// An immediate step is rendered when its rule applies. Its appointment can change before it is sent.

// Anew renders an immediate step again, at now, for an appointment that has moved since ev. ev holds the current
// state. Skip says why the step is no longer wanted; shadow says that the rule is in shadow mode.
func (s *Set) Anew(name string, number int, action string, ev *Event, now time.Time) (_ Step, shadow bool) {
	step, shadow := s.Render(name, number, action, ev, now)
	switch {
	case step.Action != "":
	case step.Skip == conditionFalse:
		step.Skip = "the appointment was moved, and the condition is no longer true"
	case step.Skip != "":
		step.Skip = "the appointment was moved, and " + step.Skip
	}
	return step, shadow
}

const conditionFalse = "the condition is not true"

// Render decides and renders an immediate step for ev, at now, after its rule was found to apply, or may apply. Skip says
// why the step is not wanted; shadow says that the rule is in shadow mode.
func (s *Set) Render(name string, number int, action string, ev *Event, now time.Time) (_ Step, shadow bool) {
	rule, st := s.immediate(name, number)
	switch {
	case rule == nil:
		return Step{Number: number, Skip: "the rule is no longer there"}, false
	case !rule.Enabled:
		return Step{Number: number, Skip: "the rule was switched off"}, false
	case rule.body().err != nil:
		return Step{Number: number, Err: rule.body().err}, rule.Shadow
	case st == nil || st.kind.Name != action:
		return Step{Number: number, Skip: "the rule no longer has this step"}, false
	}
	r := newRun(s.know(ev), now)
	r.start(rule)
	switch yes, err := r.applies(); {
	case err != nil:
		out := Step{Number: number, Action: action, Connection: st.connection, Destination: st.destination(rule, r.ev)}
		return out.failed(fmt.Errorf("condition: %w", err)), false
	case !yes:
		return Step{Number: number, Skip: conditionFalse}, false
	}
	return st.render(r), rule.Shadow
}

// Latest reports whether only the last state matters for a step: what is pending is then replaced by what a later
// event of the same appointment makes of the step.
func (s *Set) Latest(name string, number int) bool {
	_, st := s.immediate(name, number)
	return st != nil && st.latest
}

// immediate finds an immediate step. If there is no such rule, both are nil.
func (s *Set) immediate(name string, number int) (*Rule, *step) {
	rule := s.named(name)
	if rule == nil {
		return nil, nil
	}
	for _, st := range rule.body().steps {
		if st.number == number && st.wait == nil {
			return rule, st
		}
	}
	return rule, nil
}
