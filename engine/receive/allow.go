package receive

import (
	"encoding/json"
	"fmt"
	"time"

	"bellhop/actions"
	"bellhop/engine/decide"
	"bellhop/engine/record"
	"bellhop/engine/store"
	"bellhop/rules"
)

// brakeSpan is the time in which the brake counts the messages of a rule at a location, to the minute.
const brakeSpan = time.Hour

// allow decides, in the transaction that claims it, whether a delivery that is to be sent may go out: whether its hours are
// open, whether its recipients want it, whether its rule has reached a limit, and whether the brake holds it. Limits and
// brake are asked once for a delivery, so that its later attempts count no more.
func (r *Receiver) allow(tx *store.Tx, d *record.Delivery, now time.Time) error {
	kind, ok := actions.Lookup(d.Action)
	if !ok {
		return nil
	}
	bound := r.Rules().Set.Bounds(d.Rule, d.Step, d.Key)
	for _, check := range []struct {
		applies bool
		do      func(*store.Tx, *record.Delivery, time.Time) error
	}{
		{bound.Hours && !d.Fresh, r.open},
		{bound.Consent && kind.Message, func(tx *store.Tx, d *record.Delivery, _ time.Time) error { return r.suppress(tx, d, kind) }},
		{bound.Limits && !d.Allowed, r.limits},
		{r.limit.Load() > 0 && kind.Message && !d.Allowed, r.brake},
	} {
		if !check.applies {
			continue
		}
		if err := check.do(tx, d, now); err != nil || d.State != record.Sending || d.Wants != nil {
			return err
		}
	}
	if bound.Limits || kind.Message {
		d.Allowed = true
	}
	return nil
}

// present returns the event of a delivery with the appointment as it is by now. If it cannot be read, the delivery is skipped.
func (r *Receiver) present(tx *store.Tx, d *record.Delivery) (*rules.Event, error) {
	from, state, err := r.situation(tx, d)
	if err != nil {
		d.State, d.Reason = record.Skipped, "its event cannot be read: "+err.Error()
		return nil, ignoreUnlessStore(err)
	}
	ev := *from.Event
	ev.Appointment = state.Appointment
	return &ev, nil
}

// open postpones a delivery that was rendered before while its hours are closed. If it was not tried, it is rendered again
// when they open.
func (r *Receiver) open(tx *store.Tx, d *record.Delivery, now time.Time) error {
	ev, err := r.present(tx, d)
	if err != nil {
		return err
	}
	if ev == nil {
		return nil
	}
	opens, skip, unknown := r.Rules().Set.Opens(d.Rule, d.Step, d.Key, ev, now)
	switch {
	case unknown != nil:
		d.Wants = unknown
	case skip != "" && d.Tried():
		d.State, d.Reason = record.Dead, skip
	case skip != "":
		d.State, d.Reason = record.Skipped, skip
	case opens.IsZero():
	case !d.Until.IsZero() && opens.After(d.Until) && d.Retried.IsZero():
		d.State, d.Reason = record.Dead, "too late: its hours do not open in time for another attempt"
	default:
		d.Due, d.Opens, d.Reason = opens, opens, decide.Closed
		switch {
		case d.Tried():
			d.State = record.Retrying
		case d.Key != "":
			d.State, d.Request, d.People = record.Waiting, nil, nil
		default:
			d.State, d.Request, d.People = record.Pending, nil, nil
		}
	}
	return nil
}

// suppress leaves out recipients whose addresses are suppressed. A request that may have been sent is not changed any more: it
// goes to all that are left of its recipients, or to none.
func (r *Receiver) suppress(tx *store.Tx, d *record.Delivery, kind actions.Kind) error {
	req := kind.New()
	addressed, ok := req.(actions.Addressed)
	if !ok {
		return nil
	}
	if err := json.Unmarshal(d.Request, req); err != nil {
		d.State, d.Reason = record.Dead, "the request cannot be read: "+err.Error()
		return nil //nolint:nilerr // it is recorded
	}
	channel, addresses := addressed.Addresses()
	found, err := tx.Suppressed(d.Location, channel, addresses)
	if err != nil || len(found) == 0 {
		return err
	}
	if !addressed.Without(func(address string) bool { return found[address] }) {
		if d.State, d.Reason = record.Skipped, "the recipient is suppressed"; d.Tried() {
			d.State = record.Dead
		}
		return nil
	}
	if d.Tried() {
		return nil
	}
	request, err := json.Marshal(req)
	if err == nil {
		d.Request = request
	}
	return err
}

// exactLimit is how large a limit can be whose times are kept exactly.
const exactLimit = 500

// limits skips a delivery whose rule has done enough for now. The immediate steps of a rule for one event count once.
func (r *Receiver) limits(tx *store.Tx, d *record.Delivery, now time.Time) error {
	if d.Key == "" {
		if beside, err := tx.AllowedBeside(d); beside || err != nil {
			return err
		}
	}
	ev, err := r.present(tx, d)
	if err != nil {
		return err
	}
	if ev == nil {
		return nil
	}
	limits, skip, unknown := r.Rules().Set.Limits(d.Rule, ev, now)
	switch {
	case unknown != nil:
		d.Wants = unknown
	case skip != "":
		d.State, d.Reason = record.Skipped, skip
	}
	for count := range 2 { // first look whether all limits leave room, then count
		for _, l := range limits {
			q := store.Quota{Name: "limit " + l.Name, Limit: l.Max, Span: l.Every}
			if l.Max > exactLimit {
				q.Grain = l.Every / exactLimit
			}
			ask := tx.Room
			if count == 1 {
				ask = tx.Count
			}
			wait, err := ask(q, now)
			if err != nil {
				return err
			}
			if wait > 0 {
				d.State, d.Reason = record.Skipped, l.Why
				return nil
			}
		}
	}
	return nil
}

// brake holds a message if its rule has sent very many.
func (r *Receiver) brake(tx *store.Tx, d *record.Delivery, now time.Time) error {
	most := int(r.limit.Load())
	wait, err := tx.Count(store.Quota{Name: store.BrakeName(d), Limit: most, Span: brakeSpan, Grain: time.Minute}, now)
	if err != nil || wait == 0 {
		return err
	}
	d.State = record.Held
	d.Reason = fmt.Sprintf("held by the brake: the rule has sent %d messages at this location within an hour; release or cancel it", most)
	if d.Key != "" {
		d.Request = nil // when it is released, it is decided and rendered again
	}
	return nil
}
