package store

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"github.com/riverqueue/river/rivermigrate"
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
func (q *Queued) Serves(d *Delivery) bool { return q.job.Delivery == d.ID && q.job.Turn == d.turn }

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
