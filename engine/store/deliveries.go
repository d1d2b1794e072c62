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

// InsertDelivery records d, and enqueues it if it is [record.Pending] or [record.Waiting], then for when it is due. If the event's
// delivery of that rule and step is there already, it changes nothing and returns false.
func (t *Tx) InsertDelivery(d *record.Delivery) (inserted bool, err error) {
	res, err := t.tx.ExecContext(t.ctx, `
		INSERT INTO deliveries (id, event, source, location, appointment, rule, step, action, connection, destination, state, reason, created_at, due_at, retried_at, turn, moment_at, until_at, step_key, follows, copy, attempts, request, tells)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, ?, ?, ?, ?, ?, '[]', ?, ?) ON CONFLICT (event, rule, step, copy) DO NOTHING`,
		d.ID, d.Event, d.Source, d.Location, d.Appointment, d.Rule, d.Step, d.Action, d.Connection, d.Destination,
		string(d.State), d.Reason, micros(d.Created), micros(d.Due), micros(d.At), micros(d.Until), d.Key, d.Follows, d.Copy, blob(d.Request), d.Tells)
	if err != nil {
		return false, fmt.Errorf("insert delivery: %w", err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		return false, fmt.Errorf("insert delivery: %w", err)
	}
	if n == 1 && (d.State == record.Pending || d.State == record.Waiting) {
		t.enqueue(d)
	}
	return n == 1, nil
}

// Take makes d of a delivery of the same event, rule and step that was never sent because the rule only watched then, or
// because it was skipped, and enqueues it. It keeps that delivery's id. It returns false if there is none of the kind, or
// if another step stands at its place by now.
func (t *Tx) Take(d *record.Delivery) (taken bool, err error) {
	err = t.tx.QueryRowContext(t.ctx, `UPDATE deliveries SET action = ?, connection = ?, destination = ?, state = ?, reason = ?, created_at = ?, due_at = ?,
			moment_at = ?, until_at = ?, step_key = ?, follows = ?, request = ?, turn = turn + 1
		WHERE event = ? AND rule = ? AND step = ? AND copy = 0 AND step_key = ? AND state IN ('shadow', 'skipped') AND attempts = '[]' RETURNING id, turn`,
		d.Action, d.Connection, d.Destination, string(d.State), d.Reason, micros(d.Created), micros(d.Due), micros(d.At), micros(d.Until), d.Key, d.Follows, blob(d.Request),
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

const deliveryColumns = `id, event, source, location, appointment, rule, step, action, connection, destination, state, reason, created_at, due_at, retried_at, turn, moment_at, until_at, step_key, follows, copy, attempts, request, tells`

func scanDelivery(row scanner) (d record.Delivery, err error) {
	var created, due, retried, at, until int64
	var attempts, request []byte
	err = row.Scan(&d.ID, &d.Event, &d.Source, &d.Location, &d.Appointment, &d.Rule, &d.Step, &d.Action, &d.Connection, &d.Destination,
		&d.State, &d.Reason, &created, &due, &retried, &d.Turn, &at, &until, &d.Key, &d.Follows, &d.Copy, &attempts, &request, &d.Tells)
	if err != nil {
		return d, err
	}
	d.Created, d.Due, d.Retried = fromMicros(created), fromMicros(due), fromMicros(retried)
	d.At, d.Until = fromMicros(at), fromMicros(until)
	d.Request, d.Attempts = request, []record.Attempt{}
	if len(attempts) > len("[]") {
		if err := json.Unmarshal(attempts, &d.Attempts); err != nil {
			return d, fmt.Errorf("attempts of delivery %s: %w", d.ID, err)
		}
	}
	return d, nil
}

// Cancel ends a delivery that is not being sent. A missing one is [ErrNotFound], one in another state a
// [*ConflictError].
func (s *Store) Cancel(ctx context.Context, id, reason string) (record.Delivery, error) {
	return s.move(ctx, id, record.Cancelled, reason, []record.State{record.Waiting, record.Pending, record.Retrying}, false)
}

// Retry enqueues a dead or cancelled delivery again, with its attempts counted anew, and so a skipped one of a step
// that waited: it is decided about again, however late it is. Where another delivery of that step is still open for
// the appointment, it is a [*ConflictError] too.
func (s *Store) Retry(ctx context.Context, id string) (record.Delivery, error) {
	return s.move(ctx, id, record.Pending, "", []record.State{record.Dead, record.Cancelled, record.Skipped}, true)
}

func (s *Store) move(ctx context.Context, id string, to record.State, reason string, from []record.State, enqueue bool) (d record.Delivery, err error) {
	err = s.ask(ctx, func(tx *Tx) error {
		var err error
		d, err = scanDelivery(tx.tx.QueryRowContext(tx.ctx, `SELECT `+deliveryColumns+` FROM deliveries WHERE id = ?`, id))
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("delivery %q: %w", id, ErrNotFound)
		}
		if err != nil {
			return fmt.Errorf("read delivery: %w", err)
		}
		if d.Key == "" { // nothing of what was skipped at once is there to be sent
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
		d.State, d.Reason = to, reason
		if enqueue {
			d.Turn++
			d.Due = s.opts.Now().UTC()
			d.Retried = d.Due
			d.Follows = d.Key != "" // also where another had taken its place
			tx.enqueue(&d)
		}
		_, err = tx.tx.ExecContext(tx.ctx, `UPDATE deliveries SET state = ?, reason = ?, due_at = ?, retried_at = ?, turn = ?, follows = ? WHERE id = ?`,
			string(to), reason, micros(d.Due), micros(d.Retried), d.Turn, d.Follows, id)
		if err != nil {
			return fmt.Errorf("change delivery: %w", err)
		}
		return nil
	})
	return d, err
}

// DeliveryFilter selects deliveries; zero fields select all.
type DeliveryFilter struct {
	State                    record.State
	Rule, Event, Appointment string

	Before string // only those with a smaller id: the cursor of a page
	Limit  int    // 0 is [record.PageSize]; at most [record.MaxPage]
}

// Deliveries lists the newest deliveries first.
func (s *Store) Deliveries(ctx context.Context, f DeliveryFilter) ([]record.Delivery, error) {
	var w where
	// Of the indexes that would serve, the one is used that leaves the fewest to look through.
	few := f.Event != "" || f.Appointment != ""
	w.equal(aside("state", few || f.Rule != "" && !slices.Contains(passingStates, f.State)), string(f.State))
	w.equal(aside("rule", few || f.State != "" && slices.Contains(passingStates, f.State)), f.Rule)
	w.equal("event", f.Event)
	w.equal(aside("appointment", f.Event != ""), f.Appointment)
	if f.Before != "" {
		w.add("id < ?", f.Before)
	}
	return listDeliveries(ctx, s.read, w.String()+` ORDER BY id DESC LIMIT ?`, append(w.args, limit(f.Limit))...)
}

// passingStates are those that few deliveries are in.
var passingStates = []record.State{record.Waiting, record.Pending, record.Sending, record.Retrying, record.Dead}

// listDeliveries gives the deliveries that the rest of a query selects, from its WHERE on.
func listDeliveries(ctx context.Context, db querier, rest string, args ...any) ([]record.Delivery, error) {
	rows, err := db.QueryContext(ctx, `SELECT `+deliveryColumns+` FROM deliveries`+rest, args...)
	if err != nil {
		return nil, fmt.Errorf("list deliveries: %w", err)
	}
	return collect(rows, func(rows *sql.Rows) (record.Delivery, error) { return scanDelivery(rows) })
}

// Delivery is one delivery. A missing one is [ErrNotFound].
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

// A Plan is the deliveries of one step that wait for their moment.
type Plan struct {
	Rule  string
	Step  int
	Key   string
	Count int
}

// GivenUp counts, by rule, the deliveries that wait for a step which the set lacks, or whose rule is switched off.
func GivenUp(plans []Plan, set *rules.Set) map[string]int {
	gone := map[string]int{}
	for _, p := range plans {
		if !set.Keeps(rules.Held{Rule: p.Rule, Step: p.Step, Key: p.Key}) {
			gone[p.Rule] += p.Count
		}
	}
	return gone
}

// Waiting counts the deliveries that wait, by their step.
func (s *Store) Waiting(ctx context.Context) ([]Plan, error) { return waiting(ctx, s.read) }

func waiting(ctx context.Context, db querier) ([]Plan, error) {
	rows, err := db.QueryContext(ctx, `SELECT rule, step, step_key, count(*) FROM deliveries INDEXED BY deliveries_waiting
		WHERE state = 'waiting' GROUP BY rule, step, step_key ORDER BY rule, step`)
	if err != nil {
		return nil, fmt.Errorf("count what waits: %w", err)
	}
	return collect(rows, func(rows *sql.Rows) (p Plan, err error) {
		return p, rows.Scan(&p.Rule, &p.Step, &p.Key, &p.Count)
	})
}

// CountDeliveries is how many deliveries are in each state that has any. The count is kept, see the migrations.
func (s *Store) CountDeliveries(ctx context.Context) (map[record.State]int, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT state, n FROM delivery_counts WHERE n > 0`)
	if err != nil {
		return nil, fmt.Errorf("count deliveries: %w", err)
	}
	counts := map[record.State]int{}
	_, err = collect(rows, func(rows *sql.Rows) (struct{}, error) {
		var state record.State
		var n int
		err := rows.Scan(&state, &n)
		counts[state] = n
		return struct{}{}, err
	})
	return counts, err
}
