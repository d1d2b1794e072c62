// Package receive makes an event durable together with everything it causes: one transaction holds the
// event, the new state of its appointment and the deliveries of every rule that applies.
package receive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
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

// Options are what a Receiver works with. All but Now are required.
type Options struct {
	Store   *store.Store
	Rules   func() live.Snapshot // the rules in force; asked once for each event
	Zone    *time.Location       // for naive times of events that are replayed
	Metrics *metrics.Metrics
	Logger  *slog.Logger
	Now     func() time.Time // nil is time.Now
}

// A Receiver is safe for concurrent use.
type Receiver struct{ Options }

var _ hook.Receiver = (*Receiver)(nil)

// New gives a receiver.
func New(o Options) *Receiver {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Receiver{o}
}

// result is what one run of the transaction found.
type result struct {
	receipt    hook.Receipt
	deliveries []record.Delivery
	failures   int
}

// Receive stores ev and what it causes, and returns when that is durable. An event that was received
// before, by its webhook's id or its body, changes nothing.
func (r *Receiver) Receive(ctx context.Context, ev *rules.Event) (hook.Receipt, error) {
	ev.ID = record.NewID()
	body := digest(ev.Body)
	var res result
	err := r.Store.Write(ctx, func(tx *store.Tx) error {
		e := *ev // the transaction may run again
		var err error
		res, err = r.receive(tx, &e, body)
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

func (r *Receiver) receive(tx *store.Tx, ev *rules.Event, body []byte) (result, error) {
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
	if err := tx.Remember(ev.Source, ev.Appointment.ID, row.After, mark(body, row.Dedupe, id), ev.ReceivedAt, ends); err != nil {
		return result{}, err
	}
	now := r.Now().UTC()
	if err := r.match(tx, inForce.Set, ev, now, &res, nil); err != nil {
		return result{}, err
	}
	if prev == nil { // nothing can be waiting for it
		return res, nil
	}
	return res, r.follow(tx, &decide.Change{Set: inForce.Set, Event: ev, Before: prev, After: &next, Now: now, Added: res.deliveries})
}

// remembered is what is known of an appointment, its record, and its latest event; nil is of one that was never seen.
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

// match inserts a delivery for every step of every rule that applies to ev, and for every condition that
// failed on it.
//
// wanted is of a replay, nil otherwise: then what was only watched, or skipped, and would be sent now, counts as never
// sent. Of a replay only the deliveries that it wants are inserted.
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

// latest marks the latest event of an appointment: the digest of its body, its key, and its id. It is nil where there
// was none, or none since the store keeps it.
type latest []byte

func mark(body, key []byte, id string) latest { return append(append(body, key...), id...) }

func (l latest) body() []byte { return l[:digestSize] }

func (l latest) key() []byte { return l[digestSize : 2*digestSize] }

// of says that the latest event is that of the id.
func (l latest) of(id string) bool { return len(l) > 2*digestSize && string(l[2*digestSize:]) == id }

const digestSize = 16

func digest(body []byte) []byte {
	sum := sha256.Sum256(body)
	return sum[:digestSize:digestSize]
}

// dedupeKey identifies a webhook: events with the same key are one. With the sender's id, that is it. Without, a
// webhook repeats the appointment's latest event if it says the same; after another event it is news, even if it says
// what was said before: an appointment that goes back to where it was does just that.
//
// known says that the appointment was seen before. Where its latest event is not kept, since an earlier build stored it,
// the next one is news.
func dedupeKey(ev *rules.Event, body []byte, last latest, known bool) []byte {
	h := sha256.New()
	h.Write([]byte(ev.Source))
	switch {
	case ev.WebhookID != "":
		h.Write([]byte("\x00id\x00"))
		h.Write([]byte(ev.WebhookID))
	case len(last) == 0 && !known:
		h.Write([]byte("\x00body\x00"))
		h.Write(ev.Body)
	case len(last) == 0:
		h.Write([]byte("\x00after\x00"))
		h.Write(body)
	case bytes.Equal(last.body(), body):
		return last.key()
	default:
		h.Write([]byte("\x00after\x00"))
		h.Write(last.key())
		h.Write(body)
	}
	return h.Sum(nil)[:digestSize]
}

// Problems are what of a recorded event could not be read.
func (r *Receiver) Problems(e *record.Event) []rules.Problem {
	ev, err := decide.Restore(&payload.Normaliser{Zone: r.Zone}, e)
	if err != nil {
		return nil
	}
	return ev.Problems
}

// Replay matches a recorded event against the rules now in force and returns the deliveries that this
// adds. What was enqueued for the event before is not enqueued again, whatever became of it: a rule and a
// step happen once for an event. What was only watched, or skipped and would not be now, was not enqueued.
func (r *Receiver) Replay(ctx context.Context, id string) ([]record.Delivery, error) {
	return r.replay(ctx, id, func(*record.Delivery) bool { return true })
}

// Retry tries a delivery again, see [store.Store.Retry]. One that was only watched, or skipped, is made anew from its
// event by the rules in force; a [*store.ConflictError] says why these would not send it either.
func (r *Receiver) Retry(ctx context.Context, id string) (record.Delivery, error) {
	d, err := r.Store.Delivery(ctx, id)
	if err != nil {
		return record.Delivery{}, err
	}
	if d.State != record.Shadow && (d.State != record.Skipped || d.Key != "") || d.Step == 0 {
		return r.Store.Retry(ctx, id)
	}
	why := "the rule no longer applies to the event"
	list, err := r.replay(ctx, d.Event, func(other *record.Delivery) bool {
		if other.Rule != d.Rule || other.Step != d.Step {
			return false
		}
		why = other.Reason
		return true
	})
	if err != nil {
		return record.Delivery{}, err
	}
	if len(list) == 0 {
		return record.Delivery{}, &record.ConflictError{State: d.State, Why: why}
	}
	return list[0], nil
}

func (r *Receiver) replay(ctx context.Context, id string, wanted func(*record.Delivery) bool) ([]record.Delivery, error) {
	e, err := r.Store.Event(ctx, id)
	if err != nil {
		return nil, err
	}
	if e.Status != record.Accepted {
		return nil, fmt.Errorf("the event is %s, so no rule applies to it: %w", e.Status, ErrNotReplayable)
	}
	ev, err := decide.Restore(&payload.Normaliser{Zone: r.Zone}, &e)
	if err != nil {
		return nil, err
	}
	var res result
	err = r.Store.Write(ctx, func(tx *store.Tx) error {
		res = result{}
		set, now := r.Rules().Set, r.Now().UTC()
		if err := r.match(tx, set, ev, now, &res, wanted); err != nil {
			return err
		}
		return r.replace(tx, set, ev, now, res.deliveries)
	})
	if err != nil {
		return nil, err
	}
	r.count(res)
	return slices.Clip(res.deliveries), nil
}

// ErrNotReplayable is returned for an event that fires nothing.
var ErrNotReplayable = errors.New("not replayable")
