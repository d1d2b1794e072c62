package store

import (
	"context"
	"database/sql"
	"fmt"
)

const (
	// An eighth of the file, and at least 1 MiB, is kept for what comes next.
	keptShare = 8
	keptPages = 256
	// freedPages is how much the writer gives back at a time: 1 MiB takes it a few milliseconds.
	freedPages = 256
	// rewritten is the size up to which a file of an earlier build is rewritten at the start, which takes less than a
	// second. Larger ones use their free pages again and never become smaller.
	rewritten = 64 << 20
)

// shrinkable makes a file of an earlier build able to become smaller.
func (s *Store) shrinkable(ctx context.Context) error {
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
			"To change that, stop the server and run: sqlite3 bellhop.db 'PRAGMA auto_vacuum = INCREMENTAL; VACUUM'", "folder", s.opts.Dir, "MiB", pages*size>>20)
		return nil
	}
	if _, err := s.write.ExecContext(ctx, `PRAGMA auto_vacuum = INCREMENTAL; VACUUM`); err != nil {
		return fmt.Errorf("rewrite the file: %w", err)
	}
	return nil
}

// giveBack makes the file smaller by what is free in it, in steps between which others may write.
func (s *Store) giveBack(ctx context.Context) error {
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
		err = s.Write(ctx, func(tx *Tx) error {
			rows, err := tx.tx.QueryContext(tx.ctx, fmt.Sprintf(`PRAGMA incremental_vacuum(%d)`, freedPages))
			if err != nil {
				return err
			}
			_, err = collect(rows, func(*sql.Rows) (page struct{}, err error) { return page, nil }) // one row for each page
			return err
		})
		if err != nil {
			return fmt.Errorf("give back what is free: %w", err)
		}
	}
}
