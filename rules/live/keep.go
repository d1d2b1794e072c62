package live

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"
)

const (
	// storing is how long the store may take for one version.
	storing = 5 * time.Second
	// together is how many versions are stored at once, so that they can share a transaction.
	together = 64
	// retryStoring is the longest pause between attempts to store a version.
	retryStoring = time.Minute
)

// A keeper keeps the store up to date with the versions in force.
type keeper struct {
	versions Versions // nil: nothing is stored
	log      *slog.Logger
	wake     chan struct{}

	mu      sync.Mutex
	unsaved map[string]*Version // by path; nil means: drop it
	failing bool                // the last attempt failed, which was logged
}

func newKeeper(versions Versions, log *slog.Logger) *keeper {
	return &keeper{versions: versions, log: log, wake: make(chan struct{}, 1), unsaved: map[string]*Version{}}
}

// put asks for a version to be stored or, with nil, for the version of that path to be dropped.
func (k *keeper) put(path string, v *Version) {
	if k.versions == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.unsaved[path] = v
	wake(k.wake)
}

// run stores what is put until ctx is done.
func (k *keeper) run(ctx context.Context, retry time.Duration) {
	pause := retry
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.wake:
		case <-timer.C:
		}
		if k.store(ctx) {
			pause = retry
			timer.Stop()
			continue
		}
		timer.Reset(pause)
		pause = min(2*pause, max(retry, retryStoring))
	}
}

// store reports whether everything is stored. A failure is logged once, until storing works again.
func (k *keeper) store(ctx context.Context) bool {
	k.mu.Lock()
	work := maps.Clone(k.unsaved)
	k.mu.Unlock()
	type failure struct {
		path string
		err  error
	}
	failed := make(chan failure, 1)
	paths := slices.Sorted(maps.Keys(work))
	atOnce(min(together, len(paths)), len(paths), func(i int) {
		path := paths[i]
		if len(failed) > 0 {
			return
		}
		if err := k.storeOne(ctx, path, work[path]); err != nil {
			select {
			case failed <- failure{path, err}:
			default:
			}
			return
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.unsaved[path] == work[path] { // otherwise there is a newer version
			delete(k.unsaved, path)
		}
	})
	if len(failed) > 0 {
		if first := <-failed; ctx.Err() == nil && !k.failing {
			k.failing = true
			k.log.Error("the last good version of a rule file could not be stored; its rules are in force, and storing is tried again",
				"file", first.path, "error", first.err)
		}
		return false
	}
	k.failing = false
	return true
}

func (k *keeper) storeOne(ctx context.Context, path string, v *Version) error {
	ctx, cancel := context.WithTimeout(ctx, storing)
	defer cancel()
	if v == nil {
		return k.versions.DropGood(ctx, path)
	}
	return k.versions.PutGood(ctx, *v)
}
