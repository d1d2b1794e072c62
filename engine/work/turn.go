package work

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"bellhop/engine/record"
	"bellhop/engine/store"
)

// A turn is one pass of a delivery through the stages, from its job in the queue to its record.
type turn struct {
	*Worker
	ctx      context.Context // ends when the worker must have stopped
	stopping context.Context // ends when the worker begins to stop
	job      *store.Job
	pass     *pass // for the destination; nil if there is no attempt

	d        record.Delivery
	began    time.Time     // when the attempt began
	postpone time.Duration // until the job comes back; 0 ends the job
}

// next says whether the next stage follows.
type next bool

const (
	goOn next = true
	over next = false
)

// stages are the stages of a turn, in order. Each can end the turn.
var stages = []func(*turn) next{(*turn).enter, (*turn).claim, (*turn).look, (*turn).wanted, (*turn).attempt, (*turn).record}

// work runs a turn. It returns after which time the job comes back, 0 if it is done. stopping ends when the worker begins
// to stop, ctx when it must have stopped.
func (w *Worker) work(stopping, ctx context.Context, j *store.Job) time.Duration {
	t := &turn{Worker: w, ctx: ctx, stopping: stopping, job: j}
	defer func() {
		if t.pass != nil {
			t.pass.leave()
		}
	}()
	for _, stage := range stages {
		if stage(t) == over {
			break
		}
	}
	return t.postpone
}

// unwritable is how long a job is postponed if the store cannot be read or written.
const unwritable = 2 * time.Second

// failed ends the turn because the store cannot be read or written. The job comes back soon.
func (t *turn) failed(what string, err error) next {
	t.log(t.ctx, what, err)
	t.postpone = unwritable
	return over
}

// enter takes a place for the delivery's destination.
func (t *turn) enter() next {
	to, wait, err := t.job.To(t.ctx, t.o.Destination)
	switch {
	case err != nil:
		return t.failed("a delivery could not be looked up", err)
	case wait > 0:
		t.postpone = wait
		return over
	}
	var why string
	if t.pass, t.postpone, why = t.gate.enter(t.stopping, to); t.pass != nil {
		t.postpone = 0
		return goOn
	}
	t.o.Metrics.Postponed.WithLabelValues(why).Inc()
	if why != "paused" {
		return over
	}
	if left := time.Until(t.job.Made().Add(t.reach.Load().MaxAge)); left > 0 {
		t.postpone = min(t.postpone, left)
		return over
	}
	// The delivery is too old. It is claimed without a pass, and the next stage gives it up.
	return goOn
}

// claim marks the delivery as being sent and renders it if it waited.
func (t *turn) claim() next {
	return t.claimed(t.job.Claim(t.ctx, t.o.Due))
}

// claimed takes the result of a claim.
func (t *turn) claimed(d record.Delivery, ok bool, err error) next {
	switch {
	case err != nil:
		return t.failed("a delivery could not be claimed", err)
	case !ok && (d.State == record.Waiting || d.State == record.Pending || d.State == record.Retrying):
		t.postpone = max(time.Until(d.Due), time.Millisecond)
		return over
	case !ok:
		if d.State == record.Held {
			t.held(&d)
		}
		if t.postpone = 0; d.ID != "" { // the claim decided not to send it
			t.o.Metrics.Deliveries.WithLabelValues(d.Action, string(d.State)).Inc()
		}
		return over
	}
	t.d = d
	return goOn
}

// wanted checks that the delivery can be sent now: it is not too old, its destination is free, and no event that came
// since the claim has changed it.
func (t *turn) wanted() next {
	if t.d.State != record.Sending {
		return goOn
	}
	if age := time.Since(started(&t.d, time.Now())); age > t.reach.Load().MaxAge {
		t.d.State, t.d.Due, t.postpone = record.Dead, time.Now().UTC(), 0
		t.d.Reason = strings.TrimSuffix(fmt.Sprintf("given up after %s: %s", age.Round(time.Second), cmp.Or(t.d.Reason, "no attempt could be made")), ": ")
		t.dead(&t.d)
		return goOn
	}
	why := ""
	if t.pass != nil {
		t.postpone, why = t.pass.start(t.stopping)
	}
	if t.postpone > 0 {
		if why != "" {
			t.o.Metrics.Postponed.WithLabelValues(why).Inc()
		}
		t.putOff()
		return goOn
	}
	t.began = time.Now()
	ok, err := t.job.Current(t.ctx, &t.d)
	if ok && err == nil {
		return goOn
	}
	t.pass.done(verdict{unknown: true})
	switch {
	case err != nil:
		return t.failed("a delivery could not be looked up", err)
	case !t.d.At.IsZero(): // the event has cancelled or moved it, and that is recorded
		return over
	}
	t.postpone = time.Millisecond
	t.putOff()
	return goOn
}

// putOff sets the state that the delivery had before the claim.
func (t *turn) putOff() {
	if t.d.State = record.Pending; len(t.d.Attempts) > 0 {
		t.d.State = record.Retrying
	}
}

// attempt sends the delivery, unless an earlier stage decided otherwise.
func (t *turn) attempt() next {
	if t.d.State != record.Sending {
		return goOn
	}
	v := verdict{unknown: true} // if there is a panic
	func() {
		defer func() { t.pass.done(v) }()
		v = t.judge(t.send(t.ctx, &t.d, t.began))
	}()
	if t.d.State == record.Retrying {
		t.postpone = max(time.Until(t.d.Due), time.Millisecond)
	}
	return goOn
}

// record stores the result. It ignores the end of ctx, because a delivery that was sent but not recorded is sent again.
func (t *turn) record() next {
	if err := t.job.Record(context.WithoutCancel(t.ctx), &t.d); err != nil {
		return t.failed("the result of delivery "+t.d.ID+" could not be recorded; it will be tried again", err)
	}
	return over
}
