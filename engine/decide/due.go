package decide

import (
	"fmt"
	"strings"
	"time"

	"bellhop/engine/record"
	"bellhop/rules"
)

// Decide says what becomes at now of a delivery whose moment has come, its appointment being in a state. It changes
// nothing but d, as [store.Due] wants it: d is [record.Sending], with its request, if it is to be sent. An error is
// a mistake of ours, which d tells of too.
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
		// It was rendered, and may have been sent: it goes out as it is or not at all.
		switch {
		case !d.Follows:
			d.State, d.Reason = record.Cancelled, movedSince
		case !d.Until.IsZero() && now.After(d.Until) && d.Retried.IsZero():
			d.State, d.Reason = record.Dead, strings.TrimSuffix("too late for another attempt: "+d.Reason, ": ")
		}
		return nil
	}
	step, shadow, err := dueSafely(set, HeldStep(d), &ev, now)
	if err != nil {
		step.Err = err
	}
	if step.Action != "" {
		d.Connection, d.Destination = step.Connection, step.Destination
	}
	switch d.State, d.Reason = outcome(&step, shadow); {
	case d.State == record.Pending && step.Request == nil:
		d.State, d.At, d.Until, d.Due, d.Key = record.Waiting, step.At, step.Until, step.At, step.Key
	case d.State == record.Pending:
		d.State, d.Request, d.Until, d.Key = record.Sending, step.Request, step.Until, step.Key
	case d.State == record.Shadow:
		d.Request = step.Request
	}
	return err
}

// dueSafely turns a panic into an error, as [matchSafely] does.
func dueSafely(set *rules.Set, h rules.Held, ev *rules.Event, now time.Time) (step rules.Step, shadow bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("internal error: %v", p)
		}
	}()
	step, shadow = set.Due(h, ev, now)
	return step, shadow, nil
}
