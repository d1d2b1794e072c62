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

// A Reader reads a store that another process can have open. It does not take the folder's lock and changes no data. It
// never blocks the writer. It delays the clean-up of the write-ahead log only while one of its queries runs. It is safe
// for concurrent use.
type Reader struct {
	read *sql.DB
	node string
}

// OpenReader opens the store at a place, see [Options], for reading. If there is none, the error wraps [fs.ErrNotExist].
// The good versions that it reads are those of node.
func OpenReader(ctx context.Context, at, node string) (*Reader, error) {
	db, err := openToRead(ctx, at)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no store in %s, so nothing was recorded: %w", Redacted(at), err)
	}
	if err != nil {
		return nil, fmt.Errorf("open the store in %s: %w", Redacted(at), err)
	}
	r := &Reader{read: db, node: node}
	// Fail here, and not in a later call, if the file cannot be read or has no table of events.
	var n int
	if err := db.QueryRowContext(ctx, `SELECT count(*) FROM events WHERE id = '' AND rules = ''`).Scan(&n); err != nil {
		return nil, errors.Join(fmt.Errorf("open the store in %s: %w", Redacted(at), err), db.Close())
	}
	return r, nil
}

func openToRead(ctx context.Context, at string) (*sql.DB, error) {
	if !isURL(at) {
		path := filepath.Join(at, fileName)
		if _, err := os.Stat(path); err != nil {
			return nil, err
		}
		return openForeign(path, 1)
	}
	c, err := parsePostgres(at)
	if err != nil {
		return nil, err
	}
	c.RuntimeParams["default_transaction_read_only"] = "on"
	db := openPostgres(c, 1)
	var there bool
	err = db.QueryRowContext(ctx, `SELECT to_regclass('events') IS NOT NULL`).Scan(&there)
	if err == nil && !there {
		err = fs.ErrNotExist
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// Close closes the database. The store itself is not affected.
func (r *Reader) Close() error { return r.read.Close() }

// A Span selects the events received at Since or later, and before Until.
type Span struct{ Since, Until time.Time }

func (s Span) bounds() (first, end string) { return record.FirstID(s.Since), record.FirstID(s.Until) }

// CountEvents returns the number of events in a span.
func (r *Reader) CountEvents(ctx context.Context, s Span) (n int, err error) {
	first, end := s.bounds()
	if err := r.read.QueryRowContext(ctx, `SELECT count(*) FROM events WHERE id >= ? AND id < ?`, first, end).Scan(&n); err != nil {
		return 0, fmt.Errorf("count events: %w", err)
	}
	return n, nil
}

// EventsAfter returns the next events of a span, with all their fields and oldest first: at most n, from the first
// whose id is greater than after. If after is "", it starts with the first event of the span.
func (r *Reader) EventsAfter(ctx context.Context, s Span, after string, n int) ([]record.Event, error) {
	first, end := s.bounds()
	rows, err := r.read.QueryContext(ctx, `SELECT id, source, location, type, webhook, appointment, received_at, status, happened, changed,
		rules, body, state, previous FROM events WHERE id >= ? AND id > ? AND id < ? ORDER BY id LIMIT ?`, first, after, end, n)
	return collect(rows, err, "read events", func(rows *sql.Rows) (e record.Event, err error) { return e, scanWhole(rows, &e) })
}

// Event returns one event with all its fields. The error is [ErrNotFound] if there is none.
func (r *Reader) Event(ctx context.Context, id string) (record.Event, error) {
	return findEvent(ctx, r.read, id)
}

// DeliveriesOf returns the deliveries of the events whose ids are from first to last, both included, by event. It sets
// only Event, Rule, Step, Action, Connection, State, At and Request.
func (r *Reader) DeliveriesOf(ctx context.Context, first, last string) ([]record.Delivery, error) {
	rows, err := r.read.QueryContext(ctx, `SELECT event, rule, step, action, connection, state, moment_at, request FROM deliveries
		WHERE event >= ? AND event <= ? ORDER BY event, rule, step`, first, last)
	return collect(rows, err, "read deliveries", func(rows *sql.Rows) (d record.Delivery, err error) {
		var at int64
		var request []byte
		err = rows.Scan(&d.Event, &d.Rule, &d.Step, &d.Action, &d.Connection, &d.State, &at, &request)
		d.At, d.Request = fromMicros(at), request
		return d, err
	})
}

// Waiting counts the waiting deliveries, by step.
func (r *Reader) Waiting(ctx context.Context) ([]Plan, error) { return waiting(ctx, r.read) }

// GoodVersions returns the last good version of each rule file, by path.
func (r *Reader) GoodVersions(ctx context.Context) ([]live.Version, error) {
	return goodVersions(ctx, r.read, r.node)
}
