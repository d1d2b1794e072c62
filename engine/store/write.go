package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	"bellhop/engine/record"
)

// maxGroup bounds how many calls of Write share one transaction, and so how long the first of them waits.
const maxGroup = 512

// A Tx is the transaction that a function given to [Store.Write] works in. It is not for other goroutines
// and not for use after the function has returned.
type Tx struct {
	ctx  context.Context
	s    *Store
	w    *writer
	tx   *sql.Tx
	jobs []job // deliveries to enqueue when the group is committed

	rules string // the rule set that the group has noted as being in force, "" if none
}

func (t *Tx) enqueue(d *record.Delivery) {
	t.jobs = append(t.jobs, job{Delivery: d.ID, Destination: d.Destination, Turn: d.Turn, Waits: d.Key != "", due: d.Due})
}

// Write runs fn in a transaction and returns once that is durable, or has failed as a whole. Calls that
// wait at the same time share one transaction. fn may run more than once (when another call of its group
// failed), so it must set what it returns to its caller anew each time, and must not call Write.
//
// When ctx ends first, Write returns its error; fn may still run and be committed.
func (s *Store) Write(ctx context.Context, fn func(*Tx) error) error {
	return s.send(ctx, &writeCall{fn: fn, done: make(chan error, 1)})
}

// ask is Write for a call that may be answered with an error, [ErrNotFound] or a [*ConflictError]: what it changed is
// undone, and the others of its group never hear of it.
func (s *Store) ask(ctx context.Context, fn func(*Tx) error) error {
	return s.send(ctx, &writeCall{fn: fn, done: make(chan error, 1), asks: true})
}

func (s *Store) send(ctx context.Context, call *writeCall) error {
	select {
	case s.writer.calls <- call:
	case <-s.writer.stopping:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-call.done:
		return err
	case <-s.writer.finished:
		select {
		case err := <-call.done:
			return err
		default:
			return ErrClosed // it came after the writer had looked for the last time
		}
	case <-ctx.Done():
		return ctx.Err()
	}
}

type writeCall struct {
	fn   func(*Tx) error
	done chan error
	asks bool  // see [Store.ask]
	told error // its answer
}

type writer struct {
	s        *Store
	calls    chan *writeCall
	stopping chan struct{}
	stopOnce sync.Once
	finished chan struct{}

	rules string // the rule set that was last noted as being in force; the writer's own
}

func startWriter(s *Store) *writer {
	w := &writer{s: s, calls: make(chan *writeCall, maxGroup), stopping: make(chan struct{}), finished: make(chan struct{})}
	go w.run()
	return w
}

// stop ends the writer after what it has taken.
func (w *writer) stop() {
	w.stopOnce.Do(func() { close(w.stopping) })
	<-w.finished
}

func (w *writer) run() {
	defer close(w.finished)
	// The transactions are not bound to any caller's context: one caller that gives up must not undo the
	// work of the others in its group.
	ctx := w.s.queue.base
	group := make([]*writeCall, 0, maxGroup)
	for {
		group = group[:0]
		select {
		case c := <-w.calls:
			group = append(group, c)
		case <-w.stopping:
			for {
				select {
				case c := <-w.calls:
					c.done <- ErrClosed
				default:
					return
				}
			}
		}
	more:
		for len(group) < maxGroup {
			select {
			case c := <-w.calls:
				group = append(group, c)
			default:
				break more
			}
		}
		w.commit(ctx, group)
	}
}

// commit runs a group in one transaction. If any of it fails, each call is run again on its own, so that
// one that cannot succeed takes down no other.
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
	if tx.rules != "" {
		w.rules = tx.rules
	}
	if len(tx.jobs) > 0 {
		w.s.queue.wake()
	}
	return nil
}

// do runs one call.
func (t *Tx) do(c *writeCall) error {
	c.told = nil
	if !c.asks {
		return run(t, c.fn)
	}
	if _, err := t.tx.ExecContext(t.ctx, `SAVEPOINT asked`); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	jobs, rules := len(t.jobs), t.rules
	err := run(t, c.fn)
	if _, conflict := errors.AsType[*record.ConflictError](err); conflict || errors.Is(err, ErrNotFound) {
		c.told, err = err, nil
		t.jobs, t.rules = t.jobs[:jobs], rules
		if _, err := t.tx.ExecContext(t.ctx, `ROLLBACK TO asked`); err != nil {
			return fmt.Errorf("roll back: %w", err)
		}
	}
	if err != nil {
		return err
	}
	if _, err := t.tx.ExecContext(t.ctx, `RELEASE asked`); err != nil {
		return fmt.Errorf("end: %w", err)
	}
	return nil
}

// run turns a panic of fn into an error: it must not take the writer down with it.
func run(tx *Tx, fn func(*Tx) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic while writing: %v", p)
		}
	}()
	return fn(tx)
}
