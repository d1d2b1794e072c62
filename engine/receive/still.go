package receive

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"bellhop/actions"
	"bellhop/engine/record"
	"bellhop/engine/store"
	"bellhop/rules"
)

// Why an immediate step that is claimed is not sent, besides the reasons of those that wait.
const (
	toldSince = "a later event of this appointment was told already"
	waitsFor  = "waits for delivery %s, which tells of an earlier event"
)

// How soon a call is looked at again that waits for that of an earlier event.
const (
	soonest = 200 * time.Millisecond
	longest = 30 * time.Second
)

// still decides about a delivery of an immediate step when it is claimed, because its appointment can have changed since
// it was rendered. It is called before the first attempt and before every retry, replayed or asked for by an operator.
func (r *Receiver) still(tx *store.Tx, d *record.Delivery, now time.Time) error {
	kind, ok := actions.Lookup(d.Action)
	if !ok || d.Appointment == "" {
		return nil
	}
	latest := r.Rules().Set.Latest(d.Rule, d.Step)
	if latest || !kind.Message && (!d.Retried.IsZero() || d.Replayed()) {
		after, err := tx.After(d, latest)
		if err != nil {
			return err
		}
		if after != "" {
			if d.State, d.Reason = record.Cancelled, toldSince; latest {
				d.Reason = AppliedAgain + ", for event " + after
			}
			return nil
		}
	}
	if latest {
		if err := tx.Replace(d, AppliedAgain+", for event "+d.Event); err != nil {
			return err
		}
	}
	if kind.Message {
		return r.stillSo(tx, d, now)
	}
	return r.inOrder(tx, d, now)
}

// inOrder lets calls of one step for one appointment go out in the order of their events.
func (r *Receiver) inOrder(tx *store.Tx, d *record.Delivery, now time.Time) error {
	before, due, err := tx.Before(d)
	if err != nil || before == "" {
		return err
	}
	if d.State = record.Pending; len(d.Attempts) > 0 {
		d.State = record.Retrying
	}
	d.Due, d.Reason = now.Add(min(max(due.Sub(now), soonest), longest)), fmt.Sprintf(waitsFor, before)
	return nil
}

// stillSo lets a message tell nothing that is no longer so.
func (r *Receiver) stillSo(tx *store.Tx, d *record.Delivery, now time.Time) error {
	data, last, err := tx.State(d.Source, d.Appointment)
	d.Latest = last
	if err != nil || data == nil || latest(last).of(d.Event) {
		return err
	}
	state, err := decodeState(data)
	if err != nil {
		return fmt.Errorf("appointment %s: stored state: %w", d.Appointment, err)
	}
	from, err := r.origin(tx, d)
	if err != nil { // it is sent as it was promised
		r.Logger.Error("the appointment of a delivery cannot be read", "delivery", d.ID, "error", err)
		return ignoreUnlessStore(err)
	}
	again, err := Still(r.Rules().Set, d, from, state, now)
	if err != nil {
		r.Logger.Error("rendering failed", "delivery", d.ID, "error", err)
	}
	if again == nil {
		return nil
	}
	return tx.Renew(again)
}

// Still says what becomes at now of a message that was rendered for from, its appointment being in a state now. It
// changes nothing but d, as [store.Due] wants it. Where d may have been tried already, again is what goes on in its
// place with the new time. An error is a mistake of ours, which d tells of too.
func Still(set *rules.Set, d *record.Delivery, from Origin, state *State, now time.Time) (again *record.Delivery, err error) {
	switch {
	case state.cancelled() && !from.State.cancelled() && !set.ForCancelled(heldStep(d), from.Event):
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

func timesOf(state *State) []byte {
	data, err := json.Marshal(toldTimes{state.StartTime, state.EndTime, state.AllDay})
	if err != nil {
		return nil // of a year that JSON does not know: then it is rendered again
	}
	return data
}

// tells is the appointment with the times that a message's request was rendered for: those of its event, unless it was
// rendered again since.
func tells(d *record.Delivery, event *State) *rules.Appointment {
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
