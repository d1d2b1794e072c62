package decide

import (
	"fmt"
	"time"

	"bellhop/engine/record"
	"bellhop/rules"
)

// OfAppointment reports whether the event is about an appointment: it has one of the wire types or, as a workflow's
// webhook, none, and it has the appointment's id. Without an id the state cannot be remembered, so the event is ignored.
func OfAppointment(ev *rules.Event) bool {
	switch ev.Type {
	case rules.Create, rules.Update, rules.Delete, "":
		return ev.Appointment.ID != ""
	}
	return false
}

// Deliveries returns the deliveries that set plans for ev at now. [Derive] must have filled ev. There is one for each
// step of each rule that matches, in their order, and one without a step for each condition that failed. They are
// complete except for the event's id. An error is an internal mistake.
func Deliveries(set *rules.Set, ev *rules.Event, now time.Time) ([]record.Delivery, error) {
	var matches []rules.Match
	if err := safely(func() { matches = set.Match(ev, now) }); err != nil {
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

// Unmatched returns the skipped delivery that records why the condition of a rule failed.
func Unmatched(rule string, err error, now time.Time) record.Delivery {
	return record.Delivery{Rule: rule, State: record.Skipped, Reason: "condition error: " + err.Error(), Created: now, Due: now}
}

func delivery(rule *rules.Rule, step *rules.Step, now time.Time) record.Delivery {
	d := record.Delivery{
		Rule: rule.Name, Step: step.Number, Action: step.Action, Connection: step.Connection, Destination: step.Destination,
		Request: step.Request, At: step.At, Until: step.Until, Key: step.Key, Follows: step.Key != "",
		Created: now, Due: later(later(step.At, step.Opens), now), Opens: step.Opens,
	}
	d.State, d.Reason = outcome(step, rule.Shadow)
	if d.State == record.Pending && !d.At.IsZero() {
		d.State = record.Waiting
	}
	return d
}

// Closed is the reason of a delivery that waits for its hours.
const Closed = "waits until its hours open"

// outcome returns the state and reason that a step starts with: [record.Pending] if it is to be sent.
func outcome(step *rules.Step, shadow bool) (state record.State, reason string) {
	switch {
	case step.Err != nil:
		return record.Skipped, "rendering error: " + step.Err.Error()
	case step.Skip != "":
		return record.Skipped, step.Skip
	case step.Wants != nil:
		return record.Pending, step.Wants.Error()
	case !step.Opens.IsZero():
		return record.Pending, Closed
	case shadow && step.Request != nil:
		return record.Shadow, "the rule is in shadow mode, which sends nothing"
	}
	return record.Pending, ""
}

// rendered calls render, and turns a panic into an error of the step.
func rendered(render func() (rules.Step, bool)) (step rules.Step, shadow bool, err error) {
	if err = safely(func() { step, shadow = render() }); err != nil {
		step.Err = err
	}
	return step, shadow, err
}

// safely calls f and turns a panic into an error. An event must be stored even if the rules panic on it. Otherwise its
// sender would repeat it without end.
func safely(f func()) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("internal error: %v", p)
		}
	}()
	f()
	return nil
}
