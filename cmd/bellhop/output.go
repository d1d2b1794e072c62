package main

import (
	"io"
	"os"
	"sync"

	"github.com/mattn/go-isatty"
)

// An output is where a command writes. It remembers the first failure, so that what prints need not look,
// and it may be written to by several goroutines.
type output struct {
	colour bool // it is a terminal that shows colours, and nobody asked for none

	mu  sync.Mutex
	w   io.Writer
	err error
}

func newOutput(w io.Writer, lookup func(string) (string, bool)) *output {
	return &output{w: w, colour: wantsColour(w, lookup)}
}

func wantsColour(w io.Writer, lookup func(string) (string, bool)) bool {
	if no, _ := lookup("NO_COLOR"); no != "" {
		return false
	}
	if term, _ := lookup("TERM"); term == "dumb" {
		return false
	}
	f, ok := w.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return 0, o.err
	}
	n, err := o.w.Write(b)
	o.err = err
	return n, err
}
