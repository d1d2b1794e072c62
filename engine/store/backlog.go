package store

import (
	"context"
	"database/sql"
	"time"

	"bellhop/engine/record"
)

// A Backlog counts the deliveries in one of the states that [Store.Backlogs] names.
type Backlog struct {
	State  record.State
	Count  int
	Oldest time.Time // when the oldest of them was made
}

// Backlogs returns the backlogs of the waiting, pending, retrying, dead and held deliveries. It leaves out states without a
// delivery. It reads a few rows, however many deliveries there are.
func (s *Store) Backlogs(ctx context.Context) ([]Backlog, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT state, n, (SELECT min(id) FROM deliveries d WHERE d.state = c.state) FROM delivery_counts c
		WHERE state IN ('waiting', 'pending', 'retrying', 'dead', 'held') AND n > 0`)
	return collect(rows, err, "count what is open", func(rows *sql.Rows) (b Backlog, err error) {
		var first string
		if err := rows.Scan(&b.State, &b.Count, &first); err != nil {
			return b, err
		}
		b.Oldest, err = record.TimeOf(first)
		return b, err
	})
}
