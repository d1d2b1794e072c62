package decide

import (
	"errors"
	"slices"
	"strings"
	"time"

	"bellhop/engine/payload"
	"bellhop/engine/record"
	"bellhop/rules"
)

// The reasons why a waiting delivery is cancelled.
const (
	calledOff  = "the appointment was cancelled"
	takesPlace = "the appointment takes place after all" // for a rule that matches cancelled appointments
	moved      = "the appointment was moved"

	// AppliedAgain is the start of the reason of a delivery that another delivery has replaced. It is followed by the
	// event of the other delivery.
	AppliedAgain = "the rule applied again"

	// movedSince is for a dead delivery that an operator retries.
	movedSince = "the appointment was moved since this was prepared"
)

// Passing are the reasons that a later event can undo: the delivery then waits again.
var Passing = [2]string{calledOff, takesPlace}

// A Change is an event of an appointment that was known before.
type Change struct {
	Set           *rules.Set
	Event         *rules.Event
	Before, After *Memory
	Now           time.Time
	Added         []record.Delivery // planned for this event
}

// An Origin is the event for which a delivery was planned, and the appointment's state at that time.
type Origin struct {
	Event *rules.Event
	State *Memory
}

// Follows reports whether a delivery that was never tried follows its appointment: it waits, or it is cancelled or
// skipped for a reason that a later event can undo. [store.Tx.Held] selects the same deliveries in SQL.
func Follows(d *record.Delivery) bool {
	switch d.State {
	case record.Waiting, record.Skipped:
		return d.Follows
	case record.Cancelled:
		return d.Follows && slices.Contains(Passing[:], strings.TrimSuffix(d.Reason, record.UnderWay))
	}
	return false
}

// Follow adapts a delivery of an earlier event to the change. If the appointment was cancelled, or takes place again,
// the delivery is cancelled or planned again. If the appointment was moved, a delivery that depends on its time is moved
// too. If the rule matches again, the new delivery replaces this one.
//
// Follow changes only d and returns whether it did. If d may have been tried already and must be sent at another time
// or with other contents, d is cancelled, and again is a copy of it without attempts that replaces it. Follow calls
// origin at most once. An error is from origin or an internal mistake; d is then unchanged.
func (c *Change) Follow(d *record.Delivery, origin func() (Origin, error)) (changed bool, again *record.Delivery, err error) {
	was := *d
	if mistake := safely(func() { changed, again, err = c.follow(d, origin) }); mistake != nil {
		*d = was
		return false, nil, RecordError{mistake}
	}
	return changed, again, err
}

func (c *Change) follow(d *record.Delivery, origin func() (Origin, error)) (changed bool, again *record.Delivery, err error) {
	for i := range c.Added {
		if a := &c.Added[i]; a.Rule == d.Rule && a.Key != "" && (rules.SameStep(a.Key, d.Key) || a.Step == d.Step) {
			if open(d) {
				cancel(d, AppliedAgain+", for event "+c.Event.ID)
			}
			d.Follows = false
			return true, nil, nil
		}
	}
	from, err := origin()
	if err != nil {
		return false, nil, err
	}
	ev := *from.Event
	ev.Appointment = c.After.Appointment
	applies := c.Set.ForCancelled(HeldStep(d), &ev) == c.After.cancelled()
	switch {
	case open(d) && !applies && c.After.cancelled():
		cancel(d, calledOff)
		return true, c.rest(d), nil
	case open(d) && !applies:
		cancel(d, takesPlace)
		return true, c.rest(d), nil
	case !applies:
		again = c.rest(d)
		return again != nil, again, nil
	case d.State == record.Cancelled:
		if changed, again = c.anew(d, d.Reason, func(d *record.Delivery) bool { return c.plan(d, &ev) }); !changed {
			again = c.rest(d)
		}
		return changed || again != nil, again, nil
	case d.State == record.Skipped && d.Reason == rules.SkipCancelled:
		return c.plan(d, &ev), nil, nil
	case len(c.Event.Changed) == 0:
		return false, nil, nil
	case c.moves(d, &ev):
		changed, again = c.anew(d, moved, func(d *record.Delivery) bool { return c.plan(d, &ev) })
	case open(d) && d.Request != nil && c.Rescheduled(): // the request tells the old time, but is due as before
		changed, again = c.anew(d, moved, func(d *record.Delivery) bool {
			d.State, d.Reason, d.Due, d.Request = record.Waiting, "", later(d.Due, c.Now), nil
			return true
		})
	}
	return changed, again, nil
}

// anew plans d again. If d was rendered, it may have been tried and its contents must stay, so anew plans a copy instead
// and cancels d for the reason why.
func (c *Change) anew(d *record.Delivery, why string, plan func(*record.Delivery) bool) (changed bool, again *record.Delivery) {
	if d.Request == nil {
		return plan(d), nil
	}
	next := *d
	next.Attempts, next.Retried = nil, time.Time{}
	if plan(&next) {
		again = &next
	} else if !open(d) {
		return false, nil
	}
	if d.Follows = false; open(d) {
		cancel(d, why)
	}
	return true, again
}

// rest returns a copy of the cancelled delivery d without its request, if the event moved the appointment; otherwise it
// returns nil. The rendered request of d tells the old time, so d ends for good. The copy can be planned again if the
// cancellation is undone.
func (c *Change) rest(d *record.Delivery) *record.Delivery {
	if d.State != record.Cancelled || d.Request == nil || !c.Rescheduled() {
		return nil
	}
	next := *d
	next.Reason, next.Attempts, next.Retried, next.Request = strings.TrimSuffix(d.Reason, record.UnderWay), nil, time.Time{}, nil
	d.Follows = false
	return &next
}

// Rescheduled reports whether this event moved the appointment.
func (c *Change) Rescheduled() bool {
	return c.After.Moved(&c.Before.Appointment)
}

// moves reports whether this event changes when d is due. ev is the event that d was planned for. An edit of the rule
// since then does not count.
func (c *Change) moves(d *record.Delivery, ev *rules.Event) bool {
	earlier := *ev
	earlier.Appointment = c.Before.Appointment
	after, ok := c.Set.Moment(HeldStep(d), ev)
	before, known := c.Set.Moment(HeldStep(d), &earlier)
	return ok && !(known && after.Equal(before))
}

// plan sets when d is due from its step in the present rules. It returns false if the step no longer exists.
func (c *Change) plan(d *record.Delivery, ev *rules.Event) bool {
	step, ok := c.Set.Plan(HeldStep(d), ev, c.Now)
	if !ok {
		return false
	}
	d.State, d.Reason = outcome(&step, false)
	if d.State == record.Pending {
		d.State = record.Waiting
	}
	if !step.At.IsZero() {
		d.At, d.Until = step.At, step.Until
	}
	d.Due, d.Request = later(d.At, c.Now), nil
	return true
}

// open reports whether the delivery can still be sent without another change.
func open(d *record.Delivery) bool {
	switch d.State {
	case record.Cancelled, record.Skipped, record.Dead:
		return false
	}
	return true
}

func cancel(d *record.Delivery, reason string) {
	if d.State == record.Sending {
		reason += record.UnderWay
	}
	d.State, d.Reason = record.Cancelled, reason
}

// HeldStep returns what the rules need to know to plan or render a delivery again.
func HeldStep(d *record.Delivery) rules.Held {
	return rules.Held{Rule: d.Rule, Step: d.Step, Key: d.Key, Planned: d.Created, At: d.At, Anyway: !d.Retried.IsZero()}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// A RecordError means that a record cannot be used. It is not an error of the store, and a retry does not help.
type RecordError struct{ Err error }

func (e RecordError) Error() string { return e.Err.Error() }

func (e RecordError) Unwrap() error { return e.Err }

// OriginOf returns the origin of the deliveries of a recorded event. n reads its body.
func OriginOf(n *payload.Normaliser, e *record.Event) (Origin, error) {
	ev, state, err := restore(n, e)
	if err == nil && state == nil {
		err = errors.New("the event holds no appointment")
	}
	return Origin{ev, state}, err
}
