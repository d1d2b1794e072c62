package store

import (
	"fmt"

	"bellhop/engine/record"
	"bellhop/rules"
)

// Held are the deliveries that follow an appointment, oldest first: those that are not done with, those that were
// cancelled for a reason that may pass, and those that were skipped or given up.
func (t *Tx) Held(source, appointment string, passing [2]string) ([]record.Delivery, error) {
	return listDeliveries(t.ctx, t.tx, `
		WHERE source = ? AND appointment = ? AND follows = 1 AND state IN ('waiting', 'pending', 'sending', 'retrying', 'cancelled', 'skipped', 'dead')
		AND (state <> 'cancelled' OR replace(reason, ?, '') IN (?, ?)) ORDER BY id`, source, appointment, record.UnderWay, passing[0], passing[1])
}

// takePlace lets d follow its appointment in place of the other deliveries of its step. One that is open is a
// [*ConflictError].
func (t *Tx) takePlace(d *record.Delivery) error {
	others, err := listDeliveries(t.ctx, t.tx, ` WHERE appointment = ? AND source = ? AND rule = ? AND id <> ?
		AND (follows = 1 OR state IN ('waiting', 'pending', 'sending', 'retrying'))`, d.Appointment, d.Source, d.Rule, d.ID)
	if err != nil {
		return err
	}
	for i := range others {
		o := &others[i]
		if o.Step != d.Step && !rules.SameStep(o.Key, d.Key) {
			continue
		}
		if o.State.Open() {
			return &record.ConflictError{State: o.State, Other: o.ID}
		}
		if _, err := t.tx.ExecContext(t.ctx, `UPDATE deliveries SET follows = 0 WHERE id = ?`, o.ID); err != nil {
			return fmt.Errorf("change delivery: %w", err)
		}
	}
	return nil
}

// Outdate ends it that deliveries follow an appointment that was moved, which were rendered before and then given up,
// or cancelled by an operator: if one is to be tried again, it is known to tell of what is no longer so.
func (t *Tx) Outdate(source, appointment string, passing [2]string) error {
	_, err := t.tx.ExecContext(t.ctx, `UPDATE deliveries SET follows = 0 WHERE appointment = ? AND source = ? AND follows = 1 AND request IS NOT NULL
		AND (state = 'dead' OR state = 'cancelled' AND replace(reason, ?, '') NOT IN (?, ?))`, appointment, source, record.UnderWay, passing[0], passing[1])
	if err != nil {
		return fmt.Errorf("outdate deliveries: %w", err)
	}
	return nil
}

// Change writes the new state, reason, moment and request of a held delivery, and whether it still follows. No
// earlier job may claim it any more, nor can an attempt under way be recorded as anything but an attempt; if it is
// [record.Waiting], it is enqueued again.
func (t *Tx) Change(d *record.Delivery) error {
	d.Turn++
	_, err := t.tx.ExecContext(t.ctx, `UPDATE deliveries SET state = ?, reason = ?, due_at = ?, moment_at = ?, until_at = ?, follows = ?, turn = ?, request = ? WHERE id = ?`,
		string(d.State), d.Reason, micros(d.Due), micros(d.At), micros(d.Until), d.Follows, d.Turn, blob(d.Request), d.ID)
	if err != nil {
		return fmt.Errorf("change delivery: %w", err)
	}
	if d.State == record.Waiting {
		t.enqueue(d)
	}
	return nil
}

// Renew inserts d as a copy of a delivery with an id of its own: what was tried once under one idempotency key
// cannot go on with other contents.
func (t *Tx) Renew(d *record.Delivery) error {
	d.ID, d.Turn = record.NewID(), 0
	d.Copy++
	_, err := t.InsertDelivery(d)
	return err
}

// Event is one event, whole, as this transaction sees it. A missing one is [ErrNotFound].
func (t *Tx) Event(id string) (record.Event, error) { return findEvent(t.ctx, t.tx, id) }
