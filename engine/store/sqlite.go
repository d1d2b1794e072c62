package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"slices"

	"modernc.org/sqlite"
)

// openPool opens the database file with n connections. A write transaction takes its lock when it begins, so that it
// cannot fail half-way because of another one.
func openPool(path string, n int, readOnly bool) (*sql.DB, error) {
	q := url.Values{"_txlock": {"immediate"}, "_pragma": {
		"busy_timeout(10000)",
		"journal_mode(WAL)",
		"synchronous(FULL)",
		"cache_size(-32000)",
		"wal_autocheckpoint(4000)",
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
