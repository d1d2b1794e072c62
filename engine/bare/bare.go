// Package bare is a server that does the least that an acknowledgement needs: it appends each body to a file, and
// answers 202 once the file is on the disk. It verifies, reads, decides and remembers nothing. Benchmarks load it beside
// Bellhop, on the same machine, to say what the rest costs.
package bare

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"bellhop/engine/config"
)

// maxGroup limits how many bodies share one flush to the disk.
const maxGroup = 512

// A Handler is the server's handler. Requests that wait at the same moment share one flush.
type Handler struct {
	file     *os.File
	calls    chan call
	finished chan struct{}
}

type call struct {
	body []byte
	done chan error
}

var _ http.Handler = (*Handler)(nil)

// New returns a handler that appends to a new file. The caller must call [Handler.Close].
func New(path string) (*Handler, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("bare server: %w", err)
	}
	h := &Handler{file: f, calls: make(chan call, maxGroup), finished: make(chan struct{})}
	go h.run()
	return h, nil
}

// Close closes the file. No request can be under way.
func (h *Handler) Close() error {
	close(h.calls)
	<-h.finished
	return h.file.Close()
}

// ServeHTTP answers 202 when the body is on the disk.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, config.BodyLimit))
	if err != nil {
		http.Error(w, "the body cannot be read", http.StatusBadRequest)
		return
	}
	c := call{body, make(chan error, 1)}
	h.calls <- c
	if err := <-c.done; err != nil {
		http.Error(w, "the body cannot be stored", http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

func (h *Handler) run() {
	defer close(h.finished)
	var group []call
	var text []byte
	for c := range h.calls {
		group = append(group[:0], c)
		text = append(text[:0], c.body...)
	more:
		for len(group) < maxGroup {
			select {
			case c, open := <-h.calls:
				if !open {
					break more
				}
				group = append(group, c)
				text = append(text, c.body...)
			default:
				break more
			}
		}
		_, err := h.file.Write(text)
		err = errors.Join(err, flush(h.file))
		for _, c := range group {
			c.done <- err
		}
	}
}
