package receive

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"bellhop/engine/decide"
	"bellhop/engine/record"
	"bellhop/engine/store"
	"bellhop/rules"
)

// replace lets the deliveries that a replay added replace those that wait already.
func (r *Receiver) replace(tx *store.Tx, set *rules.Set, ev *rules.Event, now time.Time, added []record.Delivery) error {
	state, _, _, err := remembered(tx, ev.Source, ev.Appointment.ID)
	if err != nil || state == nil {
		return err
	}
	unchanged := &rules.Event{ID: ev.ID, Source: ev.Source, Appointment: state.Appointment}
	if err := r.follow(tx, &decide.Change{Set: set, Event: unchanged, Before: state, After: state, Now: now, Added: added}); err != nil {
		return err
	}
	// The added deliveries were planned with the appointment as the event had it. They follow its later changes.
	since := &decide.Change{Set: set, Event: &rules.Event{Changed: decide.Changed(&ev.Appointment, &state.Appointment)}, Before: &decide.Memory{Appointment: ev.Appointment}, After: state, Now: now}
	for i := range added {
		d := &added[i]
		if !decide.Follows(d) {
			continue
		}
		moved, _, err := since.Follow(d, func() (decide.Origin, error) { return decide.Origin{Event: ev}, nil })
		if err != nil {
			return err
		}
		if moved {
			if err := tx.Change(d); err != nil {
				return err
			}
		}
	}
	return nil
}

// Replay matches a recorded event against the rules in force and returns the deliveries that this adds. A step that was
// enqueued for the event before is not enqueued again, whatever its state is. A step that was skipped, or only watched
// in shadow mode, was not enqueued. An error wraps [ErrNotReplayable] for an event that no rule can match, and
// [store.ErrNotFound] for an unknown one.
func (r *Receiver) Replay(ctx context.Context, id string) ([]record.Delivery, error) {
	return r.replay(ctx, id, func(*record.Delivery) bool { return true })
}

// Retry tries a delivery again, see [store.Store.Retry]. A delivery that was skipped, or only watched in shadow mode, is
// planned again from its event by the rules in force. If they do not send it either, the error is a
// [*record.ConflictError] that says why.
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
	ev, err := decide.Restore(&r.bodies, &e)
	if err != nil {
		return nil, err
	}
	var res result
	err = r.Store.Write(ctx, store.KeyOf(e.Source, e.Appointment), func(tx *store.Tx) error {
		res = result{}
		set, now := r.Rules().Set, r.Now().UTC()
		ev.Asks = r.Asks
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

// ErrNotReplayable means that no rule can match the event: it is stale or ignored.
var ErrNotReplayable = errors.New("not replayable")
