package store

import (
	"bellhop/engine/record"
	"bellhop/rules"
)

// Held returns the deliveries that follow an appointment, oldest first: the open, skipped and dead ones, and those that
// were cancelled for one of the reasons in passing, which a later event can undo.
func (t *Tx) Held(source, appointment string, passing [2]string) ([]record.Delivery, error) {
	return listDeliveries(t.ctx, t.tx, `
		WHERE source = ? AND appointment = ? AND follows AND state <> 'sent' AND state <> 'shadow'
		AND (state <> 'cancelled' OR replace(reason, ?, '') IN (?, ?)) ORDER BY id`, source, appointment, record.UnderWay, passing[0], passing[1])
}

// takePlace makes the other deliveries of d's step stop following the appointment. The error is a
// [*record.ConflictError] if one of them is open.
func (t *Tx) takePlace(d *record.Delivery) error {
	others, err := listDeliveries(t.ctx, t.tx, ` WHERE appointment = ? AND source = ? AND rule = ? AND id <> ?
		AND (follows OR state IN ('waiting', 'pending', 'sending', 'retrying', 'held'))`, d.Appointment, d.Source, d.Rule, d.ID)
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
		if _, err := t.exec("change delivery", `UPDATE deliveries SET follows = false WHERE id = ?`, o.ID); err != nil {
			return err
		}
	}
	return nil
}

// Outdate is called when an appointment was moved. It makes rendered deliveries stop following it if they are dead, or
// cancelled for a reason that is not in passing, usually by an operator. They tell the old time, so [Store.Retry] then
// refuses them.
func (t *Tx) Outdate(source, appointment string, passing [2]string) error {
	_, err := t.exec("outdate deliveries", `UPDATE deliveries SET follows = false WHERE appointment = ? AND source = ? AND follows AND request IS NOT NULL
		AND (state = 'dead' OR state = 'cancelled' AND replace(reason, ?, '') NOT IN (?, ?))`, appointment, source, record.UnderWay, passing[0], passing[1])
	return err
}

// Change writes the new state, reason, times and request of a held delivery, and whether it still follows. It raises
// d.Turn, so that no earlier job can claim the delivery. If the delivery is then cancelled, an attempt under way is
// still recorded, and a success makes it [record.Sent]. If d is [record.Waiting], Change enqueues it for d.Due.
func (t *Tx) Change(d *record.Delivery) error {
	d.Turn++
	if _, err := t.exec("change delivery", `UPDATE deliveries SET state = ?, reason = ?, due_at = ?, moment_at = ?, until_at = ?, follows = ?, turn = ?, request = ? WHERE id = ?`,
		string(d.State), d.Reason, micros(d.Due), micros(d.At), micros(d.Until), d.Follows, d.Turn, blob(d.Request), d.ID); err != nil {
		return err
	}
	if d.State == record.Waiting {
		t.enqueue(d)
	}
	return nil
}

// Renew inserts d as a copy of a delivery and sets its id, turn and copy. A copy has an id of its own because the id is
// the idempotency key: what was tried under one key must not be sent with other contents.
func (t *Tx) Renew(d *record.Delivery) error {
	d.ID, d.Turn = record.NewID(), 0
	for { // an earlier delivery that was copied before has later copies
		d.Copy++
		inserted, err := t.InsertDelivery(d)
		if inserted || err != nil {
			return err
		}
	}
}

// Event returns one event with all its fields, as this transaction sees it. The error is [ErrNotFound] if there is
// none.
func (t *Tx) Event(id string) (record.Event, error) { return findEvent(t.ctx, t.tx, id) }
