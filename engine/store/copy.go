package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A table is one that [Copy] copies. Its columns are in the order of their kinds.
type table struct {
	name                         string
	key                          []string // finds a row, and orders them
	texts, numbers, blobs, flags []string
	node                         bool // its first text is the name of a node
}

func (t *table) columns() []string { return slices.Concat(t.texts, t.numbers, t.blobs, t.flags) }

// tables are all that [Copy] copies. The queue is made anew from the deliveries, and what belongs to a running process is
// left out.
var tables = []table{
	{
		name: "events", key: []string{"id"},
		texts:   []string{"id", "source", "location", "type", "webhook", "appointment", "status", "happened", "changed", "rules"},
		numbers: []string{"received_at"}, blobs: []string{"dedupe", "body", "state", "previous"},
	},
	{name: "appointments", key: []string{"source", "id"}, texts: []string{"source", "id", "location", "contact"}, numbers: []string{"touched_at", "starts_at", "ends_at"}, blobs: []string{"state", "latest"}},
	{
		name: "deliveries", key: []string{"id"},
		texts:   []string{"id", "event", "source", "location", "appointment", "rule", "action", "connection", "destination", "state", "reason", "step_key"},
		numbers: []string{"step", "created_at", "due_at", "retried_at", "turn", "moment_at", "until_at", "copy", "opens_at"},
		blobs:   []string{"attempts", "request", "tells", "people"}, flags: []string{"follows", "allowed"},
	},
	{name: "rule_files", key: []string{"node", "path"}, texts: []string{"node", "path", "hash", "stamp"}, numbers: []string{"loaded_at"}, node: true},
	{name: "rule_versions", key: []string{"hash"}, texts: []string{"hash"}, blobs: []string{"data"}},
	{name: "rule_sets", key: []string{"id"}, texts: []string{"id"}, numbers: []string{"number", "ended_at"}},
	{name: "rule_set_files", key: []string{"path", "hash", "since"}, texts: []string{"path", "hash"}, numbers: []string{"since", "until"}},
	{name: "quotas", key: []string{"name"}, texts: []string{"name"}, numbers: []string{"at"}, blobs: []string{"times"}},
	{name: "tokens", key: []string{"name"}, texts: []string{"name", "token"}},
	{
		name: "suppressed", key: []string{"address", "channel", "location"},
		texts: []string{"location", "channel", "address", "reason"}, numbers: []string{"at"}, flags: []string{"proposed"},
	},
	{name: "rules_in_force", key: []string{"node"}, texts: []string{"node", "id"}, node: true},
}

// copyBatch is how many rows one statement of [Copy] writes.
const copyBatch = 200

// Copied counts what [Copy] has copied.
type Copied struct {
	Events       int `json:"events"`
	Appointments int `json:"appointments"`
	Deliveries   int `json:"deliveries"`
	Queued       int `json:"queued"` // the deliveries that are still to be sent
}

// Copy copies everything from one store into another one, which must be empty, in one transaction. from and to are open,
// and no other process may use them. Waiting and open deliveries are enqueued in the new store; nothing changes in the old
// one. Of the nodes that share a database, a folder takes over the one whose name is from's, see [Options.Node]; in the
// other direction, the rules get the name of to.
func Copy(ctx context.Context, from, to *Store, progress func(table string, rows int)) (c Copied, err error) {
	for _, s := range []*Store{from, to} {
		if err := s.alone(ctx); err != nil {
			return c, err
		}
	}
	if err := to.empty(ctx); err != nil {
		return c, err
	}
	tx, err := to.write.BeginTx(ctx, nil)
	if err != nil {
		return c, fmt.Errorf("copy: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, tx.Rollback())
		}
	}()
	counts := map[string]int{}
	for i := range tables {
		t := &tables[i]
		if counts[t.name], err = t.copy(ctx, from, to, tx, func(n int) { progress(t.name, n) }); err != nil {
			return c, fmt.Errorf("copy %s: %w", t.name, err)
		}
	}
	c = Copied{Events: counts["events"], Appointments: counts["appointments"], Deliveries: counts["deliveries"]}
	if c.Queued, err = to.enqueueAll(ctx, tx); err != nil {
		return c, err
	}
	if err := tx.Commit(); err != nil {
		return c, fmt.Errorf("copy: %w", err)
	}
	return c, nil
}

// alone returns an error if another process uses the store.
func (s *Store) alone(ctx context.Context) error {
	nodes, err := s.Nodes(ctx)
	if err != nil {
		return err
	}
	for _, n := range nodes {
		if !n.Self {
			return fmt.Errorf("the server %s uses %s: stop it first; it counts as gone %s after it was seen last", n.Name, Redacted(s.opts.At), nodeGone)
		}
	}
	return nil
}

func (s *Store) empty(ctx context.Context) error {
	for _, t := range []string{"events", "appointments", "deliveries", "rule_sets"} {
		var n int
		if err := s.read.QueryRowContext(ctx, `SELECT count(*) FROM (SELECT 1 FROM `+t+` LIMIT 1) AS found`).Scan(&n); err != nil {
			return err
		}
		if n > 0 {
			return fmt.Errorf("%s is not empty: there are %s in it", Redacted(s.opts.At), strings.ReplaceAll(t, "_", " "))
		}
	}
	return nil
}

func (t *table) copy(ctx context.Context, from, to *Store, tx *sql.Tx, progress func(int)) (rows int, err error) {
	columns, key := strings.Join(t.columns(), ", "), strings.Join(t.key, ", ")
	places := "(?" + strings.Repeat(", ?", len(t.columns())-1) + ")"
	for after := []any(nil); ; {
		where, args := "", slices.Clone(after)
		if after != nil {
			where = " WHERE (" + key + ") > (?" + strings.Repeat(", ?", len(t.key)-1) + ")"
		}
		found, err := from.read.QueryContext(ctx, `SELECT `+columns+` FROM `+t.name+where+` ORDER BY `+key+` LIMIT ?`, append(args, copyBatch)...)
		list, err := collect(found, err, "read", t.scan)
		if err != nil {
			return rows, err
		}
		if len(list) == 0 {
			return rows, nil
		}
		after = t.keyOf(list[len(list)-1])
		var values []any
		n := 0
		for _, row := range list {
			if t.node && !rename(row, from, to) {
				continue
			}
			values = append(values, row...)
			n++
		}
		if n > 0 {
			statement := `INSERT INTO ` + t.name + ` (` + columns + `) VALUES ` + places + strings.Repeat(", "+places, n-1)
			if _, err := tx.ExecContext(ctx, statement, values...); err != nil {
				return rows, err
			}
		}
		rows += n
		progress(rows)
	}
}

// rename gives a row of a node its name in the other store, and reports whether it is wanted there.
func rename(row []any, from, to *Store) bool {
	switch node := row[0].(string); {
	case from.shared() && to.shared():
		return true
	case from.shared() && node != from.opts.Node:
		return false
	}
	row[0] = to.opts.Node
	if !to.shared() {
		row[0] = ""
	}
	return true
}

// scan returns the columns of a row as both databases take them.
func (t *table) scan(rows *sql.Rows) ([]any, error) {
	texts, numbers := make([]string, len(t.texts)), make([]int64, len(t.numbers))
	blobs, flags := make([][]byte, len(t.blobs)), make([]bool, len(t.flags))
	var to, row []any
	for i := range texts {
		to = append(to, &texts[i])
	}
	for i := range numbers {
		to = append(to, &numbers[i])
	}
	for i := range blobs {
		to = append(to, &blobs[i])
	}
	for i := range flags {
		to = append(to, &flags[i])
	}
	if err := rows.Scan(to...); err != nil {
		return nil, err
	}
	for _, v := range texts {
		row = append(row, v)
	}
	for _, v := range numbers {
		row = append(row, v)
	}
	for _, v := range blobs {
		row = append(row, blob(v))
	}
	for _, v := range flags {
		row = append(row, v)
	}
	return row, nil
}

func (t *table) keyOf(row []any) []any {
	var key []any
	for _, k := range t.key {
		key = append(key, row[slices.Index(t.columns(), k)])
	}
	return key
}

// enqueueAll enqueues all deliveries that are still to be sent, and returns their number.
func (s *Store) enqueueAll(ctx context.Context, tx *sql.Tx) (n int, err error) {
	for after := ""; ; {
		list, err := listDeliveries(ctx, tx, ` WHERE id > ? AND state IN ('waiting', 'pending', 'sending', 'retrying') ORDER BY id LIMIT ?`, after, copyBatch)
		if err != nil || len(list) == 0 {
			return n, err
		}
		var jobs []job
		for i := range list {
			jobs = append(jobs, s.jobOf(&list[i]))
		}
		if err := s.queue.enqueue(ctx, tx, jobs); err != nil {
			return n, err
		}
		n += len(list)
		after = list[len(list)-1].ID
	}
}
