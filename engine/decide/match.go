package decide

import (
	"fmt"
	"time"

	"bellhop/engine/record"
	"bellhop/rules"
)

// OfAppointment says whether the event is about an appointment: of one of the wire types, or of none, as a
// workflow's webhooks are. One that does not say which appointment cannot be remembered, nor told from
// another, and is ignored.
func OfAppointment(ev *rules.Event) bool {
	switch ev.Type {
	case rules.Create, rules.Update, rules.Delete, "":
		return ev.Appointment.ID != ""
	}
	return false
}

// Deliveries are what set makes of ev at now, of which [Derive] has told what happened: one for each step of every
// rule that applies, in their order, and one without a step for each condition that failed. They are as they
// will be stored, but for what says which event they are of.
func Deliveries(set *rules.Set, ev *rules.Event, now time.Time) ([]record.Delivery, error) {
	matches, err := matchSafely(set, ev, now)
	if err != nil {
		return nil, err
	}
	var list []record.Delivery
	for i := range matches {
		m := &matches[i]
		if m.Err != nil {
			list = append(list, Unmatched(m.Rule.Name, m.Err, now))
			continue
		}
		for j := range m.Steps {
			list = append(list, delivery(m.Rule, &m.Steps[j], now))
		}
	}
	return list, nil
}

// Unmatched records that the condition of a rule failed.
func Unmatched(rule string, err error, now time.Time) record.Delivery {
	return record.Delivery{Rule: rule, State: record.Skipped, Reason: "condition error: " + err.Error(), Created: now, Due: now}
}

func delivery(rule *rules.Rule, step *rules.Step, now time.Time) record.Delivery {
	d := record.Delivery{
		Rule: rule.Name, Step: step.Number, Action: step.Action, Connection: step.Connection, Destination: step.Destination,
		Request: step.Request, At: step.At, Until: step.Until, Key: step.Key, Follows: step.Key != "",
		Created: now, Due: later(step.At, now),
	}
	d.State, d.Reason = outcome(step, rule.Shadow)
	if d.State == record.Pending && !d.At.IsZero() {
		d.State = record.Waiting
	}
	return d
}

// outcome says what is to become of a step, [record.Pending] if it is to be sent.
func outcome(step *rules.Step, shadow bool) (state record.State, reason string) {
	switch {
	case step.Err != nil:
		return record.Skipped, "rendering error: " + step.Err.Error()
	case step.Skip != "":
		return record.Skipped, step.Skip
	case shadow && step.Request != nil:
		return record.Shadow, "the rule is in shadow mode, which sends nothing"
	}
	return record.Pending, ""
}

// matchSafely turns a panic into an error: an event on which matching fails must still be stored, or its
// sender would repeat it without end.
func matchSafely(set *rules.Set, ev *rules.Event, now time.Time) (matches []rules.Match, err error) {
	defer func() {
		if p := recover(); p != nil {
			matches, err = nil, fmt.Errorf("internal error: %v", p)
		}
	}()
	return set.Match(ev, now), nil
}
