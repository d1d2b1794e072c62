package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"bellhop/engine/config"
)

func TestReloadOn(t *testing.T) {
	t.Parallel()
	hangups, reloaded := make(chan os.Signal), make(chan struct{})
	stop := reloadOn(hangups, nil, func(bool) { reloaded <- struct{}{} })
	for range 3 {
		hangups <- syscall.SIGHUP
		select {
		case <-reloaded:
		case <-time.After(scriptPatience):
			t.Fatal("a signal is not followed by a reload")
		}
	}
	stop()
	select {
	case hangups <- syscall.SIGHUP:
		t.Error("a signal is still taken after stop")
	default:
	}
}

// A configuration is read again when it was saved and has settled, and when somebody asks.
func TestConfigFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "bellhop.yaml")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a")
	c := &configFile{path: path, force: "a"}
	look := func(what string, asked, want bool) {
		t.Helper()
		if got := c.changed(asked); got != want {
			t.Errorf("%s: %v", what, got)
		}
	}
	look("as it was", false, false)
	look("as it was", false, false)
	write("ab")
	look("just saved", false, false)
	write("abc")
	look("still being saved", false, false)
	look("settled", false, true)
	look("in force", false, false)
	look("asked", true, true)
	write("")
	look("emptied while it is saved", false, false)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	look("gone", true, false)
	if (&configFile{}).changed(true) {
		t.Error("there is no configuration")
	}
}

func TestFlagsWinOverTheConfiguration(t *testing.T) {
	t.Parallel()
	c := config.Default()
	(&serverFlags{rules: "r", listen: "l"}).override(c)
	if c.Rules != "r" || c.Listen != "l" || c.Store != "data" || c.Admin != "127.0.0.1:8081" {
		t.Errorf("%+v", c)
	}
}

// TestRunOnATerminal makes two mistakes, one after the other, in a rule file of a running server on a terminal. Each is
// printed once, as check prints it.
func TestRunOnATerminal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(when string) {
		t.Helper()
		text := "rules:\n  - name: a\n    on: booked\n    when: " + when + "\n    then:\n      - http: { url: \"https://example.com/\" }\n"
		if err := os.WriteFile(filepath.Join(dir, "desk.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`appointment.titel == "x"`)
	shown := newShown()
	none := func(string) (string, bool) { return "", false }
	p := &program{name: "bellhop", lookup: none, stdout: newOutput(io.Discard, none), stderr: &output{w: shown, terminal: true}}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() {
		ended <- p.serve(ctx, serverFlags{
			rules: dir, store: filepath.Join(dir, "data"), listen: "127.0.0.1:0", admin: "127.0.0.1:0", logFormat: "text", logLevel: "info",
		})
	}()
	shown.await(t, "was not loaded")
	write(`appointment.titel == "y" && appointment.statsu == "new"`)
	shown.await(t, "statsu")
	write(`appointment.title == "y"`)
	shown.await(t, "rules loaded")
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	text := shown.String()
	for want, times := range map[string]int{
		filepath.Join(dir, "desk.yaml") + ":4:23: error: ": 2,
		"did you mean \"title\"?":                          2,
		"appointment.titel == \"x\"\n":                     1,
		"          ^^^^^\n":                                2,
		"a finding in a rule file":                         0,
	} {
		if got := strings.Count(text, want); got != times {
			t.Errorf("%q is shown %d times, not %d, in\n%s", want, got, times, text)
		}
	}
}

// shown is a terminal that can be waited for.
type shown struct {
	mu   sync.Mutex
	text strings.Builder
	news chan struct{}
}

func newShown() *shown { return &shown{news: make(chan struct{}, 1)} }

func (s *shown) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text.Write(b)
	select {
	case s.news <- struct{}{}:
	default:
	}
	return len(b), nil
}

func (s *shown) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func (s *shown) await(t *testing.T, text string) {
	t.Helper()
	for !strings.Contains(s.String(), text) {
		select {
		case <-s.news:
		case <-time.After(scriptPatience):
			t.Fatalf("%q is not shown, but\n%s", text, s)
		}
	}
}

func TestUnverified(t *testing.T) {
	t.Parallel()
	c := config.Default()
	for name, scheme := range map[string]string{"b": config.None, "a": config.None, "c": config.HighLevel} {
		c.Sources[name] = config.Source{Verify: config.Verify{Scheme: scheme}}
	}
	if got := strings.Join(unverified(c), " "); got != "a b" {
		t.Errorf("unverified are %q", got)
	}
}
