package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"bellhop/rules/live"
)

// UseRules notes that the rule set with an id, of the given files, is in force. It is asked for each event
// and writes only when the set is another than before.
func (t *Tx) UseRules(id string, files []live.FileVersion) error {
	now := t.rules
	if now == "" {
		now = t.w.rules
	}
	if id == now {
		return nil
	}
	list, err := json.Marshal(files)
	if err != nil {
		return fmt.Errorf("encode rule set: %w", err)
	}
	if _, err := t.tx.ExecContext(t.ctx, `UPDATE rule_sets SET ended_at = ? WHERE ended_at = 0 AND id <> ?`, micros(t.s.opts.Now()), id); err != nil {
		return fmt.Errorf("end rule set: %w", err)
	}
	_, err = t.tx.ExecContext(t.ctx, `INSERT INTO rule_sets (id, files, ended_at) VALUES (?, ?, 0)
		ON CONFLICT (id) DO UPDATE SET ended_at = 0`, id, string(list))
	if err != nil {
		return fmt.Errorf("note rule set: %w", err)
	}
	t.rules = id
	return nil
}

// RuleSet gives the versions of the rule files that were in force together under an id, by path. A set of
// which something is not known is [ErrNotFound].
func (s *Store) RuleSet(ctx context.Context, id string) ([]live.Version, error) {
	var list []byte
	err := s.read.QueryRowContext(ctx, `SELECT files FROM rule_sets WHERE id = ?`, id).Scan(&list)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("rule set %q: %w", id, ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("read rule set: %w", err)
	}
	var files []live.FileVersion
	if err := json.Unmarshal(list, &files); err != nil {
		return nil, fmt.Errorf("files of rule set %s: %w", id, err)
	}
	versions := make([]live.Version, len(files))
	for i, f := range files {
		versions[i] = live.Version{Path: f.Path, Hash: f.Hash}
		err := s.read.QueryRowContext(ctx, `SELECT data FROM rule_versions WHERE hash = ?`, f.Hash).Scan(&versions[i].Data)
		if errors.Is(err, sql.ErrNoRows) {
			return nil, fmt.Errorf("version %.12s of rule file %s: %w", f.Hash, f.Path, ErrNotFound)
		}
		if err != nil {
			return nil, fmt.Errorf("read version of rule file %s: %w", f.Path, err)
		}
	}
	return versions, nil
}

// pruneRules deletes the rule sets that no event was received under any more, and what rule files held in no
// set that is left. The set in force and the last good version of each file stay.
func (s *Store) pruneRules(ctx context.Context, before time.Time) error {
	// The events of a set that ended before are all older than that.
	rows, err := s.read.QueryContext(ctx, `SELECT id FROM rule_sets WHERE ended_at > 0 AND ended_at < ?
		AND id NOT IN (SELECT rules FROM events WHERE id < ?)`, micros(before), firstID(before))
	if err != nil {
		return fmt.Errorf("find rule sets to prune: %w", err)
	}
	ids, err := collect(rows, func(rows *sql.Rows) (id string, err error) { return id, rows.Scan(&id) })
	if err != nil || len(ids) == 0 {
		return err
	}
	return s.Write(ctx, func(tx *Tx) error {
		for _, id := range ids { // one may be in force again by now
			if _, err := tx.delete(`DELETE FROM rule_sets WHERE id = ? AND ended_at > 0 AND ended_at < ?`, id, micros(before)); err != nil {
				return err
			}
		}
		_, err := tx.tx.ExecContext(tx.ctx, `DELETE FROM rule_versions WHERE hash NOT IN (SELECT hash FROM rule_files)
			AND hash NOT IN (SELECT file.value ->> 'hash' FROM rule_sets, json_each(rule_sets.files) AS file)`)
		if err != nil {
			return fmt.Errorf("prune versions of rule files: %w", err)
		}
		return nil
	})
}
