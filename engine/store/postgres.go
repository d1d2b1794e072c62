package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
	"github.com/riverqueue/river/rivertype"
)

// A postgresDB is a PostgreSQL database that several processes share. Everything goes through database/sql, as for SQLite,
// so that statements, transactions and River's client have the same types. Only River's listener has a connection of pgx.
type postgresDB struct{ url string }

var _ database = (*postgresDB)(nil)

// postgresWriters transactions are under way at once in a process. With the queue's own statements and the connections
// for reads, a process has up to 2 * postgresWriters + readers + hotReaders + 2 connections.
const postgresWriters = 4

var postgresDialect = dialect{
	writers: postgresWriters,
	// A group locks a key for each call. All locks of all processes must fit into the server's table of locks, which has
	// 6,400 places by default.
	group:    256,
	patience: 30 * time.Second,
	line:     "postgres",
	// River's indexes over arguments and metadata cost as much as the rest of the table, and nothing here uses them.
	queue: `
	DROP INDEX IF EXISTS river_job_args_index;
	DROP INDEX IF EXISTS river_job_metadata_index;
	CREATE INDEX IF NOT EXISTS river_job_away ON river_job ((args ->> 'to'), scheduled_at) WHERE state IN ('available', 'scheduled') AND metadata ->> 'snoozes' IS NOT NULL;
	CREATE INDEX IF NOT EXISTS river_job_waiting ON river_job (state, scheduled_at) WHERE state IN ('retryable', 'scheduled');`,
	recall: `UPDATE river_job SET state = 'available', scheduled_at = ?1 WHERE id IN (
		SELECT j.id FROM river_job AS j JOIN deliveries AS d ON d.id = j.args ->> 'd'
		WHERE j.args ->> 'to' = ?2 AND j.scheduled_at > ?1 AND j.state IN ('available', 'scheduled')
			AND j.metadata ->> 'snoozes' IS NOT NULL AND d.due_at <= ?3
		ORDER BY j.scheduled_at LIMIT ?4 FOR UPDATE OF j SKIP LOCKED)`,
	mine: `EXISTS (SELECT 1 FROM river_job AS mine WHERE mine.id = ? AND mine.state = 'running' AND mine.attempted_at = ?)`,
	wake: `SELECT pg_notify(current_schema() || '.' || ?::text, ?)`,
}

func (db *postgresDB) dialect() *dialect { return &postgresDialect }

func (db *postgresDB) time(t time.Time) any { return t }

// isURL reports whether the place of a store is a database, and not a folder.
func isURL(at string) bool {
	return strings.HasPrefix(at, "postgres://") || strings.HasPrefix(at, "postgresql://")
}

// Redacted returns the place of a store without a password.
func Redacted(at string) string {
	if !isURL(at) {
		return at
	}
	u, err := url.Parse(at)
	if err != nil {
		return "postgres://…"
	}
	return u.Redacted()
}

// parsePostgres returns how to connect. The error never has the URL in it, because that can hold a password.
func parsePostgres(at string) (*pgx.ConnConfig, error) {
	c, err := pgx.ParseConfig(at)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err
		}
		return nil, fmt.Errorf("the URL of the database cannot be read: %s", strings.ReplaceAll(err.Error(), at, Redacted(at)))
	}
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = 5 * time.Second
	}
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = "bellhop"
	}
	// Without these the end of a connection that is cut off is noticed after many minutes.
	dialer := &net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 5 * time.Second, Count: 3}}
	c.DialFunc = dialer.DialContext
	return c, nil
}

// pooled reports whether statements go through a pooler that gives each transaction another session. This is what
// default_query_exec_mode in the URL is for. Such a session cannot listen.
func pooled(c *pgx.ConnConfig) bool {
	return c.DefaultQueryExecMode != pgx.QueryExecModeCacheStatement
}

func openPostgres(c *pgx.ConnConfig, n int) *sql.DB {
	db := sql.OpenDB(translating{stdlib.GetConnector(*c)})
	db.SetMaxOpenConns(n)
	db.SetMaxIdleConns(n)
	return db
}

func (db *postgresDB) open(ctx context.Context, s *Store) (*queueDriver, error) {
	c, err := parsePostgres(db.url)
	if err != nil {
		return nil, err
	}
	s.write, s.read, s.hot = openPostgres(c, 2*postgresWriters), openPostgres(c, readers), openPostgres(c, hotReaders)
	for _, pool := range []*sql.DB{s.write, s.read, s.hot} {
		s.onClose(pool.Close)
	}
	if err := s.write.PingContext(ctx); err != nil {
		return nil, err
	}
	driver := riverdatabasesql.New(s.write)
	if !pooled(c) {
		pool, err := pgxpool.ParseConfig(db.url)
		if err != nil {
			return nil, errors.New("the URL of the database cannot be read")
		}
		pool.ConnConfig, pool.MaxConns = c, 1
		listener, err := pgxpool.NewWithConfig(context.WithoutCancel(ctx), pool)
		if err != nil {
			return nil, err
		}
		s.onClose(func() error { listener.Close(); return nil })
		driver = riverdatabasesql.NewWithPgxListener(s.write, listener)
	}
	return &queueDriver{Driver: driver, line: postgresDialect.line, report: db.reporter(s)}, nil
}

// reporter returns a reporter that leaves out the jobs that were fetched again since, by another process or by this one.
func (db *postgresDB) reporter(s *Store) reporter {
	return func(ctx context.Context, river riverdriver.Executor, p *riverdriver.JobSetStateIfRunningManyParams) ([]*rivertype.JobRow, error) {
		rows, err := s.write.QueryContext(ctx, `SELECT id, attempted_at FROM river_job WHERE id = ANY(?::bigint[])`, p.ID)
		fetched := map[int64]time.Time{}
		_, err = collect(rows, err, "look up jobs", func(rows *sql.Rows) (none struct{}, err error) {
			var id int64
			var at time.Time
			err = rows.Scan(&id, &at)
			fetched[id] = at
			return none, err
		})
		if err != nil {
			return nil, err
		}
		p = selected(p, func(i int) bool {
			var of fetch
			err := json.Unmarshal(p.MetadataUpdates[i], &of)
			return err != nil || of.At.IsZero() || of.At.Equal(fetched[p.ID[i]]) // a job that River refuses was not worked
		})
		if len(p.ID) == 0 {
			return nil, nil
		}
		return river.JobSetStateIfRunningMany(ctx, p)
	}
}

// A fetch is what a worker leaves in the metadata of its job, so that River's report says which fetch of the job it is of.
type fetch struct {
	At time.Time `json:"output"`
}

// migrationLock is the key of the lock that a process holds while it migrates.
const migrationLock = 0x62656c6c

// migrate waits until no other process migrates. The lock ends with the transaction, or with its connection.
func (db *postgresDB) migrate(ctx context.Context, s *Store, run func(context.Context) error) error {
	tx, err := s.read.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // it has written nothing
	if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock(?)`, migrationLock); err != nil {
		return fmt.Errorf("wait for other processes: %w", err)
	}
	if err := run(ctx); err != nil {
		return err
	}
	if err := s.join(ctx); err != nil {
		return err
	}
	s.onClose(s.leave)
	_, err = s.giveBackJobs(ctx, leftBehind)
	return err
}

// lock locks keys in ascending order, so that two transactions never wait for each other.
func (db *postgresDB) lock(ctx context.Context, tx *sql.Tx, keys []Key) error {
	sorted := make([]int64, 0, len(keys))
	for _, k := range keys {
		if k != 0 {
			sorted = append(sorted, int64(k))
		}
	}
	if len(sorted) == 0 {
		return nil
	}
	slices.Sort(sorted)
	if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock(k) FROM unnest(?::bigint[]) AS k`, slices.Compact(sorted)); err != nil {
		return fmt.Errorf("lock appointments: %w", err)
	}
	return nil
}

// flush does nothing, because a commit is durable.
func (db *postgresDB) flush() error { return nil }

// giveBack does nothing, because the server's autovacuum does it.
func (db *postgresDB) giveBack(context.Context, *Store) error { return nil }

// translating is a connector whose connections take the statements and texts of this package.
type translating struct{ driver.Connector }

func (t translating) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := t.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &postgresConn{c.(*stdlib.Conn)}, nil
}

type postgresConn struct{ *stdlib.Conn }

func (c *postgresConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	return c.Conn.ExecContext(ctx, translate(query), args)
}

func (c *postgresConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	return c.Conn.QueryContext(ctx, translate(query), args)
}

// CheckNamedValue replaces what PostgreSQL refuses in a text: bytes that are not UTF-8, and NUL.
func (c *postgresConn) CheckNamedValue(v *driver.NamedValue) error {
	if s, ok := v.Value.(string); ok {
		v.Value = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
	}
	return c.Conn.CheckNamedValue(v)
}

var (
	translated  sync.Map // by text
	placeholder = regexp.MustCompile(`\?\d*`)
	hint        = regexp.MustCompile(`INDEXED BY \w+|((?:WHERE|AND) )\+`)
)

// translate returns a statement of this package as PostgreSQL takes it: with $1 for a placeholder, and without hints for
// SQLite. River's statements have $1 already and are not changed.
func translate(query string) string {
	if strings.Contains(query, "$1") {
		return query
	}
	if t, ok := translated.Load(query); ok {
		return t.(string)
	}
	n := 0
	t := placeholder.ReplaceAllStringFunc(hint.ReplaceAllString(query, "$1"), func(p string) string {
		if p != "?" {
			return "$" + p[1:]
		}
		n++
		return "$" + strconv.Itoa(n)
	})
	translated.Store(query, t)
	return t
}
