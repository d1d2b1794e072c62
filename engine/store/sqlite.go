package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/gofrs/flock"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivertype"
	"modernc.org/sqlite"
)

// fileName is the name of the database file in the store's folder.
const fileName = "bellhop.db"

// The number of connections for reads: readers are for operators, hotReaders for deliveries.
const (
	readers    = 4
	hotReaders = 2
)

// A sqliteDB is a database in a file that one process has open. All writes share one connection.
//
// SQLite itself flushes only what keeps the file whole (synchronous=NORMAL): River's own transactions, such as fetching
// jobs, need no flush, because after a crash all jobs are given back. The writer flushes the write-ahead log after each of
// its transactions, once for all that came before.
type sqliteDB struct {
	dir string

	mu     sync.Mutex
	wal    *os.File
	failed error // what was written before a failed flush can be lost, even if a later flush succeeds
}

var _ database = (*sqliteDB)(nil)

func (db *sqliteDB) path() string { return filepath.Join(db.dir, fileName) }

// sqliteDialect creates two indexes on River's table: of the jobs that were put off, by destination; and of the scheduled
// jobs, because River looks at them every few seconds and would read them all. When a migration of River rebuilds the
// table, it drops indexes that it does not know. So these are created whenever a store is opened.
var sqliteDialect = dialect{
	writers: 1,
	group:   512,
	line:    "bellhop",
	queue: `
	CREATE INDEX IF NOT EXISTS river_job_away ON river_job (json_extract(args, '$.to'), scheduled_at)
		WHERE state IN ('available', 'scheduled') AND json_extract(metadata, '$.snoozes') IS NOT NULL;
	CREATE INDEX IF NOT EXISTS river_job_waiting ON river_job (state, scheduled_at) WHERE state IN ('retryable', 'scheduled');`,
	recall: `UPDATE river_job SET state = 'available', scheduled_at = ?1 WHERE id IN (
		SELECT j.id FROM river_job AS j INDEXED BY river_job_away JOIN deliveries AS d ON d.id = json_extract(j.args, '$.d')
		WHERE json_extract(j.args, '$.to') = ?2 AND j.scheduled_at > ?1 AND j.state IN ('available', 'scheduled')
			AND json_extract(j.metadata, '$.snoozes') IS NOT NULL AND d.due_at <= ?3
		ORDER BY j.scheduled_at LIMIT ?4)`,
}

func (db *sqliteDB) dialect() *dialect { return &sqliteDialect }

// riverTime is River's format for times, in UTC. SQLite compares them as texts.
const riverTime = "2006-01-02 15:04:05.000"

func (db *sqliteDB) time(t time.Time) any { return riverText(t) }

func riverText(t time.Time) string { return t.UTC().Round(time.Millisecond).Format(riverTime) }

func (db *sqliteDB) open(ctx context.Context, s *Store) (*queueDriver, error) {
	if err := os.MkdirAll(db.dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder: %w", err)
	}
	lock := flock.New(filepath.Join(db.dir, "lock"))
	ok, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock it: %w", err)
	}
	if !ok {
		return nil, errors.New("it is in use by another process")
	}
	s.onClose(lock.Unlock)
	s.onClose(db.closeLog)
	if err := guard(db.path()); err != nil {
		return nil, err
	}
	for _, p := range []struct {
		pool     **sql.DB
		n        int
		readOnly bool
	}{{&s.write, 1, false}, {&s.read, readers, true}, {&s.hot, hotReaders, true}} {
		if *p.pool, err = openPool(db.path(), p.n, p.readOnly); err != nil {
			return nil, err
		}
		s.onClose((*p.pool).Close)
	}
	if err = db.shrinkable(ctx, s); err != nil {
		return nil, err
	}
	return &queueDriver{Driver: riversqlite.New(s.write), line: sqliteDialect.line, due: make(chan struct{}, 1), report: reportToSQLite(s.write)}, nil
}

// migrate also gives back the jobs that an earlier process held. The lock on the folder proves that this process is gone,
// so there is no need to wait until River takes its jobs for stuck, or until its leadership expires.
func (db *sqliteDB) migrate(ctx context.Context, s *Store, run func(context.Context) error) error {
	if err := run(ctx); err != nil {
		return err
	}
	if err := os.Remove(db.path() + unfinished); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	res, err := s.write.ExecContext(ctx, `UPDATE river_job SET state = 'available' WHERE state = ?`, "running")
	if err != nil {
		return fmt.Errorf("give back jobs: %w", err)
	}
	if n, err := res.RowsAffected(); err == nil && n > 0 {
		s.log.Info("resuming deliveries that were under way when the last process ended", "count", n)
	}
	if _, err := s.write.ExecContext(ctx, `DELETE FROM river_leader`); err != nil {
		return fmt.Errorf("clear leadership: %w", err)
	}
	return nil
}

// flush makes all that was committed so far durable. After a failure it fails until the store is opened again.
func (db *sqliteDB) flush() error {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.failed == nil {
		err := db.openLog()
		if err == nil {
			err = flushData(db.wal)
		}
		if err != nil {
			db.failed = fmt.Errorf("flush the store to the disk: %w; restart the server, because what was written before can be lost", err)
		}
	}
	return db.failed
}

// openLog opens the write-ahead log, also if SQLite has made a new one since: it removes the log, after flushing what was in
// it, when the last connection is closed.
func (db *sqliteDB) openLog() error {
	path := db.path() + "-wal"
	if db.wal != nil {
		there, err := os.Stat(path)
		if err != nil {
			return err
		}
		if opened, err := db.wal.Stat(); err == nil && os.SameFile(there, opened) {
			return nil
		}
	}
	log, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	err = db.closeLog()
	db.wal = log
	return err
}

func (db *sqliteDB) closeLog() error {
	if db.wal == nil {
		return nil
	}
	return db.wal.Close()
}

// lock has nothing to lock: there is one writer. After a failed flush it fails, so that nothing more is written. A group
// whose flush failed is committed, and its calls must not run again one by one.
func (db *sqliteDB) lock(context.Context, *sql.Tx, []Key) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.failed
}

// putOff is what River does with a job that is put off, for which it has one statement for everything that can happen to
// a job, at more than twice the cost. Many deliveries are put off while a destination does not answer. River also turns
// a job into a cancelled one if somebody asked for that, but nobody cancels jobs here.
const putOff = `UPDATE river_job SET state = ?, scheduled_at = ?, attempt = coalesce(?, attempt), metadata = jsonb_patch(metadata, jsonb(?)) WHERE id = ? AND state = 'running'`

// reportToSQLite returns a reporter that writes the jobs that are put off itself.
func reportToSQLite(write *sql.DB) reporter {
	return func(ctx context.Context, river riverdriver.Executor, p *riverdriver.JobSetStateIfRunningManyParams) ([]*rivertype.JobRow, error) {
		var off []int
		rest := selected(p, func(i int) bool {
			snoozed := p.State[i] == rivertype.JobStateAvailable || p.State[i] == rivertype.JobStateScheduled
			if snoozed = snoozed && p.ScheduledAt[i] != nil && p.MetadataDoMerge[i] && p.ErrData[i] == nil && p.FinalizedAt[i] == nil; snoozed {
				off = append(off, i)
			}
			return !snoozed
		})
		if len(off) > 0 {
			if err := putOffAll(ctx, write, p, off); err != nil {
				return nil, fmt.Errorf("put off: %w", err)
			}
		}
		if len(rest.ID) == 0 {
			return nil, nil
		}
		return river.JobSetStateIfRunningMany(ctx, rest)
	}
}

func putOffAll(ctx context.Context, write *sql.DB, p *riverdriver.JobSetStateIfRunningManyParams, list []int) error {
	tx, err := write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	for _, i := range list {
		if _, err := tx.ExecContext(ctx, putOff, string(p.State[i]), riverText(*p.ScheduledAt[i]), p.Attempt[i], string(p.MetadataUpdates[i]), p.ID[i]); err != nil {
			return errors.Join(err, tx.Rollback())
		}
	}
	return tx.Commit()
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

// openPool opens the database file with n connections. A write transaction takes its lock when it begins, so that it
// cannot fail half-way because of another one.
func openPool(path string, n int, readOnly bool) (*sql.DB, error) {
	q := url.Values{"_txlock": {"immediate"}, "_pragma": {
		"busy_timeout(10000)",
		"journal_mode(WAL)",
		"synchronous(NORMAL)",
		"cache_size(-32000)",
		"wal_autocheckpoint(16000)",
		"journal_size_limit(67108864)",
		"temp_store(MEMORY)",
	}}
	if readOnly {
		q.Set("_txlock", "deferred")
		q.Add("_pragma", "query_only(true)")
	} else { // only has an effect in a new file, before anything is written
		q["_pragma"] = slices.Insert(q["_pragma"], 1, "auto_vacuum(INCREMENTAL)")
	}
	return openWith(path, n, q)
}

// openForeign opens a database file that another process can be writing to. It neither creates nor changes the
// database, and leaves its journal mode as it is.
func openForeign(path string, n int) (*sql.DB, error) {
	return openWith(path, n, url.Values{"mode": {"ro"}, "_pragma": {"busy_timeout(10000)", "query_only(true)", "cache_size(-16000)", "temp_store(MEMORY)"}})
}

func openWith(path string, n int, q url.Values) (*sql.DB, error) {
	dsn := (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String()
	base, err := sqlite.NewConnector(dsn)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	db := sql.OpenDB(preparing{base})
	db.SetMaxOpenConns(n)
	db.SetMaxIdleConns(n)
	return db, nil
}

// preparing is a connector whose connections keep the statements that they have prepared. The driver below parses the
// text of a statement each time it runs, which costs more than running it.
type preparing struct{ driver.Connector }

func (p preparing) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := p.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	sc, ok := c.(sqliteConn)
	if !ok {
		return nil, errors.Join(errors.New("the SQLite driver lacks a method this needs"), c.Close())
	}
	return &preparedConn{sqliteConn: sc, kept: map[string]*keptStmt{}}, nil
}

// sqliteConn has what database/sql can ask of a connection and the driver's connections can do.
type sqliteConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// maxKept limits the number of statements that one connection keeps. Without a limit, texts that differ in every call
// would grow it without end. Statements above the limit run without being kept.
const maxKept = 200

// A preparedConn keeps its statements. database/sql uses a connection from one goroutine at a time.
type preparedConn struct {
	sqliteConn
	kept map[string]*keptStmt
}

type keptStmt struct {
	driver.Stmt
	busy bool // its rows are open, so it cannot run again yet
}

// stmt returns the kept statement for a text. It returns nil if that is busy, or if the connection keeps enough
// already.
func (c *preparedConn) stmt(ctx context.Context, query string) (*keptStmt, error) {
	if s, ok := c.kept[query]; ok {
		if s.busy {
			return nil, nil
		}
		return s, nil
	}
	if len(c.kept) >= maxKept {
		return nil, nil
	}
	s, err := c.sqliteConn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	k := &keptStmt{Stmt: s}
	c.kept[query] = k
	return k, nil
}

func (c *preparedConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if len(args) == 0 { // scripts and pragmas, which run once
		return c.sqliteConn.ExecContext(ctx, query, args)
	}
	s, err := c.stmt(ctx, query)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return c.sqliteConn.ExecContext(ctx, query, args)
	}
	return s.Stmt.(driver.StmtExecContext).ExecContext(ctx, args)
}

func (c *preparedConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	s, err := c.stmt(ctx, query)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return c.sqliteConn.QueryContext(ctx, query, args)
	}
	rows, err := s.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
	if err != nil {
		return nil, err
	}
	s.busy = true
	return &keptRows{Rows: rows, stmt: s}, nil
}

func (c *preparedConn) Close() error {
	var errs []error
	for _, s := range c.kept {
		errs = append(errs, s.Close())
	}
	c.kept = nil
	return errors.Join(append(errs, c.sqliteConn.Close())...)
}

// keptRows makes its statement free for the next use when it is closed.
type keptRows struct {
	driver.Rows
	stmt *keptStmt
}

func (r *keptRows) Close() error {
	err := r.Rows.Close()
	r.stmt.busy = false
	return err
}
