package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// pruneBatch bounds one transaction of a pruning, so that intake never waits long for it.
const pruneBatch = 500

// Newest is when the newest event was received; zero if there is none.
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

// Prune deletes what is older than before: events with their deliveries, once none of these is still to be
// sent, appointments that are over, were not touched since and have nothing waiting, and versions of rule files that no event left
// was matched with. It returns how many events went.
func (s *Store) Prune(ctx context.Context, before time.Time) (events int, err error) {
	cut, first := micros(before), firstID(before)
	steps := []struct {
		query string
		bound any
	}{
		{`DELETE FROM deliveries WHERE event IN (SELECT id FROM events e WHERE e.id < ?1 AND NOT EXISTS (
			SELECT 1 FROM deliveries d WHERE d.event = e.id AND d.state IN ('waiting', 'pending', 'sending', 'retrying')) ORDER BY id LIMIT ?2)`, first},
		{`DELETE FROM events WHERE id IN (SELECT id FROM events e WHERE e.id < ?1 AND NOT EXISTS (
			SELECT 1 FROM deliveries d WHERE d.event = e.id) ORDER BY id LIMIT ?2)`, first},
		{`DELETE FROM appointments WHERE (source, id) IN (SELECT source, id FROM appointments a WHERE touched_at < ?1 AND ends_at < ?1
			AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.source = a.source AND d.appointment = a.id AND d.follows = 1
				AND d.state IN ('waiting', 'pending', 'sending', 'retrying', 'cancelled', 'skipped', 'dead')) LIMIT ?2)`, cut},
	}
	for {
		var changed, gone int64
		err := s.Write(ctx, func(tx *Tx) error {
			changed, gone = 0, 0
			for i, step := range steps {
				res, err := tx.tx.ExecContext(tx.ctx, step.query, step.bound, pruneBatch)
				if err != nil {
					return fmt.Errorf("prune: %w", err)
				}
				n, err := res.RowsAffected()
				if err != nil {
					return fmt.Errorf("prune: %w", err)
				}
				changed += n
				if i == 1 {
					gone = n
				}
			}
			return nil
		})
		if err != nil {
			return events, err
		}
		events += int(gone)
		if changed == 0 {
			return events, s.pruneRules(ctx, before)
		}
	}
}
