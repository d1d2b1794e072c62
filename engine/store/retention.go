package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"bellhop/engine/record"
)

// pruneBatch is about how many rows one transaction of [Store.Prune] deletes, so that intake never waits long for it.
const pruneBatch = 200

// Newest returns when the newest event was received. It is zero if there is none.
func (s *Store) Newest(ctx context.Context) (time.Time, error) {
	var at int64
	err := s.read.QueryRowContext(ctx, `SELECT received_at FROM events ORDER BY id DESC LIMIT 1`).Scan(&at)
	if errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("read the newest event: %w", err)
	}
	return fromMicros(at), nil
}

// Prune deletes what is older than the given time, and returns how many events it deleted. It deletes events with their
// deliveries, unless one of these is still to be sent; appointments that are over and not touched since, unless a
// delivery that is not sent still follows them; and rule sets, with their versions of rule files, that no event was
// received under. It then makes the file smaller, if much of it is unused.
//
// The rows are found on a connection for reads, and the writer deletes about pruneBatch of them at a time. After an
// error, what was deleted before stays deleted.
func (s *Store) Prune(ctx context.Context, before time.Time) (events int, err error) {
	cut, first := micros(before), record.FirstID(before)
	for after := ""; ; {
		list, err := s.pruned(ctx, after, first)
		if err != nil || len(list) == 0 {
			if err == nil {
				err = s.pruneAppointments(ctx, cut)
			}
			if err == nil {
				err = s.pruneRules(ctx, before)
			}
			if err == nil {
				err = s.pruneQuotas(ctx)
			}
			if err == nil {
				err = s.db.giveBack(ctx, s)
			}
			return events, err
		}
		after = list[len(list)-1].id
		for len(list) > 0 {
			var seen, gone int
			err := s.writeAll(ctx, keysOf(list), func(tx *Tx) error {
				seen, gone = 0, 0
				for rows := 0; seen < len(list) && rows < pruneBatch; seen++ {
					deliveries, err := tx.exec("prune", `DELETE FROM deliveries WHERE event = ?1 AND NOT EXISTS (
						SELECT 1 FROM deliveries d WHERE d.event = ?1 AND d.state IN ('waiting', 'pending', 'sending', 'retrying', 'held'))`, list[seen].id)
					if err != nil {
						return err
					}
					n, err := tx.exec("prune", `DELETE FROM events WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.event = ?1)`, list[seen].id)
					if err != nil {
						return err
					}
					rows, gone = rows+deliveries+n, gone+n
				}
				return nil
			})
			if err != nil {
				return events, err
			}
			list, events = list[seen:], events+gone
		}
	}
}

// An aged row is an event or an appointment that can be deleted.
type aged struct {
	over       int64 // only of an appointment
	source, id string
	key        Key // of the appointment
}

func keysOf(list []aged) []Key {
	var keys []Key
	for _, a := range list {
		keys = append(keys, a.key)
	}
	return keys
}

// pruned returns the next events after one and before first that have nothing left to send.
func (s *Store) pruned(ctx context.Context, after, first string) ([]aged, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT id, source, appointment FROM events e WHERE id > ?1 AND id < ?2 AND NOT EXISTS (
		SELECT 1 FROM deliveries d WHERE d.event = e.id AND d.state IN ('waiting', 'pending', 'sending', 'retrying', 'held')) ORDER BY id LIMIT ?3`,
		after, first, pruneBatch)
	return collect(rows, err, "find events to prune", func(rows *sql.Rows) (e aged, err error) {
		var appointment string
		err = rows.Scan(&e.id, &e.source, &appointment)
		e.key = KeyOf(e.source, appointment)
		return e, err
	})
}

func (s *Store) pruneAppointments(ctx context.Context, cut int64) error {
	for after := (aged{}); ; {
		rows, err := s.read.QueryContext(ctx, `SELECT max(touched_at, ends_at), source, id FROM appointments
			WHERE max(touched_at, ends_at) >= ?1 AND max(touched_at, ends_at) < ?4 AND (max(touched_at, ends_at) > ?1 OR (source, id) > (?2, ?3))
			ORDER BY max(touched_at, ends_at), source, id LIMIT ?5`, after.over, after.source, after.id, cut, pruneBatch)
		list, err := collect(rows, err, "find appointments to prune", func(rows *sql.Rows) (a aged, err error) {
			err = rows.Scan(&a.over, &a.source, &a.id)
			a.key = KeyOf(a.source, a.id)
			return a, err
		})
		if err != nil || len(list) == 0 {
			return err
		}
		err = s.writeAll(ctx, keysOf(list), func(tx *Tx) error {
			for _, a := range list {
				_, err := tx.exec("prune", `DELETE FROM appointments AS a WHERE source = ?1 AND id = ?2 AND touched_at < ?3 AND ends_at < ?3
					AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.source = a.source AND d.appointment = a.id AND d.follows
						AND d.state <> 'sent' AND d.state <> 'shadow')`, a.source, a.id, cut)
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		after = list[len(list)-1]
	}
}
