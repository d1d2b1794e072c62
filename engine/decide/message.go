package decide

import (
	"bytes"
	"encoding/json"
	"time"

	"bellhop/actions"
	"bellhop/engine/record"
	"bellhop/rules"
)

// Still decides at now whether a rendered message is still right. from is what it was rendered for, and state is what
// is known of the appointment now. Still changes only d. If d may have been tried already and the appointment has moved,
// d is cancelled, and again is the new message that replaces it. An error is an internal mistake, which is recorded in d
// too.
func Still(set *rules.Set, d *record.Delivery, from Origin, state *Memory, now time.Time) (again *record.Delivery, err error) {
	switch {
	case state.cancelled() && !from.State.cancelled() && !set.ForCancelled(HeldStep(d), from.Event):
		d.State, d.Reason = record.Cancelled, calledOff
		return nil, nil
	case !state.cancelled() && from.State.cancelled():
		d.State, d.Reason = record.Cancelled, takesPlace
		return nil, nil
	case !state.Moved(tells(d, from.State)):
		return nil, nil
	}
	ev := *from.Event
	ev.Appointment = state.Appointment
	step, shadow, err := rendered(func() (rules.Step, bool) { return set.Anew(d.Rule, d.Step, d.Action, &ev, now) })
	next := *d
	if next.State, next.Reason = outcome(&step, shadow); next.State != record.Pending {
		d.State, d.Reason = next.State, next.Reason
		return nil, err
	}
	next.Connection, next.Destination, next.Request, next.Tells, next.Wants = step.Connection, step.Destination, step.Request, timesOf(state), step.Wants
	if !step.Opens.IsZero() && !d.Tried() {
		next.Due, next.Opens, next.People = step.Opens, step.Opens, nil
		*d = next
		return nil, nil
	}
	if !d.Tried() || bytes.Equal(next.Request, d.Request) && next.Connection == d.Connection {
		next.State = record.Sending
		*d = next
		return nil, nil
	}
	d.State, d.Reason = record.Cancelled, moved
	next.Attempts, next.Retried, next.Created, next.Due, next.Opens = nil, time.Time{}, now, later(step.Opens, now), step.Opens
	return &next, nil
}

// First renders, at now, a claimed immediate step that could not be rendered when its event was stored, because something
// had to be looked up. A message tells the appointment as it is by now, a call as it was with its event. First changes only
// d. An error is an internal mistake, which is recorded in d too.
func First(set *rules.Set, d *record.Delivery, from Origin, state *Memory, message bool, now time.Time) error {
	ev := *from.Event
	if message {
		ev.Appointment = state.Appointment
	}
	step, shadow, err := rendered(func() (rules.Step, bool) { return set.Render(d.Rule, d.Step, d.Action, &ev, now) })
	switch d.State, d.Reason = outcome(&step, shadow); {
	case step.Wants != nil:
		d.State, d.Wants = record.Sending, step.Wants
	case !step.Opens.IsZero():
		d.Due, d.Opens, d.People = step.Opens, step.Opens, nil
	case d.State == record.Pending:
		d.State, d.Connection, d.Destination, d.Request, d.Tells = record.Sending, step.Connection, step.Destination, step.Request, timesOf(state)
	case d.State == record.Shadow:
		d.Request = step.Request
	}
	return err
}

// Opened is [First] for a step that waits for its hours, at the time when they open, if the appointment is then as it is now.
func Opened(set *rules.Set, d *record.Delivery, now Origin) error {
	kind, ok := actions.Lookup(d.Action)
	return First(set, d, now, now.State, ok && kind.Message, d.Opens)
}

// toldTimes are the times of an appointment that a message was rendered with.
type toldTimes struct {
	Start, End time.Time
	AllDay     bool
}

func timesOf(state *Memory) []byte {
	data, err := json.Marshal(toldTimes{state.StartTime, state.EndTime, state.AllDay})
	if err != nil {
		return nil // JSON has no such year; the message is rendered again
	}
	return data
}

// tells returns the appointment with the times that the message's request was rendered for: those of its event, or of
// the last rendering since.
func tells(d *record.Delivery, event *Memory) *rules.Appointment {
	a := event.Appointment
	var t toldTimes
	if d.Tells != nil && json.Unmarshal(d.Tells, &t) == nil {
		a.StartTime, a.EndTime, a.AllDay = t.Start, t.End, t.AllDay
	}
	return &a
}
