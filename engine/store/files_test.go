package store_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bellhop/engine/store"
	"bellhop/engine/store/storetest"
)

// Only the owner can read the files of a store, in any folder. This holds too for files that an earlier build left.
func TestFilesAreTheOwners(t *testing.T) {
	t.Parallel()
	storetest.InFolder(t)
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for round := range 2 {
		s, err := store.Open(t.Context(), store.Options{At: dir})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := put(t.Context(), s, "a1", round); err != nil {
			t.Fatal(err)
		}
		files := 0
		err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			info, err := d.Info()
			if err == nil && info.Mode().Perm() != 0o600 {
				t.Errorf("round %d: %s has mode %o", round, d.Name(), info.Mode().Perm())
			}
			files++
			return err
		})
		if err != nil || files < 3 {
			t.Errorf("%d files, %v", files, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(dir, "bellhop.db"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// An emptied database is an error. It does not become a new store.
func TestEmptiedDatabase(t *testing.T) {
	t.Parallel()
	storetest.InFolder(t)
	dir := t.TempDir()
	s, err := store.Open(t.Context(), store.Options{At: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(dir, "bellhop.db"), 0); err != nil {
		t.Fatal(err)
	}
	if s, err := store.Open(t.Context(), store.Options{At: dir}); err == nil || !strings.Contains(err.Error(), "is empty") {
		t.Errorf("opened %v, %v", s, err)
	}
}

// A first start that ended before the database had its tables does not prevent the next one.
func TestUnfinishedDatabase(t *testing.T) {
	t.Parallel()
	storetest.InFolder(t)
	dir := t.TempDir()
	for _, name := range []string{"bellhop.db", "bellhop.db.new"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := store.Open(t.Context(), store.Options{At: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "bellhop.db.new")); err == nil {
		t.Error("the mark of a new database is still there")
	}
}

func TestNewest(t *testing.T) {
	t.Parallel()
	storetest.InFolder(t)
	s, err := store.Open(t.Context(), store.Options{At: storetest.At(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if at, err := s.Newest(t.Context()); err != nil || !at.IsZero() {
		t.Errorf("of an empty store: %s, %v", at, err)
	}
	if _, err := put(t.Context(), s, "a1", 0); err != nil {
		t.Fatal(err)
	}
	if at, err := s.Newest(t.Context()); err != nil || time.Since(at) > time.Minute {
		t.Errorf("%s, %v", at, err)
	}
}

// What was acknowledged is flushed also after SQLite made a new log, and a failed flush is not forgotten.
func TestFlush(t *testing.T) {
	t.Parallel()
	storetest.InFolder(t)
	dir := t.TempDir()
	s := reopened(t, dir)
	defer s.Close()
	wal := filepath.Join(dir, "bellhop.db-wal")
	flushed := func() os.FileInfo {
		t.Helper()
		if _, err := put(t.Context(), s, "a1", 1); err != nil {
			t.Fatal(err)
		}
		info, err := s.Flushed()
		if err != nil {
			t.Fatal(err)
		}
		now, err := os.Stat(wal)
		if err != nil || !os.SameFile(info, now) {
			t.Fatalf("the file that is flushed is not the log: %v", err)
		}
		return now
	}
	first := flushed()
	if err := s.DropConnections(t.Context()); err != nil { // SQLite then removes the log
		t.Fatal(err)
	}
	if second := flushed(); os.SameFile(first, second) {
		t.Error("the log is still the same, so this tests nothing")
	}
	s.MoveFolder(filepath.Join(dir, "nowhere"))
	for range 2 {
		if _, err := put(t.Context(), s, "a2", 1); err == nil || !strings.Contains(err.Error(), "flush the store") {
			t.Fatalf("a write after a failed flush: %v", err)
		}
		s.MoveFolder(dir)
	}
	ran := false
	err := s.Write(t.Context(), 0, func(*store.Tx) error { ran = true; return nil })
	if ran || err == nil {
		t.Errorf("a call ran after a failed flush, and returned: %v", err)
	}
}
