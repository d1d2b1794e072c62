package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"bellhop/engine/record"
	"bellhop/rules"
)

// InsertDelivery records d. If d is [record.Pending] or [record.Waiting], it also enqueues d for d.Due. If there is
// already a delivery with the same event, rule, step and copy, it changes nothing and returns false.
func (t *Tx) InsertDelivery(d *record.Delivery) (inserted bool, err error) {
	n, err := t.exec("insert delivery", `
		INSERT INTO deliveries (id, event, source, location, appointment, rule, step, action, connection, destination, state, reason, created_at, due_at, retried_at, turn, moment_at, until_at, step_key, follows, copy, attempts, request, tells, people, allowed, opens_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, ?, ?, ?, ?, ?, '[]', ?, ?, ?, ?, ?) ON CONFLICT (event, rule, step, copy) DO NOTHING`,
		d.ID, d.Event, d.Source, d.Location, d.Appointment, d.Rule, d.Step, d.Action, d.Connection, d.Destination,
		string(d.State), d.Reason, micros(d.Created), micros(d.Due), micros(d.At), micros(d.Until), d.Key, d.Follows, d.Copy, blob(d.Request), d.Tells, blob(d.People), d.Allowed, micros(d.Opens))
	if err != nil {
		return false, err
	}
	if n == 1 && (d.State == record.Pending || d.State == record.Waiting) {
		t.enqueue(d)
	}
	return n == 1, nil
}

// Take turns a delivery that was never sent, and so has no attempts ([]), into d and enqueues it. That delivery has the
// event, rule, step and key of d, is not a copy, and was skipped or only watched. It keeps its id: Take sets d.ID and
// d.Turn. It returns false if there is none, for example because the rule now has another step with that number.
func (t *Tx) Take(d *record.Delivery) (taken bool, err error) {
	err = t.tx.QueryRowContext(t.ctx, `UPDATE deliveries SET action = ?, connection = ?, destination = ?, state = ?, reason = ?, created_at = ?, due_at = ?,
			moment_at = ?, until_at = ?, step_key = ?, follows = ?, request = ?, people = NULL, allowed = false, opens_at = ?, turn = turn + 1
		WHERE event = ? AND rule = ? AND step = ? AND copy = 0 AND step_key = ? AND state IN ('shadow', 'skipped') AND length(attempts) = 2 RETURNING id, turn`,
		d.Action, d.Connection, d.Destination, string(d.State), d.Reason, micros(d.Created), micros(d.Due), micros(d.At), micros(d.Until), d.Key, d.Follows, blob(d.Request), micros(d.Opens),
		d.Event, d.Rule, d.Step, d.Key).Scan(&d.ID, &d.Turn)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("take over delivery: %w", err)
	}
	t.enqueue(d)
	return true, nil
}

const deliveryColumns = `id, event, source, location, appointment, rule, step, action, connection, destination, state, reason, created_at, due_at, retried_at, turn, moment_at, until_at, step_key, follows, copy, attempts, request, tells, people, allowed, opens_at`

func scanDelivery(row scanner) (d record.Delivery, err error) {
	var created, due, retried, at, until, opens int64
	var attempts, request, people []byte
	err = row.Scan(&d.ID, &d.Event, &d.Source, &d.Location, &d.Appointment, &d.Rule, &d.Step, &d.Action, &d.Connection, &d.Destination,
		&d.State, &d.Reason, &created, &due, &retried, &d.Turn, &at, &until, &d.Key, &d.Follows, &d.Copy, &attempts, &request, &d.Tells, &people, &d.Allowed, &opens)
	if err != nil {
		return d, err
	}
	d.Created, d.Due, d.Retried = fromMicros(created), fromMicros(due), fromMicros(retried)
	d.At, d.Until, d.Opens = fromMicros(at), fromMicros(until), fromMicros(opens)
	d.Request, d.People, d.Attempts = request, people, []record.Attempt{}
	if len(attempts) > len("[]") {
		if err := json.Unmarshal(attempts, &d.Attempts); err != nil {
			return d, fmt.Errorf("attempts of delivery %s: %w", d.ID, err)
		}
	}
	return d, nil
}

// Cancel cancels a delivery that is waiting, pending, retrying or held, and returns it. The error is [ErrNotFound] if there
// is none, and a [*record.ConflictError] if it is in another state.
func (s *Store) Cancel(ctx context.Context, id, reason string) (record.Delivery, error) {
	return s.move(ctx, id, record.Cancelled, reason, []record.State{record.Waiting, record.Pending, record.Retrying, record.Held}, false)
}

// Release makes a held delivery pending again, due now, and returns it. The limits and the brake let it pass then. The error
// is [ErrNotFound] if there is none, and a [*record.ConflictError] if it is in another state.
func (s *Store) Release(ctx context.Context, id string) (record.Delivery, error) {
	return s.move(ctx, id, record.Pending, "released by an operator", []record.State{record.Held}, true)
}

// Retry makes a dead or cancelled delivery pending again, due now, and returns it. Only attempts from now on count
// towards the limit. A skipped delivery can be retried only if its step waited: the rules then decide about it again,
// however late it is. The error is [ErrNotFound] if there is none, and a [*record.ConflictError] if it is in another
// state. For a step that waited, it is a [*record.ConflictError] too if the delivery was rendered for a time that no
// longer holds, or if another delivery of the step is still open for the appointment.
func (s *Store) Retry(ctx context.Context, id string) (record.Delivery, error) {
	return s.move(ctx, id, record.Pending, "", []record.State{record.Dead, record.Cancelled, record.Skipped}, true)
}

func (s *Store) move(ctx context.Context, id string, to record.State, reason string, from []record.State, enqueue bool) (d record.Delivery, err error) {
	if d, err = findDelivery(ctx, s.read, id); err != nil {
		return d, err
	}
	err = s.ask(ctx, KeyOf(d.Source, d.Appointment), func(tx *Tx) error {
		var err error
		if d, err = findDelivery(tx.ctx, tx.tx, id); err != nil {
			return err
		}
		if d.Key == "" { // an immediate step that was skipped was never rendered, so there is nothing to send
			from = slices.DeleteFunc(slices.Clone(from), func(s record.State) bool { return s == record.Skipped })
		}
		if !slices.Contains(from, d.State) {
			return &record.ConflictError{State: d.State, Want: from}
		}
		if enqueue && d.Key != "" {
			if d.Request != nil && !d.Follows {
				return &record.ConflictError{State: d.State, Outdated: true}
			}
			if err := tx.takePlace(&d); err != nil {
				return err
			}
		}
		released := d.State == record.Held && enqueue
		d.State, d.Reason, d.Allowed = to, reason, d.Allowed || released
		if enqueue {
			d.Turn++
			if d.Due = s.opts.Now().UTC(); !released {
				d.Retried = d.Due
			}
			d.Follows = d.Key != "" // even if another delivery had replaced it
			if d.Request == nil && !released {
				d.People = nil // it is looked up again
			}
			tx.enqueue(&d)
		}
		_, err = tx.exec("change delivery", `UPDATE deliveries SET state = ?, reason = ?, due_at = ?, retried_at = ?, turn = ?, follows = ?, people = ?, allowed = ? WHERE id = ?`,
			string(to), reason, micros(d.Due), micros(d.Retried), d.Turn, d.Follows, blob(d.People), d.Allowed, id)
		return err
	})
	return d, err
}

// A DeliveryFilter selects deliveries. A zero field selects all.
type DeliveryFilter struct {
	State                    record.State
	Rule, Event, Appointment string
	Location                 string

	Before string // only those with a smaller id; the cursor of a page
	Limit  int    // 0 is [record.PageSize]; the maximum is [record.MaxPage]
}

// Deliveries returns the selected deliveries, newest first.
func (s *Store) Deliveries(ctx context.Context, f DeliveryFilter) ([]record.Delivery, error) {
	var w where
	// Several indexes can serve. Use the one that leaves the fewest rows to look through.
	few := f.Event != "" || f.Appointment != ""
	w.equal(aside("state", few || f.Rule != "" && !slices.Contains(passingStates, f.State)), string(f.State))
	w.equal(aside("rule", few || f.State != "" && slices.Contains(passingStates, f.State)), f.Rule)
	w.equal("event", f.Event)
	w.equal(aside("appointment", f.Event != ""), f.Appointment)
	w.equal(aside("location", true), f.Location)
	if f.Before != "" {
		w.add("id < ?", f.Before)
	}
	return listDeliveries(ctx, s.read, w.String()+` ORDER BY id DESC LIMIT ?`, append(w.args, limit(f.Limit))...)
}

// passingStates are the states that only few deliveries are in.
var passingStates = []record.State{record.Waiting, record.Pending, record.Sending, record.Retrying, record.Dead, record.Held}

// listDeliveries returns the deliveries that rest selects. rest is the part of the query that begins with WHERE.
func listDeliveries(ctx context.Context, db querier, rest string, args ...any) ([]record.Delivery, error) {
	rows, err := db.QueryContext(ctx, `SELECT `+deliveryColumns+` FROM deliveries`+rest, args...)
	return collect(rows, err, "list deliveries", func(rows *sql.Rows) (record.Delivery, error) { return scanDelivery(rows) })
}

// Delivery returns one delivery. The error is [ErrNotFound] if there is none.
func (s *Store) Delivery(ctx context.Context, id string) (record.Delivery, error) {
	return findDelivery(ctx, s.read, id)
}

func findDelivery(ctx context.Context, db querier, id string) (record.Delivery, error) {
	d, err := scanDelivery(db.QueryRowContext(ctx, `SELECT `+deliveryColumns+` FROM deliveries WHERE id = ?`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return record.Delivery{}, fmt.Errorf("delivery %q: %w", id, ErrNotFound)
	}
	if err != nil {
		return record.Delivery{}, fmt.Errorf("read delivery: %w", err)
	}
	return d, nil
}

// A Plan counts the deliveries of one step that wait for their time.
type Plan struct {
	Rule  string
	Step  int
	Key   string
	Count int
}

// GivenUp counts, by rule, the waiting deliveries whose step is not in the set or whose rule is disabled.
func GivenUp(plans []Plan, set *rules.Set) map[string]int {
	gone := map[string]int{}
	for _, p := range plans {
		if !set.Keeps(rules.Held{Rule: p.Rule, Step: p.Step, Key: p.Key}) {
			gone[p.Rule] += p.Count
		}
	}
	return gone
}

// Waiting counts the waiting deliveries, by step.
func (s *Store) Waiting(ctx context.Context) ([]Plan, error) { return waiting(ctx, s.read) }

func waiting(ctx context.Context, db querier) ([]Plan, error) {
	rows, err := db.QueryContext(ctx, `SELECT rule, step, step_key, count(*) FROM deliveries INDEXED BY deliveries_waiting
		WHERE state = 'waiting' GROUP BY rule, step, step_key ORDER BY rule, step`)
	return collect(rows, err, "count what waits", func(rows *sql.Rows) (p Plan, err error) {
		return p, rows.Scan(&p.Rule, &p.Step, &p.Key, &p.Count)
	})
}

// CountDeliveries returns the number of deliveries in each state, without states that have none. Triggers keep the
// counts, see the migrations.
func (s *Store) CountDeliveries(ctx context.Context) (map[record.State]int, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT state, n FROM delivery_counts WHERE n > 0`)
	counts := map[record.State]int{}
	_, err = collect(rows, err, "count deliveries", func(rows *sql.Rows) (struct{}, error) {
		var state record.State
		var n int
		err := rows.Scan(&state, &n)
		counts[state] = n
		return struct{}{}, err
	})
	return counts, err
}
