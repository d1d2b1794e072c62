package store

import (
	"context"
	"fmt"
)

// Recall makes jobs for a destination due now, if their [Handler] put them off although their delivery was due. It
// recalls at most limit of them, those that would come back soonest first, and returns their number. It does not recall
// a delivery that waits for its time or for its next attempt. destination is the one that the job was enqueued with.
// Recall is safe for concurrent use.
func (s *Store) Recall(ctx context.Context, destination string, limit int) (int, error) {
	now := s.opts.Now().UTC()
	res, err := s.write.ExecContext(ctx, s.db.dialect().recall, s.db.time(now), destination, micros(now), limit)
	var n int64
	if err == nil {
		n, err = res.RowsAffected()
	}
	if err == nil && n > 0 {
		s.queue.wake()
		err = s.queue.wakeAll(ctx, s.write)
	}
	if err != nil {
		return 0, fmt.Errorf("bring back what was put off: %w", err)
	}
	return int(n), nil
}
