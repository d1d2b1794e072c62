package live

import (
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"bellhop/rules"
	"bellhop/rules/text"
)

// starts opens a folder as a program with a stamp, and returns its state and how many contents were compiled.
func starts(t *testing.T, dir string, s *shelf, stamp string) (snapshot Snapshot, compiled int) {
	t.Helper()
	var n atomic.Int64
	o := rules.Options{Connections: map[string]string{"slack": "slack"}}
	f, err := Open(t.Context(), Options{
		Dir: dir, Good: s, Compiler: Compiler{
			Stamp: stamp,
			Compile: func(path string, data []byte) (*rules.File, []text.Finding) {
				n.Add(1)
				return rules.Compile(path, data, o)
			},
			Recall: func(path string, data []byte, digest string) (*rules.File, []text.Finding, error) {
				return rules.Recall(path, data, digest, o)
			},
		},
	})
	do(t, err)
	return f.Snapshot(), int(n.Load())
}

// A file that is as it was, for a program and a configuration that are as they were, is not checked again. Its status is
// the same, with all warnings.
func TestWarmStart(t *testing.T) {
	t.Parallel()
	dir, s := t.TempDir(), newShelf()
	same := func(name string) string { return strings.Replace(ruleFile(name), "text: "+name, "text: same", 1) }
	write(t, dir, "a.yaml", same("a"))
	write(t, dir, "b.yaml", same("b"))
	write(t, dir, "c.yaml", strings.Replace(ruleFile("c"), "on: booked\n", "on: booked\n    let: { unused: type }\n", 1))
	write(t, dir, "broken.yaml", broken)
	write(t, dir, "ignored.yaml", same("ignored")+"        # bellhop: ignore same-send\n")

	cold, n := starts(t, dir, s, "one")
	if n != 5 {
		t.Errorf("at first %d contents are compiled", n)
	}
	warm, n := starts(t, dir, s, "one")
	if n != 1 { // the broken one
		t.Errorf("at a warm start %d contents are compiled", n)
	}
	codes := map[string]int{}
	for i := range cold.Files {
		for _, found := range cold.Files[i].Findings {
			codes[found.Code]++
		}
		warm.Files[i].LoadedAt = cold.Files[i].LoadedAt // the store does not keep what a monotonic clock says
	}
	if codes["same-send"] == 0 || codes["unused-let"] == 0 || codes["ignore"] == 0 || !reflect.DeepEqual(warm.Files, cold.Files) || warm.ID != cold.ID {
		t.Errorf("at a warm start the files are\n%s\nnot\n%s", show(warm), show(cold))
	}
	if got, want := sorted(namesOf(warm.Set)), sorted(namesOf(cold.Set)); !slices.Equal(got, want) {
		t.Errorf("in force are %q, not %q", got, want)
	}

	write(t, dir, "b.yaml", ruleFile("changed"))
	if _, n := starts(t, dir, s, "one"); n != 2 {
		t.Errorf("with another content %d contents are compiled", n)
	}
	at := s.versions["a.yaml"].At
	if _, n := starts(t, dir, s, "two"); n != 5 {
		t.Errorf("with another program %d contents are compiled", n)
	}
	if !s.versions["a.yaml"].At.Equal(at) {
		t.Error("a file that another program loads again has another time at which it came into force")
	}
	if _, n := starts(t, dir, s, "two"); n != 1 {
		t.Errorf("with the other program again %d contents are compiled", n)
	}
	if _, n := starts(t, dir, s, ""); n != 5 {
		t.Errorf("with a program that is not known %d contents are compiled", n)
	}
	v := s.versions["a.yaml"]
	v.Stamp = v.Stamp[:len(v.Stamp)-3]
	s.versions["a.yaml"] = v
	if now, n := starts(t, dir, s, "two"); n != 2 || status(now, "a.yaml").Status != OK {
		t.Errorf("with half of what was stored %d contents are compiled", n)
	}
}
