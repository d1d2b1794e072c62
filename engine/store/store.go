// Package store keeps events, appointments, deliveries, rule versions and the queue of deliveries in one SQLite file,
// in the store's folder. No other package sees SQL or a type of a driver.
//
// All writes share one connection. [Store.Write] joins calls that wait at the same moment into one transaction, so that
// many events share one flush to the disk. Reads have their own connections and never wait for the writer.
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

// ErrNotFound is returned if an event, a delivery or a rule set does not exist.
var ErrNotFound = errors.New("not found")

// ErrClosed is returned by writes after [Store.Close].
var ErrClosed = errors.New("the store is closed")

// Options are the options of [Open]. Only Dir is required.
type Options struct {
	Dir    string           // created if it does not exist
	Logger *slog.Logger     // nil discards all messages
	Now    func() time.Time // nil is time.Now
}

// A Store is an open store. It is safe for concurrent use. Only one process at a time can have a folder open.
type Store struct {
	opts   Options
	log    *slog.Logger
	lock   *flock.Flock
	write  *sql.DB // one connection
	read   *sql.DB // for operators
	hot    *sql.DB // for deliveries, so that they never wait for an operator's query
	writer *writer
	queue  *queue

	closeOnce sync.Once
	closeErr  error
}

// Open opens the store in o.Dir, or creates it, and brings its tables up to date. It returns to the queue the jobs that
// an earlier process held. The error says so if another process has the store open. The caller must call [Store.Close].
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

// fileName is the name of the database file in the store's folder.
const fileName = "bellhop.db"

// The number of connections for reads: readers are for operators, hotReaders for deliveries.
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
	if err := os.Remove(path + unfinished); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
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

// unfinished is the end of the name of an empty file beside a new database. It stays until the database has its tables,
// so that an empty database of a process that ended before is not taken for one that was emptied.
const unfinished = ".new"

// guard creates the database file if there is none, and makes sure that only its owner can read it, in any folder.
// SQLite gives the files that it creates beside it the same mode. guard refuses an empty file, because SQLite would
// silently make a new database of it.
func guard(path string) error {
	info, err := os.Stat(path)
	_, begun := os.Stat(path + unfinished)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := os.WriteFile(path+unfinished, nil, 0o600); err != nil {
			return err
		}
	case err == nil && info.Size() == 0 && begun != nil:
		return fmt.Errorf("%s is empty, though there was a database: restore it from a backup, or remove it to begin anew", path)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Chmod(0o600), f.Close()); err != nil {
		return err
	}
	for _, beside := range []string{"-wal", "-shm"} { // left by an earlier build
		if err := os.Chmod(path+beside, 0o600); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Close waits for the transaction under way and closes the files. Writes that still wait for a transaction get
// [ErrClosed]. [Store.Work] must have returned before. Further calls return the same error.
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

// Ready writes a row to find out whether the store can be written. It returns the error if not.
func (s *Store) Ready(ctx context.Context) error {
	return s.Write(ctx, func(tx *Tx) error {
		_, err := tx.exec("write a row", `INSERT INTO probe (id, at) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET at = excluded.at`,
			micros(s.opts.Now()))
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
