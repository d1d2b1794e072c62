package store

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"bellhop/engine/record"
)

// A Handler makes one attempt at a job's delivery. It returns 0 if nothing more is to be done for the job, or else how
// long to wait before the next attempt. It is called from several goroutines at once. When ctx ends, it must return
// soon.
type Handler func(ctx context.Context, j *Job) (again time.Duration)

// A Job is the queue's reminder that a delivery is due.
type Job struct {
	Destination string // of the delivery when the job was enqueued
	store       *Store
	job         job
	row         int64      // the job's id in River's table
	fetched     *time.Time // when this process fetched it
}

// key returns the key of the delivery's appointment.
func (j *Job) key() Key { return j.job.Key }

// keys returns all that a claim locks: the key of the appointment, and that of the count which the brake looks at.
func (j *Job) keys() []Key {
	if j.job.Brake == 0 {
		return []Key{j.job.Key}
	}
	return []Key{j.job.Key, j.job.Brake}
}

// mine returns a condition, with its arguments, that is true while no other process has taken over the job. A process
// that was stopped for a while, or cut off from the database, must not go on with what it had.
func (j *Job) mine() (and string, args []any) {
	if and = j.store.db.dialect().mine; and == "" {
		return "", nil
	}
	return " AND " + and, []any{j.row, j.fetched}
}

// Made returns about when the delivery was made. It reads nothing: the time comes from the delivery's id.
func (j *Job) Made() time.Time {
	at, err := record.TimeOf(j.job.Delivery)
	if err != nil {
		return time.Now()
	}
	return at
}

// To returns where the delivery goes. If the delivery still has to wait, it returns how long instead. present returns
// the destination by the present rules, and is called only for a step that waited and is not rendered yet. If present
// is nil, the delivery goes where it was planned to go. An error is from the store.
func (j *Job) To(ctx context.Context, present func(*record.Delivery) string) (to string, wait time.Duration, err error) {
	if !j.job.Waits || present == nil {
		return j.Destination, 0, nil
	}
	d, err := findDelivery(ctx, j.store.hot, j.job.Delivery)
	switch {
	case errors.Is(err, ErrNotFound):
		return j.Destination, 0, nil
	case err != nil:
		return "", 0, err
	case d.Request != nil:
		return d.Destination, 0, nil
	case d.State == record.Waiting && d.Turn == j.job.Turn && d.Due.After(j.store.opts.Now()):
		return "", d.Due.Sub(j.store.opts.Now()), nil
	}
	return present(&d), 0, nil
}

// A Due decides, in the transaction that claims a delivery, whether the delivery is sent. It gets the delivery in state
// [record.Sending]. If it is to be sent, Due leaves the state and makes sure that it has its request; otherwise Due
// sets another state and the reason. If it has to wait longer, Due sets a new due time and the state [record.Waiting],
// or [record.Pending] or [record.Retrying] for an immediate step. If something has to be looked up first, Due leaves the
// state and the request, and sets Wants; after that, [Job.Resume] calls Due again.
//
// An error means that the store failed: nothing is changed, and the job is tried again. Like the function given to
// [Store.Write], a Due can run more than once. If a Due is nil, everything is sent as it is.
type Due func(*Tx, *record.Delivery) error

// unknownResult is the error of an attempt whose result was not recorded.
const unknownResult = "the process ended, or its result could not be stored: this may have been sent"

// Claim marks the delivery as being sent and returns it. It calls due in the same transaction. ok is false if this job
// must not send the delivery now. d is then empty if there is nothing to do for this job; otherwise d.State tells what
// became of the delivery, and if it is open, it is due at d.Due.
//
// Only the job with the delivery's turn can claim it, and the queue gives a job to one worker at a time, so a delivery
// has one worker at a time. Claim finds a delivery in state sending only if an earlier claim was not recorded: the
// process ended, or the store failed.
func (j *Job) Claim(ctx context.Context, due Due) (d record.Delivery, ok bool, err error) {
	err = j.store.writeJob(ctx, j.keys(), func(tx *Tx) error {
		d, ok = record.Delivery{}, false
		got, err := tx.take(j, `state IN ('pending', 'retrying') OR state = 'waiting' AND due_at <= ?`, micros(j.store.opts.Now()))
		if errors.Is(err, sql.ErrNoRows) {
			got, err = tx.take(j, `state = 'sending'`)
			if got.Request != nil {
				// There can have been an attempt, so what is sent under this id must not change any more.
				got.Attempts = append(got.Attempts, record.Attempt{At: j.store.opts.Now().UTC(), Outcome: record.Interrupted, Error: unknownResult})
			}
		}
		if errors.Is(err, sql.ErrNoRows) {
			d, err = tx.early(j.job)
			return err
		}
		if err != nil {
			return fmt.Errorf("claim delivery: %w", err)
		}
		got.Fresh = got.Request == nil
		if err := tx.decide(&got, due); err != nil {
			return err
		}
		d, ok = got, got.State == record.Sending
		return nil
	})
	return d, ok, err
}

// Resume decides again about the claimed delivery d, after what it wants was looked up and added to d.People. The results
// are those of Claim; an empty delivery means that this job must do nothing more.
func (j *Job) Resume(ctx context.Context, claimed *record.Delivery, due Due) (d record.Delivery, ok bool, err error) {
	err = j.store.writeJob(ctx, j.keys(), func(tx *Tx) error {
		d, ok = record.Delivery{}, false
		got, err := tx.take(j, `state = 'sending'`)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("claim delivery: %w", err)
		}
		got.People, got.Fresh = claimed.People, claimed.Fresh
		if err := tx.decide(&got, due); err != nil {
			return err
		}
		d, ok = got, got.State == record.Sending
		return nil
	})
	return d, ok, err
}

// decide calls due, and writes what it changed in a claimed delivery.
func (t *Tx) decide(d *record.Delivery, due Due) error {
	before := *d
	if due != nil {
		if err := due(t, d); err != nil {
			return err
		}
	}
	if d.Key == "" && d.State == record.Sending && d.Allowed == before.Allowed && bytes.Equal(before.Request, d.Request) && bytes.Equal(before.Tells, d.Tells) {
		return nil
	}
	return t.settle(d)
}

// take marks the delivery of a job as being sent, if it is in one of some states. args are for the states.
func (t *Tx) take(j *Job, states string, args ...any) (record.Delivery, error) {
	mine, more := j.mine()
	return scanDelivery(t.tx.QueryRowContext(t.ctx, `UPDATE deliveries SET state = 'sending' WHERE id = ? AND turn = ? AND (`+states+`)`+mine+` RETURNING `+deliveryColumns,
		slices.Concat([]any{j.job.Delivery, j.job.Turn}, args, more)...))
}

// early returns the delivery of a job that came before its time. It returns an empty delivery if there is nothing to do
// for the job.
func (t *Tx) early(j job) (record.Delivery, error) {
	d, err := scanDelivery(t.tx.QueryRowContext(t.ctx, `SELECT `+deliveryColumns+` FROM deliveries WHERE id = ? AND turn = ? AND state = 'waiting'`,
		j.Delivery, j.Turn))
	if errors.Is(err, sql.ErrNoRows) {
		return record.Delivery{}, nil
	}
	if err != nil {
		return record.Delivery{}, fmt.Errorf("read delivery: %w", err)
	}
	return d, nil
}

// settle writes what a [Due] changed in a delivery.
func (t *Tx) settle(d *record.Delivery) error {
	_, err := t.exec("write delivery", `UPDATE deliveries SET state = ?, reason = ?, due_at = ?, moment_at = ?, until_at = ?, step_key = ?,
		connection = ?, destination = ?, request = ?, tells = ?, people = ?, allowed = ?, opens_at = ? WHERE id = ?`,
		string(d.State), d.Reason, micros(d.Due), micros(d.At), micros(d.Until), d.Key, d.Connection, d.Destination, blob(d.Request), d.Tells, blob(d.People), d.Allowed, micros(d.Opens), d.ID)
	return err
}

// Current reports whether the claimed delivery d is still to be sent by this job. It must be called just before the
// attempt. If it returns false, the attempt must not be made.
//
// For a step that waits, it returns false if the delivery was cancelled or moved since its claim. It then removes
// [record.UnderWay] from the reason. For an immediate step, it returns false if another event of the appointment came
// since the claim. The delivery must then be put back and claimed again, which decides about it anew.
func (j *Job) Current(ctx context.Context, d *record.Delivery) (bool, error) {
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
	return false, j.store.writeJob(ctx, []Key{j.key()}, func(tx *Tx) error {
		_, err := tx.exec("write delivery", `UPDATE deliveries SET reason = replace(reason, ?, '') WHERE id = ? AND turn = ? AND state = 'cancelled'`,
			record.UnderWay, j.job.Delivery, j.job.Turn+1)
		return err
	})
}

// Record writes what became of the claimed delivery d: its state, reason, due time and attempts. If d was cancelled
// since its claim, Record writes only its attempts, and makes it sent if it was sent.
//
// If nothing more is to be done, Record also deletes the job. River would mark the job completed later, in another
// transaction that costs several times as much, and delete it after a while. River treats a missing job as cancelled.
func (j *Job) Record(ctx context.Context, d *record.Delivery) error {
	attempts, err := json.Marshal(d.Attempts)
	if err != nil {
		return fmt.Errorf("encode attempts: %w", err)
	}
	over := false
	mine, more := j.mine()
	err = j.store.writeJob(ctx, []Key{j.key()}, func(tx *Tx) error {
		over = !d.State.Open()
		// It was not sent after all. It is rendered again later, with the appointment as it then is.
		unsent := d.Fresh && d.State == record.Pending
		n, err := tx.exec("record delivery", `UPDATE deliveries SET state = ?, reason = ?, due_at = ?, attempts = ?, request = CASE WHEN ? THEN NULL ELSE request END
			WHERE id = ? AND turn = ? AND state = 'sending'`+mine,
			append([]any{string(d.State), d.Reason, micros(d.Due), attempts, unsent, d.ID, d.Turn}, more...)...)
		if err == nil && n == 0 {
			over, err = tx.recordLate(d, attempts)
		}
		if err == nil {
			err = tx.propose(d)
		}
		if err != nil || !over {
			return err
		}
		return tx.endJob(j)
	})
	if err == nil && over {
		j.store.queue.driver.ended.Store(j.row, struct{}{})
	}
	return err
}

// recordLate records a delivery that changed after its claim, and reports whether its job is over. If the delivery was
// cancelled, its attempts are written, and if the attempt succeeded, the delivery becomes sent all the same. Otherwise
// another process has taken over the job, or the same record was written before and the answer of the database was lost.
func (t *Tx) recordLate(d *record.Delivery, attempts []byte) (over bool, err error) {
	n, err := t.exec("record delivery", `UPDATE deliveries SET attempts = ?, state = CASE WHEN ? THEN 'sent' ELSE state END
		WHERE id = ? AND turn > ? AND state = 'cancelled'`, attempts, d.State == record.Sent, d.ID, d.Turn)
	if err != nil || n > 0 {
		return true, err
	}
	now, err := findDelivery(t.ctx, t.tx, d.ID)
	if errors.Is(err, ErrNotFound) {
		return true, nil
	}
	return now.Turn > d.Turn || !now.State.Open(), err
}

// endJob deletes a job, unless another process has taken it over. River never uses its id again.
func (t *Tx) endJob(j *Job) error {
	mine, more := j.mine()
	_, err := t.exec("end job", `DELETE FROM river_job WHERE id = ?`+mine, append([]any{j.row}, more...)...)
	return err
}
