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
	f, ok := w.(*os.File)
	terminal := ok && isatty.IsTerminal(f.Fd())
	no, _ := lookup("NO_COLOR")
	term, _ := lookup("TERM")
	return &output{w: w, terminal: terminal, colour: terminal && no == "" && term != "dumb"}
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
