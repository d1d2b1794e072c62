// Package work sends deliveries. For each delivery that is due a [Worker] goes through the stages in turn.go: it takes a
// place for the destination (gate.go), claims the delivery, looks up whom it needs to know (look.go), checks that it is still
// wanted, sends it (attempt.go) and records the result.
package work

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"bellhop/actions"
	"bellhop/engine/metrics"
	"bellhop/engine/record"
	"bellhop/engine/store"
)

// Options are the parts and limits of a Worker. Store, Due, Guard, Metrics and Logger are required; every other zero
// value works.
type Options struct {
	Store       *store.Store
	Due         store.Due                     // called when a delivery is claimed
	Destination func(*record.Delivery) string // returns where a waiting step goes now; nil keeps the destination it was planned with
	People      People                        // looks up what deliveries want; nil if they want nothing
	Guard       *actions.Guard
	Connections map[string]actions.Connection
	Own         func(location, name string) actions.Connection // a location's own, in place of one of Connections; nil if there is none
	Redactor    *actions.Redactor                              // nil hides nothing
	Metrics     *metrics.Metrics
	Logger      *slog.Logger

	Attempts       int           // limit for one delivery; 0 is 25
	MaxAge         time.Duration // a delivery is not tried again after this time; 0 is 3 days
	Backoff        time.Duration // before the second attempt; 0 is 5 s. It doubles, with jitter, up to MaxBackoff
	MaxBackoff     time.Duration // 0 is 1 h
	Timeout        time.Duration // for one attempt, unless its request sets a shorter one; 0 is 5 min
	Places         int           // deliveries held in memory at once; 0 is 2000
	PerDestination int           // attempts at once to one destination; 0 is 16
	LookUps        int           // deliveries at once for which somebody is looked up; 0 is 64
	Stop           time.Duration // for running attempts to finish when the worker stops; 0 is 5 s
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
	if o.LookUps == 0 {
		o.LookUps = 64
	}
	if o.Redactor == nil {
		o.Redactor = actions.NewRedactor(nil)
	}
	return o
}

// A Worker sends the deliveries in the store's queue. Its methods are safe for concurrent use; Run is called once.
type Worker struct {
	o       Options
	gate    *gate
	looking chan struct{} // has a place for each look-up under way

	reach atomic.Pointer[Reach]

	mu     sync.Mutex
	braked map[[2]string]time.Time // by rule and location, when it was logged that the brake holds its messages
}

// New returns a worker.
func New(o Options) *Worker {
	o = o.withDefaults()
	w := &Worker{o: o, gate: newGate(o.Places, o.PerDestination, o.Breaker), looking: make(chan struct{}, o.LookUps), braked: map[[2]string]time.Time{}}
	w.reach.Store(&Reach{o.Guard, o.Connections, o.Attempts, o.MaxAge})
	return w
}

// Reach is what the options say of where attempts go, and of how many there are. See the fields of [Options].
type Reach struct {
	Guard       *actions.Guard
	Connections map[string]actions.Connection
	Attempts    int
	MaxAge      time.Duration
}

// Reconfigure changes where the attempts that begin from now on go. The idle connections of before are closed.
func (w *Worker) Reconfigure(r Reach) { w.reach.Swap(&r).close() }

// close closes the idle connections.
func (r *Reach) close() {
	r.Guard.Close()
	for _, c := range r.Connections {
		if c, ok := c.(actions.Closer); ok {
			c.Close()
		}
	}
}

// Run works until ctx is done. It then waits for the running attempts, at most for Options.Stop, and closes the
// connections that they kept open.
func (w *Worker) Run(ctx context.Context) error {
	defer func() { w.reach.Load().close() }()
	group, running := errgroup.WithContext(ctx)
	group.Go(func() error { w.bringBack(running); return nil })
	group.Go(func() error {
		return w.o.Store.Work(ctx, store.WorkOptions{Workers: w.o.Places, Stop: w.o.Stop}, func(jobCtx context.Context, j *store.Job) time.Duration {
			return w.work(ctx, jobCtx, j)
		})
	})
	return group.Wait()
}

// Destinations returns the destinations that were used lately or are paused, sorted by name.
func (w *Worker) Destinations() []Destination { return w.gate.list() }

// bringBack recalls postponed deliveries at once when their destination answers again.
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

// dead logs that a delivery is dead.
func (w *Worker) dead(d *record.Delivery) {
	w.o.Logger.Warn("a delivery is dead", "delivery", d.ID, "rule", d.Rule, "action", d.Action, "destination", d.Destination, "reason", d.Reason)
}

// held logs, once an hour for a rule at a location, that the brake holds its messages.
func (w *Worker) held(d *record.Delivery) {
	w.mu.Lock()
	defer w.mu.Unlock()
	of := [2]string{d.Rule, d.Location}
	if time.Since(w.braked[of]) < time.Hour {
		return
	}
	w.braked[of] = time.Now()
	w.o.Logger.Error("the brake holds the messages of a rule; see bellhop deliveries list --state held, and release or cancel them", "rule", d.Rule, "location", d.Location, "first", d.ID)
}

// log logs an error of the store, unless the worker is being stopped.
func (w *Worker) log(ctx context.Context, msg string, err error) {
	if ctx.Err() == nil {
		w.o.Logger.Error(msg, "error", err)
	}
}
