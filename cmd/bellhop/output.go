package main

import (
	"io"
	"os"
	"sync"

	"github.com/mattn/go-isatty"
)

// An output is where a command writes. It remembers the first failure, so that the code that prints need not
// check for errors. It is safe for concurrent use.
type output struct {
	terminal bool // it is a terminal, so people read along
	colour   bool // it is a terminal that shows colours, and NO_COLOR is not set

	mu  sync.Mutex
	w   io.Writer
	err error
}

func newOutput(w io.Writer, lookup func(string) (string, bool)) *output {
	terminal := isTerminal(w)
	return &output{w: w, terminal: terminal, colour: terminal && wantsColour(lookup)}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}

func wantsColour(lookup func(string) (string, bool)) bool {
	if no, _ := lookup("NO_COLOR"); no != "" {
		return false
	}
	term, _ := lookup("TERM")
	return term != "dumb"
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
