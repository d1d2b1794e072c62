package store

import (
	"context"
	"database/sql"

	"bellhop/rules/live"
)

var _ live.Versions = (*Store)(nil)

// GoodVersions returns the last good version of each rule file, by path.
func (s *Store) GoodVersions(ctx context.Context) ([]live.Version, error) {
	return goodVersions(ctx, s.read)
}

func goodVersions(ctx context.Context, db *sql.DB) ([]live.Version, error) {
	rows, err := db.QueryContext(ctx, `SELECT f.path, f.hash, v.data, f.loaded_at FROM rule_files AS f JOIN rule_versions AS v ON v.hash = f.hash ORDER BY f.path`)
	return collect(rows, err, "read rule files", func(rows *sql.Rows) (v live.Version, err error) {
		var at int64
		err = rows.Scan(&v.Path, &v.Hash, &v.Data, &at)
		v.At = fromMicros(at)
		return v, err
	})
}

// PutGood stores v as the last good version of its file. Its content stays while it is that, or while a stored rule set
// has it.
func (s *Store) PutGood(ctx context.Context, v live.Version) error {
	return s.Write(ctx, func(tx *Tx) error {
		if _, err := tx.exec("keep rule file", `INSERT INTO rule_files (path, hash, loaded_at) VALUES (?, ?, ?)
			ON CONFLICT (path) DO UPDATE SET hash = excluded.hash, loaded_at = excluded.loaded_at`, v.Path, v.Hash, micros(v.At)); err != nil {
			return err
		}
		_, err := tx.exec("keep rule file's version", `INSERT INTO rule_versions (hash, data) VALUES (?, ?) ON CONFLICT (hash) DO NOTHING`, v.Hash, v.Data)
		return err
	})
}

// DropGood removes the last good version of a file. It does nothing if there is none.
func (s *Store) DropGood(ctx context.Context, path string) error {
	return s.Write(ctx, func(tx *Tx) error {
		if _, err := tx.exec("forget rule file", `DELETE FROM rule_files WHERE path = ?`, path); err != nil {
			return err
		}
		return nil
	})
}
