package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"bellhop/engine/record"
	"bellhop/rules/live"
)

// lockRules makes changes of the tables of rules come one after the other, in all processes that share the database. It
// is called after a transaction has its keys, so that two transactions never wait for each other.
func (t *Tx) lockRules() error { return t.s.db.lock(t.ctx, t.tx, []Key{rulesKey}) }

// UseRules notes that the rule set id, made of the given files, is in force at this node. It is called for each event,
// and writes only if another set was in force before.
func (t *Tx) UseRules(id string, files []live.FileVersion) error {
	now := t.rules
	if now == "" {
		now = t.w.rules
	}
	if id == now {
		return nil
	}
	if err := t.lockRules(); err != nil {
		return err
	}
	node := t.s.opts.Node
	if _, err := t.exec("end rule set", `UPDATE rule_sets SET ended_at = ? WHERE ended_at = 0 AND id <> ?
		AND id NOT IN (SELECT id FROM rules_in_force WHERE node <> ?)`, micros(t.s.opts.Now()), id, node); err != nil {
		return err
	}
	if _, err := t.exec("note rule set", `INSERT INTO rules_in_force (node, id) VALUES (?, ?) ON CONFLICT (node) DO UPDATE SET id = excluded.id`, node, id); err != nil {
		return err
	}
	n, err := t.exec("note rule set", `UPDATE rule_sets SET ended_at = 0 WHERE id = ?`, id)
	if err != nil {
		return err
	}
	if n == 0 {
		if err := t.addSet(id, files); err != nil {
			return err
		}
	}
	t.rules = id
	return nil
}

// addSet writes how a new set differs from the last set that was added.
func (t *Tx) addSet(id string, files []live.FileVersion) error {
	// A number is never used twice, even if its set is deleted.
	var number int
	err := t.tx.QueryRowContext(t.ctx, `SELECT 1 + max(max((SELECT coalesce(max(number), 0) FROM rule_sets),
		(SELECT coalesce(max(since), 0) FROM rule_set_files)), (SELECT coalesce(max(until), 0) FROM rule_set_files))`).Scan(&number)
	if err != nil {
		return err
	}
	rows, err := t.tx.QueryContext(t.ctx, `SELECT path, hash FROM rule_set_files WHERE until = 0`)
	last, err := collect(rows, err, "read rule set", func(rows *sql.Rows) (f live.FileVersion, err error) { return f, rows.Scan(&f.Path, &f.Hash) })
	if err != nil {
		return err
	}
	now, before := map[live.FileVersion]bool{}, map[live.FileVersion]bool{}
	for _, f := range files {
		now[f] = true
	}
	for _, f := range last {
		before[f] = true
		if now[f] {
			continue
		}
		if _, err := t.exec("add rule set", `UPDATE rule_set_files SET until = ? WHERE path = ? AND until = 0`, number, f.Path); err != nil {
			return err
		}
	}
	for _, f := range files {
		if before[f] {
			continue
		}
		if _, err := t.exec("add rule set", `INSERT INTO rule_set_files (path, hash, since, until) VALUES (?, ?, ?, 0)`, f.Path, f.Hash, number); err != nil {
			return err
		}
	}
	_, err = t.exec("add rule set", `INSERT INTO rule_sets (id, number, ended_at) VALUES (?, ?, 0)`, id, number)
	return err
}

// endLeft ends the rule sets of nodes that have left.
func (s *Store) endLeft(ctx context.Context) error {
	return s.Write(ctx, 0, func(tx *Tx) error {
		if err := tx.lockRules(); err != nil {
			return err
		}
		if _, err := tx.exec("end rule sets", `DELETE FROM rules_in_force WHERE node NOT IN (SELECT name FROM nodes)`); err != nil {
			return err
		}
		_, err := tx.exec("end rule sets", `UPDATE rule_sets SET ended_at = ? WHERE ended_at = 0 AND id NOT IN (SELECT id FROM rules_in_force)`, micros(s.opts.Now()))
		return err
	})
}

// RuleSet returns the versions of the rule files that the rule set id is made of, by path. The error is [ErrNotFound]
// if the set is not known, or the content of one of its files.
func (s *Store) RuleSet(ctx context.Context, id string) ([]live.Version, error) {
	var number int
	err := s.read.QueryRowContext(ctx, `SELECT number FROM rule_sets WHERE id = ?`, id).Scan(&number)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("rule set %q: %w", id, ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("read rule set: %w", err)
	}
	rows, err := s.read.QueryContext(ctx, `SELECT f.path, f.hash, v.data, v.hash IS NULL FROM rule_set_files AS f LEFT JOIN rule_versions AS v ON v.hash = f.hash
		WHERE f.since <= ?1 AND (f.until = 0 OR f.until > ?1) ORDER BY f.path`, number)
	return collect(rows, err, "read rule set", func(rows *sql.Rows) (v live.Version, err error) {
		var lost bool
		if err = rows.Scan(&v.Path, &v.Hash, &v.Data, &lost); err == nil && lost {
			err = fmt.Errorf("version %.12s of rule file %s: %w", v.Hash, v.Path, ErrNotFound)
		}
		return v, err
	})
}

// pruneRules deletes the rule sets that ended before a time and that no stored event was received under. If there are
// any, it also deletes the contents of rule files that are in no remaining set and are not the last good version of a
// file. The set in force stays.
func (s *Store) pruneRules(ctx context.Context, before time.Time) error {
	if s.shared() {
		if err := s.endLeft(ctx); err != nil {
			return err
		}
	}
	// A set that ended before this time has only events from before it, so no others are looked at.
	rows, err := s.read.QueryContext(ctx, `SELECT id FROM rule_sets WHERE ended_at > 0 AND ended_at < ?
		AND id NOT IN (SELECT rules FROM events WHERE id < ?)`, micros(before), record.FirstID(before))
	ids, err := collect(rows, err, "find rule sets to prune", func(rows *sql.Rows) (id string, err error) { return id, rows.Scan(&id) })
	if err != nil || len(ids) == 0 {
		return err
	}
	return s.Write(ctx, 0, func(tx *Tx) error {
		if err := tx.lockRules(); err != nil {
			return err
		}
		for _, id := range ids { // the set can be in force again by now
			if _, err := tx.exec("prune rule sets", `DELETE FROM rule_sets WHERE id = ? AND ended_at > 0 AND ended_at < ?`, id, micros(before)); err != nil {
				return err
			}
		}
		if _, err := tx.exec("prune rule sets", `DELETE FROM rule_set_files WHERE until > 0 AND NOT EXISTS (
			SELECT 1 FROM rule_sets s WHERE s.number >= rule_set_files.since AND s.number < rule_set_files.until)`); err != nil {
			return err
		}
		_, err := tx.exec("prune versions of rule files", `DELETE FROM rule_versions WHERE hash NOT IN (SELECT hash FROM rule_files)
			AND hash NOT IN (SELECT hash FROM rule_set_files)`)
		return err
	})
}
