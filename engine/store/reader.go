package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"bellhop/engine/record"
	"bellhop/rules/live"
)

// A Reader looks at a store that another process may have open. It takes no lock, changes nothing, and no
// question that it asks keeps the other from writing or from tidying up for longer than one page of rows.
type Reader struct{ read *sql.DB }

// OpenReader opens the store in dir for reading. A store that is not there is an error that wraps
// [fs.ErrNotExist].
func OpenReader(ctx context.Context, dir string) (*Reader, error) {
	path := filepath.Join(dir, fileName)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no store in %s, so nothing was recorded: %w", dir, err)
	} else if err != nil {
		return nil, fmt.Errorf("open the store in %s: %w", dir, err)
	}
	db, err := openForeign(path, 1)
	if err != nil {
		return nil, err
	}
	r := &Reader{read: db}
	// A table of another version of this program is told from one that cannot be read.
	var n int
	if err := db.QueryRowContext(ctx, `SELECT count(*) FROM events WHERE id = '' AND rules = ''`).Scan(&n); err != nil {
		return nil, errors.Join(fmt.Errorf("open the store in %s: %w", dir, err), db.Close())
	}
	return r, nil
}

// Close ends the reading.
func (r *Reader) Close() error { return r.read.Close() }

// A Span is the events received from Since on and before Until.
type Span struct{ Since, Until time.Time }

func (s Span) bounds() (first, end string) { return record.FirstID(s.Since), record.FirstID(s.Until) }

// CountEvents counts the events of a span.
func (r *Reader) CountEvents(ctx context.Context, s Span) (n int, err error) {
	first, end := s.bounds()
	if err := r.read.QueryRowContext(ctx, `SELECT count(*) FROM events WHERE id >= ? AND id < ?`, first, end).Scan(&n); err != nil {
		return 0, fmt.Errorf("count events: %w", err)
	}
	return n, nil
}

// EventsAfter gives the next events of a span, whole and oldest first: at most n after the one with the id
// after, which is "" for the first ones.
func (r *Reader) EventsAfter(ctx context.Context, s Span, after string, n int) ([]record.Event, error) {
	first, end := s.bounds()
	rows, err := r.read.QueryContext(ctx, `SELECT id, source, location, type, webhook, appointment, received_at, status, happened, changed,
		rules, body, state, previous FROM events WHERE id >= ? AND id > ? AND id < ? ORDER BY id LIMIT ?`, first, after, end, n)
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	return collect(rows, func(rows *sql.Rows) (e record.Event, err error) { return e, scanWhole(rows, &e) })
}

// Event is one event, whole. A missing one is [ErrNotFound].
func (r *Reader) Event(ctx context.Context, id string) (record.Event, error) {
	return findEvent(ctx, r.read, id)
}

// DeliveriesOf gives the deliveries of the events with ids from first to last, those of one event together,
// each with no more than what it is about, its state, its request and the moment it waits for.
func (r *Reader) DeliveriesOf(ctx context.Context, first, last string) ([]record.Delivery, error) {
	rows, err := r.read.QueryContext(ctx, `SELECT event, rule, step, action, connection, state, moment_at, request FROM deliveries
		WHERE event >= ? AND event <= ? ORDER BY event, rule, step`, first, last)
	if err != nil {
		return nil, fmt.Errorf("read deliveries: %w", err)
	}
	return collect(rows, func(rows *sql.Rows) (d record.Delivery, err error) {
		var at int64
		var request []byte
		err = rows.Scan(&d.Event, &d.Rule, &d.Step, &d.Action, &d.Connection, &d.State, &at, &request)
		d.At, d.Request = fromMicros(at), request
		return d, err
	})
}

// Waiting counts the deliveries that wait, by their step.
func (r *Reader) Waiting(ctx context.Context) ([]Plan, error) { return waiting(ctx, r.read) }

// GoodVersions are the versions of the rule files that are in force, or were when the server ended.
func (r *Reader) GoodVersions(ctx context.Context) ([]live.Version, error) {
	return goodVersions(ctx, r.read)
}
