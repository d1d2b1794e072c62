package store

import (
	"context"
	"database/sql"

	"bellhop/rules/live"
)

var _ live.Versions = (*Store)(nil)

// GoodVersions returns the last good version of each rule file of this node, by path.
func (s *Store) GoodVersions(ctx context.Context) ([]live.Version, error) {
	return goodVersions(ctx, s.read, s.opts.Node)
}

func goodVersions(ctx context.Context, db *sql.DB, node string) ([]live.Version, error) {
	rows, err := db.QueryContext(ctx, `SELECT f.path, f.hash, v.data, f.loaded_at, f.stamp FROM rule_files AS f JOIN rule_versions AS v ON v.hash = f.hash
		WHERE f.node = ? ORDER BY f.path`, node)
	return collect(rows, err, "read rule files", func(rows *sql.Rows) (v live.Version, err error) {
		var at int64
		err = rows.Scan(&v.Path, &v.Hash, &v.Data, &at, &v.Stamp)
		v.At = fromMicros(at)
		return v, err
	})
}

// PutGood stores v as the last good version of its file at this node. Its content stays while it is that, or while a stored rule set
// has it.
func (s *Store) PutGood(ctx context.Context, v live.Version) error {
	return s.Write(ctx, 0, func(tx *Tx) error {
		if err := tx.lockRules(); err != nil {
			return err
		}
		if _, err := tx.exec("keep rule file", `INSERT INTO rule_files (node, path, hash, loaded_at, stamp) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (node, path) DO UPDATE SET hash = excluded.hash, loaded_at = excluded.loaded_at, stamp = excluded.stamp`,
			s.opts.Node, v.Path, v.Hash, micros(v.At), v.Stamp); err != nil {
			return err
		}
		_, err := tx.exec("keep rule file's version", `INSERT INTO rule_versions (hash, data) VALUES (?, ?) ON CONFLICT (hash) DO NOTHING`, v.Hash, v.Data)
		return err
	})
}

// DropGood removes the last good version of a file of this node. It does nothing if there is none.
func (s *Store) DropGood(ctx context.Context, path string) error {
	return s.Write(ctx, 0, func(tx *Tx) error {
		_, err := tx.exec("forget rule file", `DELETE FROM rule_files WHERE node = ? AND path = ?`, s.opts.Node, path)
		return err
	})
}
