package store

import (
	"context"
	"fmt"

	"github.com/riverqueue/river/rivertype"
)

// jobIndexes are indexes of ours on River's table: of the jobs that were put off, by destination; and of those that wait, for
// which River looks every few seconds, and would read them all. River can rebuild its table in a migration, which drops
// indexes that it does not know. So they are made at every open.
const jobIndexes = `
	CREATE INDEX IF NOT EXISTS river_job_away ON river_job (json_extract(args, '$.to'), scheduled_at)
		WHERE state IN ('available', 'scheduled') AND json_extract(metadata, '$.snoozes') IS NOT NULL;
	CREATE INDEX IF NOT EXISTS river_job_waiting ON river_job (state, scheduled_at) WHERE state IN ('retryable', 'scheduled');`

// riverTime is how River writes times, which SQLite compares as texts.
const riverTime = "2006-01-02 15:04:05.000"

// Recall makes up to limit deliveries to a destination due now that a [Handler] put off although they were due
// already, the oldest first, and says how many there were. One that waits for its moment, or for its next
// attempt, is left to wait. It is safe for concurrent use.
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
