package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"

	"bellhop/rules"
)

// A Due decides, in the transaction that claims it, what becomes of a delivery that is due. It is given the delivery
// in state [Sending] and leaves it so, with its request, if it is to be sent; else it sets another state and why. A
// delivery that has to wait on is [Waiting], one of an immediate step [Pending] or [Retrying], with its new due time.
// An error is the store's: it is tried again. A nil Due
// sends everything as it is.
type Due func(*Tx, *Delivery) error

// early is the delivery of a job that came before its time, empty if the job has nothing to do.
func (t *Tx) early(j job) (Delivery, error) {
	d, err := scanDelivery(t.tx.QueryRowContext(t.ctx, `SELECT `+deliveryColumns+` FROM deliveries WHERE id = ? AND turn = ? AND state = 'waiting'`,
		j.Delivery, j.Turn))
	if errors.Is(err, sql.ErrNoRows) {
		return Delivery{}, nil
	}
	if err != nil {
		return Delivery{}, fmt.Errorf("read delivery: %w", err)
	}
	return d, nil
}

// settle writes what a [Due] made of a delivery.
func (t *Tx) settle(d *Delivery) error {
	_, err := t.tx.ExecContext(t.ctx, `UPDATE deliveries SET state = ?, reason = ?, due_at = ?, moment_at = ?, until_at = ?, step_key = ?,
		connection = ?, destination = ?, request = ?, tells = ? WHERE id = ?`,
		string(d.State), d.Reason, micros(d.Due), micros(d.At), micros(d.Until), d.Key, d.Connection, d.Destination, blob(d.Request), d.Tells, d.ID)
	if err != nil {
		return fmt.Errorf("write delivery: %w", err)
	}
	return nil
}

// recordCancelled writes what an attempt came to whose delivery was cancelled, or is due at another moment,
// since it began. What was sent is no less sent for that.
func (t *Tx) recordCancelled(d *Delivery, attempts []byte) error {
	_, err := t.tx.ExecContext(t.ctx, `UPDATE deliveries SET attempts = ?, state = CASE WHEN ? THEN 'sent' ELSE state END
		WHERE id = ? AND turn > ? AND state = 'cancelled'`, attempts, d.State == Sent, d.ID, d.turn)
	if err != nil {
		return fmt.Errorf("record delivery: %w", err)
	}
	return nil
}

// UnderWay ends the reason of a delivery that was cancelled between its claim and its record.
const UnderWay = " while this was being sent"

// Current says whether the claimed delivery is still to be sent by this job: that nothing which was committed
// before has cancelled or moved it. If it has, the attempt does not begin, and the reason says no more than why. One of
// an immediate step is then to be claimed again, which decides about it.
func (j *Job) Current(ctx context.Context, d *Delivery) (bool, error) {
	if d.At.IsZero() {
		if d.Latest == nil {
			return true, nil
		}
		var latest []byte
		err := j.store.hot.QueryRowContext(ctx, `SELECT latest FROM appointments WHERE source = ? AND id = ?`, d.Source, d.Appointment).Scan(&latest)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return false, fmt.Errorf("read appointment: %w", err)
		}
		return bytes.Equal(latest, d.Latest), nil
	}
	var n int
	err := j.store.hot.QueryRowContext(ctx, `SELECT count(*) FROM deliveries WHERE id = ? AND turn = ? AND state = 'sending'`,
		j.job.Delivery, j.job.Turn).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("read delivery: %w", err)
	}
	if n == 1 {
		return true, nil
	}
	return false, j.store.Write(ctx, func(tx *Tx) error {
		_, err := tx.tx.ExecContext(tx.ctx, `UPDATE deliveries SET reason = replace(reason, ?, '') WHERE id = ? AND turn = ? AND state = 'cancelled'`,
			UnderWay, j.job.Delivery, j.job.Turn+1)
		if err != nil {
			return fmt.Errorf("write delivery: %w", err)
		}
		return nil
	})
}

// Held are the deliveries that follow an appointment, oldest first: those that are not done with, those that were
// cancelled for a reason that may pass, and those that were skipped or given up.
func (t *Tx) Held(source, appointment string, passing [2]string) ([]Delivery, error) {
	return listDeliveries(t.ctx, t.tx, `
		WHERE source = ? AND appointment = ? AND follows = 1 AND state IN ('waiting', 'pending', 'sending', 'retrying', 'cancelled', 'skipped', 'dead')
		AND (state <> 'cancelled' OR replace(reason, ?, '') IN (?, ?)) ORDER BY id`, source, appointment, UnderWay, passing[0], passing[1])
}

// takePlace lets d follow its appointment in place of the other deliveries of its step. One that is open is a
// [*ConflictError].
func (t *Tx) takePlace(d *Delivery) error {
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
		if o.State.open() {
			return &ConflictError{State: o.State, Other: o.ID}
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
		AND (state = 'dead' OR state = 'cancelled' AND replace(reason, ?, '') NOT IN (?, ?))`, appointment, source, UnderWay, passing[0], passing[1])
	if err != nil {
		return fmt.Errorf("outdate deliveries: %w", err)
	}
	return nil
}

// Change writes the new state, reason, moment and request of a held delivery, and whether it still follows. No
// earlier job may claim it any more, nor can an attempt under way be recorded as anything but an attempt; if it is
// [Waiting], it is enqueued again.
func (t *Tx) Change(d *Delivery) error {
	d.turn++
	_, err := t.tx.ExecContext(t.ctx, `UPDATE deliveries SET state = ?, reason = ?, due_at = ?, moment_at = ?, until_at = ?, follows = ?, turn = ?, request = ? WHERE id = ?`,
		string(d.State), d.Reason, micros(d.Due), micros(d.At), micros(d.Until), d.Follows, d.turn, blob(d.Request), d.ID)
	if err != nil {
		return fmt.Errorf("change delivery: %w", err)
	}
	if d.State == Waiting {
		t.enqueue(d)
	}
	return nil
}

// Renew inserts d as a copy of a delivery with an id of its own: what was tried once under one idempotency key
// cannot go on with other contents.
func (t *Tx) Renew(d *Delivery) error {
	d.ID, d.turn = NewID(), 0
	d.copy++
	_, err := t.InsertDelivery(d)
	return err
}

// Event is one event, whole, as this transaction sees it. A missing one is [ErrNotFound].
func (t *Tx) Event(id string) (Event, error) { return findEvent(t.ctx, t.tx, id) }
