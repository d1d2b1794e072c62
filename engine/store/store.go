// Package store keeps events, appointments, deliveries and the queue that works them, in one SQLite file
// in the store's folder. No other package sees SQL or a driver's type.
//
// Everything written goes through one writer: [Store.Write] joins the calls that wait at the same moment
// into one transaction, so that many events share one flush to the disk. Reads have connections of their
// own and never wait for the writer.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gofrs/flock"
)

// ErrNotFound is returned where a named event or delivery does not exist.
var ErrNotFound = errors.New("not found")

// ErrClosed is returned by calls after Close.
var ErrClosed = errors.New("the store is closed")

// Options say where the store is. Only Dir is required.
type Options struct {
	Dir    string           // made if it does not exist
	Logger *slog.Logger     // nil discards
	Now    func() time.Time // nil is time.Now
}

// A Store is safe for concurrent use. One process at a time may have a folder open.
type Store struct {
	opts   Options
	log    *slog.Logger
	lock   *flock.Flock
	write  *sql.DB // one connection
	read   *sql.DB // for operators
	hot    *sql.DB // for deliveries, which no list of an operator keeps waiting
	writer *writer
	queue  *queue

	closeOnce sync.Once
	closeErr  error
}

// Open opens or makes the store in o.Dir and brings its tables up to date. What an earlier process was
// working on when it ended is given back to the queue.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the store's folder: %w", err)
	}
	lock := flock.New(filepath.Join(o.Dir, "lock"))
	ok, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock the store in %s: %w", o.Dir, err)
	}
	if !ok {
		return nil, fmt.Errorf("the store in %s is in use by another process", o.Dir)
	}
	s := &Store{opts: o, log: o.Logger, lock: lock}
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open the store in %s: %w", o.Dir, err), s.Close())
	}
	return s, nil
}

// fileName is the database file in the store's folder.
const fileName = "bellhop.db"

// How many connections serve reads: of operators, and of deliveries on their way.
const (
	readers    = 4
	hotReaders = 2
)

func (s *Store) open(ctx context.Context) (err error) {
	path := filepath.Join(s.opts.Dir, fileName)
	if err := guard(path); err != nil {
		return err
	}
	if s.write, err = openPool(path, 1, false); err != nil {
		return err
	}
	if err = s.shrinkable(ctx); err != nil {
		return err
	}
	if s.queue, err = newQueue(ctx, s); err != nil {
		return err
	}
	if err = s.queue.migrate(ctx); err != nil {
		return err
	}
	if _, err = s.write.ExecContext(ctx, jobIndexes); err != nil {
		return fmt.Errorf("index the queue: %w", err)
	}
	if s.read, err = openPool(path, readers, true); err != nil {
		return err
	}
	if s.hot, err = openPool(path, hotReaders, true); err != nil {
		return err
	}
	if err = s.queue.recover(ctx); err != nil {
		return err
	}
	s.writer = startWriter(s)
	return nil
}

// guard keeps the database from others than its owner, in whatever folder: what SQLite writes beside it has its mode. An
// empty file is what is left of a database, which SQLite would take for a new one.
func guard(path string) error {
	if info, err := os.Stat(path); err == nil && info.Size() == 0 {
		return fmt.Errorf("%s is empty, though there was a database: restore it from a backup, or remove it to begin anew", path)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Chmod(0o600), f.Close()); err != nil {
		return err
	}
	for _, beside := range []string{"-wal", "-shm"} { // of an earlier build
		if err := os.Chmod(path+beside, 0o600); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Close waits for what is being written and closes the files. The queue must have been stopped.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		var errs []error
		if s.writer != nil {
			s.writer.stop()
		}
		for _, db := range []*sql.DB{s.read, s.hot, s.write} {
			if db != nil {
				errs = append(errs, db.Close())
			}
		}
		s.closeErr = errors.Join(append(errs, s.lock.Unlock())...)
	})
	return s.closeErr
}

// Ready writes a row and says why it could not.
func (s *Store) Ready(ctx context.Context) error {
	return s.Write(ctx, func(tx *Tx) error {
		_, err := tx.tx.ExecContext(tx.ctx, `INSERT INTO probe (id, at) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET at = excluded.at`,
			micros(s.opts.Now()))
		return err
	})
}

// micros is how times are stored: microseconds since 1970, 0 for the zero time.
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
