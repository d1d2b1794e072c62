package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"bellhop/rules/live"
)

// Each process that shares a database says every nodeSeen that it is there. The jobs of one that was not seen for
// nodeGone are given to the others. A process that was only stopped for a while, or cut off, finds that its jobs are not
// its own any more; see [Job.mine].
const (
	nodeSeen = 5 * time.Second
	nodeGone = 30 * time.Second
)

// leftBehind selects the jobs of processes that are gone.
const leftBehind = `attempted_by[array_upper(attempted_by, 1)] NOT IN (SELECT id FROM nodes)`

// A Node is a process that uses the store.
type Node struct {
	Name    string    `json:"name"`
	Version string    `json:"version"` // of the program
	Rules   string    `json:"rules"`   // the id of the rule set in force there
	Started time.Time `json:"started"`
	Seen    time.Time `json:"seen"`
	Self    bool      `json:"self"` // it is this process
}

// shared reports whether other processes can use the store at the same time.
func (s *Store) shared() bool { return s.db.dialect().wake != "" }

// join adds this process to the nodes, or says that it is still there.
func (s *Store) join(ctx context.Context) error {
	_, err := s.write.ExecContext(ctx, `INSERT INTO nodes (id, name, version) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET seen_at = now()`,
		s.id, s.opts.Node, s.opts.Version)
	if err != nil {
		return fmt.Errorf("join the nodes: %w", err)
	}
	return nil
}

// leave removes this process from the nodes. What it has left under way is given to the others at once.
func (s *Store) leave() error {
	ctx, cancel := context.WithTimeout(s.queue.base, nodeSeen)
	defer cancel()
	if _, err := s.write.ExecContext(ctx, `DELETE FROM nodes WHERE id = ?`, s.id); err != nil {
		return fmt.Errorf("leave the nodes: %w", err)
	}
	_, err := s.giveBackJobs(ctx, leftBehind)
	return err
}

// giveBackJobs makes jobs that a process has fetched available to all, and returns their number.
func (s *Store) giveBackJobs(ctx context.Context, which string, args ...any) (int64, error) {
	res, err := s.write.ExecContext(ctx, `UPDATE river_job SET state = 'available' WHERE id IN (
		SELECT id FROM river_job WHERE state = 'running' AND `+which+` ORDER BY id FOR UPDATE SKIP LOCKED)`, args...)
	if err != nil {
		return 0, fmt.Errorf("give back jobs: %w", err)
	}
	return res.RowsAffected()
}

// Attend says that this process is there, takes over the jobs of those that are gone, and calls seen with all that are
// there, until ctx is done. It does nothing if the store is not shared. It logs errors and returns nil.
func (s *Store) Attend(ctx context.Context, seen func([]Node)) error {
	if !s.shared() {
		return nil
	}
	tick := time.NewTicker(nodeSeen)
	defer tick.Stop()
	failing := false
	lost := map[int64]bool{}
	for {
		err := s.attend(ctx, lost, seen)
		if err != nil && !failing && ctx.Err() == nil {
			s.log.Error("the database does not answer; this is tried again", "error", err)
		}
		failing = err != nil
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (s *Store) attend(ctx context.Context, lost map[int64]bool, seen func([]Node)) error {
	ctx, cancel := context.WithTimeout(ctx, 2*nodeSeen)
	defer cancel()
	if err := s.join(ctx); err != nil {
		return err
	}
	rows, err := s.write.QueryContext(ctx, `DELETE FROM nodes WHERE seen_at < now() - make_interval(secs => ?) RETURNING name`, nodeGone.Seconds())
	gone, err := collect(rows, err, "remove nodes", func(rows *sql.Rows) (name string, err error) { return name, rows.Scan(&name) })
	if err != nil {
		return err
	}
	n, err := s.giveBackJobs(ctx, leftBehind)
	if err != nil {
		return err
	}
	for _, name := range gone {
		s.log.Warn("a node is gone; its deliveries are taken over", "node", name, "deliveries", n)
	}
	if err := s.findLost(ctx, lost); err != nil {
		return err
	}
	if err := s.sumCounts(ctx); err != nil {
		return err
	}
	list, err := s.Nodes(ctx)
	if err == nil {
		seen(list)
	}
	return err
}

// findLost gives back the jobs that count as fetched by this process, but that it does not have: the connection broke
// before it got them, or before it could report them. lost has those that were found the last time; it takes two times,
// because a report can be under way.
func (s *Store) findLost(ctx context.Context, lost map[int64]bool) error {
	rows, err := s.read.QueryContext(ctx, `SELECT id FROM river_job WHERE state = 'running' AND attempted_by[array_upper(attempted_by, 1)] = ?
		AND attempted_at < now() - make_interval(secs => ?)`, s.id, (2 * nodeSeen).Seconds())
	ids, err := collect(rows, err, "look for lost jobs", func(rows *sql.Rows) (id int64, err error) { return id, rows.Scan(&id) })
	if err != nil {
		return err
	}
	before := map[int64]bool{}
	for id := range lost {
		before[id] = true
	}
	clear(lost)
	var back []int64
	for _, id := range ids {
		if _, held := s.queue.held.Load(id); held {
			continue
		}
		if lost[id] = true; before[id] {
			back = append(back, id)
		}
	}
	if len(back) == 0 {
		return nil
	}
	_, err = s.giveBackJobs(ctx, `id = ANY(?::bigint[])`, back)
	return err
}

// sumCounts adds up the changes that [Store.CountDeliveries] counts.
func (s *Store) sumCounts(ctx context.Context) error {
	_, err := s.write.ExecContext(ctx, `WITH gone AS (
			DELETE FROM delivery_changes WHERE ctid = ANY(ARRAY(SELECT ctid FROM delivery_changes LIMIT 100000 FOR UPDATE SKIP LOCKED)) RETURNING state, n)
		INSERT INTO delivery_changes (state, n) SELECT state, sum(n) FROM gone GROUP BY state`)
	if err != nil {
		return fmt.Errorf("add up the counts of deliveries: %w", err)
	}
	return nil
}

// Nodes returns the processes that use the store, by name. It returns nil if the store is not shared.
func (s *Store) Nodes(ctx context.Context) ([]Node, error) {
	if !s.shared() {
		return nil, nil
	}
	rows, err := s.read.QueryContext(ctx, `SELECT n.name, n.version, coalesce(r.id, ''), n.started_at, n.seen_at, n.id = ?
		FROM nodes AS n LEFT JOIN rules_in_force AS r ON r.node = n.name ORDER BY n.name, n.id`, s.id)
	return collect(rows, err, "list nodes", func(rows *sql.Rows) (n Node, err error) {
		err = rows.Scan(&n.Name, &n.Version, &n.Rules, &n.Started, &n.Seen, &n.Self)
		n.Started, n.Seen = n.Started.UTC(), n.Seen.UTC()
		return n, err
	})
}

// Announce tells the other nodes which rule set is in force here. It does nothing if the store is not shared.
func (s *Store) Announce(ctx context.Context, id string, files []live.FileVersion) error {
	if !s.shared() {
		return nil
	}
	return s.Write(ctx, 0, func(tx *Tx) error { return tx.UseRules(id, files) })
}

// Turn reports whether this process is the one to do a task that is done every so often by one process. If the store is
// not shared, it always is.
func (s *Store) Turn(ctx context.Context, task string, every time.Duration) (bool, error) {
	if !s.shared() {
		return true, nil
	}
	res, err := s.write.ExecContext(ctx, `INSERT INTO tasks (name, at) VALUES (?, now()) ON CONFLICT (name) DO UPDATE SET at = now()
		WHERE tasks.at < now() - make_interval(secs => ?)`, task, every.Seconds())
	if err != nil {
		return false, fmt.Errorf("take the turn for %s: %w", task, err)
	}
	n, err := res.RowsAffected()
	return n > 0, err
}
