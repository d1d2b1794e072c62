package store

import (
	"context"
	"database/sql"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/riverqueue/river/rivermigrate"

	"bellhop/engine/record"
)

// SetRunning puts the jobs of a closed store back to how a process that was killed leaves those whose
// deliveries are being sent.
func SetRunning(t *testing.T, dir string) {
	t.Helper()
	db, err := openPool(filepath.Join(dir, "bellhop.db"), 1, false)
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.ExecContext(t.Context(), `UPDATE river_job SET state = 'running', finalized_at = NULL 
		WHERE args ->> '$.d' IN (SELECT id FROM deliveries WHERE state = 'sending')`)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// A Queued is a job as the queue holds it.
type Queued struct {
	*Job
	Delivery  string
	Scheduled time.Time // zero if it is to be given out at once
}

// Queued are the jobs of an appointment's deliveries that are not done with, oldest first. Nothing works the queue.
func (s *Store) Queued(ctx context.Context, appointment string) ([]Queued, error) {
	rows, err := s.write.QueryContext(ctx, `SELECT j.id, j.args ->> '$.d', j.args ->> '$.to', coalesce(j.args ->> '$.n', 0), j.state = 'scheduled',
		CAST(unixepoch(j.scheduled_at, 'subsec') * 1000 AS integer)
		FROM deliveries d JOIN river_job j ON j.args ->> '$.d' = d.id WHERE d.appointment = ? AND j.state IN ('available', 'scheduled') ORDER BY j.id`, appointment)
	if err != nil {
		return nil, err
	}
	return collect(rows, func(rows *sql.Rows) (Queued, error) {
		q := Queued{Job: &Job{store: s}}
		var later bool
		var at int64
		err := rows.Scan(&q.row, &q.Delivery, &q.Destination, &q.job.Turn, &later, &at)
		if q.job.Delivery, q.job.Destination = q.Delivery, q.Destination; later {
			q.Scheduled = time.UnixMilli(at).UTC()
		}
		return q, err
	})
}

// Serves says whether the job may claim the delivery.
func (q *Queued) Serves(d *record.Delivery) bool {
	return q.job.Delivery == d.ID && q.job.Turn == d.Turn
}

// End takes the job out of the queue, as the queue itself does with one whose handler has nothing more to do.
func (j *Job) End(ctx context.Context) error {
	return j.store.Write(ctx, func(tx *Tx) error {
		_, err := tx.tx.ExecContext(tx.ctx, `DELETE FROM river_job WHERE id = ?`, j.row)
		return err
	})
}

// Is says whether q and other are one job.
func (q *Queued) Is(other *Queued) bool { return q.row == other.row }

// Downgrade takes the product's tables of a store back to a version, as a store of an earlier program has them.
func (s *Store) Downgrade(ctx context.Context, version int) error {
	m, err := rivermigrate.New(s.queue.driver, &rivermigrate.Config{Line: migrationLine})
	if err != nil {
		return err
	}
	_, err = m.Migrate(ctx, rivermigrate.DirectionDown, &rivermigrate.MigrateOpts{TargetVersion: version})
	return err
}

// Plans are how SQLite goes about each statement that the store has run so far, by its text.
func (s *Store) Plans(t *testing.T) map[string][]string {
	t.Helper()
	plans := map[string][]string{}
	for _, db := range []*sql.DB{s.read, s.hot, s.write} {
		var conns []*sql.Conn
		for range db.Stats().OpenConnections {
			c, err := db.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			conns = append(conns, c)
			err = c.Raw(func(c any) error {
				for query := range c.(*preparedConn).kept {
					plans[query] = nil
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		for _, c := range conns {
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for query := range plans {
		rows, err := s.read.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, make([]any, strings.Count(query, "?"))...)
		if err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		plans[query], err = collect(rows, func(rows *sql.Rows) (step string, err error) {
			var ignored int
			return step, rows.Scan(&ignored, &ignored, &ignored, &step)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return plans
}

// Fill makes n events with a delivery and an appointment each, received a second apart until now. Of a thousand of each,
// a few are of another kind. It returns when that is.
func (s *Store) Fill(t *testing.T, n int) time.Time {
	t.Helper()
	now := s.opts.Now()
	script := strings.NewReplacer("$now", strconv.FormatInt(micros(now), 10), "$n", strconv.Itoa(n)).Replace(`
		CREATE TEMP TABLE made AS WITH RECURSIVE t(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM t WHERE i + 1 < $n)
			SELECT i, $now - ($n - i) * 1000000 AS at, 'a' || (i * 7919 % $n) AS appointment, 'location' || (i % 50) AS location, '' AS id FROM t;
		UPDATE made SET id = printf('%08x-%04x-7000-8000-%012x', (at / 1000) >> 16, (at / 1000) & 65535, i);
		INSERT INTO events (id, dedupe, source, location, type, webhook, appointment, received_at, status, happened, changed, rules, body, state)
			SELECT id, id, iif(i % 1000 = 5, 'workflow', 'hoopai'), location, iif(i % 1000 = 6, 'INSTALL', 'AppointmentCreate'), '', appointment, at,
			iif(i % 1000 = 7, 'stale', 'accepted'), 'booked', '', 'S', zeroblob(700), zeroblob(500) FROM made;
		INSERT INTO appointments (source, id, touched_at, ends_at, state) SELECT 'hoopai', appointment, at, at, zeroblob(500) FROM made;
		INSERT INTO deliveries (id, event, source, location, appointment, rule, step, action, connection, destination, state, reason,
			created_at, due_at, retried_at, turn, attempts, request)
			SELECT id, id, 'hoopai', location, appointment, 'rule' || (i % 100), 1, 'http', '', 'crm',
			CASE WHEN i % 1000 = 5 THEN 'dead' WHEN i % 1000 = 6 THEN 'pending' WHEN i % 50 = 7 THEN 'waiting' ELSE 'sent' END, '',
			at, at, 0, 0, '[]', zeroblob(200) FROM made;
		DROP TABLE made;`)
	if _, err := s.write.ExecContext(t.Context(), script); err != nil {
		t.Fatal(err)
	}
	return now
}

// SetAutoVacuum changes how a closed store's file is kept.
func SetAutoVacuum(t *testing.T, dir, mode string) {
	t.Helper()
	db, err := openPool(filepath.Join(dir, "bellhop.db"), 1, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = db.ExecContext(t.Context(), `PRAGMA auto_vacuum = `+mode+`; VACUUM`); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// Recount counts the deliveries themselves, see [Store.CountDeliveries].
func (s *Store) Recount(t *testing.T) map[record.State]int {
	t.Helper()
	counts := map[record.State]int{}
	for _, state := range record.States() {
		var n int
		if err := s.read.QueryRowContext(t.Context(), `SELECT count(*) FROM deliveries WHERE state = ?`, string(state)).Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n > 0 {
			counts[state] = n
		}
	}
	return counts
}

// Lost says that the job was given out before, to a process that ended with it.
func (q *Queued) Lost() { q.job.again = true }
