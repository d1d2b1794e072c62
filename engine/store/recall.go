package store

import (
	"context"
	"fmt"

	"github.com/riverqueue/river/rivertype"
)

// jobIndexes creates two indexes on River's table: of the jobs that were put off, by destination; and of the scheduled
// jobs, because River looks at them every few seconds and would read them all. When a migration of River rebuilds the
// table, it drops indexes that it does not know. So these are created whenever a store is opened.
const jobIndexes = `
	CREATE INDEX IF NOT EXISTS river_job_away ON river_job (json_extract(args, '$.to'), scheduled_at)
		WHERE state IN ('available', 'scheduled') AND json_extract(metadata, '$.snoozes') IS NOT NULL;
	CREATE INDEX IF NOT EXISTS river_job_waiting ON river_job (state, scheduled_at) WHERE state IN ('retryable', 'scheduled');`

// riverTime is River's format for times, in UTC. SQLite compares them as texts.
const riverTime = "2006-01-02 15:04:05.000"

// Recall makes jobs for a destination due now, if their [Handler] put them off although their delivery was due. It
// recalls at most limit of them, those that would come back soonest first, and returns their number. It does not recall
// a delivery that waits for its time or for its next attempt. destination is the one that the job was enqueued with.
// Recall is safe for concurrent use.
func (s *Store) Recall(ctx context.Context, destination string, limit int) (int, error) {
	now := s.opts.Now().UTC()
	res, err := s.write.ExecContext(ctx, `UPDATE river_job SET state = ?1, scheduled_at = ?2 WHERE id IN (
		SELECT j.id FROM river_job AS j INDEXED BY river_job_away JOIN deliveries AS d ON d.id = json_extract(j.args, '$.d')
		WHERE json_extract(j.args, '$.to') = ?3 AND j.scheduled_at > ?2 AND j.state IN ('available', 'scheduled')
			AND json_extract(j.metadata, '$.snoozes') IS NOT NULL AND d.due_at <= ?4
		ORDER BY j.scheduled_at LIMIT ?5)`,
		string(rivertype.JobStateAvailable), now.Format(riverTime), destination, micros(now), limit)
	if err != nil {
		return 0, fmt.Errorf("bring back what was put off: %w", err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		return 0, fmt.Errorf("bring back what was put off: %w", err)
	}
	if n > 0 {
		s.queue.wake()
	}
	return int(n), nil
}
