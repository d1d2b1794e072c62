// Package receive stores an event together with everything it causes: one transaction contains the event, the new state
// of its appointment, the deliveries of the rules that match, and the changes of the deliveries that wait for the
// appointment. receive.go stores the event, repeat.go recognises one that was sent twice, follow.go changes the
// deliveries that wait, and due.go decides about a delivery when it is due. replay.go matches a stored event again.
package receive

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"bellhop/engine/decide"
	"bellhop/engine/hook"
	"bellhop/engine/metrics"
	"bellhop/engine/payload"
	"bellhop/engine/record"
	"bellhop/engine/store"
	"bellhop/rules"
	"bellhop/rules/live"
)

// Options are the parts of a Receiver. All but Now are required.
type Options struct {
	Store   *store.Store
	Rules   func() live.Snapshot // returns the rules in force; called once for each event
	Zone    *time.Location       // for naive times of events that are replayed
	Metrics *metrics.Metrics
	Logger  *slog.Logger
	Now     func() time.Time // nil is time.Now
	Brake   int              // messages of one rule at one location in an hour; 0 is no limit
	Asks    bool             // what is not known of people and places is looked up before a delivery is sent

	// Differ reports whether other nodes have other rules than this one. nil is never.
	Differ func() bool
}

// A Receiver stores events and decides about their deliveries. It is safe for concurrent use.
type Receiver struct {
	Options
	bodies payload.Normaliser // reads the bodies of recorded events
	limit  atomic.Int64       // of the brake
}

// SetBrake changes [Options.Brake] for what is claimed from now on.
func (r *Receiver) SetBrake(n int) { r.limit.Store(int64(n)) }

var _ hook.Receiver = (*Receiver)(nil)

// New returns a receiver.
func New(o Options) *Receiver {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Differ == nil {
		o.Differ = func() bool { return false }
	}
	r := &Receiver{Options: o, bodies: payload.Normaliser{Zone: o.Zone}}
	r.SetBrake(o.Brake)
	return r
}

// A result is the outcome of one run of the transaction.
type result struct {
	receipt    hook.Receipt
	deliveries []record.Delivery
	failures   int
}

// Receive stores ev and everything it causes, and returns when all of it is durable. A repeated event changes nothing;
// see dedupeKey. An error wraps [hook.ErrBusy]: the sender must try again.
func (r *Receiver) Receive(ctx context.Context, ev *rules.Event) (hook.Receipt, error) {
	ev.ID = record.NewID()
	body := digest(ev.Body)
	var res result
	err := r.Store.Write(ctx, store.KeyOf(ev.Source, ev.Appointment.ID), func(tx *store.Tx) error {
		e := *ev // the transaction may run again
		var err error
		res, err = r.receive(tx, &e, body, ctx.Err() != nil)
		return err
	})
	if err != nil {
		return hook.Receipt{}, fmt.Errorf("%w: %w", hook.ErrBusy, err)
	}
	r.Metrics.Events.WithLabelValues(ev.Source, string(res.receipt.Status)).Inc()
	r.count(res)
	if res.receipt.Status != record.Duplicate {
		for _, p := range ev.Problems {
			r.Metrics.Problems.WithLabelValues(ev.Source, p.Field).Inc()
			r.Logger.Warn("part of a webhook cannot be read", "event", ev.ID, "appointment", ev.Appointment.ID, "field", p.Field, "text", p.Text, "problem", p.Message)
		}
	}
	return res.receipt, nil
}

func (r *Receiver) count(res result) {
	for i := range res.deliveries {
		d := &res.deliveries[i]
		r.Metrics.Deliveries.WithLabelValues(d.Action, string(d.State)).Inc()
	}
	r.Metrics.ConditionErrors.Add(float64(res.failures))
}

// receive is Receive inside the transaction. gone means that the sender no longer waits for an answer.
func (r *Receiver) receive(tx *store.Tx, ev *rules.Event, body []byte, gone bool) (result, error) {
	inForce := r.Rules()
	if err := tx.UseRules(inForce.ID, inForce.Versions); err != nil {
		return result{}, err
	}
	row := record.Event{
		ID: ev.ID, Source: ev.Source, Location: ev.LocationID, WebhookID: ev.WebhookID, Appointment: ev.Appointment.ID,
		ReceivedAt: ev.ReceivedAt, Rules: inForce.ID, Body: ev.Body,
	}
	status := record.Ignored
	var prev *decide.Memory
	var next decide.Memory
	var last latest
	if decide.OfAppointment(ev) {
		var err error
		if prev, row.Before, last, err = remembered(tx, ev.Source, ev.Appointment.ID); err != nil {
			return result{}, err
		}
		var stale bool
		next, stale = decide.Derive(prev, ev)
		state, err := json.Marshal(&next)
		if err != nil {
			return result{}, fmt.Errorf("encode appointment: %w", err)
		}
		row.After, row.On, row.Changed = state, ev.On, ev.Changed
		if status = record.Accepted; stale {
			status = record.Stale
		}
	}
	row.Type, row.Status = ev.Type, status
	row.Dedupe = dedupeKey(ev, body, last, prev != nil)
	if gone && ev.WebhookID == "" && prev != nil {
		id, err := tx.Said(&row, ev.ReceivedAt.Add(-givenUp))
		if id != "" || err != nil {
			return result{receipt: hook.Receipt{Event: id, Status: record.Duplicate}}, err
		}
	}
	id, inserted, err := tx.InsertEvent(&row)
	if err != nil {
		return result{}, err
	}
	if !inserted {
		return result{receipt: hook.Receipt{Event: id, Status: record.Duplicate}}, nil
	}
	res := result{receipt: hook.Receipt{Event: id, Status: status}}
	if status != record.Accepted {
		return res, nil
	}
	ends := ev.Appointment.EndTime
	if ends.IsZero() {
		ends = ev.Appointment.StartTime
	}
	if err := tx.Remember(&store.Remembered{
		Source: ev.Source, Appointment: ev.Appointment.ID, Location: ev.LocationID, Contact: cmp.Or(next.ContactID, ev.Contact.ID),
		State: row.After, Latest: mark(body, row.Dedupe, id), Touched: ev.ReceivedAt, Starts: next.StartTime, Ends: ends,
	}); err != nil {
		return result{}, err
	}
	now := r.Now().UTC()
	ev.Asks = r.Asks
	ev.History = decide.Visits(ev, tx.History)
	if err := r.match(tx, inForce.Set, ev, now, &res, nil); err != nil {
		return result{}, err
	}
	if prev == nil { // nothing can be waiting for it
		return res, nil
	}
	return res, r.follow(tx, &decide.Change{Set: inForce.Set, Event: ev, Before: prev, After: &next, Now: now, Added: res.deliveries})
}

// remembered returns the state of an appointment, its record, and the mark of its latest event. The state is nil if the
// appointment was never seen.
func remembered(tx *store.Tx, source, appointment string) (*decide.Memory, json.RawMessage, latest, error) {
	data, last, err := tx.Memory(source, appointment)
	if err != nil {
		return nil, nil, nil, err
	}
	state, err := decide.DecodeState(data)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("appointment %s: stored state: %w", appointment, err)
	}
	return state, data, last, nil
}

// match inserts a delivery for each step of each rule that matches ev, and for each condition that failed.
//
// wanted is nil except in a replay. A replay inserts only the deliveries that wanted accepts. It also replaces a
// delivery that was skipped or only watched, in shadow mode, if the step is sent now.
func (r *Receiver) match(tx *store.Tx, set *rules.Set, ev *rules.Event, now time.Time, res *result, wanted func(*record.Delivery) bool) error {
	add := func(d record.Delivery) error {
		d.ID, d.Event, d.Source, d.Location, d.Appointment = record.NewID(), ev.ID, ev.Source, ev.LocationID, ev.Appointment.ID
		if wanted != nil && !wanted(&d) {
			return nil
		}
		inserted, err := tx.InsertDelivery(&d)
		if err == nil && !inserted && wanted != nil && (d.State == record.Pending || d.State == record.Waiting) {
			inserted, err = tx.Take(&d)
		}
		if inserted {
			res.deliveries = append(res.deliveries, d)
		}
		return err
	}
	list, err := decide.Deliveries(set, ev, now)
	if err != nil {
		r.Logger.Error("matching failed", "event", ev.ID, "error", err)
		list = []record.Delivery{decide.Unmatched("", err, now)}
	}
	for i := range list {
		if list[i].Step == 0 {
			res.failures++
		}
		if err := add(list[i]); err != nil {
			return err
		}
	}
	return nil
}

// Problems returns the problems of a recorded event: the fields that could not be read.
func (r *Receiver) Problems(e *record.Event) []rules.Problem {
	ev, err := decide.Restore(&r.bodies, e)
	if err != nil {
		return nil
	}
	return ev.Problems
}
