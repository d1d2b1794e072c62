package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"sync"

	"bellhop/engine/record"
)

// A Key stands for what a transaction reads and then writes: an appointment. Transactions with the same key come one
// after the other, in all processes that share the database. 0 is no key.
type Key int64

// KeyOf returns the key of an appointment.
func KeyOf(source, appointment string) Key {
	if appointment == "" {
		return 0
	}
	h := fnv.New64a()
	h.Write([]byte(source + "\x00" + appointment))
	return Key(h.Sum64())
}

// rulesKey is the key of the tables of rule sets.
const rulesKey Key = 1

// A Tx is the transaction that a function given to [Store.Write] works in. It must not be used by other goroutines, or
// after the function has returned.
type Tx struct {
	ctx  context.Context
	s    *Store
	w    *writer
	tx   *sql.Tx
	jobs []job // to enqueue at the end of the transaction

	rules string // the rule set that this transaction has noted as in force; "" if none
}

func (t *Tx) enqueue(d *record.Delivery) { t.jobs = append(t.jobs, t.s.jobOf(d)) }

// jobOf returns the job of a delivery that is to be sent.
func (s *Store) jobOf(d *record.Delivery) job {
	j := job{
		Delivery: d.ID, Destination: d.Destination, Turn: d.Turn, Waits: d.Key != "",
		due: d.Due, priority: s.fair.priority(d.Location, d.Due, s.opts.Now()),
	}
	if s.shared() {
		j.Key, j.Brake = KeyOf(d.Source, d.Appointment), quotaKey(BrakeName(d))
	}
	return j
}

// exec runs a statement and returns how many rows it changed. what says in its error what was done.
func (t *Tx) exec(what, query string, args ...any) (int, error) {
	res, err := t.tx.ExecContext(t.ctx, query, args...)
	var n int64
	if err == nil {
		n, err = res.RowsAffected()
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %w", what, err)
	}
	return int(n), nil
}

// Write runs fn in a transaction that has the key. It returns nil once the transaction is on the disk. It returns an error
// if nothing was written, or if that is not known: the disk failed, or the connection to a database broke. A panic of fn is
// an error. Calls that wait at the same time share one transaction. If one of them fails, the others run again, so fn can
// run more than once. It must set all its results anew each time, and must not call Write.
//
// If ctx ends first, Write returns its error; fn can still run and be committed. After [Store.Close], Write returns
// [ErrClosed].
func (s *Store) Write(ctx context.Context, key Key, fn func(*Tx) error) error {
	return s.writeAll(ctx, []Key{key}, fn)
}

// writeJob is Write for a call about a job of the queue.
func (s *Store) writeJob(ctx context.Context, keys []Key, fn func(*Tx) error) error {
	return s.send(ctx, &writeCall{keys: keys, fn: fn, done: make(chan error, 1), job: true})
}

// writeAll is Write with several keys.
func (s *Store) writeAll(ctx context.Context, keys []Key, fn func(*Tx) error) error {
	return s.send(ctx, &writeCall{keys: keys, fn: fn, done: make(chan error, 1)})
}

// ask is Write for a call that can answer with [ErrNotFound] or a [*record.ConflictError]. This answer undoes what the
// call wrote, but does not fail its group, so no other call runs again.
func (s *Store) ask(ctx context.Context, key Key, fn func(*Tx) error) error {
	return s.send(ctx, &writeCall{keys: []Key{key}, fn: fn, done: make(chan error, 1), asks: true})
}

func (s *Store) send(ctx context.Context, call *writeCall) error {
	// Calls with the same key go to the same writer, so that the writers of this process do not wait for each other.
	w := s.writers[uint64(call.keys[0])%uint64(len(s.writers))]
	queue := w.calls
	if call.job {
		queue = w.jobs
	}
	select {
	case queue <- call:
	case <-w.stopping:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-call.done:
		return err
	case <-w.finished:
		select {
		case err := <-call.done:
			return err
		default:
			return ErrClosed // the call came after the last look of the writer
		}
	case <-ctx.Done():
		return ctx.Err()
	}
}

type writeCall struct {
	keys []Key // at least one
	fn   func(*Tx) error
	done chan error
	job  bool  // it is about a job of the queue, for which nobody waits
	asks bool  // see [Store.ask]
	told error // its answer, nil if none
}

type writer struct {
	s        *Store
	calls    chan *writeCall
	jobs     chan *writeCall // those about jobs
	stopping chan struct{}
	stopOnce sync.Once
	finished chan struct{}

	rules string // the rule set that was last noted as in force; for the goroutine of run only
}

func startWriter(s *Store) *writer {
	n := s.db.dialect().group
	w := &writer{s: s, calls: make(chan *writeCall, n), jobs: make(chan *writeCall, n), stopping: make(chan struct{}), finished: make(chan struct{})}
	go w.run()
	return w
}

// stop ends the writer after the transaction under way. Calls that still wait get [ErrClosed].
func (w *writer) stop() {
	w.stopOnce.Do(func() { close(w.stopping) })
	<-w.finished
}

func (w *writer) run() {
	defer close(w.finished)
	// The transactions do not use a caller's context: a caller that gives up must not undo the work of the others in
	// its group.
	ctx, most := w.s.queue.base, w.s.db.dialect().group
	group := make([]*writeCall, 0, most)
	for {
		group = group[:0]
		select {
		case c := <-w.calls:
			group = append(group, c)
		case c := <-w.jobs:
			group = append(group, c)
		case <-w.stopping:
			for _, c := range slices.Concat(taken(w.calls, nil, most), taken(w.jobs, nil, most)) {
				c.done <- ErrClosed
			}
			return
		}
		group = taken(w.calls, group, most)
		calls := len(group)
		if group[0].job {
			calls--
		}
		// A sender or an operator does not wait for the jobs of another location, of which there can be very many. Two are
		// what an event with one delivery needs.
		limit := most
		if calls > 0 {
			limit = min(most, len(group)+max(jobsBeside, 2*calls))
		}
		group = taken(w.jobs, group, limit)
		w.commit(ctx, group)
	}
}

// jobsBeside is how many calls about jobs a group can have beside a single other one.
const jobsBeside = 8

// taken adds the calls that wait in a queue to a group, which has at most so many.
func taken(queue chan *writeCall, group []*writeCall, most int) []*writeCall {
	for len(group) < most {
		select {
		case c := <-queue:
			group = append(group, c)
		default:
			return group
		}
	}
	return group
}

// commit runs a group in one transaction. If a call fails, each call runs again in its own transaction, so that a call
// that cannot succeed does not fail the others.
func (w *writer) commit(ctx context.Context, group []*writeCall) {
	err := w.transact(ctx, group)
	if err != nil && len(group) > 1 {
		for _, c := range group {
			err := w.transact(ctx, []*writeCall{c})
			c.done <- errors.Join(err, c.told)
		}
		return
	}
	for _, c := range group {
		c.done <- errors.Join(err, c.told)
	}
}

func (w *writer) transact(ctx context.Context, group []*writeCall) (err error) {
	if patience := w.s.db.dialect().patience; patience > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
	}
	sqlTx, err := w.s.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer func() {
		if err != nil {
			if e := sqlTx.Rollback(); e != nil && !errors.Is(e, sql.ErrTxDone) {
				err = errors.Join(err, fmt.Errorf("roll back: %w", e))
			}
		}
	}()
	tx := &Tx{ctx: ctx, s: w.s, tx: sqlTx, w: w}
	var keys []Key
	for _, c := range group {
		keys = append(keys, c.keys...)
	}
	if err := w.s.db.lock(ctx, sqlTx, keys); err != nil {
		return err
	}
	for _, c := range group {
		if err := tx.do(c); err != nil {
			return err
		}
	}
	if err := w.s.queue.enqueue(ctx, sqlTx, tx.jobs); err != nil {
		return err
	}
	if err := sqlTx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	if err := w.s.db.flush(); err != nil {
		return err
	}
	if tx.rules != "" {
		w.rules = tx.rules
	}
	if len(tx.jobs) > 0 {
		w.s.queue.wake()
	}
	return nil
}

// do runs one call. A call that asks runs in a savepoint, which is undone if it answers with one of the errors of
// [Store.ask].
func (t *Tx) do(c *writeCall) error {
	c.told = nil
	if !c.asks {
		return run(t, c.fn)
	}
	if _, err := t.exec("begin", `SAVEPOINT asked`); err != nil {
		return err
	}
	jobs, rules := len(t.jobs), t.rules
	err := run(t, c.fn)
	if _, conflict := errors.AsType[*record.ConflictError](err); conflict || errors.Is(err, ErrNotFound) {
		c.told, err = err, nil
		t.jobs, t.rules = t.jobs[:jobs], rules
		if _, err := t.exec("roll back", `ROLLBACK TO asked`); err != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	if _, err := t.exec("end", `RELEASE asked`); err != nil {
		return err
	}
	return nil
}

// run calls fn and turns a panic into an error, so that it does not end the writer.
func run(tx *Tx, fn func(*Tx) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic while writing: %v", p)
		}
	}()
	return fn(tx)
}
