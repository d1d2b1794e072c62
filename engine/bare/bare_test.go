package bare_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"bellhop/engine/bare"
)

// What is acknowledged is in the file, once.
func TestAcknowledged(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	h, err := bare.New(path)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(h)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			resp, err := http.Post(srv.URL, "application/json", strings.NewReader("{}\n"))
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusAccepted {
				t.Error(resp.Status)
			}
		})
	}
	wg.Wait()
	srv.Close()
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != strings.Repeat("{}\n", 20) {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := bare.New(path); err == nil {
		t.Error("an old file was taken")
	}
}
