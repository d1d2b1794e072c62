package work

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"bellhop/actions"
	"bellhop/engine/record"
)

// errInterrupted marks an attempt that a shutdown ended.
var errInterrupted = errors.New("interrupted by a shutdown")

// judge returns what an attempt's error means for the destination. A permanent error shows that the destination answers,
// unless it is the delivery's own fault.
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

// send makes one attempt, which began at start, and records the result in d. It returns the attempt's error.
func (w *Worker) send(ctx context.Context, d *record.Delivery, start time.Time) error {
	receipt, err := w.do(ctx, d)
	return w.result(ctx, d, start, receipt, err)
}

// result records what came of an attempt that began at start, and returns its error.
func (w *Worker) result(ctx context.Context, d *record.Delivery, start time.Time, receipt actions.Receipt, err error) error {
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
		a.Outcome, d.State, d.Due = record.Interrupted, record.Retrying, time.Now().UTC()
	case f.Permanent:
		a.Outcome, d.State = "permanent", record.Dead
	case counted >= w.reach.Load().Attempts:
		a.Outcome, d.State = "retry", record.Dead
		d.Reason = fmt.Sprintf("given up after %d attempts: ", counted)
	default:
		a.Outcome, d.State = "retry", record.Retrying
		d.Due = time.Now().Add(max(w.backoff(counted), f.After)).UTC()
		if !d.Until.IsZero() && d.Retried.IsZero() && d.Due.After(d.Until) {
			d.State, d.Due = record.Dead, time.Now().UTC()
			d.Reason = "too late for another attempt: "
		} else if since := started(d, start); d.Due.Sub(since) > w.reach.Load().MaxAge {
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

// started returns the time from which MaxAge counts: when the delivery was made, or its hours opened, or an operator retried it. For a
// step that waited it is the first attempt, now if there was none.
func started(d *record.Delivery, now time.Time) time.Time {
	switch {
	case !d.Retried.IsZero():
		return d.Retried
	case d.At.IsZero() && !d.Opens.IsZero():
		return d.Opens
	case d.At.IsZero():
		return d.Created
	case len(d.Attempts) > 0:
		return d.Attempts[0].At
	}
	return now
}

// counted returns how many earlier attempts count toward the limit.
func (w *Worker) counted(d *record.Delivery) int {
	n := 0
	for i := range d.Attempts {
		if a := &d.Attempts[i]; a.Outcome != record.Interrupted && !a.At.Before(d.Retried) {
			n++
		}
	}
	return n
}

// do decodes the request and sends it. It returns a panic as an error.
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
	reach := w.reach.Load()
	dispatch := actions.Dispatch{ID: d.ID, Guard: reach.Guard}
	if d.Connection != "" {
		if w.o.Own != nil {
			dispatch.Connection = w.o.Own(d.Location, d.Connection)
		}
		if dispatch.Connection == nil {
			dispatch.Connection = reach.Connections[d.Connection]
		}
		if dispatch.Connection == nil {
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

// backoff returns the pause after the nth attempt. It doubles with each attempt, and a random part of up to half is
// taken off.
func (w *Worker) backoff(n int) time.Duration {
	d := min(w.o.Backoff<<min(n-1, 30), w.o.MaxBackoff)
	if d <= 0 { // shifted out
		d = w.o.MaxBackoff
	}
	return d/2 + rand.N(d/2+1)
}
