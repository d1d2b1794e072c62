package decide

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"bellhop/engine/payload"
	"bellhop/engine/record"
	"bellhop/rules"
)

// Why a delivery that waits is cancelled. The first two are taken back with what caused them.
const (
	calledOff  = "the appointment was cancelled"
	takesPlace = "the appointment takes place after all" // of a rule for cancelled ones
	moved      = "the appointment was moved"

	// AppliedAgain begins the reason of a delivery whose place another has taken; which event's follows.
	AppliedAgain = "the rule applied again"

	// Of one that was given up, and that an operator wants sent after all.
	movedSince = "the appointment was moved since this was prepared"
)

var Passing = [2]string{calledOff, takesPlace}

// A Change is an event of an appointment that was known before.
type Change struct {
	Set           *rules.Set
	Event         *rules.Event
	Before, After *Memory
	Now           time.Time
	Added         []record.Delivery // by this event
}

// An Origin is what planned a delivery: the event, and the appointment as it then was.
type Origin struct {
	Event *rules.Event
	State *Memory
}

// Follows says whether a delivery that was never tried follows its appointment: it waits, or is cancelled or
// skipped for a reason that may pass. It says of deliveries what [store.Tx.Held] selects.
func Follows(d *record.Delivery) bool {
	switch d.State {
	case record.Waiting, record.Skipped:
		return d.Follows
	case record.Cancelled:
		return d.Follows && slices.Contains(Passing[:], strings.TrimSuffix(d.Reason, record.UnderWay))
	}
	return false
}

// Follow makes a delivery of an earlier event follow its appointment: one that is cancelled, or no longer is, takes
// with it what was planned for it as it was; one that moved takes along what is counted from where it moved; and
// where a rule applies again, its step takes the place of the one that waits already.
//
// It changes nothing but d, and says whether it did. Where d may have been tried already and has to move, or the
// appointment takes place again, it is cancelled, and again is what goes on in its place, as a copy that was never
// tried. origin is asked at most once. After an error, which is origin's or a mistake of ours, d is unchanged.
func (c *Change) Follow(d *record.Delivery, origin func() (Origin, error)) (changed bool, again *record.Delivery, err error) {
	was := *d
	defer func() { // as in matchSafely, the event must be stored all the same
		if p := recover(); p != nil {
			*d, changed, again, err = was, false, nil, RecordError{Err: fmt.Errorf("internal error: %v", p)}
		}
	}()
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
	case open(d) && d.Request != nil && c.Rescheduled(): // it tells of the old time, though it is due as before
		changed, again = c.anew(d, moved, func(d *record.Delivery) bool {
			d.State, d.Reason, d.Due, d.Request = record.Waiting, "", later(d.Due, c.Now), nil
			return true
		})
	}
	return changed, again, nil
}

// anew plans d another time, unless it was rendered: then it may have been tried, and a copy of it is planned, for
// it cannot go on with other contents.
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

// rest is what rests in place of d, which is cancelled, until that is taken back: where the appointment moves
// meanwhile, what was rendered tells of its old time, and has ended for good. Else it is nil.
func (c *Change) rest(d *record.Delivery) *record.Delivery {
	if d.State != record.Cancelled || d.Request == nil || !c.Rescheduled() {
		return nil
	}
	next := *d
	next.Reason, next.Attempts, next.Retried, next.Request = strings.TrimSuffix(d.Reason, record.UnderWay), nil, time.Time{}, nil
	d.Follows = false
	return &next
}

// Rescheduled says whether this event moved the appointment itself.
func (c *Change) Rescheduled() bool {
	return c.After.Moved(&c.Before.Appointment)
}

// moves says whether the moment of d, which ev planned, differs by what this event changed. That a rule was
// edited since is no reason.
func (c *Change) moves(d *record.Delivery, ev *rules.Event) bool {
	earlier := *ev
	earlier.Appointment = c.Before.Appointment
	after, ok := c.Set.Moment(HeldStep(d), ev)
	before, known := c.Set.Moment(HeldStep(d), &earlier)
	return ok && !(known && after.Equal(before))
}

// plan gives d the moment that its step has now, unless the step is gone.
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

// open says that the delivery may still be sent as things are.
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

func HeldStep(d *record.Delivery) rules.Held {
	return rules.Held{Rule: d.Rule, Step: d.Step, Key: d.Key, Planned: d.Created, At: d.At, Anyway: !d.Retried.IsZero()}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// A RecordError is of a record that cannot be read. It is not the store's, and will not pass.
type RecordError struct{ Err error }

func (e RecordError) Error() string { return e.Err.Error() }

func (e RecordError) Unwrap() error { return e.Err }

// OriginOf gives a recorded event of an appointment as what it may have planned sees it. n reads its body.
func OriginOf(n *payload.Normaliser, e *record.Event) (Origin, error) {
	ev, state, err := restore(n, e)
	if err == nil && state == nil {
		err = errors.New("the event holds no appointment")
	}
	return Origin{ev, state}, err
}
