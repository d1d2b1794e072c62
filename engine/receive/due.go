package receive

import (
	"cmp"
	"fmt"
	"time"

	"bellhop/actions"
	"bellhop/engine/decide"
	"bellhop/engine/record"
	"bellhop/engine/store"
)

// The reasons why a claimed immediate step is not sent, besides those of package decide.
const (
	toldSince = "a later event of this appointment was told already"
	waitsFor  = "waits for delivery %s, which tells of an earlier event"
)

// A call that waits for the call of an earlier event is claimed again when that one is due, within these limits.
const (
	soonest = 200 * time.Millisecond
	longest = 30 * time.Second
)

// still decides whether a claimed immediate step is sent, because its appointment can have changed since it was
// rendered. It is called before each attempt.
func (r *Receiver) still(tx *store.Tx, d *record.Delivery, now time.Time) error {
	kind, ok := actions.Lookup(d.Action)
	if !ok || d.Appointment == "" {
		return nil
	}
	latest := r.Rules().Set.Latest(d.Rule, d.Step)
	if latest || !kind.Message && (!d.Retried.IsZero() || d.Replayed()) {
		after, err := tx.After(d, latest)
		if err != nil {
			return err
		}
		if after != "" {
			if d.State, d.Reason = record.Cancelled, toldSince; latest {
				d.Reason = decide.AppliedAgain + ", for event " + after
			}
			return nil
		}
	}
	if latest {
		if err := tx.Replace(d, decide.AppliedAgain+", for event "+d.Event); err != nil {
			return err
		}
	}
	check := r.inOrder
	if kind.Message {
		check = r.stillSo
	}
	if err := check(tx, d, now); err != nil || d.State != record.Sending || d.Request != nil || d.Wants != nil {
		return err
	}
	return r.first(tx, d, kind.Message, now)
}

// first renders a step that waited for a look-up.
func (r *Receiver) first(tx *store.Tx, d *record.Delivery, message bool, now time.Time) error {
	from, state, err := r.situation(tx, d)
	if err != nil {
		d.State, d.Reason = record.Skipped, "rendering error: "+err.Error()
		return ignoreUnlessStore(err)
	}
	if err := decide.First(r.Rules().Set, d, from, state, message, now); err != nil {
		r.Logger.Error("rendering failed", "delivery", d.ID, "error", err)
	}
	return nil
}

// situation returns the event of a delivery, and the appointment's state by now.
func (r *Receiver) situation(tx *store.Tx, d *record.Delivery) (decide.Origin, *decide.Memory, error) {
	from, err := r.origin(tx, d)
	if err != nil {
		return from, nil, err
	}
	state, _, _, err := remembered(tx, d.Source, d.Appointment)
	if state == nil { // the appointment was pruned: it is as it was at the event
		state = from.State
	}
	return from, state, err
}

// inOrder postpones a call while a call of the same step for an earlier event of the appointment is open.
func (r *Receiver) inOrder(tx *store.Tx, d *record.Delivery, now time.Time) error {
	before, due, err := tx.Before(d)
	if err != nil || before == "" {
		return err
	}
	if d.State = record.Pending; len(d.Attempts) > 0 {
		d.State = record.Retrying
	}
	d.Due, d.Reason = now.Add(min(max(due.Sub(now), soonest), longest)), fmt.Sprintf(waitsFor, before)
	return nil
}

// stillSo cancels a message that is no longer true, or renders it again.
func (r *Receiver) stillSo(tx *store.Tx, d *record.Delivery, now time.Time) error {
	data, last, err := tx.Memory(d.Source, d.Appointment)
	d.Latest = last
	if err != nil || data == nil || latest(last).of(d.Event) {
		return err
	}
	state, err := decide.DecodeState(data)
	if err != nil {
		return fmt.Errorf("appointment %s: stored state: %w", d.Appointment, err)
	}
	from, err := r.origin(tx, d)
	if err != nil { // the message is sent as it was rendered
		r.Logger.Error("the appointment of a delivery cannot be read", "delivery", d.ID, "error", err)
		return ignoreUnlessStore(err)
	}
	again, err := decide.Still(r.Rules().Set, d, from, state, now)
	if err != nil {
		r.Logger.Error("rendering failed", "delivery", d.ID, "error", err)
	}
	if again == nil {
		return nil
	}
	return tx.Renew(again)
}

// Due is the [store.Due] of the receiver. A waiting step is rendered from its event, the present state of its
// appointment and the rules in force. For an immediate step, Due decides whether it is still sent. What is to be sent has to
// be allowed, see allow.go.
func (r *Receiver) Due(tx *store.Tx, d *record.Delivery) error {
	now := r.Now().UTC()
	due := r.still
	if d.Key != "" {
		due = r.waited
	}
	if err := due(tx, d, now); err != nil || d.State != record.Sending || d.Wants != nil {
		return err
	}
	return r.allow(tx, d, now)
}

// waited decides about a step that waited.
func (r *Receiver) waited(tx *store.Tx, d *record.Delivery, now time.Time) error {
	if r.elsewhere(d, now) {
		return nil
	}
	from, state, err := r.situation(tx, d)
	if err != nil {
		d.State, d.Reason = record.Skipped, "rendering error: "+err.Error()
		return ignoreUnlessStore(err)
	}
	if err := decide.Decide(r.Rules().Set, d, from, state, now); err != nil {
		r.Logger.Error("rendering failed", "delivery", d.ID, "error", err)
	}
	return nil
}

// A step that this node's rules do not have waits for other nodes, within these limits.
const (
	elsewhereWait = 10 * time.Second
	elsewhereMost = 10 * time.Minute
)

// elsewhere postpones a waiting step that is not in the rules of this node while other nodes have other rules: it can be
// theirs, if the folders of rules are brought up to date one after the other.
func (r *Receiver) elsewhere(d *record.Delivery, now time.Time) bool {
	if d.Request != nil || now.Sub(d.At) > elsewhereMost || !r.Differ() || r.Rules().Set.Keeps(decide.HeldStep(d)) {
		return false
	}
	d.State, d.Due, d.Reason = record.Waiting, now.Add(elsewhereWait), "waits for the other nodes: the rules of this one do not have the step"
	return true
}

// Destination returns the destination that a waiting delivery has by the rules in force.
func (r *Receiver) Destination(d *record.Delivery) string {
	return cmp.Or(r.Rules().Set.Destination(decide.HeldStep(d), d.Location), d.Destination)
}
