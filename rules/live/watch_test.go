package live

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"
)

// An existing watch is not added again, so that a folder at rest is not looked at again and again. A folder that was
// replaced is watched again.
func TestSync(t *testing.T) {
	t.Parallel()
	base, err := filepath.EvalSymlinks(t.TempDir())
	do(t, err)
	dir := filepath.Join(base, "rules")
	write(t, dir, "sub/a.yaml", "")
	w, err := newWatcher(dir, slog.New(slog.DiscardHandler))
	do(t, err)
	defer w.close()
	expect := func(what string, want bool, watches int) {
		t.Helper()
		l, err := list(dir)
		do(t, err)
		if got := w.sync(l.dirs); got != want {
			t.Errorf("%s: sync is %v", what, got)
		}
		if got := len(w.fs.WatchList()); got != watches {
			t.Errorf("%s: %d watches: %q", what, got, w.fs.WatchList())
		}
	}
	expect("at first", true, 3)
	expect("at rest", false, 3)
	write(t, dir, "more/b.yaml", "")
	expect("a folder more", true, 4)
	do(t, os.RemoveAll(filepath.Join(dir, "more")))
	expect("a folder less", false, 3)
	do(t, os.Rename(dir, dir+".old"))
	write(t, dir, "sub/a.yaml", "")
	expect("another folder", true, 3)
	expect("at rest again", false, 3)

	// Renamed away and back between two looks: it is the same folder, but the system has dropped its watch.
	if runtime.GOOS != "linux" {
		return
	}
	do(t, os.Rename(dir, dir+".away"))
	do(t, os.Rename(dir+".away", dir))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for tick := time.NewTicker(time.Millisecond); slices.Contains(w.fs.WatchList(), dir); {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("the watch was not dropped")
		}
	}
	expect("away and back", true, 3)
	expect("at rest once more", false, 3)
}
