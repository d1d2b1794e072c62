package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"bellhop": main})
}

// scriptPatience is how long a script waits, on a machine that has other work to do.
const scriptPatience = 30 * time.Second

// TestScripts runs the program as a person does. Besides the commands of testscript, the scripts have:
//
//	start PATTERN PROGRAM ARG…   starts a program and waits until it has printed PATTERN, or logged it; what
//	                             it printed up to there is stdout
//	interrupt                    interrupts it and waits; what it printed is stdout and stderr; it must exit with 0
//	hangup                       sends it SIGHUP
//	waitfor PATTERN PROGRAM ARG… runs a program again and again until it prints PATTERN
//	status N PROGRAM ARG…        is an error unless the program exits with N
//	capture NAME PATTERN         sets $NAME to what the group of PATTERN matches in stdout
//	empty DIR                    is an error unless the folder exists and is empty
func TestScripts(t *testing.T) {
	t.Parallel()
	deadline, _ := t.Deadline()
	testscript.Run(t, testscript.Params{
		Dir:                 "../../testdata/script",
		Deadline:            deadline,
		RequireUniqueNames:  true,
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("TZ", "UTC")
			tmp := e.WorkDir + "/tmp"
			e.Setenv("TMPDIR", tmp)
			e.Values["background"] = &background{}
			return os.MkdirAll(tmp, 0o755)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"start":     start,
			"interrupt": interrupt,
			"hangup":    hangup,
			"waitfor":   waitFor,
			"status":    status,
			"capture":   capture,
			"empty":     empty,
		},
	})
}

// background is the program that a script has started.
type background struct {
	cmd    *exec.Cmd
	stdout *lines
	stderr *lines
}

// lines collects what a program prints.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
	done chan struct{}
}

// collect starts to read all of r. more gets a token after every line and at the end.
func collect(r io.Reader, more chan<- struct{}) *lines {
	l := &lines{done: make(chan struct{})}
	tell := func() {
		select {
		case more <- struct{}{}:
		default:
		}
	}
	go func() {
		defer tell()
		defer close(l.done)
		s := bufio.NewScanner(r)
		for s.Scan() {
			l.mu.Lock()
			l.text.WriteString(s.Text() + "\n")
			l.mu.Unlock()
			tell()
		}
	}()
	return l
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func start(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: start PATTERN PROGRAM ARG…")
	}
	b := ts.Value("background").(*background)
	if b.cmd != nil {
		ts.Fatalf("something is running already")
	}
	pattern := regexp.MustCompile("(?m)" + args[0])
	b.cmd = command(ts, args[1:])
	stdout, err := b.cmd.StdoutPipe()
	ts.Check(err)
	stderr, err := b.cmd.StderrPipe()
	ts.Check(err)
	ts.Check(b.cmd.Start())
	more := make(chan struct{}, 1)
	b.stdout, b.stderr = collect(stdout, more), collect(stderr, more)
	ts.Defer(func() {
		if b.cmd != nil {
			_ = b.cmd.Process.Kill() // the script failed before it stopped the program
			<-b.stdout.done
			<-b.stderr.done
			_ = b.cmd.Wait()
		}
	})
	limit := time.NewTimer(scriptPatience)
	defer limit.Stop()
	for {
		ended := isClosed(b.stdout.done) && isClosed(b.stderr.done) // before looking, so that the last line counts
		if pattern.MatchString(b.stdout.String()) || pattern.MatchString(b.stderr.String()) {
			break
		}
		if ended {
			ts.Fatalf("it ended without printing %s:\n%s%s", args[0], b.stdout, b.stderr)
		}
		select {
		case <-more:
		case <-limit.C:
			ts.Fatalf("it has not printed %s:\n%s%s", args[0], b.stdout, b.stderr)
		}
	}
	fmt.Fprint(ts.Stdout(), b.stdout)
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func interrupt(ts *testscript.TestScript, neg bool, args []string) {
	b := running(ts)
	ts.Check(b.cmd.Process.Signal(os.Interrupt))
	limit := time.AfterFunc(scriptPatience, func() { _ = b.cmd.Process.Kill() })
	defer limit.Stop()
	<-b.stdout.done
	<-b.stderr.done
	err := b.cmd.Wait()
	b.cmd = nil
	fmt.Fprint(ts.Stdout(), b.stdout)
	fmt.Fprint(ts.Stderr(), b.stderr)
	if err != nil {
		ts.Fatalf("it did not stop as it should: %v\n%s%s", err, b.stdout, b.stderr)
	}
}

func hangup(ts *testscript.TestScript, neg bool, args []string) {
	ts.Check(running(ts).cmd.Process.Signal(syscall.SIGHUP))
}

func running(ts *testscript.TestScript) *background {
	b := ts.Value("background").(*background)
	if b.cmd == nil {
		ts.Fatalf("nothing is running")
	}
	return b
}

// command returns a command with the script's environment and folder.
func command(ts *testscript.TestScript, args []string) *exec.Cmd {
	path, err := lookPath(ts, args[0])
	ts.Check(err)
	cmd := exec.Command(path, args[1:]...)
	cmd.Args[0] = args[0]
	cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "TZ", "WORK", "GOCOVERDIR", "SystemRoot"} {
		if v := ts.Getenv(name); v != "" {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	cmd.Env = append(cmd.Env, strings.Fields(ts.Getenv("WITH"))...) // variables that the script adds
	return cmd
}

func lookPath(ts *testscript.TestScript, name string) (string, error) {
	for dir := range strings.SplitSeq(ts.Getenv("PATH"), string(os.PathListSeparator)) {
		path := dir + string(os.PathSeparator) + name
		if info, err := os.Stat(path); err == nil && !info.IsDir() {
			return path, nil
		}
	}
	return "", fmt.Errorf("no program %s", name)
}

func waitFor(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: waitfor PATTERN PROGRAM ARG…")
	}
	pattern := regexp.MustCompile("(?m)" + args[0])
	ctx, cancel := context.WithTimeout(context.Background(), scriptPatience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		out, err := command(ts, args[1:]).Output()
		if err == nil && pattern.Match(out) {
			fmt.Fprint(ts.Stdout(), string(out))
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if failed, ok := errors.AsType[*exec.ExitError](err); ok {
				out = append(out, failed.Stderr...)
			}
			ts.Fatalf("%s was not printed; at last:\n%s", args[0], out)
		}
	}
}

func status(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N PROGRAM ARG…")
	}
	cmd := command(ts, args[1:])
	out, err := cmd.CombinedOutput()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		ts.Fatalf("%v", err)
	}
	if got := strconv.Itoa(cmd.ProcessState.ExitCode()); got != args[0] {
		ts.Fatalf("it exits with %s, not %s:\n%s", got, args[0], out)
	}
}

func capture(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: capture NAME PATTERN")
	}
	m := regexp.MustCompile("(?m)" + args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if len(m) != 2 {
		ts.Fatalf("stdout has no %s", args[1])
	}
	ts.Setenv(args[0], m[1])
}

func empty(ts *testscript.TestScript, neg bool, args []string) {
	entries, err := os.ReadDir(ts.MkAbs(args[0]))
	ts.Check(err)
	if len(entries) > 0 {
		ts.Fatalf("%s holds %s", args[0], entries)
	}
}
