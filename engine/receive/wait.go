package receive

import (
	"cmp"
	"errors"
	"time"

	"bellhop/engine/decide"
	"bellhop/engine/payload"
	"bellhop/engine/record"
	"bellhop/engine/store"
	"bellhop/rules"
)

// follow makes the deliveries that wait for an appointment follow it.
func (r *Receiver) follow(tx *store.Tx, c *decide.Change) error {
	held, err := tx.Held(c.Event.Source, c.Event.Appointment.ID, decide.Passing)
	if err != nil {
		return err
	}
	for i := range held {
		d := &held[i]
		if d.Event == c.Event.ID {
			continue
		}
		changed, again, err := c.Follow(d, func() (decide.Origin, error) { return r.origin(tx, d) })
		if err != nil {
			r.Logger.Error("a delivery cannot follow its appointment", "delivery", d.ID, "error", err)
			if err = ignoreUnlessStore(err); err != nil {
				return err
			}
		}
		if changed {
			if err := tx.Change(d); err != nil {
				return err
			}
		}
		if again != nil {
			if err := tx.Renew(again); err != nil {
				return err
			}
		}
	}
	if !c.Rescheduled() {
		return nil
	}
	return tx.Outdate(c.Event.Source, c.Event.Appointment.ID, decide.Passing)
}

// replace lets what was added for an event that is replayed take the place of what waits already.
func (r *Receiver) replace(tx *store.Tx, set *rules.Set, ev *rules.Event, now time.Time, added []record.Delivery) error {
	state, _, _, err := remembered(tx, ev.Source, ev.Appointment.ID)
	if err != nil || state == nil {
		return err
	}
	unchanged := &rules.Event{ID: ev.ID, Source: ev.Source, Appointment: state.Appointment}
	if err := r.follow(tx, &decide.Change{Set: set, Event: unchanged, Before: state, After: state, Now: now, Added: added}); err != nil {
		return err
	}
	// What was added was planned for the appointment as the event had it, and catches up with what came since.
	since := &decide.Change{Set: set, Event: &rules.Event{Changed: decide.Changed(&ev.Appointment, &state.Appointment)}, Before: &decide.Memory{Appointment: ev.Appointment}, After: state, Now: now}
	for i := range added {
		d := &added[i]
		if !decide.Follows(d) {
			continue
		}
		moved, _, err := since.Follow(d, func() (decide.Origin, error) { return decide.Origin{Event: ev}, nil })
		if err != nil {
			return err
		}
		if moved {
			if err := tx.Change(d); err != nil {
				return err
			}
		}
	}
	return nil
}

func ignoreUnlessStore(err error) error {
	if _, ok := errors.AsType[decide.RecordError](err); ok || errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// origin is what planned a delivery.
func (r *Receiver) origin(tx *store.Tx, d *record.Delivery) (decide.Origin, error) {
	e, err := tx.Event(d.Event)
	if err != nil {
		return decide.Origin{}, err
	}
	o, err := decide.OriginOf(&payload.Normaliser{Zone: r.Zone}, &e)
	if err != nil {
		return decide.Origin{}, decide.RecordError{Err: err}
	}
	return o, nil
}

// Due decides about a delivery whose moment has come, see [store.Due]: by the event that planned it, with the
// appointment as it is now, and the rules in force. Of an immediate step it says whether it is still to be sent.
func (r *Receiver) Due(tx *store.Tx, d *record.Delivery) error {
	now := r.Now().UTC()
	if d.Key == "" {
		return r.still(tx, d, now)
	}
	from, err := r.origin(tx, d)
	if err != nil {
		d.State, d.Reason = record.Skipped, "rendering error: "+err.Error()
		return ignoreUnlessStore(err)
	}
	state, _, _, err := remembered(tx, d.Source, d.Appointment)
	if err != nil {
		return err
	}
	if state == nil { // not remembered any more: it is as it was
		state = from.State
	}
	if err := decide.Decide(r.Rules().Set, d, from, state, now); err != nil {
		r.Logger.Error("rendering failed", "delivery", d.ID, "error", err)
	}
	return nil
}

// Destination is where a delivery goes that waited, by the rules in force.
func (r *Receiver) Destination(d *record.Delivery) string {
	return cmp.Or(r.Rules().Set.Destination(decide.HeldStep(d)), d.Destination)
}
