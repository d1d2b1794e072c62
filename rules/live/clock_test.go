package live

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// These tests poll real files with a clock of their own (see testing/synctest), so that they can check, to the
// millisecond and without waiting, when something has happened.

// soon is the promise: a change is live within this time after the file is complete.
const soon = 2 * time.Second

// polled runs a folder that is only polled, with default options.
func polled(t *testing.T, o Options) *bench {
	t.Helper()
	o.NoWatch = true
	b := watch(t, o)
	synctest.Wait()
	return b
}

// pass lets time pass.
func pass(d time.Duration) {
	timer := time.NewTimer(d)
	<-timer.C
	synctest.Wait()
}

func (b *bench) inForce() []string { return sorted(namesOf(b.f.Set())) }

// A change is live in time, and never before it is complete, at whatever moment between two polls and in however many
// pieces it is written.
func TestLiveInTimeByThePollAlone(t *testing.T) {
	t.Parallel()
	// The rules of one piece, of two, of all. If shorter is set, the file had more rules before.
	for _, shorter := range []bool{false, true} {
		for _, gap := range []time.Duration{10 * time.Millisecond, 60 * time.Millisecond, 140 * time.Millisecond} {
			if shorter {
				gap *= 3 // a shorter file looks complete sooner, so the folder waits longer
			}
			for offset := time.Duration(0); offset < time.Second; offset += 90 * time.Millisecond {
				t.Run(fmt.Sprintf("shorter=%v/gap=%v/offset=%v", shorter, gap, offset), func(t *testing.T) {
					t.Parallel()
					dir := t.TempDir()
					synctest.Test(t, func(t *testing.T) {
						old := []string{"old"}
						if shorter {
							old = []string{"old0", "old1", "old2", "old3", "old4", "old5", "old6", "old7", "old8"}
						}
						write(t, dir, "a.yaml", ruleFile(old...))
						b := polled(t, Options{Dir: dir})
						defer b.stop()
						pass(3*time.Second + offset)
						write(t, dir, "a.yaml", "")
						pass(gap)
						names := []string{"new0", "new1", "new2", "new3", "new4", "new5"}
						for i := range names {
							write(t, dir, "a.yaml", ruleFile(names[:i+1]...))
							if i < len(names)-1 {
								pass(gap)
							}
						}
						whole := time.Now()
						for !slices.Equal(b.inForce(), names) {
							if !slices.Equal(b.inForce(), old) {
								t.Fatalf("a half file was taken: %q", b.inForce())
							}
							if time.Since(whole) >= soon {
								t.Fatalf("%v after the file was whole %q are in force", time.Since(whole), b.inForce())
							}
							pass(10 * time.Millisecond)
						}
						for _, s := range b.history() {
							if got := sorted(namesOf(s.Set)); !slices.Equal(got, names) && !slices.Equal(got, old) {
								t.Errorf("a half file was taken: %q", got)
							}
						}
					})
				})
			}
		}
	}
}

// A file that keeps changing delays no other file, is not loaded itself, and is named in the status.
func TestAFileThatKeepsChanging(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		write(t, dir, "a.yaml", ruleFile("a"))
		write(t, dir, "log.yaml", ruleFile("log"))
		b := polled(t, Options{Dir: dir})
		defer b.stop()
		change := func(d time.Duration) {
			for start := time.Now(); time.Since(start) < d; pass(100 * time.Millisecond) {
				write(t, dir, "log.yaml", ruleFile("log", fmt.Sprint("at ", time.Now().UnixMilli())))
			}
		}
		for i := range 7 {
			name := fmt.Sprint("a", i)
			change(330 * time.Millisecond)
			write(t, dir, "a.yaml", ruleFile(name))
			change(soon)
			if got := b.inForce(); !slices.Equal(got, []string{name, "log"}) {
				t.Fatalf("in force are %q", got)
			}
		}
		got := status(b.f.Snapshot(), "log.yaml")
		if got.Status != Failed || !got.InForce || got.Rules != 1 || !strings.Contains(got.Error, "keeps changing") {
			t.Errorf("got %+v", got)
		}
		if n := b.log.count("keeps changing"); n != 1 {
			t.Errorf("logged %d times", n)
		}
		pass(soon)
		if got := status(b.f.Snapshot(), "log.yaml"); got.Status != OK || got.Rules != 2 {
			t.Errorf("at rest: %+v", got)
		}
	})
}

// A change that leaves size and time unchanged is found too.
func TestAChangeThatHides(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		name := filepath.Join(dir, "a.yaml")
		long := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
		write(t, dir, "a.yaml", ruleFile("a1"))
		do(t, os.Chtimes(name, long, long))
		b := polled(t, Options{Dir: dir})
		defer b.stop()
		pass(10 * time.Second)
		write(t, dir, "a.yaml", ruleFile("a2"))
		do(t, os.Chtimes(name, long, long))
		pass(soon)
		if got := b.inForce(); !slices.Equal(got, []string{"a2"}) {
			t.Errorf("in force are %q", got)
		}
	})
}

// In a folder that is too large to be read completely at every poll, a change within one tick of the file system's
// clock is found too.
func TestAChangeWithinATick(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		long := time.Date(1990, 1, 2, 3, 4, 5, 0, time.UTC)
		for i := range 4 * rereadFiles {
			path := fmt.Sprintf("x%03d.yaml", i)
			write(t, dir, path, "rules: []\n")
			do(t, os.Chtimes(filepath.Join(dir, path), long, long))
		}
		b := polled(t, Options{Dir: dir})
		defer b.stop()
		pass(10 * time.Second)
		name := filepath.Join(dir, "a.yaml")
		tick := time.Now()
		write(t, dir, "a.yaml", ruleFile("a1"))
		do(t, os.Chtimes(name, tick, tick))
		for len(b.inForce()) == 0 {
			pass(10 * time.Millisecond)
		}
		write(t, dir, "a.yaml", ruleFile("a2"))
		do(t, os.Chtimes(name, tick, tick))
		pass(soon)
		if got := b.inForce(); !slices.Equal(got, []string{"a2"}) {
			t.Errorf("in force are %q", got)
		}
	})
}

// Reload looks at everything at once.
func TestReload(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		name := filepath.Join(dir, "a.yaml")
		long := time.Date(1990, 1, 2, 3, 4, 5, 0, time.UTC)
		write(t, dir, "a.yaml", ruleFile("a1"))
		do(t, os.Chtimes(name, long, long))
		b := polled(t, Options{Dir: dir, Poll: time.Hour})
		defer b.stop()
		pass(time.Minute)
		write(t, dir, "a.yaml", ruleFile("a2"))
		do(t, os.Chtimes(name, long, long))
		pass(time.Minute)
		if got := b.inForce(); !slices.Equal(got, []string{"a1"}) {
			t.Fatalf("found without being asked: %q", got)
		}
		b.f.Reload()
		b.f.Reload()
		pass(pause)
		if got := b.inForce(); !slices.Equal(got, []string{"a2"}) {
			t.Errorf("in force are %q", got)
		}
	})
}

// If nothing changes, nothing happens.
func TestQuiet(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		write(t, dir, "a.yaml", ruleFile("a"))
		write(t, dir, "b.yaml", broken)
		do(t, os.Symlink("nowhere", filepath.Join(dir, "c.yaml")))
		b := polled(t, Options{Dir: dir, Good: newShelf()})
		defer b.stop()
		lines := b.log.count("\n")
		pass(time.Hour)
		if n := len(b.history()); n != 0 {
			t.Errorf("%d changes were told", n)
		}
		if n := b.log.count("\n"); n != lines {
			t.Errorf("%d lines were logged", n-lines)
		}
	})
}

func TestGoneForAWhile(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "rules")
	synctest.Test(t, func(t *testing.T) {
		write(t, dir, "a.yaml", ruleFile("a"))
		b := polled(t, Options{Dir: dir})
		defer b.stop()
		// A short moment without the folder causes no problem.
		do(t, os.Rename(dir, dir+".away"))
		pass(1200 * time.Millisecond)
		do(t, os.Rename(dir+".away", dir))
		pass(10 * time.Second)
		if n := len(b.history()); n != 0 {
			t.Errorf("%d changes were told", n)
		}
		do(t, os.Rename(dir, dir+".away"))
		pass(time.Hour)
		if n := b.log.count("the rules folder is gone"); n != 1 {
			t.Errorf("logged %d times", n)
		}
		if got := b.inForce(); !slices.Equal(got, []string{"a"}) || len(b.history()) != 1 {
			t.Errorf("in force are %q after %d changes", got, len(b.history()))
		}
		do(t, os.Rename(dir+".away", dir))
		pass(soon)
		if s := b.f.Snapshot(); s.Problem != "" || status(s, "a.yaml").Status != OK {
			t.Errorf("back: %q\n%s", s.Problem, show(s))
		}
	})
}

// A store that fails or hangs delays no reload, and gets the versions when it works again.
func TestAStoreThatFails(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"fails", "hangs"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				write(t, dir, "a.yaml", ruleFile("a"))
				write(t, dir, "b.yaml", ruleFile("b"))
				s := newShelf()
				b := polled(t, Options{Dir: dir, Good: s})
				defer b.stop()
				if len(s.versions) != 2 {
					t.Fatalf("stored are %d versions", len(s.versions))
				}
				s.set(how == "fails", how == "hangs")
				do(t, os.Remove(filepath.Join(dir, "b.yaml")))
				for i := range 20 {
					name := fmt.Sprint("a", i)
					write(t, dir, "a.yaml", ruleFile(name))
					pass(soon)
					if got := b.inForce(); !slices.Equal(got, []string{name}) {
						t.Fatalf("in force are %q", got)
					}
				}
				if n := b.log.count("could not be stored"); n != 1 {
					t.Errorf("logged %d times", n)
				}
				pass(time.Hour)
				s.mu.Lock()
				if s.calls > 200 {
					t.Errorf("the store was asked %d times in an hour", s.calls)
				}
				s.mu.Unlock()
				s.set(false, false)
				pass(2 * time.Minute)
				if v := s.versions["a.yaml"]; string(v.Data) != ruleFile("a19") || len(s.versions) != 1 {
					t.Errorf("stored are %v", s.versions)
				}
			})
		})
	}
}

// A version that comes into force while the one before is being stored is stored too.
func TestAStoreThatIsSlow(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		write(t, dir, "a.yaml", ruleFile("a"))
		s := newShelf()
		b := polled(t, Options{Dir: dir, Good: s})
		defer b.stop()
		s.slow = 4 * time.Second
		for _, name := range []string{"a1", "a2", "a3"} {
			write(t, dir, "a.yaml", ruleFile(name))
			pass(soon)
		}
		pass(time.Minute)
		if v := s.versions["a.yaml"]; string(v.Data) != ruleFile("a3") {
			t.Errorf("stored is %s", v.Data)
		}
	})
}

func TestAStoreThatCannotBeRead(t *testing.T) {
	t.Parallel()
	_, err := Open(t.Context(), Options{Dir: t.TempDir(), Compiler: Compiler{Compile: compile}, Good: noShelf{}})
	if !errors.Is(err, errNoShelf) {
		t.Errorf("got %v", err)
	}
}

var errNoShelf = errors.New("no such table")

type noShelf struct{ Versions }

func (noShelf) GoodVersions(context.Context) ([]Version, error) { return nil, errNoShelf }
