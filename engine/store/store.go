// Package store keeps events, appointments, deliveries, rule versions and the queue of deliveries: in one SQLite file in a
// folder, or in a PostgreSQL database that several processes share. No other package sees SQL or a type of a driver.
//
// What the two databases do not have in common is in sqlite.go and postgres.go, their tables in migration; nodes.go is
// about the processes that share a database.
//
// [Store.Write] joins calls that wait at the same moment into one transaction, so that many events share one flush to the
// disk. What is written about one appointment is written by one transaction at a time. Reads have connections of their
// own and never wait for a writer.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"bellhop/engine/record"
)

// ErrNotFound is returned if an event, a delivery or a rule set does not exist.
var ErrNotFound = errors.New("not found")

// ErrClosed is returned by writes after [Store.Close].
var ErrClosed = errors.New("the store is closed")

// Options are the options of [Open]. Only At is required.
type Options struct {
	At      string           // a folder, which is created if it does not exist, or the URL of a PostgreSQL database
	Node    string           // the name under which this process keeps its rules in a shared database; a folder needs none
	Version string           // of the program, for Node.Version
	Logger  *slog.Logger     // nil discards all messages
	Now     func() time.Time // nil is time.Now
}

// A Store is an open store. It is safe for concurrent use. Only one process at a time can have a folder open.
type Store struct {
	opts    Options
	log     *slog.Logger
	db      database
	id      string  // of this process among those that share the database
	write   *sql.DB // for the writers and the queue
	read    *sql.DB // for operators
	hot     *sql.DB // for deliveries, so that they never wait for an operator's query
	fair    fairness
	writers []*writer
	queue   *queue
	closing []func() error // in reverse order

	closeOnce sync.Once
	closeErr  error
}

// A database is the kind of database that a store is in.
type database interface {
	// open opens the pools of s and returns the driver of its queue. What it opens is closed through s.closing.
	open(ctx context.Context, s *Store) (*queueDriver, error)
	// migrate calls run, which brings the tables up to date, while no other process does the same.
	migrate(ctx context.Context, s *Store, run func(context.Context) error) error
	// lock locks keys until the end of the transaction.
	lock(ctx context.Context, tx *sql.Tx, keys []Key) error
	// flush makes all that was committed so far durable.
	flush() error
	// time returns a time as River stores it.
	time(t time.Time) any
	// giveBack returns free space to the disk, if the database does not do that by itself.
	giveBack(ctx context.Context, s *Store) error
	dialect() *dialect
}

// A dialect is what the statements of this package do not have in common on the databases.
type dialect struct {
	writers  int           // transactions at once
	group    int           // calls of Write in one transaction, at the most
	patience time.Duration // the longest that a transaction takes before it is given up; 0 is without end

	line   string // the name of Bellhop's own tables among River's lines of migrations
	queue  string // a script that is run whenever a store is opened
	recall string // see [Store.Recall]
	mine   string // a condition that is true while this process has the job with the next two arguments, its id and when it was fetched
	wake   string // tells all processes that there are jobs; "" if nobody else must be told
}

// Open opens the store at o.At, or creates it, and brings its tables up to date. It returns to the queue the jobs that an
// earlier process held. The error says so if another process has a folder open. The caller must call [Store.Close].
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Store{opts: o, log: o.Logger, id: record.NewID(), db: &sqliteDB{dir: o.At}}
	if isURL(o.At) {
		s.db = &postgresDB{url: o.At}
	}
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open the store in %s: %w", Redacted(o.At), err), s.Close())
	}
	return s, nil
}

func (s *Store) open(ctx context.Context) error {
	driver, err := s.db.open(ctx, s)
	if err != nil {
		return err
	}
	if s.queue, err = newQueue(ctx, s, driver); err != nil {
		return err
	}
	err = s.db.migrate(ctx, s, func(ctx context.Context) error {
		if err := s.queue.migrate(ctx); err != nil {
			return err
		}
		if _, err := s.write.ExecContext(ctx, s.db.dialect().queue); err != nil {
			return fmt.Errorf("index the queue: %w", err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for range s.db.dialect().writers {
		s.writers = append(s.writers, startWriter(s))
	}
	return nil
}

// onClose registers what Close does, the latest first.
func (s *Store) onClose(f func() error) { s.closing = append(s.closing, f) }

// Close waits for the transactions under way and closes the database. Writes that still wait for a transaction get
// [ErrClosed]. [Store.Work] must have returned before. Further calls return the same error.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		for _, w := range s.writers {
			w.stop()
		}
		var errs []error
		for _, f := range slices.Backward(s.closing) {
			errs = append(errs, f())
		}
		s.closeErr = errors.Join(errs...)
	})
	return s.closeErr
}

// Ready writes a row to find out whether the store can be written. It returns the error if not.
func (s *Store) Ready(ctx context.Context) error {
	return s.Write(ctx, 0, func(tx *Tx) error {
		_, err := tx.exec("write a row", `INSERT INTO probe (node, at) VALUES (?, ?) ON CONFLICT (node) DO UPDATE SET at = excluded.at`,
			s.opts.Node, micros(s.opts.Now()))
		return err
	})
}

// micros returns a time as it is stored: in microseconds since 1970, 0 for the zero time.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}
