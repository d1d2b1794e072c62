package store

import (
	"database/sql"
	"errors"
	"fmt"
	"time"

	"bellhop/engine/record"
)

// Immediate steps of one rule for one appointment, told apart by their number: the same step for several events. The
// identifiers of events rise with the time at which they came.

// Before is the delivery of the same step for an earlier event that is still to be sent, the latest of them: its id,
// "" if there is none, and when it is due.
func (t *Tx) Before(d *record.Delivery) (id string, due time.Time, err error) {
	var at int64
	err = t.tx.QueryRowContext(t.ctx, `SELECT id, due_at FROM deliveries INDEXED BY deliveries_order
		WHERE appointment = ?1 AND source = ?2 AND rule = ?3 AND step = ?4 AND event < ?5 AND step_key = '' AND state IN ('pending', 'sending', 'retrying')
		ORDER BY event DESC LIMIT 1`, d.Appointment, d.Source, d.Rule, d.Step, d.Event).Scan(&id, &at)
	if errors.Is(err, sql.ErrNoRows) {
		return "", time.Time{}, nil
	}
	if err != nil {
		return "", time.Time{}, fmt.Errorf("read earlier delivery: %w", err)
	}
	return id, fromMicros(at), nil
}

// After is the event of the latest delivery of the same step for a later event that was sent, or with open is to be;
// "" if there is none.
func (t *Tx) After(d *record.Delivery, open bool) (event string, err error) {
	err = t.tx.QueryRowContext(t.ctx, `SELECT event FROM deliveries
		WHERE appointment = ?1 AND source = ?2 AND rule = ?3 AND step = ?4 AND event > ?5 AND step_key = ''
			AND (state = 'sent' OR ?6 AND state IN ('pending', 'sending', 'retrying'))
		ORDER BY event DESC LIMIT 1`, d.Appointment, d.Source, d.Rule, d.Step, d.Event, open).Scan(&event)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read later delivery: %w", err)
	}
	return event, nil
}

// Replace cancels the deliveries of the same step for earlier events that are to be sent, except one under way.
func (t *Tx) Replace(d *record.Delivery, reason string) error {
	_, err := t.tx.ExecContext(t.ctx, `UPDATE deliveries SET state = 'cancelled', reason = ?6, turn = turn + 1
		WHERE appointment = ?1 AND source = ?2 AND rule = ?3 AND step = ?4 AND event < ?5 AND step_key = '' AND state IN ('pending', 'retrying')`,
		d.Appointment, d.Source, d.Rule, d.Step, d.Event, reason)
	if err != nil {
		return fmt.Errorf("replace deliveries: %w", err)
	}
	return nil
}
