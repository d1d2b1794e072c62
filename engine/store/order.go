package store

import (
	"database/sql"
	"errors"
	"fmt"
	"time"

	"bellhop/engine/record"
)

// The methods in this file compare the deliveries of one immediate step of one rule for one appointment: one for each
// event. The step is identified by its number. Event ids sort by the time of receipt.

// Before finds the latest delivery of d's step for an earlier event that is still to be sent. It returns the delivery's
// id, "" if there is none, and when it is due.
func (t *Tx) Before(d *record.Delivery) (id string, due time.Time, err error) {
	var at int64
	err = t.tx.QueryRowContext(t.ctx, `SELECT id, due_at FROM deliveries INDEXED BY deliveries_order
		WHERE appointment = ?1 AND source = ?2 AND rule = ?3 AND step = ?4 AND event < ?5 AND step_key = '' AND (state = 'pending' OR state = 'sending' OR state = 'retrying')
		ORDER BY event DESC LIMIT 1`, d.Appointment, d.Source, d.Rule, d.Step, d.Event).Scan(&id, &at)
	if errors.Is(err, sql.ErrNoRows) {
		return "", time.Time{}, nil
	}
	if err != nil {
		return "", time.Time{}, fmt.Errorf("read earlier delivery: %w", err)
	}
	return id, fromMicros(at), nil
}

// After returns the event of the latest delivery of d's step for a later event that was sent or, if open is true, is
// still to be sent. It returns "" if there is none.
func (t *Tx) After(d *record.Delivery, open bool) (event string, err error) {
	err = t.tx.QueryRowContext(t.ctx, `SELECT event FROM deliveries
		WHERE appointment = ?1 AND source = ?2 AND rule = ?3 AND step = ?4 AND event > ?5 AND step_key = ''
			AND (state = 'sent' OR ?6 AND state IN ('pending', 'sending', 'retrying', 'held'))
		ORDER BY event DESC LIMIT 1`, d.Appointment, d.Source, d.Rule, d.Step, d.Event, open).Scan(&event)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read later delivery: %w", err)
	}
	return event, nil
}

// Replace cancels the deliveries of d's step for earlier events that are still to be sent, except those being sent.
func (t *Tx) Replace(d *record.Delivery, reason string) error {
	_, err := t.exec("replace deliveries", `UPDATE deliveries SET state = 'cancelled', reason = ?6, turn = turn + 1
		WHERE appointment = ?1 AND source = ?2 AND rule = ?3 AND step = ?4 AND event < ?5 AND step_key = '' AND state IN ('pending', 'retrying', 'held')`,
		d.Appointment, d.Source, d.Rule, d.Step, d.Event, reason)
	return err
}
