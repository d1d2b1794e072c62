package receive

import (
	"errors"
	"fmt"
	"time"

	"bellhop/engine/hook"
	"bellhop/engine/store"
	"bellhop/rules"
)

// Why a delivery that waits is cancelled. The first two are taken back with what caused them.
const (
	calledOff  = "the appointment was cancelled"
	takesPlace = "the appointment takes place after all" // of a rule for cancelled ones
	moved      = "the appointment was moved"
	underWay   = " while this was being sent"
)

// A change is an event of an appointment that was known before.
type change struct {
	set           *rules.Set
	event         *rules.Event
	before, after *State
	now           time.Time
	added         []store.Delivery // by this event
}

// follow makes the deliveries that wait for an appointment follow it: one that is cancelled, or no longer is,
// takes with it what was planned for it as it was; one that moved takes along what is counted from where it
// moved; and where a rule applies again, its step takes the place of the one that waits already.
func (r *Receiver) follow(tx *store.Tx, c *change) error {
	held, err := tx.Held(c.event.Source, c.event.Appointment.ID, [2]string{calledOff, takesPlace})
	if err != nil {
		return err
	}
	for i := range held {
		d := &held[i]
		if d.Event == c.event.ID {
			continue
		}
		if err := r.followOne(tx, c, d); err != nil {
			return err
		}
	}
	return nil
}

// replace lets what was added for an event that is replayed take the place of what waits already.
func (r *Receiver) replace(tx *store.Tx, set *rules.Set, ev *rules.Event, now time.Time, added []store.Delivery) error {
	data, err := tx.State(ev.Source, ev.Appointment.ID)
	if err != nil {
		return err
	}
	state, err := decodeState(data)
	if err != nil || state == nil {
		return err
	}
	unchanged := &rules.Event{ID: ev.ID, Source: ev.Source, Appointment: state.Appointment}
	return r.follow(tx, &change{set: set, event: unchanged, before: state, after: state, now: now, added: added})
}

func (r *Receiver) followOne(tx *store.Tx, c *change, d *store.Delivery) error {
	for i := range c.added {
		if a := &c.added[i]; a.Rule == d.Rule && a.Key != "" && (a.Key == d.Key || a.Step == d.Step) {
			if !open(d) {
				return nil
			}
			return cancel(tx, d, "the rule applied again, for event "+c.event.ID)
		}
	}
	ev, planned, err := r.original(tx, d)
	if err != nil {
		r.Logger.Error("a delivery cannot follow its appointment", "delivery", d.ID, "error", err)
		return ignoreUnlessStore(err)
	}
	ev.Appointment = c.after.Appointment
	applies := planned.cancelled() == c.after.cancelled()
	switch {
	case open(d) && !applies && c.after.cancelled():
		return cancel(tx, d, calledOff)
	case open(d) && !applies:
		return cancel(tx, d, takesPlace)
	case !applies || !open(d) && len(d.Attempts) > 0:
		return nil
	case d.State == store.Cancelled:
		return replan(tx, c, d, ev)
	case len(c.event.Changed) == 0:
		return nil
	}
	if !c.moves(d, ev) {
		return nil
	}
	if d.State == store.Sending || len(d.Attempts) > 0 {
		again := *d
		if err := cancel(tx, d, moved); err != nil {
			return err
		}
		again.Attempts, again.Retried = nil, time.Time{}
		if plan(c, &again, ev) {
			return tx.Renew(&again)
		}
		return nil
	}
	return replan(tx, c, d, ev)
}

// moves says whether the moment of d, which ev planned, differs by what this event changed. That a rule was
// edited since is no reason.
func (c *change) moves(d *store.Delivery, ev *rules.Event) bool {
	earlier := *ev
	earlier.Appointment = c.before.Appointment
	after, ok := c.set.Moment(heldStep(d), ev)
	before, known := c.set.Moment(heldStep(d), &earlier)
	return ok && !(known && after.Equal(before))
}

// replan gives d the moment that its step has now.
func replan(tx *store.Tx, c *change, d *store.Delivery, ev *rules.Event) error {
	if !plan(c, d, ev) {
		return nil
	}
	return tx.Change(d)
}

func plan(c *change, d *store.Delivery, ev *rules.Event) bool {
	step, ok := c.set.Plan(heldStep(d), ev, c.now)
	if !ok {
		return false
	}
	d.State, d.Reason = outcome(&step, false)
	if d.State == store.Pending {
		d.State = store.Waiting
	}
	if !step.At.IsZero() {
		d.At, d.Until = step.At, step.Until
	}
	d.Due, d.Request = later(d.At, c.now), nil
	return true
}

// open says that the delivery may still be sent as things are.
func open(d *store.Delivery) bool { return d.State != store.Cancelled && d.State != store.Skipped }

func cancel(tx *store.Tx, d *store.Delivery, reason string) error {
	if d.State == store.Sending {
		reason += underWay
	}
	d.State, d.Reason = store.Cancelled, reason
	return tx.Change(d)
}

func heldStep(d *store.Delivery) rules.Held {
	return rules.Held{Rule: d.Rule, Step: d.Step, Key: d.Key, Planned: d.Created, At: d.At}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// A recordError is of a record that cannot be read. It is not the store's, and will not pass.
type recordError struct{ error }

func (e recordError) Unwrap() error { return e.error }

func ignoreUnlessStore(err error) error {
	if _, ok := errors.AsType[recordError](err); ok || errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// original is the event that planned a delivery, and the appointment as it then was.
func (r *Receiver) original(tx *store.Tx, d *store.Delivery) (*rules.Event, *State, error) {
	e, err := tx.Event(d.Event)
	if err != nil {
		return nil, nil, err
	}
	ev, err := Restore(&hook.Normaliser{Zone: r.Zone}, &e)
	if err != nil {
		return nil, nil, recordError{err}
	}
	planned, err := decodeState(e.State)
	if err == nil && planned == nil {
		err = errors.New("the event holds no appointment")
	}
	if err != nil {
		return nil, nil, recordError{err}
	}
	return ev, planned, nil
}

// Due decides about a delivery whose moment has come, see [store.Due]: by the event that planned it, with the
// appointment as it is now, and the rules in force.
func (r *Receiver) Due(tx *store.Tx, d *store.Delivery) error {
	now := r.Now().UTC()
	ev, planned, err := r.original(tx, d)
	if err != nil {
		d.State, d.Reason = store.Skipped, "rendering error: "+err.Error()
		return ignoreUnlessStore(err)
	}
	data, err := tx.State(d.Source, d.Appointment)
	if err != nil {
		return err
	}
	state, err := decodeState(data)
	if err != nil {
		return err
	}
	if state == nil { // not remembered any more: it is as it was
		state = planned
	}
	if planned.cancelled() != state.cancelled() {
		if d.State, d.Reason = store.Cancelled, takesPlace; state.cancelled() {
			d.Reason = calledOff
		}
		return nil
	}
	ev.Appointment = state.Appointment
	set := r.Rules().Set
	if d.Request != nil {
		// It was rendered, and may have been sent: it goes out as it is or not at all.
		if at, ok := set.Moment(heldStep(d), ev); ok && at.After(d.At) && at.After(now) {
			d.State, d.Reason = store.Cancelled, moved
		}
		return nil
	}
	step, shadow, err := dueSafely(set, heldStep(d), ev, now)
	if err != nil {
		r.Logger.Error("rendering failed", "delivery", d.ID, "error", err)
		step.Err = err
	}
	if step.Action != "" {
		d.Connection, d.Destination = step.Connection, step.Destination
	}
	switch d.State, d.Reason = outcome(&step, shadow); {
	case d.State == store.Pending && step.Request == nil:
		d.State, d.At, d.Until, d.Due, d.Key = store.Waiting, step.At, step.Until, step.At, step.Key
	case d.State == store.Pending:
		d.State, d.Request, d.Until, d.Key = store.Sending, step.Request, step.Until, step.Key
	case d.State == store.Shadow:
		d.Request = step.Request
	}
	return nil
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
