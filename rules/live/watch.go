package live

import (
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"sync"

	"github.com/fsnotify/fsnotify"
)

// A watcher turns file system events into hints that something may have changed.
type watcher struct {
	fs    *fsnotify.Watcher
	hints chan struct{}
	log   *slog.Logger
	done  sync.WaitGroup

	// The parent of the rules folder is watched too, to see the folder disappear and come back. Other events in it
	// are no hints.
	parent, base string

	have   map[string]fs.FileInfo
	alias  map[string]bool // the system watches it under another name
	failed bool            // adding a watch failed, which was logged
}

func newWatcher(dir string, log *slog.Logger) (*watcher, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	parent, err := filepath.EvalSymlinks(filepath.Dir(abs))
	if err != nil {
		return nil, err
	}
	n, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watching for changes: %w", err)
	}
	w := &watcher{
		fs: n, hints: make(chan struct{}, 1), log: log, parent: parent, base: filepath.Base(abs),
		have: map[string]fs.FileInfo{}, alias: map[string]bool{},
	}
	// Events are read in a goroutine of their own: on some systems, adding a watch waits for the goroutine that
	// delivers events.
	w.done.Go(w.drain)
	return w, nil
}

func (w *watcher) close() {
	if err := w.fs.Close(); err != nil {
		w.log.Warn("the watch on the rules folder did not close", "error", err)
	}
	w.done.Wait()
}

func (w *watcher) drain() {
	events, errs := w.fs.Events, w.fs.Errors
	for events != nil || errs != nil {
		select {
		case e, ok := <-events:
			if !ok {
				events = nil
			} else if w.tells(e) {
				wake(w.hints)
			}
		case err, ok := <-errs:
			if !ok {
				errs = nil
			} else {
				w.log.Debug("the watch on the rules folder reports an error", "error", err)
				wake(w.hints) // events were probably lost
			}
		}
	}
}

// tells reports whether an event may be about a rule file. Folders and links may have any name.
func (w *watcher) tells(e fsnotify.Event) bool {
	name := filepath.Base(e.Name)
	if IsRules(name) {
		return true
	}
	if filepath.Dir(e.Name) == w.parent {
		return name == w.base
	}
	return e.Op&(fsnotify.Create|fsnotify.Rename|fsnotify.Remove) != 0
}

// sync watches exactly these folders. It reports whether one of them was not watched before.
func (w *watcher) sync(dirs map[string]fs.FileInfo) bool {
	want := map[string]fs.FileInfo{}
	if info, err := os.Stat(w.parent); err == nil {
		want[w.parent] = info
	}
	maps.Copy(want, dirs)
	alive := w.alive()
	for dir, was := range w.have {
		is := want[dir]
		switch {
		case is == nil || !os.SameFile(was, is):
			// The folder is gone or was replaced: the watch would stay with the old one.
			if alive[dir] {
				_ = w.fs.Remove(dir) // fails if the system has already dropped it
			}
		case alive[dir] || w.alias[dir]:
			continue
		}
		delete(w.have, dir)
		delete(w.alias, dir)
	}
	added := false
	for dir, info := range want {
		if w.have[dir] != nil {
			continue
		}
		if err := w.fs.Add(dir); err != nil {
			if _, gone := os.Stat(dir); gone == nil && !w.failed {
				w.failed = true
				w.log.Warn("a folder of rules is watched by polling alone", "dir", dir, "error", err)
			}
			continue
		}
		w.have[dir], added = info, true
	}
	if added {
		alive := w.alive()
		for dir := range w.have {
			w.alias[dir] = !alive[dir]
		}
	}
	return added
}

// alive returns the folders that the system watches.
func (w *watcher) alive() map[string]bool {
	alive := map[string]bool{}
	for _, dir := range w.fs.WatchList() {
		alive[dir] = true
	}
	return alive
}
