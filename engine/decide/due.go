package decide

import (
	"strings"
	"time"

	"bellhop/engine/record"
	"bellhop/rules"
)

// Decide decides at now about a delivery that is due. state is what is known of its appointment by then. Decide changes
// only d: if d is to be sent, its state becomes [record.Sending] and it gets its request. An error is an internal
// mistake, which is recorded in d too.
func Decide(set *rules.Set, d *record.Delivery, from Origin, state *Memory, now time.Time) error {
	ev := *from.Event
	ev.Appointment = state.Appointment
	if set.ForCancelled(HeldStep(d), &ev) != state.cancelled() {
		if d.State, d.Reason = record.Cancelled, takesPlace; state.cancelled() {
			d.Reason = calledOff
		}
		return nil
	}
	if d.Request != nil {
		// It was rendered and may have been sent already: it is sent as it is, or not at all.
		switch {
		case !d.Follows:
			d.State, d.Reason = record.Cancelled, movedSince
		case !d.Until.IsZero() && now.After(d.Until) && d.Retried.IsZero():
			d.State, d.Reason = record.Dead, strings.TrimSuffix("too late for another attempt: "+d.Reason, ": ")
		}
		return nil
	}
	step, shadow, err := rendered(func() (rules.Step, bool) { return set.Due(HeldStep(d), &ev, now) })
	if step.Action != "" {
		d.Connection, d.Destination = step.Connection, step.Destination
	}
	switch d.State, d.Reason = outcome(&step, shadow); {
	case step.Wants != nil:
		d.State, d.Wants = record.Sending, step.Wants
	case !step.Opens.IsZero():
		d.State, d.Due, d.People = record.Waiting, step.Opens, nil
	case d.State == record.Pending && step.Request == nil:
		d.State, d.At, d.Until, d.Due, d.Key = record.Waiting, step.At, step.Until, step.At, step.Key
	case d.State == record.Pending:
		d.State, d.Request, d.Until, d.Key = record.Sending, step.Request, step.Until, step.Key
	case d.State == record.Shadow:
		d.Request = step.Request
	}
	return err
}
