package store

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"bellhop/actions"
	"bellhop/rules"
)

// State is where a delivery stands.
type State string

const (
	Waiting   State = "waiting"   // not due yet
	Pending   State = "pending"   // due, not tried yet
	Sending   State = "sending"   // an attempt is under way
	Retrying  State = "retrying"  // failed, to be tried again
	Sent      State = "sent"      // done
	Dead      State = "dead"      // given up; an operator can retry it
	Cancelled State = "cancelled" // no longer wanted
	Skipped   State = "skipped"   // not sent, for the reason it holds
	Shadow    State = "shadow"    // would have been sent, but its rule only watches
)

// States are all states, in the order of a delivery's life.
func States() []State {
	return []State{Waiting, Pending, Sending, Retrying, Sent, Dead, Cancelled, Skipped, Shadow}
}

// A Delivery is one step of one rule for one event.
type Delivery struct {
	ID          string          `json:"id"`
	Event       string          `json:"event"`
	Appointment string          `json:"appointment"`
	Source      string          `json:"source"`
	Location    string          `json:"location"`
	Rule        string          `json:"rule"`
	Step        int             `json:"step"` // counted from 1; 0 is the rule's condition
	Action      string          `json:"action"`
	Connection  string          `json:"connection"`
	Destination string          `json:"destination"`
	State       State           `json:"state"`
	Reason      string          `json:"reason"`
	Created     time.Time       `json:"created"`
	Due         time.Time       `json:"due"`
	Retried     time.Time       `json:"retried,omitzero"` // when an operator last asked to try again
	Attempts    []Attempt       `json:"attempts"`
	Request     json.RawMessage `json:"request"`

	// Of a step that waits:
	At    time.Time `json:"at,omitzero"`    // the moment it waits for; zero of a step that does not
	Until time.Time `json:"until,omitzero"` // the last moment at which it may be sent, zero if there is none
	Key   string    `json:"-"`              // finds the step in a newer version of its rule; "" of one that does not wait
	// Follows says that the delivery follows its appointment, as long as it is not sent. Another may do so in its
	// place: then it has ended for good.
	Follows bool `json:"-"`

	// Tells is what the request of an immediate message says of its appointment, which receive alone understands; nil: what
	// its event said.
	Tells []byte `json:"-"`
	// Latest marks the latest event of the appointment that was thought of when the delivery was claimed, see [Tx.State]. With
	// it, [Job.Current] finds out whether another has come since; nil: none matters.
	Latest []byte `json:"-"`

	turn int  // the job that may claim the delivery; an older one finds nothing to do
	copy int  // see [Tx.Renew]
	new  bool // rendered by the claim that gave it, and so never sent

	crashed bool // the process ended during an attempt, of which nothing is known
}

// An Attempt is one try of a delivery.
type Attempt struct {
	At      time.Time       `json:"at"`
	Millis  int64           `json:"ms"`
	Outcome string          `json:"outcome"` // sent, retry, permanent or interrupted
	Error   string          `json:"error,omitempty"`
	Receipt actions.Receipt `json:"receipt,omitzero"`
}

// InsertDelivery records d, and enqueues it if it is [Pending] or [Waiting], then for when it is due. If the event's
// delivery of that rule and step is there already, it changes nothing and returns false.
func (t *Tx) InsertDelivery(d *Delivery) (inserted bool, err error) {
	res, err := t.tx.ExecContext(t.ctx, `
		INSERT INTO deliveries (id, event, source, location, appointment, rule, step, action, connection, destination, state, reason, created_at, due_at, retried_at, turn, moment_at, until_at, step_key, follows, copy, attempts, request, tells)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, ?, ?, ?, ?, ?, '[]', ?, ?) ON CONFLICT (event, rule, step, copy) DO NOTHING`,
		d.ID, d.Event, d.Source, d.Location, d.Appointment, d.Rule, d.Step, d.Action, d.Connection, d.Destination,
		string(d.State), d.Reason, micros(d.Created), micros(d.Due), micros(d.At), micros(d.Until), d.Key, d.Follows, d.copy, blob(d.Request), d.Tells)
	if err != nil {
		return false, fmt.Errorf("insert delivery: %w", err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		return false, fmt.Errorf("insert delivery: %w", err)
	}
	if n == 1 && (d.State == Pending || d.State == Waiting) {
		t.enqueue(d)
	}
	return n == 1, nil
}

// Take makes d of a delivery of the same event, rule and step that was never sent because the rule only watched then, or
// because it was skipped, and enqueues it. It keeps that delivery's id. It returns false if there is none of the kind, or
// if another step stands at its place by now.
func (t *Tx) Take(d *Delivery) (taken bool, err error) {
	err = t.tx.QueryRowContext(t.ctx, `UPDATE deliveries SET action = ?, connection = ?, destination = ?, state = ?, reason = ?, created_at = ?, due_at = ?,
			moment_at = ?, until_at = ?, step_key = ?, follows = ?, request = ?, turn = turn + 1
		WHERE event = ? AND rule = ? AND step = ? AND copy = 0 AND step_key = ? AND state IN ('shadow', 'skipped') AND attempts = '[]' RETURNING id, turn`,
		d.Action, d.Connection, d.Destination, string(d.State), d.Reason, micros(d.Created), micros(d.Due), micros(d.At), micros(d.Until), d.Key, d.Follows, blob(d.Request),
		d.Event, d.Rule, d.Step, d.Key).Scan(&d.ID, &d.turn)
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

func scanDelivery(row scanner) (d Delivery, err error) {
	var created, due, retried, at, until int64
	var attempts, request []byte
	err = row.Scan(&d.ID, &d.Event, &d.Source, &d.Location, &d.Appointment, &d.Rule, &d.Step, &d.Action, &d.Connection, &d.Destination,
		&d.State, &d.Reason, &created, &due, &retried, &d.turn, &at, &until, &d.Key, &d.Follows, &d.copy, &attempts, &request, &d.Tells)
	if err != nil {
		return d, err
	}
	d.Created, d.Due, d.Retried = fromMicros(created), fromMicros(due), fromMicros(retried)
	d.At, d.Until = fromMicros(at), fromMicros(until)
	d.Request, d.Attempts = request, []Attempt{}
	if len(attempts) > len("[]") {
		if err := json.Unmarshal(attempts, &d.Attempts); err != nil {
			return d, fmt.Errorf("attempts of delivery %s: %w", d.ID, err)
		}
	}
	return d, nil
}

// claim marks a job's delivery as being sent and returns it. ok is false if it is no longer to be sent, or
// by another job; a delivery that is still waiting is returned too, for the time that it is due. The queue gives
// a job to one worker at a time, so a delivery has one at a time too; it is found in state sending only where
// the process ended during an attempt.
func (s *Store) claim(ctx context.Context, j job, due Due) (d Delivery, ok bool, err error) {
	err = s.Write(ctx, func(tx *Tx) error {
		d, ok = Delivery{}, false
		now := micros(s.opts.Now())
		got, err := scanDelivery(tx.tx.QueryRowContext(tx.ctx, `UPDATE deliveries SET state = 'sending'
			WHERE id = ?1 AND turn = ?2 AND (state IN ('pending', 'retrying', 'sending') OR state = 'waiting' AND due_at <= ?3) RETURNING `+deliveryColumns,
			j.Delivery, j.Turn, now))
		if errors.Is(err, sql.ErrNoRows) {
			d, err = tx.early(j)
			return err
		}
		if err != nil {
			return fmt.Errorf("claim delivery: %w", err)
		}
		got.crashed = j.again
		rendered, tells := got.Request, got.Tells
		got.new = got.Request == nil
		if due != nil {
			if err := due(tx, &got); err != nil {
				return err
			}
		}
		if got.Key != "" || got.State != Sending || !bytes.Equal(rendered, got.Request) || !bytes.Equal(tells, got.Tells) {
			if err := tx.settle(&got); err != nil {
				return err
			}
		}
		d, ok = got, got.State == Sending
		return nil
	})
	return d, ok, err
}

// record writes down what became of a claimed delivery: its state, reason, due time and attempts. A job that
// has done its work is deleted here: River would mark it completed later, in a transaction of its own and at
// several times the cost, to delete it after a while. River takes a job that is gone for a cancelled one.
func (s *Store) record(ctx context.Context, d *Delivery, jobRow int64) error {
	attempts, err := json.Marshal(d.Attempts)
	if err != nil {
		return fmt.Errorf("encode attempts: %w", err)
	}
	over := false
	err = s.Write(ctx, func(tx *Tx) error {
		over = !d.State.open()
		// What was not sent after all is rendered again, with the appointment as it then is.
		unsent := d.new && d.State == Pending
		res, err := tx.tx.ExecContext(tx.ctx, `UPDATE deliveries SET state = ?, reason = ?, due_at = ?, attempts = ?, request = CASE WHEN ? THEN NULL ELSE request END
			WHERE id = ? AND turn = ? AND state = 'sending'`,
			string(d.State), d.Reason, micros(d.Due), attempts, unsent, d.ID, d.turn)
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
		return tx.endJob(jobRow)
	})
	if err == nil && over {
		s.queue.driver.ended.Store(jobRow, struct{}{})
	}
	return err
}

// endJob deletes a job, or marks it completed if it is the newest: SQLite would give its id to the next job,
// which River would then take for this one while it still reports this one done.
func (t *Tx) endJob(row int64) error {
	res, err := t.tx.ExecContext(t.ctx, `DELETE FROM river_job WHERE id = ? AND id < (SELECT max(id) FROM river_job)`, row)
	if err != nil {
		return fmt.Errorf("end job: %w", err)
	}
	if n, err := res.RowsAffected(); err != nil || n > 0 {
		return err
	}
	_, err = t.tx.ExecContext(t.ctx, `UPDATE river_job SET state = 'completed', finalized_at = datetime('now', 'subsec') WHERE id = ?`, row)
	if err != nil {
		return fmt.Errorf("end job: %w", err)
	}
	return nil
}

// open says whether something is still to be done for a delivery in this state.
func (s State) open() bool {
	return s == Waiting || s == Pending || s == Sending || s == Retrying
}

// A ConflictError says that a delivery is not in a state that allows what was asked, or that another one stands for
// its step.
type ConflictError struct {
	State State
	Want  []State
	Other string // the delivery that does
	// Outdated says that the delivery tells of what is no longer so.
	Outdated bool
	// Why the present rules would not send it either.
	Why string
}

func (e *ConflictError) Error() string {
	if e.Why != "" {
		return "the rules as they are now would not send it either: " + e.Why
	}
	if e.Outdated {
		return "the appointment was moved, or the rule applied to it again, since this was prepared"
	}
	if e.Other != "" {
		return fmt.Sprintf("delivery %s of the same step is %s for this appointment, and both would be sent; cancel that one first", e.Other, e.State)
	}
	words := make([]string, len(e.Want))
	for i, s := range e.Want {
		words[i] = string(s)
	}
	return fmt.Sprintf("the delivery is %s; this is possible only while it is %s", e.State, strings.Join(words, " or "))
}

// Cancel ends a delivery that is not being sent. A missing one is [ErrNotFound], one in another state a
// [*ConflictError].
func (s *Store) Cancel(ctx context.Context, id, reason string) (Delivery, error) {
	return s.move(ctx, id, Cancelled, reason, []State{Waiting, Pending, Retrying}, false)
}

// Retry enqueues a dead or cancelled delivery again, with its attempts counted anew, and so a skipped one of a step
// that waited: it is decided about again, however late it is. Where another delivery of that step is still open for
// the appointment, it is a [*ConflictError] too.
func (s *Store) Retry(ctx context.Context, id string) (Delivery, error) {
	return s.move(ctx, id, Pending, "", []State{Dead, Cancelled, Skipped}, true)
}

func (s *Store) move(ctx context.Context, id string, to State, reason string, from []State, enqueue bool) (d Delivery, err error) {
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
			from = slices.DeleteFunc(slices.Clone(from), func(s State) bool { return s == Skipped })
		}
		if !slices.Contains(from, d.State) {
			return &ConflictError{State: d.State, Want: from}
		}
		if enqueue && d.Key != "" {
			if d.Request != nil && !d.Follows {
				return &ConflictError{State: d.State, Outdated: true}
			}
			if err := tx.takePlace(&d); err != nil {
				return err
			}
		}
		d.State, d.Reason = to, reason
		if enqueue {
			d.turn++
			d.Due = s.opts.Now().UTC()
			d.Retried = d.Due
			d.Follows = d.Key != "" // also where another had taken its place
			tx.enqueue(&d)
		}
		_, err = tx.tx.ExecContext(tx.ctx, `UPDATE deliveries SET state = ?, reason = ?, due_at = ?, retried_at = ?, turn = ?, follows = ? WHERE id = ?`,
			string(to), reason, micros(d.Due), micros(d.Retried), d.turn, d.Follows, id)
		if err != nil {
			return fmt.Errorf("change delivery: %w", err)
		}
		return nil
	})
	return d, err
}

// DeliveryFilter selects deliveries; zero fields select all.
type DeliveryFilter struct {
	State                    State
	Rule, Event, Appointment string

	Before string // only those with a smaller id: the cursor of a page
	Limit  int    // 0 is 50; at most 500
}

// Deliveries lists the newest deliveries first.
func (s *Store) Deliveries(ctx context.Context, f DeliveryFilter) ([]Delivery, error) {
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
var passingStates = []State{Waiting, Pending, Sending, Retrying, Dead}

// listDeliveries gives the deliveries that the rest of a query selects, from its WHERE on.
func listDeliveries(ctx context.Context, db querier, rest string, args ...any) ([]Delivery, error) {
	rows, err := db.QueryContext(ctx, `SELECT `+deliveryColumns+` FROM deliveries`+rest, args...)
	if err != nil {
		return nil, fmt.Errorf("list deliveries: %w", err)
	}
	return collect(rows, func(rows *sql.Rows) (Delivery, error) { return scanDelivery(rows) })
}

// Delivery is one delivery. A missing one is [ErrNotFound].
func (s *Store) Delivery(ctx context.Context, id string) (Delivery, error) {
	return findDelivery(ctx, s.read, id)
}

func findDelivery(ctx context.Context, db querier, id string) (Delivery, error) {
	d, err := scanDelivery(db.QueryRowContext(ctx, `SELECT `+deliveryColumns+` FROM deliveries WHERE id = ?`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return Delivery{}, fmt.Errorf("delivery %q: %w", id, ErrNotFound)
	}
	if err != nil {
		return Delivery{}, fmt.Errorf("read delivery: %w", err)
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
func (s *Store) CountDeliveries(ctx context.Context) (map[State]int, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT state, n FROM delivery_counts WHERE n > 0`)
	if err != nil {
		return nil, fmt.Errorf("count deliveries: %w", err)
	}
	counts := map[State]int{}
	_, err = collect(rows, func(rows *sql.Rows) (struct{}, error) {
		var state State
		var n int
		err := rows.Scan(&state, &n)
		counts[state] = n
		return struct{}{}, err
	})
	return counts, err
}
