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
	"bellhop/rules/text"
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

	// What happens while the folder is not watched.
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

// A good version that no longer loads (its connection was removed) is not in force, is reported as lost, and is kept
// until it loads again.
func TestRestartWithoutItsConnection(t *testing.T) {
	t.Parallel()
	for _, now := range []string{ruleFile("a"), broken} {
		dir, s := t.TempDir(), newShelf()
		write(t, dir, "a.yaml", ruleFile("a"))
		watch(t, Options{Dir: dir, Good: s}).stop()
		write(t, dir, "a.yaml", now)
		none := func(path string, data []byte) (*rules.File, []text.Finding) {
			return rules.Compile(path, data, rules.Options{})
		}
		f, err := Open(t.Context(), Options{Dir: dir, Good: s, Compiler: Compiler{Compile: none}})
		do(t, err)
		got := f.Files()[0]
		if got.InForce || got.Status != Failed || !strings.Contains(got.Error, "; its last good version, ") || !strings.Contains(got.Error, "no longer loads: a.yaml:5:") {
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

// If two files use one rule name, the file that was in force before the restart wins, whatever their paths are.
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

// A file that lost its name to a file that then loses itself does not have to wait.
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

// The same over several turns: 9 takes a name of 2, which gets its old version back because 3 now has its new name;
// so 4 no longer loses to 9.
func TestALoserOfALoser(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "2.yaml", ruleFile("two"))
	write(t, dir, "3.yaml", ruleFile("three"))
	b := watch(t, Options{Dir: dir, NoWatch: true, Poll: time.Hour})
	write(t, dir, "2.yaml", ruleFile("three", "own"))
	write(t, dir, "4.yaml", ruleFile("two", "four"))
	write(t, dir, "9.yaml", ruleFile("four", "nine"))
	b.f.Reload()
	s := b.rules("settled", "two", "three", "four", "nine")
	for path, want := range map[string]Status{"2.yaml": Failed, "3.yaml": OK, "4.yaml": Failed, "9.yaml": OK} {
		if got := status(s, path); got.Status != want {
			t.Errorf("%s: %+v", path, got)
		}
	}
	if n := b.log.count("at=9.yaml"); n != 0 {
		t.Errorf("9.yaml is in force and was complained of %d times", n)
	}
}
