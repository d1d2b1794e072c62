package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"bellhop/engine/record"
)

// maxHistory is how many appointments of a contact are listed.
const maxHistory = 100

// others selects the other appointments of a contact, the latest first.
func others(v record.Visitor, columns string) (query string, args []any) {
	return `SELECT ` + columns + ` FROM appointments WHERE location = ? AND contact = ? AND contact <> '' AND NOT (source = ? AND id = ?) ORDER BY starts_at DESC, id DESC LIMIT ?`,
		[]any{v.Location, v.Contact, v.Source, v.Appointment, maxHistory}
}

// History returns the states of the other appointments of a contact that are remembered: at most [maxHistory], those that start
// latest first. Events of one contact that ask for it are decided one after the other.
func (t *Tx) History(v record.Visitor) ([]json.RawMessage, error) {
	if err := t.s.db.lock(t.ctx, t.tx, []Key{KeyOf("contact", v.Location+"\x1f"+v.Contact)}); err != nil {
		return nil, err
	}
	query, args := others(v, "state")
	rows, err := t.tx.QueryContext(t.ctx, query, args...)
	return collect(rows, err, "list appointments of a contact", func(rows *sql.Rows) (state json.RawMessage, err error) {
		var data []byte
		err = rows.Scan(&data)
		return data, err
	})
}

// HistoryAt is [Tx.History] as it was before the event with an id, as far as the events since then are kept.
func (s *Store) HistoryAt(ctx context.Context, v record.Visitor, before string) ([]json.RawMessage, error) {
	return historyAt(ctx, s.read, v, before)
}

// HistoryAt is [Store.HistoryAt].
func (r *Reader) HistoryAt(ctx context.Context, v record.Visitor, before string) ([]json.RawMessage, error) {
	return historyAt(ctx, r.read, v, before)
}

func historyAt(ctx context.Context, db querier, v record.Visitor, before string) (states []json.RawMessage, err error) {
	query, args := others(v, "source, id")
	rows, err := db.QueryContext(ctx, query, args...)
	list, err := collect(rows, err, "list appointments of a contact", func(rows *sql.Rows) (a [2]string, err error) {
		return a, rows.Scan(&a[0], &a[1])
	})
	for _, a := range list {
		var id string
		err := db.QueryRowContext(ctx, `SELECT id FROM events WHERE appointment = ? AND source = ? AND id < ? AND status = ? ORDER BY id DESC LIMIT 1`,
			a[1], a[0], before, string(record.Accepted)).Scan(&id)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("find an event of an appointment: %w", err)
		}
		e, err := findEvent(ctx, db, id)
		switch {
		case errors.Is(err, ErrNotFound): // pruned meanwhile
		case err != nil:
			return nil, err
		case e.After != nil:
			states = append(states, e.After)
		}
	}
	return states, err
}
