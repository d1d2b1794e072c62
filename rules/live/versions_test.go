package live

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"
)

// A snapshot names the versions in force, not those of broken files, and two snapshots have the same ID exactly if
// these are the same.
func TestVersionsInForce(t *testing.T) {
	t.Parallel()
	hash := func(content string) string {
		sum := sha256.Sum256([]byte(content))
		return hex.EncodeToString(sum[:])
	}
	dir := t.TempDir()
	write(t, dir, "a.yaml", ruleFile("a"))
	b := watch(t, Options{Dir: dir})
	first := b.rules("at first", "a")
	if len(first.Versions) != 1 || first.Versions[0] != (FileVersion{"a.yaml", hash(ruleFile("a"))}) || first.ID != SetID(first.Versions) {
		t.Fatalf("%+v", first.Versions)
	}
	write(t, dir, "b.yaml", ruleFile("b"))
	second := b.rules("with another file", "a", "b")
	if len(second.Versions) != 2 || second.Versions[1] != (FileVersion{"b.yaml", hash(ruleFile("b"))}) || second.ID == first.ID {
		t.Fatalf("%+v", second.Versions)
	}
	write(t, dir, "b.yaml", broken)
	third := b.until("the broken file", failed("b.yaml"))
	if third.ID != second.ID {
		t.Errorf("a broken file, which is not in force, makes another set: %+v", third.Versions)
	}
	write(t, dir, "b.yaml", ruleFile("b2"))
	if s := b.rules("with the file as it is now", "a", "b2"); s.ID == second.ID {
		t.Errorf("%+v", s.Versions)
	}
	do(t, os.Remove(filepath.Join(dir, "b.yaml")))
	if s := b.rules("as at first", "a"); s.ID != first.ID {
		t.Errorf("the same files are another set: %+v", s.Versions)
	}
}
