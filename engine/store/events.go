package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"bellhop/engine/record"
	"bellhop/rules"
)

// InsertEvent records e. If there is already an event with the same Dedupe key, it changes nothing and returns that
// event's id and false.
func (t *Tx) InsertEvent(e *record.Event) (id string, inserted bool, err error) {
	n, err := t.exec("insert event", `
		INSERT INTO events (id, dedupe, source, location, type, webhook, appointment, received_at, status, happened, changed, rules, body, state, previous)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (dedupe) DO NOTHING`,
		e.ID, e.Dedupe, e.Source, e.Location, e.Type, e.WebhookID, e.Appointment, micros(e.ReceivedAt), e.Status,
		strings.Join(e.On, " "), strings.Join(e.Changed, " "), e.Rules, []byte(e.Body), blob(delta(e.After, e.Body)), blob(delta(e.Before, e.After)))
	if err != nil {
		return "", false, err
	}
	if n == 1 {
		return e.ID, true, nil
	}
	err = t.tx.QueryRowContext(t.ctx, `SELECT id FROM events WHERE dedupe = ?`, e.Dedupe).Scan(&id)
	if err != nil {
		return "", false, fmt.Errorf("find the event that came first: %w", err)
	}
	return id, false, nil
}

// Said returns the id of the latest event since a time that has the source, the appointment and the body of e. It is empty
// if there is none.
func (t *Tx) Said(e *record.Event, since time.Time) (id string, err error) {
	err = t.tx.QueryRowContext(t.ctx, `SELECT id FROM events WHERE appointment = ? AND id >= ? AND source = ? AND body = ? ORDER BY id DESC LIMIT 1`,
		e.Appointment, record.FirstID(since), e.Source, []byte(e.Body)).Scan(&id)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("find the same event: %w", err)
	}
	return id, nil
}

// blob returns nil for a nil slice, so that it is stored as NULL.
func blob(b []byte) any {
	if b == nil {
		return nil
	}
	return b
}

// An EventFilter selects events. A zero field selects all.
type EventFilter struct {
	Source, Location, Type, Status, Appointment string

	Before string    // only those with a smaller id; the cursor of a page
	Since  time.Time // only those received at this time or later
	Limit  int       // 0 is [record.PageSize]; the maximum is [record.MaxPage]
}

// Events returns the selected events, newest first, without Body, After, Before and Rules.
func (s *Store) Events(ctx context.Context, f EventFilter) ([]record.Event, error) {
	var w where
	// Several indexes can serve. Use the one that leaves the fewest rows to look through. The indexes of types and of
	// statuses hold only the rare ones.
	rareType := f.Type != "" && !slices.Contains([]string{rules.Create, rules.Update, rules.Delete}, f.Type)
	rareStatus := f.Status != "" && f.Status != "accepted"
	w.equal("appointment", f.Appointment)
	few := f.Appointment != ""
	w.equal(aside("type", few), f.Type)
	if rareType && !few {
		w.terms = append(w.terms, "type <> 'AppointmentCreate' AND type <> 'AppointmentUpdate' AND type <> 'AppointmentDelete'")
		few = true
	}
	w.equal(aside("location", few), f.Location)
	few = few || f.Location != ""
	w.equal(aside("status", few), f.Status)
	if rareStatus && !few {
		w.terms = append(w.terms, "status <> 'accepted'")
		few = true
	}
	w.equal(aside("source", few), f.Source)
	if f.Before != "" {
		w.add("id < ?", f.Before)
	}
	if !f.Since.IsZero() {
		w.add("id >= ?", record.FirstID(f.Since))
	}
	rows, err := s.read.QueryContext(ctx, `SELECT id, source, location, type, webhook, appointment, received_at, status, happened, changed FROM events`+
		w.String()+` ORDER BY id DESC LIMIT ?`, append(w.args, limit(f.Limit))...)
	return collect(rows, err, "list events", func(rows *sql.Rows) (e record.Event, err error) {
		return e, scanEvent(rows, &e)
	})
}

// Event returns one event with all its fields. The error is [ErrNotFound] if there is none.
func (s *Store) Event(ctx context.Context, id string) (record.Event, error) {
	return findEvent(ctx, s.read, id)
}

type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func findEvent(ctx context.Context, db querier, id string) (record.Event, error) {
	row := db.QueryRowContext(ctx, `SELECT id, source, location, type, webhook, appointment, received_at, status, happened, changed,
		rules, body, state, previous FROM events WHERE id = ?`, id)
	var e record.Event
	if err := scanWhole(row, &e); err != nil {
		if errors.Is(err, sql.ErrNoRows) {
			return record.Event{}, fmt.Errorf("event %q: %w", id, ErrNotFound)
		}
		return record.Event{}, fmt.Errorf("read event: %w", err)
	}
	return e, nil
}

// scanWhole reads a row that also has the columns rules, body, state and previous.
func scanWhole(row scanner, e *record.Event) error {
	var body, state, previous []byte
	if err := scanEvent(row, e, &e.Rules, &body, &state, &previous); err != nil {
		return err
	}
	var err error
	e.Body = body
	if e.After, err = undelta(state, body); err == nil {
		e.Before, err = undelta(previous, e.After)
	}
	if err != nil {
		return fmt.Errorf("event %s: %w", e.ID, err)
	}
	return nil
}

type scanner interface{ Scan(dest ...any) error }

func scanEvent(row scanner, e *record.Event, more ...any) error {
	var at int64
	var happened, changed string
	err := row.Scan(append([]any{&e.ID, &e.Source, &e.Location, &e.Type, &e.WebhookID, &e.Appointment, &at, &e.Status, &happened, &changed}, more...)...)
	if err != nil {
		return err
	}
	e.ReceivedAt, e.On, e.Changed = fromMicros(at), strings.Fields(happened), strings.Fields(changed)
	return nil
}

// Memory returns what is remembered of an appointment: its state as JSON, and the mark of its latest event, in a format
// of package receive. Both are nil if the appointment is not known. latest is nil too if an earlier build stored the
// appointment.
func (t *Tx) Memory(source, appointment string) (state json.RawMessage, latest []byte, err error) {
	var text []byte
	err = t.tx.QueryRowContext(t.ctx, `SELECT state, latest FROM appointments WHERE source = ? AND id = ?`, source, appointment).Scan(&text, &latest)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read appointment: %w", err)
	}
	return text, latest, nil
}

// A Remembered is what is remembered of an appointment. [Store.Prune] forgets it after Touched and Ends.
type Remembered struct {
	Source, Appointment string
	Location, Contact   string // "" keeps what was known
	State               json.RawMessage
	Latest              []byte    // the mark of its latest event
	Touched             time.Time // when that was received
	Starts, Ends        time.Time // zero if unknown
}

// Remember replaces what is remembered of an appointment.
func (t *Tx) Remember(m *Remembered) error {
	_, err := t.exec("write appointment", `INSERT INTO appointments (source, id, location, contact, touched_at, starts_at, ends_at, state, latest) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (source, id) DO UPDATE SET touched_at = excluded.touched_at, starts_at = excluded.starts_at, ends_at = excluded.ends_at, state = excluded.state, latest = excluded.latest,
			location = CASE WHEN excluded.location = '' THEN appointments.location ELSE excluded.location END,
			contact = CASE WHEN excluded.contact = '' THEN appointments.contact ELSE excluded.contact END`,
		m.Source, m.Appointment, m.Location, m.Contact, micros(m.Touched), micros(m.Starts), micros(m.Ends), []byte(m.State), m.Latest)
	return err
}

// A where collects the conditions of a listing.
type where struct {
	terms []string
	args  []any
}

func (w *where) add(term string, arg any) {
	w.terms, w.args = append(w.terms, term), append(w.args, arg)
}

func (w *where) equal(column, value string) {
	if value != "" {
		w.add(column+" = ?", value)
	}
}

// aside returns the column, written so that SQLite uses no index for it if yes is true.
func aside(column string, yes bool) string {
	if yes {
		return "+" + column
	}
	return column
}

func (w *where) String() string {
	if len(w.terms) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(w.terms, " AND ")
}

func limit(n int) int {
	if n <= 0 {
		return record.PageSize
	}
	return min(n, record.MaxPage)
}

// collect reads the rows of a query, whose error is err, and closes them. what says in its error what was done.
func collect[T any](rows *sql.Rows, err error, what string, scan func(*sql.Rows) (T, error)) ([]T, error) {
	list := []T{}
	for err == nil && rows.Next() {
		var v T
		v, err = scan(rows)
		list = append(list, v)
	}
	if rows != nil {
		err = errors.Join(err, rows.Err(), rows.Close())
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return list, nil
}
