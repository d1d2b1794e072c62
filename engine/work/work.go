// Package work makes the attempts: it claims a delivery that is due, sends it through the egress guard
// and records what came of it.
package work

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"bellhop/actions"
	"bellhop/engine/metrics"
	"bellhop/engine/record"
	"bellhop/engine/store"
)

// Options are what a Worker works with. Store, Due, Guard, Metrics and Logger are required; every other zero
// value is usable.
type Options struct {
	Store       *store.Store
	Due         store.Due                     // asked about deliveries that are due
	Destination func(*record.Delivery) string // of a step that waited, as it is now; nil takes the one of its planning
	Guard       *actions.Guard
	Connections map[string]actions.Connection
	Redactor    *actions.Redactor // nil hides nothing
	Metrics     *metrics.Metrics
	Logger      *slog.Logger

	Attempts       int           // limit for one delivery; 0 is 25
	MaxAge         time.Duration // after which a delivery is not tried again; 0 is 3 days
	Backoff        time.Duration // before the second attempt; 0 is 5 s. It doubles, with jitter, up to MaxBackoff
	MaxBackoff     time.Duration // 0 is 1 h
	Timeout        time.Duration // of one attempt, where its request sets no shorter one; 0 is 5 min
	Places         int           // deliveries held at once; 0 is 2000
	PerDestination int           // attempts at once to one destination; 0 is 16
	Stop           time.Duration // for attempts under way to finish when stopping; 0 is 5 s
	Breaker        Breaker
}

func (o Options) withDefaults() Options {
	or := func(d *time.Duration, def time.Duration) {
		if *d == 0 {
			*d = def
		}
	}
	or(&o.MaxAge, 72*time.Hour)
	or(&o.Backoff, 5*time.Second)
	or(&o.MaxBackoff, time.Hour)
	or(&o.Timeout, 5*time.Minute)
	or(&o.Stop, 5*time.Second)
	if o.Attempts == 0 {
		o.Attempts = 25
	}
	if o.Places == 0 {
		o.Places = 2000
	}
	if o.PerDestination == 0 {
		o.PerDestination = 16
	}
	if o.Redactor == nil {
		o.Redactor = actions.NewRedactor(nil)
	}
	return o
}

// A Worker works the store's queue.
type Worker struct {
	o    Options
	gate *gate
}

// New gives a worker.
func New(o Options) *Worker {
	o = o.withDefaults()
	return &Worker{o: o, gate: newGate(o.Places, o.PerDestination, o.Breaker)}
}

// Run works until ctx is done, then lets the attempts under way finish for as long as Stop says, and closes what they
// kept open.
func (w *Worker) Run(ctx context.Context) error {
	defer func() {
		w.o.Guard.Close()
		for _, c := range w.o.Connections {
			if c, ok := c.(actions.Closer); ok {
				c.Close()
			}
		}
	}()
	group, running := errgroup.WithContext(ctx)
	group.Go(func() error { w.bringBack(running); return nil })
	group.Go(func() error {
		return w.o.Store.Work(ctx, store.WorkOptions{Workers: w.o.Places, Stop: w.o.Stop}, func(jobCtx context.Context, j *store.Job) time.Duration {
			return w.work(ctx, jobCtx, j)
		})
	})
	return group.Wait()
}

// Destinations are those that deliveries went to lately, or that are paused, by name.
func (w *Worker) Destinations() []Destination { return w.gate.list() }

// bringBack lets deliveries come back at once to a destination that answers again.
func (w *Worker) bringBack(ctx context.Context) {
	look := time.NewTicker(flowing / 4)
	defer look.Stop()
	for {
		select {
		case r := <-w.gate.recall:
			n, err := w.o.Store.Recall(ctx, r.name, r.n)
			if err != nil {
				w.log(ctx, "postponed deliveries could not be brought back; they follow later", err)
			}
			w.gate.recalled(r, n)
		case <-look.C:
			w.gate.askAll()
		case <-ctx.Done():
			return
		}
	}
}

// unwritable is how long a job stays away when the store could not be written.
const unwritable = 2 * time.Second

// A turn is one look at one delivery, from its place in the queue to what is recorded of it.
type turn struct {
	*Worker
	ctx      context.Context // ends when the worker must have stopped
	stopping context.Context // ends when it is to stop
	job      *store.Job
	pass     *pass // to the destination; nil if it is not to be attempted
	d        record.Delivery
	began    time.Time     // the attempt, with the last look at its appointment
	postpone time.Duration // how long the job then stays away
}

// next says whether the turn goes on with its next stage.
type next bool

const (
	goOn next = true
	over next = false
)

// stages are what a turn goes through. Each can end it; what has been claimed is recorded then.
var stages = []func(*turn) next{(*turn).enter, (*turn).claim, (*turn).wanted, (*turn).attempt, (*turn).record}

// work makes one attempt, and says how long the job is to stay away, 0 if nothing more is to be done for it. stopping ends
// when the worker is to stop, ctx when it must have.
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

// failed ends the turn because the store cannot be read or written; the job comes back soon.
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
	if left := time.Until(t.job.Made().Add(t.o.MaxAge)); left > 0 {
		t.postpone = min(t.postpone, left)
		return over
	}
	// It is claimed all the same, to be given up: else all that comes piles up for a destination that never answers.
	return goOn
}

// claim takes the delivery from the queue, as it is to be sent now.
func (t *turn) claim() next {
	d, ok, err := t.job.Claim(t.ctx, t.o.Due)
	switch {
	case err != nil:
		return t.failed("a delivery could not be claimed", err)
	case !ok && (d.State == record.Waiting || d.State == record.Pending || d.State == record.Retrying):
		t.postpone = max(time.Until(d.Due), time.Millisecond)
		return over
	case !ok:
		if t.postpone = 0; d.ID != "" { // it came to nothing just now
			t.o.Metrics.Deliveries.WithLabelValues(d.Action, string(d.State)).Inc()
		}
		return over
	}
	t.d = d
	return goOn
}

// wanted looks whether the delivery is still to be sent: it is not too old, its destination is free, and nothing that was
// acknowledged while it stood in line has changed its appointment.
func (t *turn) wanted() next {
	if age := time.Since(started(&t.d, time.Now())); age > t.o.MaxAge {
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
	case !t.d.At.IsZero(): // it is recorded already, or waits for another moment
		return over
	}
	t.postpone = time.Millisecond
	t.putOff()
	return goOn
}

// putOff leaves the delivery as it was before it was claimed.
func (t *turn) putOff() {
	if t.d.State = record.Pending; len(t.d.Attempts) > 0 {
		t.d.State = record.Retrying
	}
}

// attempt sends the delivery, if it is still to be sent.
func (t *turn) attempt() next {
	if t.d.State != record.Sending {
		return goOn
	}
	v := verdict{unknown: true} // of a panic
	func() {
		defer func() { t.pass.done(v) }()
		v = t.judge(t.send(t.ctx, &t.d, t.began))
	}()
	if t.d.State == record.Retrying {
		t.postpone = max(time.Until(t.d.Due), time.Millisecond)
	}
	return goOn
}

// record writes down what came of it, even when time is up: sent and not recorded would be sent again.
func (t *turn) record() next {
	if err := t.job.Record(context.WithoutCancel(t.ctx), &t.d); err != nil {
		return t.failed("the result of delivery "+t.d.ID+" could not be recorded; it will be tried again", err)
	}
	return over
}

// dead logs that a delivery is given up.
func (w *Worker) dead(d *record.Delivery) {
	w.o.Logger.Warn("a delivery is dead", "delivery", d.ID, "rule", d.Rule, "action", d.Action, "destination", d.Destination, "reason", d.Reason)
}

// log reports an error of the store, unless it is only that everything is being stopped.
func (w *Worker) log(ctx context.Context, msg string, err error) {
	if ctx.Err() == nil {
		w.o.Logger.Error(msg, "error", err)
	}
}

// interrupted marks an attempt that was cut off by a shutdown.
var errInterrupted = errors.New("interrupted by a shutdown")

// judge says what an attempt's error means for its destination. A permanent one is an answer, unless the fault is
// the delivery's own.
func (w *Worker) judge(err error) verdict {
	if err == nil {
		return verdict{}
	}
	f := actions.Classify(err)
	if f.Own || errors.Is(err, errInterrupted) {
		return verdict{unknown: true}
	}
	return verdict{failed: !f.Permanent && f.After == 0, pause: f.After, why: w.o.Redactor.Redact(err.Error())}
}

// send sends d once and changes it to what became of it. The error is the attempt's, which began at start.
func (w *Worker) send(ctx context.Context, d *record.Delivery, start time.Time) error {
	receipt, err := w.do(ctx, d)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", errInterrupted, err)
	}
	a := record.Attempt{At: start.UTC(), Millis: time.Since(start).Milliseconds(), Receipt: w.redact(receipt)}
	f := actions.Classify(err)
	counted := w.counted(d) + 1
	switch {
	case err == nil:
		a.Outcome, d.State, d.Reason = "sent", record.Sent, ""
		if n := len(receipt.Refused); n > 0 {
			no := a.Receipt.Refused[0]
			d.Reason = fmt.Sprintf("%d of the recipients refused: %s: %s", n, no.Recipient, no.Answer)
		}
	case errors.Is(err, errInterrupted):
		a.Outcome, d.State, d.Due = "interrupted", record.Retrying, time.Now().UTC()
	case f.Permanent:
		a.Outcome, d.State = "permanent", record.Dead
	case counted >= w.o.Attempts:
		a.Outcome, d.State = "retry", record.Dead
		d.Reason = fmt.Sprintf("given up after %d attempts: ", counted)
	default:
		a.Outcome, d.State = "retry", record.Retrying
		d.Due = time.Now().Add(max(w.backoff(counted), f.After)).UTC()
		if !d.Until.IsZero() && d.Retried.IsZero() && d.Due.After(d.Until) {
			d.State, d.Due = record.Dead, time.Now().UTC()
			d.Reason = "too late for another attempt: "
		} else if since := started(d, start); d.Due.Sub(since) > w.o.MaxAge {
			d.State, d.Due = record.Dead, time.Now().UTC()
			d.Reason = fmt.Sprintf("given up after %s: ", time.Since(since).Round(time.Second))
		}
	}
	if err != nil {
		a.Error = w.o.Redactor.Redact(err.Error())
		prefix := ""
		if d.State == record.Dead && a.Outcome == "retry" {
			prefix = d.Reason
		}
		if refused, ok := errors.AsType[*actions.RefusedError](err); ok {
			d.Reason = prefix + "destination refused: " + w.o.Redactor.Redact(refused.Error())
		} else {
			d.Reason = prefix + a.Error
		}
	}
	d.Attempts = append(d.Attempts, a)
	w.o.Metrics.Attempts.WithLabelValues(d.Action, a.Outcome).Inc()
	w.o.Metrics.AttemptSeconds.WithLabelValues(d.Action).Observe(time.Since(start).Seconds())
	if d.State == record.Dead {
		w.dead(d)
	}
	return err
}

// started is when the attempts that count began: with the delivery, or when an operator asked again. For one that
// waited it is the first attempt, now if there was none: it may be sent long after its moment.
func started(d *record.Delivery, now time.Time) time.Time {
	switch {
	case !d.Retried.IsZero():
		return d.Retried
	case d.At.IsZero():
		return d.Created
	case len(d.Attempts) > 0:
		return d.Attempts[0].At
	}
	return now
}

// counted is how many earlier attempts count toward the limit.
func (w *Worker) counted(d *record.Delivery) int {
	n := 0
	for i := range d.Attempts {
		if a := &d.Attempts[i]; a.Outcome != "interrupted" && !a.At.Before(d.Retried) {
			n++
		}
	}
	return n
}

// do decodes the request and sends it. A panic is the attempt's error.
func (w *Worker) do(ctx context.Context, d *record.Delivery) (receipt actions.Receipt, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("internal error: %v", p)
		}
	}()
	kind, ok := actions.Lookup(d.Action)
	if !ok {
		return receipt, actions.Own(fmt.Errorf("no action is called %q", d.Action))
	}
	req := kind.New()
	if err := json.Unmarshal(d.Request, req); err != nil {
		return receipt, actions.Own(fmt.Errorf("stored request: %w", err))
	}
	dispatch := actions.Dispatch{ID: d.ID, Guard: w.o.Guard}
	if d.Connection != "" {
		if dispatch.Connection, ok = w.o.Connections[d.Connection]; !ok {
			return receipt, &actions.Failure{Own: true, Err: fmt.Errorf("connection %q is not configured", d.Connection)}
		}
	}
	for i := range d.Attempts {
		dispatch.Earlier = append(dispatch.Earlier, d.Attempts[i].Receipt)
	}
	ctx, cancel := context.WithTimeout(ctx, w.o.Timeout)
	defer cancel()
	return req.Do(ctx, dispatch)
}

func (w *Worker) redact(r actions.Receipt) actions.Receipt {
	hide := w.o.Redactor.Redact
	r.Status, r.ID, r.Body = hide(r.Status), hide(r.ID), hide(r.Body)
	for i := range r.Refused {
		r.Refused[i].Answer = hide(r.Refused[i].Answer)
	}
	return r
}

// backoff is the pause after the nth attempt: doubling, and of that between half and all.
func (w *Worker) backoff(n int) time.Duration {
	d := min(w.o.Backoff<<min(n-1, 30), w.o.MaxBackoff)
	if d <= 0 { // shifted out
		d = w.o.MaxBackoff
	}
	return d/2 + rand.N(d/2+1)
}
