package rules

import (
	"runtime"
	"sync"
	"sync/atomic"

	"bellhop/rules/text"
)

// A Source is the text of one rule file.
type Source struct {
	Path string
	Data []byte
}

// A Compiled is the result of [Compile] for one source.
type Compiled struct {
	File     *File // nil if any finding is an error
	Findings []text.Finding
}

// CompileAll compiles many files on all processors. The results are in the order of sources.
func CompileAll(sources []Source, o Options) []Compiled {
	out := make([]Compiled, len(sources))
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(sources)) {
		workers.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(sources)); i = next.Add(1) - 1 {
				out[i].File, out[i].Findings = Compile(sources[i].Path, sources[i].Data, o)
			}
		})
	}
	workers.Wait()
	return out
}
