package live

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bellhop/rules"
)

func TestRestartWithABrokenFile(t *testing.T) {
	t.Parallel()
	dir, s := t.TempDir(), newShelf()
	write(t, dir, "a.yaml", ruleFile("a"))
	write(t, dir, "b.yaml", ruleFile("b"))
	write(t, dir, "gone.yaml", ruleFile("gone"))
	write(t, dir, "linked.yaml", ruleFile("linked"))
	first := watch(t, Options{Dir: dir, Good: s})
	write(t, dir, "a.yaml", ruleFile("a", "a2"))
	was := status(first.rules("a change", "a", "a2", "b", "gone", "linked"), "a.yaml")
	write(t, dir, "a.yaml", broken)
	first.until("broken", failed("a.yaml"))
	s.until(t, "the changed version is stored", func(v map[string]Version) bool {
		return string(v["a.yaml"].Data) == ruleFile("a", "a2") && strings.HasPrefix(v["a.yaml"].Hash, was.Hash)
	})
	first.stop()

	// What happens while nobody looks.
	write(t, dir, "b.yaml", ruleFile("b2"))
	do(t, os.Remove(filepath.Join(dir, "gone.yaml")))
	do(t, os.Remove(filepath.Join(dir, "linked.yaml")))
	do(t, os.Symlink("nowhere", filepath.Join(dir, "linked.yaml")))

	second := watch(t, Options{Dir: dir, Good: s})
	now := second.f.Snapshot()
	if got := sorted(namesOf(now.Set)); !slices.Equal(got, []string{"a", "a2", "b2", "linked"}) {
		t.Errorf("after the restart %q are in force", got)
	}
	got := status(now, "a.yaml")
	if got.Status != Failed || !got.InForce || got.Hash != was.Hash || got.LoadedAt.Unix() != was.LoadedAt.Unix() || !strings.HasPrefix(got.Error, "a.yaml:3:") {
		t.Errorf("got %+v\nwas %+v", got, was)
	}
	if got := status(now, "linked.yaml"); got.Status != Failed || !got.InForce {
		t.Errorf("got %+v", got)
	}
	s.until(t, "the version of a removed file is dropped", func(v map[string]Version) bool {
		_, there := v["gone.yaml"]
		return !there && string(v["b.yaml"].Data) == ruleFile("b2")
	})
	write(t, dir, "a.yaml", ruleFile("fixed"))
	second.rules("fixed", "fixed", "b2", "linked")
}

// A good version that no longer loads (its connection went away) is not in force, is said to be lost, and
// is kept for when it loads again.
func TestRestartWithoutItsConnection(t *testing.T) {
	t.Parallel()
	for _, now := range []string{ruleFile("a"), broken} {
		dir, s := t.TempDir(), newShelf()
		write(t, dir, "a.yaml", ruleFile("a"))
		watch(t, Options{Dir: dir, Good: s}).stop()
		write(t, dir, "a.yaml", now)
		none := func(path string, _ []byte) (*rules.File, []rules.Finding) {
			return nil, []rules.Finding{{File: path, Line: 5, Column: 9, Severity: rules.Error, Message: "there is no connection for slack"}}
		}
		f, err := open(t.Context(), Options{Dir: dir, Good: s, Compile: none}, newSet)
		do(t, err)
		got := f.Files()[0]
		if got.InForce || got.Status != Failed || !strings.Contains(got.Error, "; its last good version, ") || !strings.Contains(got.Error, "no longer loads: a.yaml:5:9: there is no connection for slack") {
			t.Errorf("got %+v", got)
		}
		if len(namesOf(f.Set())) != 0 {
			t.Errorf("in force are %q", namesOf(f.Set()))
		}
		again := watch(t, Options{Dir: dir, Good: s})
		if got := namesOf(again.f.Set()); !slices.Equal(got, []string{"a"}) {
			t.Errorf("with its connection back %q are in force", got)
		}
		again.stop()
	}
}

// Of two files with one name, the one that was in force before the restart wins, whatever their paths.
func TestRestartWithANameThatIsTaken(t *testing.T) {
	t.Parallel()
	dir, s := t.TempDir(), newShelf()
	write(t, dir, "b.yaml", ruleFile("same"))
	write(t, dir, "c.yaml", ruleFile("c"))
	first := watch(t, Options{Dir: dir, Good: s})
	write(t, dir, "a.yaml", ruleFile("same", "more"))
	first.until("a newcomer", failed("a.yaml"))
	write(t, dir, "c.yaml", ruleFile("c", "same"))
	first.until("and another", failed("c.yaml"))
	first.stop()

	second := watch(t, Options{Dir: dir, Good: s})
	now := second.f.Snapshot()
	if got := sorted(namesOf(now.Set)); !slices.Equal(got, []string{"c", "same"}) || status(now, "b.yaml").Status != OK {
		t.Errorf("in force are %q, files are\n%s", got, show(now))
	}
	if got := status(now, "a.yaml"); got.Status != Failed || got.InForce {
		t.Errorf("got %+v", got)
	}
	if got := status(now, "c.yaml"); got.Status != Failed || !got.InForce || got.Rules != 1 {
		t.Errorf("got %+v", got)
	}
}

// Without anything stored, the first by path wins.
func TestTheSameNameAtTheFirstStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for i := range 30 {
		write(t, dir, fmt.Sprintf("%02d.yaml", i), ruleFile(fmt.Sprint("r", i%3), fmt.Sprint("own", i)))
	}
	b := watch(t, Options{Dir: dir})
	if got := sorted(namesOf(b.f.Set())); !slices.Equal(got, []string{"own0", "own1", "own2", "r0", "r1", "r2"}) {
		t.Errorf("in force are %q", got)
	}
	for i, f := range b.f.Files() {
		if (f.Status == OK) != (i < 3) || f.InForce != (i < 3) {
			t.Errorf("got %+v", f)
		}
	}
	do(t, os.Remove(filepath.Join(dir, "00.yaml")))
	b.until("the next in line", func(s Snapshot) bool {
		return status(s, "03.yaml").Status == OK && status(s, "06.yaml").Status == Failed
	})
}

// A file that lost its name to one that then loses itself is not kept waiting.
func TestALoserTakesNoName(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "0.yaml", ruleFile("x"))
	write(t, dir, "1.yaml", ruleFile("x", "y"))
	write(t, dir, "2.yaml", ruleFile("y"))
	b := watch(t, Options{Dir: dir, Poll: time.Hour})
	if got := sorted(namesOf(b.f.Set())); !slices.Equal(got, []string{"x", "y"}) {
		t.Errorf("in force are %q, files are\n%s", got, show(b.f.Snapshot()))
	}
}
