package live

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bellhop/rules/text"
)

// A warning about two files together is in the status of the later one, keeps neither from being in force, and goes
// away with its cause.
func TestAWarningAboutTwoFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		same := func(name, more string) string {
			return strings.Replace(ruleFile(name), "text: "+name, "text: same", 1) + more
		}
		write(t, dir, "a.yaml", same("a", ""))
		b := polled(t, Options{Dir: dir})
		defer b.stop()
		warnings := func() (out []string) {
			for _, s := range b.f.Files() {
				if s.Path != "broken.yaml" && s.Status != OK && s.Error == "" {
					t.Errorf("%+v", s)
				}
				for i, found := range s.Findings {
					if found.Severity == text.Warning {
						out = append(out, s.Path+": "+found.Code+": "+s.Lines[i])
					}
				}
			}
			return out
		}
		expect := func(when string, want ...string) {
			t.Helper()
			pass(3 * time.Second)
			if got := warnings(); strings.Join(got, "\n") != strings.Join(want, "\n") {
				t.Errorf("%s: %q, want %q", when, got, want)
			}
		}
		expect("one file")
		warned := "b.yaml: same-send:       - slack: { channel: \"#desk\", text: same }"
		write(t, dir, "b.yaml", same("b", ""))
		expect("two files", warned)
		if got := strings.Join(b.inForce(), " "); got != "a b" {
			t.Errorf("in force: %s", got)
		}
		logged := b.log.count("same-send") + b.log.count("sends the same")
		write(t, dir, "b.yaml", "# moves every line\n"+same("b", "    nonsense: 1\n"))
		expect("a mistake in the second") // the version in force is not what the author sees
		if got := strings.Join(b.inForce(), " "); got != "a b" {
			t.Errorf("in force: %s", got)
		}
		write(t, dir, "b.yaml", "# moves every line\n"+same("b", ""))
		expect("mended", warned)
		do(t, os.Remove(filepath.Join(dir, "a.yaml")))
		expect("one file again")
		if logged != 1 {
			t.Errorf("the warning was logged %d times", logged)
		}
	})
}
