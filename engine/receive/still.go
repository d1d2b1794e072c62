package receive

import (
	"fmt"
	"time"

	"bellhop/actions"
	"bellhop/engine/decide"
	"bellhop/engine/record"
	"bellhop/engine/store"
)

// Why an immediate step that is claimed is not sent, besides the reasons of those that wait.
const (
	toldSince = "a later event of this appointment was told already"
	waitsFor  = "waits for delivery %s, which tells of an earlier event"
)

// How soon a call is looked at again that waits for that of an earlier event.
const (
	soonest = 200 * time.Millisecond
	longest = 30 * time.Second
)

// still decides about a delivery of an immediate step when it is claimed, because its appointment can have changed since
// it was rendered. It is called before the first attempt and before every retry, replayed or asked for by an operator.
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
	if kind.Message {
		return r.stillSo(tx, d, now)
	}
	return r.inOrder(tx, d, now)
}

// inOrder lets calls of one step for one appointment go out in the order of their events.
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

// stillSo lets a message tell nothing that is no longer so.
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
	if err != nil { // it is sent as it was promised
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
