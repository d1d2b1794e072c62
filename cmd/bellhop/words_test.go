package main

import (
	"errors"
	"strings"
	"testing"
)

func TestCleanCannotSteerATerminal(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"Tea for two\n":            "Tea for two\n",
		"a\tb":                     "a b",
		"\x1b[31mred\x07":          "?[31mred?",
		"back\x08space\r\x7f":      "back?space??",
		"\u009b31m\u202etxt\u2066": "?31m?txt?",
		"Grüße, 予約":                "Grüße, 予約",
	} {
		if got := clean(in); got != want {
			t.Errorf("clean(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestShort(t *testing.T) {
	t.Parallel()
	if got := short("one\ntwo\n", 20); got != "one; two" {
		t.Errorf("got %q", got)
	}
	if got := short(strings.Repeat("ü", 30), 10); got != strings.Repeat("ü", 9)+"…" {
		t.Errorf("got %q", got)
	}
}

func TestColourOnlyOnATerminal(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	if o := newOutput(&b, noEnvironment); o.colour || o.bold("x") != "x" {
		t.Error("a text in memory is no terminal")
	}
	painted := &output{colour: true}
	if painted.bold("x") == "x" {
		t.Error("a terminal shows colours")
	}
}

type full struct{}

var errFull = errors.New("no space left")

func (full) Write([]byte) (int, error) { return 0, errFull }

// TestLostOutputIsAFailure runs a command whose output cannot be written.
func TestLostOutputIsAFailure(t *testing.T) {
	t.Parallel()
	var errs strings.Builder
	if code := run(t.Context(), []string{"bellhop", "version"}, nil, full{}, &errs, noEnvironment); code != exitFailed {
		t.Errorf("exit status %d", code)
	}
	if !strings.Contains(errs.String(), "no space left") {
		t.Errorf("stderr is %q", errs.String())
	}
}

func TestInvocation(t *testing.T) {
	t.Parallel()
	for arg0, want := range map[string]string{
		"bellhop":                             "bellhop",
		"./bellhop":                           "./bellhop",
		"/usr/local/bin/bellhop":              "/usr/local/bin/bellhop",
		"/tmp/go-build123/b001/exe/bellhop":   "go run ./cmd/bellhop",
		`bellhop.exe`:                         "bellhop",
		"/root/.cache/go-build/ab/cd/bellhop": "go run ./cmd/bellhop",
	} {
		if got := invocation(arg0); got != want {
			t.Errorf("%s is called again as %s, want %s", arg0, got, want)
		}
	}
}
