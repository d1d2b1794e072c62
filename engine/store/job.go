package store

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"bellhop/engine/record"
)

// A Handler makes one attempt at a job's delivery. It returns 0 when there is nothing more to do for it,
// else how long to wait before the next attempt. When ctx ends the handler must return soon.
type Handler func(ctx context.Context, j *Job) (again time.Duration)

// A Job is the queue's reminder that a delivery is due.
type Job struct {
	Destination string // as the delivery had it when it was stored
	store       *Store
	job         job
	row         int64 // River's id of it
}

// Made is about when the delivery was made; nothing is read for it.
func (j *Job) Made() time.Time {
	id, err := uuid.Parse(j.job.Delivery)
	if err != nil {
		return time.Now()
	}
	return time.Unix(id.Time().UnixTime())
}

// To is where the delivery goes, or how long it has to wait before that matters. present is asked about a step that
// waited and is not rendered yet; nil says that it goes where it was planned to go.
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

// A Due decides, in the transaction that claims it, what becomes of a delivery that is due. It is given the delivery
// in state [record.Sending] and leaves it so, with its request, if it is to be sent; else it sets another state and why. A
// delivery that has to wait on is [record.Waiting], one of an immediate step [record.Pending] or [record.Retrying], with its new due time.
// An error is the store's: it is tried again. A nil Due
// sends everything as it is.
type Due func(*Tx, *record.Delivery) error

// Claim marks the delivery as being sent and returns it; due is asked about it in the same transaction. ok is false if it
// is not to be sent, by this job, or not now: then it is open, and due later. The queue gives a job to one worker at a
// time, so a delivery has one at a time too; it is found in state sending only where the process ended during an attempt.
func (j *Job) Claim(ctx context.Context, due Due) (d record.Delivery, ok bool, err error) {
	err = j.store.Write(ctx, func(tx *Tx) error {
		d, ok = record.Delivery{}, false
		now := micros(j.store.opts.Now())
		got, err := scanDelivery(tx.tx.QueryRowContext(tx.ctx, `UPDATE deliveries SET state = 'sending'
			WHERE id = ?1 AND turn = ?2 AND (state IN ('pending', 'retrying', 'sending') OR state = 'waiting' AND due_at <= ?3) RETURNING `+deliveryColumns,
			j.job.Delivery, j.job.Turn, now))
		if errors.Is(err, sql.ErrNoRows) {
			d, err = tx.early(j.job)
			return err
		}
		if err != nil {
			return fmt.Errorf("claim delivery: %w", err)
		}
		got.Crashed = j.job.again
		rendered, tells := got.Request, got.Tells
		got.Fresh = got.Request == nil
		if due != nil {
			if err := due(tx, &got); err != nil {
				return err
			}
		}
		if got.Key != "" || got.State != record.Sending || !bytes.Equal(rendered, got.Request) || !bytes.Equal(tells, got.Tells) {
			if err := tx.settle(&got); err != nil {
				return err
			}
		}
		d, ok = got, got.State == record.Sending
		return nil
	})
	return d, ok, err
}

// early is the delivery of a job that came before its time, empty if the job has nothing to do.
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

// settle writes what a [Due] made of a delivery.
func (t *Tx) settle(d *record.Delivery) error {
	_, err := t.tx.ExecContext(t.ctx, `UPDATE deliveries SET state = ?, reason = ?, due_at = ?, moment_at = ?, until_at = ?, step_key = ?,
		connection = ?, destination = ?, request = ?, tells = ? WHERE id = ?`,
		string(d.State), d.Reason, micros(d.Due), micros(d.At), micros(d.Until), d.Key, d.Connection, d.Destination, blob(d.Request), d.Tells, d.ID)
	if err != nil {
		return fmt.Errorf("write delivery: %w", err)
	}
	return nil
}

// Current says whether the claimed delivery is still to be sent by this job: that nothing which was committed
// before has cancelled or moved it. If it has, the attempt does not begin, and the reason says no more than why. One of
// an immediate step is then to be claimed again, which decides about it.
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
	return false, j.store.Write(ctx, func(tx *Tx) error {
		_, err := tx.tx.ExecContext(tx.ctx, `UPDATE deliveries SET reason = replace(reason, ?, '') WHERE id = ? AND turn = ? AND state = 'cancelled'`,
			record.UnderWay, j.job.Delivery, j.job.Turn+1)
		if err != nil {
			return fmt.Errorf("write delivery: %w", err)
		}
		return nil
	})
}

// Record writes down what became of the claimed delivery: its state, reason, due time and attempts. A job that has done
// its work is deleted here: River would mark it completed later, in a transaction of its own and at several times the
// cost, to delete it after a while. River takes a job that is gone for a cancelled one.
func (j *Job) Record(ctx context.Context, d *record.Delivery) error {
	attempts, err := json.Marshal(d.Attempts)
	if err != nil {
		return fmt.Errorf("encode attempts: %w", err)
	}
	over := false
	err = j.store.Write(ctx, func(tx *Tx) error {
		over = !d.State.Open()
		// What was not sent after all is rendered again, with the appointment as it then is.
		unsent := d.Fresh && d.State == record.Pending
		res, err := tx.tx.ExecContext(tx.ctx, `UPDATE deliveries SET state = ?, reason = ?, due_at = ?, attempts = ?, request = CASE WHEN ? THEN NULL ELSE request END
			WHERE id = ? AND turn = ? AND state = 'sending'`,
			string(d.State), d.Reason, micros(d.Due), attempts, unsent, d.ID, d.Turn)
		if err != nil {
			return fmt.Errorf("record delivery: %w", err)
		}
		if n, err := res.RowsAffected(); err != nil {
			return fmt.Errorf("record delivery: %w", err)
		} else if n == 0 {
			over = true
			if err := tx.recordCancelled(d, attempts); err != nil {
				return err
			}
		}
		if !over {
			return nil
		}
		return tx.endJob(j.row)
	})
	if err == nil && over {
		j.store.queue.driver.ended.Store(j.row, struct{}{})
	}
	return err
}

// recordCancelled writes what an attempt came to whose delivery was cancelled, or is due at another moment,
// since it began. What was sent is no less sent for that.
func (t *Tx) recordCancelled(d *record.Delivery, attempts []byte) error {
	_, err := t.tx.ExecContext(t.ctx, `UPDATE deliveries SET attempts = ?, state = CASE WHEN ? THEN 'sent' ELSE state END
		WHERE id = ? AND turn > ? AND state = 'cancelled'`, attempts, d.State == record.Sent, d.ID, d.Turn)
	if err != nil {
		return fmt.Errorf("record delivery: %w", err)
	}
	return nil
}

// endJob deletes a job. River never gives its id to another.
func (t *Tx) endJob(row int64) error {
	if _, err := t.tx.ExecContext(t.ctx, `DELETE FROM river_job WHERE id = ?`, row); err != nil {
		return fmt.Errorf("end job: %w", err)
	}
	return nil
}
