package store

import (
	"context"
	"database/sql"
	"fmt"
)

const (
	// giveBack leaves an eighth of the file unused for new data, or 1 MiB if that is more.
	keptShare = 8
	keptPages = 256
	// freedPages is how many pages the writer gives back at a time. 256 pages are 1 MiB, which takes a few
	// milliseconds.
	freedPages = 256
	// rewritten is the size in bytes up to which a file of an earlier build is rewritten when it is opened. That takes
	// less than a second. A larger file uses its free pages again, but never becomes smaller.
	rewritten = 64 << 20
)

// shrinkable rewrites a file of an earlier build so that it can become smaller. If the file is too large for that, it
// only logs how to do it.
func (db *sqliteDB) shrinkable(ctx context.Context, s *Store) error {
	var mode, pages, size int64
	err := s.write.QueryRowContext(ctx, `SELECT auto_vacuum, page_count, page_size FROM pragma_auto_vacuum, pragma_page_count, pragma_page_size`).Scan(&mode, &pages, &size)
	if err != nil {
		return fmt.Errorf("read how the file is kept: %w", err)
	}
	switch {
	case mode != 0 || pages == 0:
		return nil
	case pages*size > rewritten:
		s.log.Info("the store was made by an earlier version: space that becomes free in it is used again, and never given back to the disk. "+
			"To change that, stop the server and run: sqlite3 bellhop.db 'PRAGMA auto_vacuum = INCREMENTAL; VACUUM'", "folder", s.opts.At, "MiB", pages*size>>20)
		return nil
	}
	if _, err := s.write.ExecContext(ctx, `PRAGMA auto_vacuum = INCREMENTAL; VACUUM`); err != nil {
		return fmt.Errorf("rewrite the file: %w", err)
	}
	return nil
}

// giveBack gives unused pages back to the disk. It does so in steps, so that others can write between them.
func (db *sqliteDB) giveBack(ctx context.Context, s *Store) error {
	for last := int64(-1); ; {
		var mode, pages, free int64
		err := s.read.QueryRowContext(ctx, `SELECT auto_vacuum, page_count, freelist_count FROM pragma_auto_vacuum, pragma_page_count, pragma_freelist_count`).Scan(&mode, &pages, &free)
		if err != nil {
			return fmt.Errorf("read what is free: %w", err)
		}
		if mode == 0 || free <= max(pages/keptShare, keptPages) || free == last {
			return nil
		}
		last = free
		err = s.Write(ctx, 0, func(tx *Tx) error {
			rows, err := tx.tx.QueryContext(tx.ctx, fmt.Sprintf(`PRAGMA incremental_vacuum(%d)`, freedPages))
			_, err = collect(rows, err, "give back what is free", func(*sql.Rows) (page struct{}, err error) { return page, nil }) // SQLite returns one row for each page
			return err
		})
		if err != nil {
			return err
		}
	}
}
