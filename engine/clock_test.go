package engine_test

import (
	"strings"
	"testing"
	"time"

	"bellhop/engine/record"
)

// A start with a clock that is far ahead of the newest event deletes nothing, and logs a warning.
func TestClockAhead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	// If the only event is older than the retention, it looks as if the clock were ahead.
	s := start(t, setup{dir: dir, yaml: sourceNone + "retention: 1s\n"})
	id := s.post(booking(1)).Event
	s.close()
	began := time.Now()
	until(t, "the retention is over", func() bool { return time.Since(began) > 1100*time.Millisecond })
	s = start(t, setup{dir: dir, yaml: sourceNone + "retention: 1s\n"})
	until(t, "the operator is told", func() bool { return strings.Contains(s.log.String(), "clock is ahead") })
	var e record.Event
	s.get("/api/v1/events/"+id, &e)
	if e.ID != id {
		t.Errorf("got %+v", e)
	}
}
