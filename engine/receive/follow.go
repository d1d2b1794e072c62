package receive

import (
	"errors"

	"bellhop/engine/decide"
	"bellhop/engine/record"
	"bellhop/engine/store"
)

// follow changes the deliveries that wait for the appointment; see [decide.Change.Follow].
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

// ignoreUnlessStore returns nil for an error that a retry does not mend: a record that is missing or cannot be read.
func ignoreUnlessStore(err error) error {
	if _, ok := errors.AsType[decide.RecordError](err); ok || errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// origin returns the event that a delivery was planned for.
func (r *Receiver) origin(tx *store.Tx, d *record.Delivery) (decide.Origin, error) {
	e, err := tx.Event(d.Event)
	if err != nil {
		return decide.Origin{}, err
	}
	o, err := decide.OriginOf(&r.bodies, &e)
	if err != nil {
		return decide.Origin{}, decide.RecordError{Err: err}
	}
	o.Event.Asks = r.Asks
	o.Event.History = decide.Visits(o.Event, tx.History)
	o.Event.Answers, err = decide.Answers(*d)
	return o, err
}
