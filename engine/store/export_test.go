package store

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river/rivermigrate"

	"bellhop/engine/record"
)

// SetRunning sets the jobs of deliveries that are being sent to running, as a killed process leaves them. The store
// must be closed.
func SetRunning(t *testing.T, at string) {
	t.Helper()
	script := `/* test */ UPDATE river_job SET state = 'running', finalized_at = NULL WHERE args ->> 'd' IN (SELECT id FROM deliveries WHERE state = 'sending')`
	var db *sql.DB
	var err error
	if isURL(at) {
		script = strings.Replace(script, "SET", "SET attempted_by = '{gone}',", 1)
		var c *pgx.ConnConfig
		if c, err = parsePostgres(at); err == nil {
			db = openPostgres(c, 1)
		}
	} else {
		db, err = openPool(filepath.Join(at, "bellhop.db"), 1, false)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), script); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// A Queued is a job in the queue.
type Queued struct {
	*Job
	Delivery  string
	Scheduled time.Time // zero if the job is available now
}

// Queued returns the jobs in the queue for an appointment's deliveries, oldest first. It is for stores whose queue is
// not worked.
func (s *Store) Queued(ctx context.Context, appointment string) ([]Queued, error) {
	return s.jobs(ctx, `deliveries d JOIN river_job j ON j.args ->> 'd' = d.id WHERE d.appointment = ? AND j.state IN ('available', 'scheduled', 'running') ORDER BY j.id`, appointment)
}

// FirstQueued returns the oldest n jobs in the queue, as Queued does.
func (s *Store) FirstQueued(ctx context.Context, n int) ([]Queued, error) {
	return s.jobs(ctx, `river_job j WHERE j.state IN ('available', 'scheduled', 'running') ORDER BY j.id LIMIT ?`, n)
}

func (s *Store) jobs(ctx context.Context, from string, args ...any) ([]Queued, error) {
	rows, err := s.write.QueryContext(ctx, `/* test */ SELECT j.id, j.args ->> 'd', j.args ->> 'to', coalesce(CAST(j.args ->> 'n' AS integer), 0), j.state = 'scheduled', j.scheduled_at FROM `+from, args...)
	return collect(rows, err, "list jobs", func(rows *sql.Rows) (Queued, error) {
		q := Queued{Job: &Job{store: s}}
		var later bool
		var at any
		err := rows.Scan(&q.row, &q.Delivery, &q.Destination, &q.job.Turn, &later, &at)
		q.job.Delivery, q.job.Destination = q.Delivery, q.Destination
		if !later || err != nil {
			return q, err
		}
		if text, ok := at.(string); ok {
			at, err = time.Parse(riverTime, text)
		}
		q.Scheduled = at.(time.Time).UTC()
		return q, err
	})
}

// Claim is [Job.Claim] for a job that no queue has fetched.
func (q *Queued) Claim(ctx context.Context, due Due) (record.Delivery, bool, error) {
	if q.store.shared() {
		now := time.Now().Round(time.Microsecond)
		q.fetched = &now
		_, err := q.store.write.ExecContext(ctx, `UPDATE river_job SET state = 'running', attempted_at = ?, attempted_by = ARRAY[?] WHERE id = ?`, now, q.store.id, q.row)
		if err != nil {
			return record.Delivery{}, false, err
		}
	}
	return q.Job.Claim(ctx, due)
}

// Serves reports whether the job can claim the delivery.
func (q *Queued) Serves(d *record.Delivery) bool {
	return q.job.Delivery == d.ID && q.job.Turn == d.Turn
}

// End removes the job, as the queue does when the handler returns 0.
func (j *Job) End(ctx context.Context) error {
	return j.store.Write(ctx, 0, func(tx *Tx) error {
		_, err := tx.tx.ExecContext(tx.ctx, `DELETE FROM river_job WHERE id = ?`, j.row)
		return err
	})
}

// Is reports whether q and other are the same job.
func (q *Queued) Is(other *Queued) bool { return q.row == other.row }

// Downgrade takes Bellhop's own tables back to an earlier version.
func (s *Store) Downgrade(ctx context.Context, version int) error {
	m, err := rivermigrate.New(s.queue.driver, &rivermigrate.Config{Line: s.db.dialect().line})
	if err != nil {
		return err
	}
	done, err := m.Migrate(ctx, rivermigrate.DirectionDown, &rivermigrate.MigrateOpts{TargetVersion: version})
	if err == nil && len(done.Versions) == 0 {
		err = fmt.Errorf("no migration after %d was undone", version)
	}
	return err
}

// Plans returns the query plan of each statement that the connections keep, by its text.
func (s *Store) Plans(t *testing.T) map[string][]string {
	t.Helper()
	if s.shared() {
		return s.postgresPlans(t)
	}
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
		plans[query], err = collect(rows, err, query, func(rows *sql.Rows) (step string, err error) {
			var ignored int
			return step, rows.Scan(&ignored, &ignored, &ignored, &step)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return plans
}

// postgresPlans returns the plans of the statements of all stores of this process.
func (s *Store) postgresPlans(t *testing.T) map[string][]string {
	t.Helper()
	conn, err := s.read.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	exec := func(statement string) {
		t.Helper()
		if _, err := conn.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	exec(`SET plan_cache_mode = force_generic_plan`)
	plans := map[string][]string{}
	for original, query := range translated.Range {
		query := query.(string)
		if verb, _, _ := strings.Cut(query, " "); !slices.Contains([]string{"SELECT", "UPDATE", "DELETE", "INSERT"}, verb) {
			continue
		}
		exec("PREPARE p AS " + query)
		nulls := ""
		if n := len(slices.Compact(slices.Sorted(slices.Values(regexp.MustCompile(`\$\d+`).FindAllString(query, -1))))); n > 0 {
			nulls = "(" + strings.TrimSuffix(strings.Repeat("NULL,", n), ",") + ")"
		}
		rows, err := conn.QueryContext(t.Context(), "EXPLAIN EXECUTE p"+nulls)
		plans[original.(string)], err = collect(rows, err, query, func(rows *sql.Rows) (step string, err error) { return step, rows.Scan(&step) })
		if err != nil {
			t.Fatal(err)
		}
		exec("DEALLOCATE p")
	}
	return plans
}

// Fill inserts n events with a delivery and an appointment each. They are received one second apart, the last one a
// second before the time that Fill returns. Some of every thousand have another source, type, status or state.
func (s *Store) Fill(t *testing.T, n int) time.Time {
	t.Helper()
	now := s.opts.Now()
	form := []string{"$id", `printf('%08x-%04x-7000-8000-%012x', (at / 1000) >> 16, (at / 1000) & 65535, i)`, "$dedupe", "id"}
	if s.shared() {
		form = []string{"$id", `lpad(to_hex((at / 1000) >> 16), 8, '0') || '-' || lpad(to_hex((at / 1000) & 65535), 4, '0') || '-7000-8000-' || lpad(to_hex(i), 12, '0')`,
			"$dedupe", "convert_to(id, 'UTF8')"}
	}
	script := strings.NewReplacer(append(form, "$now", strconv.FormatInt(micros(now), 10), "$n", strconv.Itoa(n))...).Replace(`
		CREATE TEMP TABLE made AS WITH RECURSIVE t(i) AS (SELECT CAST(0 AS bigint) UNION ALL SELECT i + 1 FROM t WHERE i + 1 < $n)
			SELECT i, $now - ($n - i) * 1000000 AS at, 'a' || (i * 7919 % $n) AS appointment, 'location' || (i % 50) AS location, '' AS id FROM t;
		UPDATE made SET id = $id;
		INSERT INTO events (id, dedupe, source, location, type, webhook, appointment, received_at, status, happened, changed, rules, body, state)
			SELECT id, $dedupe, CASE WHEN i % 1000 = 5 THEN 'workflow' ELSE 'hoopai' END, location, CASE WHEN i % 1000 = 6 THEN 'INSTALL' ELSE 'AppointmentCreate' END, '', appointment, at,
			CASE WHEN i % 1000 = 7 THEN 'stale' ELSE 'accepted' END, 'booked', '', 'S', zeroblob(700), zeroblob(500) FROM made;
		INSERT INTO appointments (source, id, touched_at, ends_at, state) SELECT 'hoopai', appointment, at, at, zeroblob(500) FROM made;
		INSERT INTO deliveries (id, event, source, location, appointment, rule, step, action, connection, destination, state, reason,
			created_at, due_at, retried_at, turn, attempts, request)
			SELECT id, id, 'hoopai', location, appointment, 'rule' || (i % 100), 1, 'http', '', 'crm',
			CASE WHEN i % 1000 = 5 THEN 'dead' WHEN i % 1000 = 6 THEN 'pending' WHEN i % 50 = 7 THEN 'waiting' ELSE 'sent' END, '',
			at, at, 0, 0, '[]', zeroblob(200) FROM made;
		DROP TABLE made;`)
	if s.shared() {
		script = `CREATE FUNCTION zeroblob(n int) RETURNS bytea LANGUAGE sql AS $$SELECT decode(repeat('00', n), 'hex')$$;` + script + `
			INSERT INTO river_job (state, scheduled_at, args, kind, max_attempts)
				SELECT 'scheduled', now() + interval '1 day', jsonb_build_object('d', id, 'to', destination), 'delivery', 10 FROM deliveries;
			ANALYZE`
	}
	if _, err := s.write.ExecContext(t.Context(), script); err != nil {
		t.Fatal(err)
	}
	return now
}

// SetAutoVacuum sets the auto_vacuum mode of a closed store.
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

// Recount counts the deliveries themselves, to check [Store.CountDeliveries].
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

// Flushed describes the file that the writer flushes.
func (s *Store) Flushed() (os.FileInfo, error) { return s.db.(*sqliteDB).wal.Stat() }

// MoveFolder makes the store look for its log in another folder, and returns the one where it looked.
func (s *Store) MoveFolder(to string) (from string) {
	db := s.db.(*sqliteDB)
	db.mu.Lock()
	defer db.mu.Unlock()
	from, db.dir = db.dir, to
	return from
}

// DropConnections closes all connections to the file, and opens those for writing again.
func (s *Store) DropConnections(ctx context.Context) error {
	for _, pool := range []*sql.DB{s.read, s.hot, s.write} {
		n := pool.Stats().MaxOpenConnections
		pool.SetMaxIdleConns(-1)
		pool.SetMaxIdleConns(n)
	}
	return s.write.PingContext(ctx)
}
