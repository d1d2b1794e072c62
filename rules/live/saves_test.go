package live

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"bellhop/rules/text"
)

// The ways in which changes are found. Each case of saving is tried in all of them: with events only, as in
// production, and by polling only.
var ways = map[string]Options{
	"events": {Poll: time.Hour},
	"both":   {},
	"poll":   {NoWatch: true, Poll: 100 * time.Millisecond},
}

// eachWay runs a case in every way, on a folder in which a.yaml (rule a) and b.yaml (rule b) are loaded. The folder
// has its own parent.
func eachWay(t *testing.T, test func(t *testing.T, b *bench)) {
	t.Parallel()
	for name, o := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o.Dir = filepath.Join(t.TempDir(), "rules")
			write(t, o.Dir, "a.yaml", ruleFile("a"))
			write(t, o.Dir, "b.yaml", ruleFile("b"))
			b := watch(t, o)
			b.watched()
			test(t, b)
		})
	}
}

// watched is the content of a.yaml at the beginning of a case.
var watched = ruleFile("a") + "\n# watched\n"

// watched waits until Run has set its watches: changes before that cause no event.
func (b *bench) watched() {
	b.t.Helper()
	write(b.t, b.dir, "a.yaml", watched)
	was := status(b.f.Snapshot(), "a.yaml").Hash
	b.f.Reload()
	b.until("a first change", func(s Snapshot) bool { return status(s, "a.yaml").Hash != was })
	b.mu.Lock()
	b.told = nil
	b.mu.Unlock()
}

func TestVimSave(t *testing.T) {
	eachWay(t, func(t *testing.T, b *bench) {
		// What vim does by default if it cannot write in place: probe, move away, create, write, remove.
		name := filepath.Join(b.dir, "a.yaml")
		write(t, b.dir, "4913", "")
		do(t, os.Remove(filepath.Join(b.dir, "4913")))
		write(t, b.dir, ".a.yaml.swp", "swap")
		do(t, os.Rename(name, name+"~"))
		f, err := os.Create(name)
		do(t, err)
		_, err = f.WriteString(ruleFile("a", "a2"))
		do(t, err)
		do(t, f.Sync())
		do(t, f.Close())
		do(t, os.Remove(name+"~"))
		do(t, os.Remove(filepath.Join(b.dir, ".a.yaml.swp")))
		b.rules("saved", "a", "a2", "b")
		b.always("a", "b")
	})
}

// program skips the test if a program is not installed.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skip(name, "is not installed")
	}
	return path
}

func run(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

func TestRealVim(t *testing.T) {
	vim := program(t, "vim")
	eachWay(t, func(t *testing.T, b *bench) {
		run(t, b.dir, vim, "-es", "-u", "NONE", "-i", "NONE", "-c", "set backup writebackup backupcopy=no", "-c", "%s/name: a/name: vim/", "-c", "wq", "a.yaml")
		b.rules("saved", "vim", "b")
		b.always("b")
	})
}

func TestSed(t *testing.T) {
	eachWay(t, func(t *testing.T, b *bench) {
		temp := filepath.Join(b.dir, "sedXq3b1Z")
		write(t, b.dir, "sedXq3b1Z", ruleFile("sed"))
		do(t, os.Rename(temp, filepath.Join(b.dir, "a.yaml")))
		b.rules("saved", "sed", "b")
		b.always("b")
		if sed, err := exec.LookPath("sed"); err == nil && runtime.GOOS == "linux" {
			run(t, b.dir, sed, "-i", "s/name: sed/name: again/", "a.yaml")
			b.rules("saved by sed itself", "again", "b")
		}
	})
}

func TestMovedIntoPlace(t *testing.T) {
	eachWay(t, func(t *testing.T, b *bench) {
		outside := t.TempDir()
		write(t, outside, "x", ruleFile("moved"))
		do(t, os.Rename(filepath.Join(outside, "x"), filepath.Join(b.dir, "new.yaml")))
		b.rules("a new file", "a", "b", "moved")
		write(t, outside, "y", ruleFile("over"))
		do(t, os.Rename(filepath.Join(outside, "y"), filepath.Join(b.dir, "a.yaml")))
		b.rules("over an old one", "over", "b", "moved")
		do(t, os.Rename(filepath.Join(b.dir, "new.yaml"), filepath.Join(b.dir, "renamed.yaml")))
		s := b.until("renamed", func(s Snapshot) bool {
			return status(s, "renamed.yaml").Status == OK && status(s, "new.yaml").Path == ""
		})
		if got := sorted(namesOf(s.Set)); !slices.Equal(got, []string{"b", "moved", "over"}) {
			t.Errorf("after the renaming %q are in force", got)
		}
		do(t, os.Remove(filepath.Join(b.dir, "renamed.yaml")))
		b.rules("removed", "over", "b")
		b.always("b")
		for _, s := range b.history() {
			if got := status(s, "renamed.yaml"); got.Status == Failed {
				t.Errorf("the renamed file was refused for a while: %s", got.Error)
			}
		}
	})
}

// An editor that truncates the file and writes it in pieces, each of which ends between two rules, so that every half
// is a valid file.
func TestWrittenInPieces(t *testing.T) {
	eachWay(t, func(t *testing.T, b *bench) {
		var names []string
		for i := range 20 {
			names = append(names, fmt.Sprintf("r%02d", i))
		}
		pieces := strings.SplitAfter(ruleFile(names...), "text: New }\n")
		for try := range 5 {
			f, err := os.Create(filepath.Join(b.dir, "a.yaml"))
			do(t, err)
			tick := time.NewTicker(20 * time.Millisecond)
			longest, last := time.Duration(0), time.Now()
			for i := range 3 * len(pieces) {
				<-tick.C
				if i%3 != 0 {
					// Something else happens in the folder, so that it is looked at between two pieces.
					name := filepath.Join(b.dir, "4913")
					write(t, b.dir, "4913", "")
					do(t, os.Remove(name))
					continue
				}
				_, err := f.WriteString(pieces[i/3])
				do(t, err)
				longest, last = max(longest, time.Since(last)), time.Now()
			}
			tick.Stop()
			do(t, f.Close())
			if longest > 130*time.Millisecond {
				t.Logf("try %d: this machine paused for %v while writing", try+1, longest)
				write(t, b.dir, "a.yaml", ruleFile("a"))
				b.rules("once more", "a", "b")
				b.mu.Lock()
				b.told = nil
				b.mu.Unlock()
				continue
			}
			b.rules("whole", append([]string{"b"}, names...)...)
			for _, s := range b.history() {
				if got := status(s, "a.yaml"); got.Rules != 1 && got.Rules != len(names) || got.Status != OK {
					t.Errorf("a half file was taken: %+v", got)
				}
			}
			b.always("b")
			return
		}
		t.Skip("this machine is too busy to write without long pauses")
	})
}

func TestGitCheckout(t *testing.T) {
	git := program(t, "git")
	eachWay(t, func(t *testing.T, b *bench) {
		const files = 60
		at := func(i int) string { return fmt.Sprintf("team%d/f%02d.yaml", i%5, i) }
		do(t, os.Remove(filepath.Join(b.dir, "a.yaml")))
		run(t, b.dir, git, "init", "-q", "-b", "one")
		commit := func(message string) {
			run(t, b.dir, git, "add", "-A")
			run(t, b.dir, git, "-c", "user.name=desk", "-c", "user.email=desk@example.com", "-c", "commit.gpgsign=false", "commit", "-q", "-m", message)
		}
		one, two := []string{"b"}, []string{"b"}
		for i := range files {
			name := fmt.Sprintf("one%02d", i)
			one = append(one, name)
			write(t, b.dir, at(i), ruleFile(name))
		}
		commit("one")
		b.rules("branch one written", one...)
		run(t, b.dir, git, "checkout", "-q", "-b", "two")
		for i := range files {
			if i%5 == 4 { // one folder is removed
				do(t, os.Remove(filepath.Join(b.dir, at(i))))
				continue
			}
			name := fmt.Sprintf("two%02d", i)
			two = append(two, name)
			write(t, b.dir, at(i), ruleFile(name))
		}
		commit("two")
		b.rules("branch two written", two...)
		for range 2 {
			before := len(b.history())
			run(t, b.dir, git, "checkout", "-q", "one")
			b.rules("checked out one", one...)
			run(t, b.dir, git, "checkout", "-q", "two")
			b.rules("checked out two", two...)
			if swaps := len(b.history()) - before; swaps > 6 {
				t.Errorf("two checkouts were %d swaps", swaps)
			}
		}
		b.always("b")
	})
}

// A folder as mounted by Kubernetes: a.yaml → ..data/a.yaml, ..data → ..v1, and ..data is swapped.
func TestConfigMapSwap(t *testing.T) {
	t.Parallel()
	for name, o := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o.Dir = t.TempDir()
			publish := func(version string, files map[string]string) {
				for file, content := range files {
					write(t, o.Dir, version+"/"+file, content)
				}
				temp := filepath.Join(o.Dir, "..data_tmp")
				do(t, os.Symlink(version, temp))
				old, _ := os.Readlink(filepath.Join(o.Dir, "..data"))
				do(t, os.Rename(temp, filepath.Join(o.Dir, "..data")))
				if old != "" {
					do(t, os.RemoveAll(filepath.Join(o.Dir, old)))
				}
			}
			publish("..2026_1", map[string]string{"a.yaml": ruleFile("a"), "b.yaml": ruleFile("b")})
			for _, file := range []string{"a.yaml", "b.yaml"} {
				do(t, os.Symlink("..data/"+file, filepath.Join(o.Dir, file)))
			}
			b := watch(t, o)
			b.watched()
			publish("..2026_2", map[string]string{"a.yaml": ruleFile("a2"), "b.yaml": ruleFile("b")})
			b.rules("first swap", "a2", "b")
			publish("..2026_3", map[string]string{"a.yaml": ruleFile("a3"), "b.yaml": ruleFile("b")})
			s := b.rules("second swap", "a3", "b")
			if len(s.Files) != 2 {
				t.Errorf("files are\n%s", show(s))
			}
			b.always("b")
		})
	}
}

func TestFolderRemovedAndPutBack(t *testing.T) {
	eachWay(t, func(t *testing.T, b *bench) {
		for round := range 2 {
			do(t, os.Rename(b.dir, b.dir+".trash"))
			do(t, os.RemoveAll(b.dir+".trash"))
			s := b.until("gone", func(s Snapshot) bool { return s.Problem != "" })
			for _, path := range []string{"a.yaml", "b.yaml"} {
				if got := status(s, path); got.Status != Failed || !got.InForce || !strings.Contains(got.Error, "the rules folder is gone") {
					t.Errorf("%s: %+v", path, got)
				}
			}
			if round == 0 {
				write(t, b.dir, "a.yaml", ruleFile("a"))
				write(t, b.dir, "b.yaml", ruleFile("b"))
				s = b.until("back", func(s Snapshot) bool { return s.Problem == "" && status(s, "a.yaml").Status == OK })
				if got := status(s, "b.yaml"); got.Status != OK || got.Error != "" {
					t.Errorf("b.yaml: %+v", got)
				}
				write(t, b.dir, "a.yaml", ruleFile("a", "changed"))
				b.rules("changed in the new folder", "a", "changed", "b")
			} else {
				write(t, b.dir, "sub/c.yaml", ruleFile("a", "c"))
				write(t, b.dir, "b.yaml", ruleFile("b"))
				b.rules("back with other files", "a", "b", "c")
				write(t, b.dir, "sub/c.yaml", ruleFile("a", "c2"))
				b.rules("changed in its subfolder", "a", "b", "c2")
			}
		}
		b.always("a", "b")
		if n := b.log.count("the rules folder is gone"); n != 2 {
			t.Errorf("logged %d times that the folder was gone, which it was twice", n)
		}
	})
}

func TestAnotherFolderMovedIn(t *testing.T) {
	eachWay(t, func(t *testing.T, b *bench) {
		next := b.dir + ".next"
		write(t, next, "b.yaml", ruleFile("b"))
		write(t, next, "sub/c.yaml", ruleFile("c"))
		do(t, os.Rename(b.dir, b.dir+".old"))
		do(t, os.Rename(next, b.dir))
		b.rules("the other folder", "b", "c")
		write(t, b.dir, "sub/c.yaml", ruleFile("c2"))
		b.rules("a change in it", "b", "c2")
		// Changes in the folder that was renamed have no effect.
		write(t, b.dir+".old", "a.yaml", ruleFile("old"))
		write(t, b.dir, "d.yaml", ruleFile("d"))
		b.rules("a file more", "b", "c2", "d")
		b.always("b")
	})
}

func TestAnEmptyFolderIsNoOrderToForget(t *testing.T) {
	eachWay(t, func(t *testing.T, b *bench) {
		do(t, os.Mkdir(b.dir+".empty", 0o755))
		do(t, os.Rename(b.dir, b.dir+".old"))
		do(t, os.Rename(b.dir+".empty", b.dir))
		b.until("an empty folder in its place", func(s Snapshot) bool { return strings.Contains(s.Problem, "replaced by an empty one") })
		write(t, b.dir, "a.yaml", ruleFile("a"))
		b.rules("a file in it", "a")
		// The same folder, renamed away and back.
		do(t, os.Rename(b.dir, b.dir+".away"))
		b.until("gone", func(s Snapshot) bool { return strings.Contains(s.Problem, "is gone") })
		do(t, os.Remove(filepath.Join(b.dir+".away", "a.yaml")))
		do(t, os.Rename(b.dir+".away", b.dir))
		b.until("back and empty", func(s Snapshot) bool { return strings.Contains(s.Problem, "replaced by an empty one") })
		write(t, b.dir, "a.yaml", ruleFile("a"))
		b.until("a file in it again", func(s Snapshot) bool { return s.Problem == "" && status(s, "a.yaml").Status == OK })
		do(t, os.Remove(filepath.Join(b.dir, "a.yaml")))
		b.rules("and none again, in the same folder")
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, s := range b.told[:len(b.told)-1] {
			if !slices.Contains(namesOf(s.Set), "a") {
				t.Errorf("rule a was forgotten: %q", namesOf(s.Set))
			}
		}
	})
}

func TestUnreadable(t *testing.T) {
	eachWay(t, func(t *testing.T, b *bench) {
		name := filepath.Join(b.dir, "a.yaml")
		away := func() { do(t, os.Rename(name, filepath.Join(t.TempDir(), "a"))) }
		cases := map[string]struct {
			spoil func()
			why   string
		}{
			"a folder":        {func() { away(); do(t, os.Mkdir(name, 0o755)) }, "this is a folder"},
			"a dangling link": {func() { away(); do(t, os.Symlink("nowhere", name)) }, "a link to something that does not exist"},
			"a loop":          {func() { away(); do(t, os.Symlink("a.yaml", name)) }, "symbolic links"},
			"no permission":   {func() { do(t, os.Chmod(name, 0)) }, "permission denied"},
			"too large":       {func() { do(t, os.Truncate(name, text.MaxFileSize+1)) }, "larger than 1024 KiB"},
		}
		for what, c := range cases {
			if what == "no permission" && os.Geteuid() == 0 || what == "a loop" && runtime.GOOS == "windows" {
				continue
			}
			c.spoil()
			s := b.until(what, failed("a.yaml"))
			got := status(s, "a.yaml")
			if !got.InForce || got.Rules != 1 || !strings.Contains(got.Error, c.why) || !strings.Contains(got.Error, "stays in force") {
				t.Errorf("%s: %+v", what, got)
			}
			if len(s.Files) != 2 || status(s, "b.yaml").Status != OK {
				t.Errorf("%s: files are\n%s", what, show(s))
			}
			do(t, os.RemoveAll(name))
			write(t, b.dir, "a.yaml", ruleFile("a"))
			b.until("readable again", func(s Snapshot) bool { return status(s, "a.yaml").Status == OK })
		}
		b.always("a", "b")
	})
}

func TestUnreadableSubfolder(t *testing.T) {
	eachWay(t, func(t *testing.T, b *bench) {
		outside := t.TempDir()
		write(t, outside, "c.yaml", ruleFile("c"))
		link := filepath.Join(b.dir, "sub")
		do(t, os.Symlink(outside, link))
		b.rules("a linked folder", "a", "b", "c")
		write(t, outside, "c.yaml", ruleFile("c", "c2"))
		b.rules("a change behind the link", "a", "b", "c", "c2")
		do(t, os.Remove(link))
		do(t, os.Symlink("nowhere", link))
		s := b.until("the link dangles", failed("sub/c.yaml"))
		if got := status(s, "sub/c.yaml"); !got.InForce || !strings.Contains(got.Error, "does not exist") {
			t.Errorf("got %+v", got)
		}
		do(t, os.Remove(link))
		b.rules("the link is gone", "a", "b")
	})
}

func TestSubfoldersCreatedLater(t *testing.T) {
	eachWay(t, func(t *testing.T, b *bench) {
		write(t, b.dir, "one/two/three/c.yaml", ruleFile("c"))
		b.rules("created with a file in it", "a", "b", "c")
		write(t, b.dir, "one/two/d.yaml", ruleFile("d"))
		b.rules("a file more", "a", "b", "c", "d")
		do(t, os.Rename(filepath.Join(b.dir, "one"), filepath.Join(b.dir, "uno")))
		b.until("renamed", func(s Snapshot) bool {
			return status(s, "uno/two/d.yaml").Status == OK && status(s, "one/two/d.yaml").Path == ""
		})
		write(t, b.dir, "uno/two/three/c.yaml", ruleFile("c", "c2"))
		b.rules("changed under its new name", "a", "b", "c", "c2", "d")
		do(t, os.RemoveAll(filepath.Join(b.dir, "uno")))
		b.rules("removed", "a", "b")
		b.always("a", "b")
	})
}

func TestABrokenFileKeepsItsGoodVersion(t *testing.T) {
	eachWay(t, func(t *testing.T, b *bench) {
		was := status(b.f.Snapshot(), "a.yaml")
		write(t, b.dir, "a.yaml", broken)
		s := b.until("broken", failed("a.yaml"))
		got := status(s, "a.yaml")
		if !got.InForce || got.Hash != was.Hash || !got.LoadedAt.Equal(was.LoadedAt) || !strings.HasPrefix(got.Error, "a.yaml:3:") || !strings.Contains(got.Error, "stays in force") {
			t.Errorf("got %+v\nwas %+v", got, was)
		}
		write(t, b.dir, "b.yaml", ruleFile("b2"))
		write(t, b.dir, "c.yaml", ruleFile("c"))
		s = b.rules("others change", "a", "b2", "c")
		if status(s, "a.yaml").Status != Failed {
			t.Error("the broken file is said to be fine")
		}
		write(t, b.dir, "a.yaml", watched)
		s = b.until("back to what it was", func(s Snapshot) bool { return status(s, "a.yaml").Status == OK })
		if got := status(s, "a.yaml"); got.Error != "" || len(got.Findings) != 0 || got.Hash != was.Hash {
			t.Errorf("got %+v", got)
		}
		b.always("a")
	})
}

func TestANameThatIsTaken(t *testing.T) {
	eachWay(t, func(t *testing.T, b *bench) {
		// The newer file loses, though its path comes first.
		write(t, b.dir, "0.yaml", ruleFile("zero"))
		b.rules("a file more", "a", "b", "zero")
		write(t, b.dir, "0.yaml", ruleFile("x", "a"))
		s := b.until("a name is taken", failed("0.yaml"))
		if got := status(s, "0.yaml"); !got.InForce || got.Rules != 1 || !strings.HasPrefix(got.Error, "0.yaml:") || len(got.Lines) == 0 || !strings.Contains(got.Lines[0], "name: a") {
			t.Errorf("got %+v", got)
		}
		if status(s, "a.yaml").Status != OK {
			t.Errorf("the file that had the name before: %+v", status(s, "a.yaml"))
		}
		b.rules("the newcomer keeps its version", "a", "b", "zero")
		// The other file gives the name up: the loser comes into force without being saved again.
		write(t, b.dir, "a.yaml", ruleFile("other"))
		s = b.rules("the name is free", "a", "b", "other", "x")
		if got := status(s, "0.yaml"); got.Status != OK || len(got.Findings) != 0 {
			t.Errorf("got %+v", got)
		}
		b.always("a", "b")
	})
}

func TestTwoFilesSwapNames(t *testing.T) {
	eachWay(t, func(t *testing.T, b *bench) {
		write(t, b.dir, "a.yaml", ruleFile("b"))
		write(t, b.dir, "b.yaml", ruleFile("a"))
		s := b.until("swapped", func(s Snapshot) bool {
			return slices.ContainsFunc(b.history(), func(Snapshot) bool { return true }) && status(s, "a.yaml").Status == OK && status(s, "b.yaml").Status == OK
		})
		if got := sorted(namesOf(s.Set)); !slices.Equal(got, []string{"a", "b"}) {
			t.Errorf("in force are %q", got)
		}
		b.always("a", "b")
	})
}
