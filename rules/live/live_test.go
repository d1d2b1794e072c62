package live

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"bellhop/rules"
	"bellhop/rules/text"
)

// The tests mostly wait, so more of them run at once than there are processors.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "16"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

func compile(path string, data []byte) (*rules.File, []text.Finding) {
	return rules.Compile(path, data, rules.Options{Connections: map[string]string{"slack": "slack"}})
}

// namesOf returns the names of a set's rules, in order.
func namesOf(s *rules.Set) []string {
	var names []string
	for _, rule := range s.Rules() {
		names = append(names, rule.Name)
	}
	return names
}

// ruleFile returns a rule file with one rule for each name.
func ruleFile(names ...string) string {
	var b strings.Builder
	b.WriteString("rules:\n")
	for _, name := range names {
		fmt.Fprintf(&b, "  - name: %s\n    on: booked\n    then:\n      - slack: { channel: \"#desk\", text: %s }\n", name, name)
	}
	return b.String()
}

// broken is a rule file with a mistake in line 3.
const broken = "rules:\n  - name: broken\n    on: bookd\n    then:\n      - slack: { channel: \"#desk\", text: New }\n"

// A bench is a watched folder, with everything that it reported.
type bench struct {
	t    *testing.T
	dir  string
	f    *Folder
	log  *logged
	stop func()

	mu   sync.Mutex
	told []Snapshot
	news chan struct{}
}

// logged is a log that a test can read while it is being written.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), text)
}

// watch opens and runs a folder until the test ends or stop is called.
func watch(t *testing.T, o Options) *bench {
	t.Helper()
	b := &bench{t: t, dir: o.Dir, log: &logged{}, news: make(chan struct{}, 1)}
	o.Compile = compile
	o.Logger = slog.New(slog.NewTextHandler(b.log, nil))
	o.Changed = func(s Snapshot) {
		b.mu.Lock()
		b.told = append(b.told, s)
		b.mu.Unlock()
		select {
		case b.news <- struct{}{}:
		default:
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	f, err := Open(ctx, o)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	b.f = f
	var running sync.WaitGroup
	running.Go(func() {
		if err := f.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	b.stop = func() { cancel(); running.Wait() }
	t.Cleanup(b.stop)
	return b
}

// history returns every snapshot except that of Open.
func (b *bench) history() []Snapshot {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.told)
}

// until waits for a snapshot for which ok is true, and fails the test if none comes.
func (b *bench) until(what string, ok func(Snapshot) bool) Snapshot {
	b.t.Helper()
	start := time.Now()
	ctx, cancel := context.WithTimeout(b.t.Context(), 10*time.Second)
	defer cancel()
	for {
		s := b.f.Snapshot()
		if ok(s) {
			b.t.Logf("%s: after %v", what, time.Since(start).Round(time.Millisecond))
			return s
		}
		select {
		case <-b.news:
		case <-ctx.Done():
			b.t.Fatalf("%s: never; in force are %q, files are\n%s", what, namesOf(s.Set), show(s))
		}
	}
}

// rules waits until exactly these rules are in force, in any order.
func (b *bench) rules(what string, names ...string) Snapshot {
	b.t.Helper()
	slices.Sort(names)
	return b.until(what, func(s Snapshot) bool { return slices.Equal(sorted(namesOf(s.Set)), names) })
}

func sorted(names []string) []string { return slices.Sorted(slices.Values(names)) }

func show(s Snapshot) string {
	var b strings.Builder
	for _, f := range s.Files {
		fmt.Fprintf(&b, "%s %s inForce=%v rules=%d %s\n", f.Path, f.Status, f.InForce, f.Rules, f.Error)
	}
	return b.String()
}

// status returns the status of one file, or a zero status if it is not listed.
func status(s Snapshot, path string) FileStatus {
	for _, f := range s.Files {
		if f.Path == path {
			return f
		}
	}
	return FileStatus{}
}

func failed(path string) func(Snapshot) bool {
	return func(s Snapshot) bool { return status(s, path).Status == Failed }
}

// always fails the test if one of these rules was missing from any set since the folder was opened.
func (b *bench) always(names ...string) {
	b.t.Helper()
	for i, s := range b.history() {
		for _, name := range names {
			if !slices.Contains(namesOf(s.Set), name) {
				b.t.Errorf("rule %q was not in force in snapshot %d of %d, which had %q", name, i+1, len(b.history()), namesOf(s.Set))
			}
		}
	}
}

func write(t testing.TB, dir, path, content string) {
	t.Helper()
	name := filepath.Join(dir, filepath.FromSlash(path))
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func do(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A shelf is a store of good versions that can be made to fail or to hang.
type shelf struct {
	mu       sync.Mutex
	versions map[string]Version
	fail     bool
	hang     bool
	slow     time.Duration // set before use
	calls    int
	changed  chan struct{}
}

var _ Versions = (*shelf)(nil)

func newShelf() *shelf {
	return &shelf{versions: map[string]Version{}, changed: make(chan struct{}, 1)}
}

func (s *shelf) GoodVersions(context.Context) ([]Version, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.versions)), nil
}

func (s *shelf) PutGood(ctx context.Context, v Version) error {
	return s.change(ctx, func() { s.versions[v.Path] = v })
}

func (s *shelf) DropGood(ctx context.Context, path string) error {
	return s.change(ctx, func() { delete(s.versions, path) })
}

func (s *shelf) change(ctx context.Context, what func()) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if s.hang {
		s.mu.Unlock()
		<-ctx.Done()
		s.mu.Lock()
		return ctx.Err()
	}
	if s.slow > 0 {
		s.mu.Unlock()
		timer := time.NewTimer(s.slow)
		<-timer.C
		s.mu.Lock()
	}
	if s.fail {
		return errors.New("the disk is full")
	}
	what()
	select {
	case s.changed <- struct{}{}:
	default:
	}
	return nil
}

func (s *shelf) set(fail, hang bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail, s.hang = fail, hang
}

// until waits until ok is true for the shelf.
func (s *shelf) until(t *testing.T, what string, ok func(map[string]Version) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for {
		s.mu.Lock()
		done := ok(s.versions)
		s.mu.Unlock()
		if done {
			return
		}
		select {
		case <-s.changed:
		case <-ctx.Done():
			t.Fatalf("%s: never", what)
		}
	}
}

func TestOpenWithoutAFolder(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "rules")
	_, err := Open(t.Context(), Options{Dir: dir, Compiler: Compiler{Compile: compile}})
	if err == nil || !strings.Contains(err.Error(), dir) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want an error that names %s and is ErrNotExist", err, dir)
	}
	write(t, filepath.Dir(dir), "rules", "no folder")
	if _, err := Open(t.Context(), Options{Dir: dir, Compiler: Compiler{Compile: compile}}); err == nil {
		t.Error("a file was opened as a folder")
	}
}

func TestWhatIsARuleFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	yes := []string{"a.yaml", "b.yml", "C.YAML", "deep/er/d.yaml", "deep/e.tmp.yaml", "test.yaml"}
	no := []string{
		".a.yaml", ".git/a.yaml", "deep/.x/a.yaml", "..2026/a.yaml", "..data_tmp/a.yaml", "a.yaml~", "#a.yaml#", ".#a.yaml",
		".a.yaml.swp", "4913", "a.yaml.tmp", "a.yaml.orig", "~$a.yaml", "a.test.yaml", "b.test.yml", "C.Test.YAML", "a.json", "yaml",
	}
	for _, path := range slices.Concat(yes, no) {
		write(t, dir, path, "rules: []\n")
	}
	got, err := Paths(dir)
	do(t, err)
	slices.Sort(yes)
	if !slices.Equal(got, yes) {
		t.Errorf("got  %q\nwant %q", got, yes)
	}
	for name, want := range map[string]bool{"a.test.yaml": true, "B.Test.YML": true, "test.yaml": false, ".a.test.yaml": false, "a.yaml": false} {
		if IsTest(name) != want {
			t.Errorf("IsTest(%q) is %v", name, !want)
		}
	}
}

func TestLinksAreReadOnceAndMakeNoLoop(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "b.yaml", "rules: []\n")
	write(t, dir, "sub/c.yaml", "rules: []\n")
	other := t.TempDir()
	write(t, other, "plain.txt", "rules: []\n")
	write(t, other, "more/d.yaml", "rules: []\n")
	for name, target := range map[string]string{
		"a.yaml": "b.yaml", "again": "sub", "sub/up": "..", "sub/self": ".", "here.yaml": filepath.Join(other, "plain.txt"),
		"other": other, "gone.yaml": "nowhere", "loop.yaml": "loop.yaml", "x": "y", "y": "x",
	} {
		do(t, os.Symlink(target, filepath.Join(dir, name)))
	}
	do(t, os.Symlink(dir, filepath.Join(other, "back")))
	got, err := Paths(dir)
	do(t, err)
	if want := []string{"b.yaml", "gone.yaml", "here.yaml", "loop.yaml", "other/more/d.yaml", "sub/c.yaml"}; !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	for _, path := range []string{"gone.yaml", "loop.yaml"} {
		if _, findings := Read(dir, path); len(findings) != 1 || findings[0].Line != 1 || findings[0].Column != 1 || strings.Contains(findings[0].Message, dir) {
			t.Errorf("%s: got %+v", path, findings)
		}
	}
}

// Of too many files, only those beyond the limit are refused.
func TestTooManyFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for i := range maxFiles + 2 {
		write(t, dir, fmt.Sprintf("%05d.yaml", i), "")
	}
	l, err := list(dir)
	do(t, err)
	for i, f := range l.files {
		if (f.problem == oneTooMany) != (i >= maxFiles) {
			t.Fatalf("file %d: %v", i, f.problem)
		}
	}
	if paths, err := Paths(dir); err != nil || len(paths) != maxFiles+2 {
		t.Errorf("got %d, %v", len(paths), err)
	}
}

func TestTooLargeIsNotRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	// A sparse file of 100 GiB: reading it would be noticed.
	f, err := os.Create(filepath.Join(dir, "large.yaml"))
	do(t, err)
	if err := f.Truncate(100 << 30); err != nil {
		t.Skip("no sparse files here:", err)
	}
	do(t, f.Close())
	write(t, dir, "most.yaml", ruleFile("most")+strings.Repeat("#", text.MaxFileSize-len(ruleFile("most"))))
	b := watch(t, Options{Dir: dir})
	s := b.f.Snapshot()
	large := status(s, "large.yaml")
	if large.Status != Failed || large.InForce || !strings.HasPrefix(large.Error, "large.yaml:1:1: this file is larger than 1024 KiB") {
		t.Errorf("got %+v", large)
	}
	if got := status(s, "most.yaml"); got.Status != OK || got.Rules != 1 {
		t.Errorf("a file of exactly 1 MiB: %+v", got)
	}
}

func TestABrokenFileAtTheFirstStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "a.yaml", ruleFile("a"))
	write(t, dir, "b.yaml", broken)
	b := watch(t, Options{Dir: dir})
	s := b.f.Snapshot()
	if got := namesOf(s.Set); !slices.Equal(got, []string{"a"}) {
		t.Errorf("in force are %q", got)
	}
	got := status(s, "b.yaml")
	if got.Status != Failed || got.InForce || got.Hash != "" || !strings.HasPrefix(got.Error, "b.yaml:3:") || !strings.HasSuffix(got.Error, "; none of its rules is in force") {
		t.Errorf("got %+v", got)
	}
	if len(got.Findings) == 0 || got.Findings[0].Line != 3 || len(got.Lines) != len(got.Findings) || got.Lines[0] != "    on: bookd" {
		t.Errorf("findings are %+v, lines %q", got.Findings, got.Lines)
	}
	if b.log.count("at=b.yaml:3:") != 1 || b.log.count("on: bookd") != 1 || b.log.count("suggestion=booked") != 1 {
		t.Errorf("the log is\n%s", b.log.b.String())
	}
}

func TestRunTwice(t *testing.T) {
	t.Parallel()
	b := watch(t, Options{Dir: t.TempDir(), NoWatch: true})
	write(t, b.dir, "a.yaml", ruleFile("a"))
	b.rules("running", "a")
	if err := b.f.Run(t.Context()); err == nil {
		t.Error("a second Run was let in")
	}
}

// The cost of a poll if nothing changed.
func BenchmarkPoll(b *testing.B) {
	dir := b.TempDir()
	for i := range 1000 {
		write(b, dir, fmt.Sprintf("team%d/f%03d.yaml", i%10, i), ruleFile(fmt.Sprint("rule", i)))
	}
	f, err := Open(b.Context(), Options{Dir: dir, Compiler: Compiler{Compile: compile}, Poll: time.Nanosecond})
	do(b, err)
	for b.Loop() {
		f.scan(b.Context(), false)
	}
}
