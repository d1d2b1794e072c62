package decide

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"bellhop/engine/record"
	"bellhop/rules"
)

// Still says what becomes at now of a message that was rendered for from, its appointment being in a state now. It
// changes nothing but d, as [store.Due] wants it. Where d may have been tried already, again is what goes on in its
// place with the new time. An error is a mistake of ours, which d tells of too.
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
	step, shadow, err := anewSafely(set, d, &ev, now)
	if err != nil {
		step.Err = err
	}
	next := *d
	if next.State, next.Reason = outcome(&step, shadow); next.State != record.Pending {
		d.State, d.Reason = next.State, next.Reason
		return nil, err
	}
	next.Connection, next.Destination, next.Request, next.Tells = step.Connection, step.Destination, step.Request, timesOf(state)
	if !d.Tried() || bytes.Equal(next.Request, d.Request) && next.Connection == d.Connection {
		next.State = record.Sending
		*d = next
		return nil, nil
	}
	d.State, d.Reason = record.Cancelled, moved
	next.Attempts, next.Retried, next.Created, next.Due = nil, time.Time{}, now, now
	return &next, nil
}

// toldTimes are when an appointment is, as a message tells it.
type toldTimes struct {
	Start, End time.Time
	AllDay     bool
}

func timesOf(state *Memory) []byte {
	data, err := json.Marshal(toldTimes{state.StartTime, state.EndTime, state.AllDay})
	if err != nil {
		return nil // of a year that JSON does not know: then it is rendered again
	}
	return data
}

// tells is the appointment with the times that a message's request was rendered for: those of its event, unless it was
// rendered again since.
func tells(d *record.Delivery, event *Memory) *rules.Appointment {
	a := event.Appointment
	var t toldTimes
	if d.Tells != nil && json.Unmarshal(d.Tells, &t) == nil {
		a.StartTime, a.EndTime, a.AllDay = t.Start, t.End, t.AllDay
	}
	return &a
}

// anewSafely turns a panic into an error, as [matchSafely] does.
func anewSafely(set *rules.Set, d *record.Delivery, ev *rules.Event, now time.Time) (step rules.Step, shadow bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("internal error: %v", p)
		}
	}()
	step, shadow = set.Anew(d.Rule, d.Step, d.Action, ev, now)
	return step, shadow, nil
}
