package store

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// In any span there are at most so many requests, whoever makes them, and over a restart.
func TestQuota(t *testing.T) {
	t.Parallel()
	const limit, span = 10, 10 * time.Second
	stores := processes(t, 2)
	now := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	var taken []time.Time
	for i := range 400 {
		now = now.Add(time.Duration(i%7) * 130 * time.Millisecond)
		wait, err := stores[i%len(stores)].Count(t.Context(), Quota{Name: "l1", Limit: limit, Span: span}, now)
		switch {
		case err != nil:
			t.Fatal(err)
		case wait == 0:
			taken = append(taken, now)
		case wait < 0 || wait > span:
			t.Fatalf("wait %s", wait)
		default: // after the wait there is a place
			now = now.Add(wait)
			if wait, err = stores[0].Count(t.Context(), Quota{Name: "l1", Limit: limit, Span: span}, now); wait != 0 || err != nil {
				t.Fatalf("after the wait: %s %v", wait, err)
			}
			taken = append(taken, now)
		}
	}
	for i := limit; i < len(taken); i++ {
		if taken[i].Sub(taken[i-limit]) < span {
			t.Fatalf("%d requests from %s to %s", limit+1, taken[i-limit], taken[i])
		}
	}
	if wait, err := stores[0].Count(t.Context(), Quota{Name: "l2", Limit: limit, Span: span}, now); wait != 0 || err != nil {
		t.Errorf("another location waits %s, %v", wait, err)
	}
}

func TestQuotaAtOnce(t *testing.T) {
	t.Parallel()
	stores := processes(t, 2)
	now := time.Now()
	var group sync.WaitGroup
	var taken atomic.Int64
	for i := range 40 {
		group.Go(func() {
			wait, err := stores[i%len(stores)].Count(t.Context(), Quota{Name: "l1", Limit: 15, Span: time.Minute}, now)
			if err != nil {
				t.Error(err)
			}
			if wait == 0 {
				taken.Add(1)
			}
		})
	}
	group.Wait()
	if taken.Load() != 15 {
		t.Errorf("%d requests were taken, want 15", taken.Load())
	}
}

func TestToken(t *testing.T) {
	t.Parallel()
	s := processes(t, 1)[0]
	for _, want := range []string{"", "first", "second"} {
		if want != "" {
			if err := s.SetToken(t.Context(), "refresh", want); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := s.Token(t.Context(), "refresh"); got != want || err != nil {
			t.Errorf("%q %v, want %q", got, err, want)
		}
	}
}
