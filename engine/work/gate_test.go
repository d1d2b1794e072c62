package work

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func (g *gate) holds() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.held
}

// end does what a worker does after an attempt.
func (p *pass) end(v verdict) {
	p.done(v)
	p.leave()
}

// enter does what a worker does before an attempt.
func enter(ctx context.Context, g *gate, name string) (p *pass, postpone time.Duration, why string) {
	p, postpone, why = g.enter(ctx, name)
	if p == nil {
		return nil, postpone, why
	}
	if postpone, why = p.start(ctx); postpone > 0 {
		p.leave()
		return nil, postpone, why
	}
	return p, 0, ""
}

// hang starts n attempts to a destination. Those that get a pass hang until the end of the test. hang returns when all
// of them have a pass, wait for one or were postponed.
func hang(t *testing.T, g *gate, name string, n int) {
	t.Helper()
	for range n {
		go func() {
			if p, _, _ := enter(t.Context(), g, name); p != nil {
				<-t.Context().Done()
				p.end(verdict{unknown: true})
			}
		}()
	}
	synctest.Wait()
}

// A destination that answers has room at once, also if many others hang and each has more deliveries than there are
// places.
func TestRoomForOneMore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(100, 4, Breaker{})
		for i := range 20 {
			hang(t, g, fmt.Sprint("dead", i), 200)
			start := time.Now()
			p, postpone, why := enter(t.Context(), g, "healthy")
			if p == nil {
				t.Fatalf("with %d hanging, the healthy destination is put off by %s: %s", i+1, postpone, why)
			}
			p.end(verdict{})
			if waited := time.Since(start); waited > 0 {
				t.Errorf("with %d hanging, the healthy destination waited %s", i+1, waited)
			}
		}
	})
}

func TestAttemptsAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1000, 4, Breaker{})
		first, _, _ := enter(t.Context(), g, "crm")
		first.end(verdict{})
		var mu sync.Mutex
		running, most, done := 0, 0, 0
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				p, _, _ := enter(t.Context(), g, "crm")
				if p == nil {
					return
				}
				mu.Lock()
				running++
				most = max(most, running)
				mu.Unlock()
				time.Sleep(100 * time.Millisecond) // in the time of synctest
				mu.Lock()
				running--
				done++
				mu.Unlock()
				p.end(verdict{})
			})
		}
		all.Wait()
		if most != 4 || done != 100 {
			t.Errorf("%d at once and %d in all, want 4 and 100", most, done)
		}
		if n := g.holds(); n != 0 {
			t.Errorf("the gate still holds %d places", n)
		}
	})
}

func TestBreaker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(100, 4, Breaker{Failures: 3, Pause: 10 * time.Second, MaxPause: 25 * time.Second})
		try := func(v verdict) (postpone time.Duration) {
			t.Helper()
			p, postpone, _ := enter(t.Context(), g, "crm")
			if p != nil {
				p.end(v)
			}
			return postpone
		}
		for range 3 {
			if d := try(verdict{failed: true}); d != 0 {
				t.Fatalf("put off by %s before the third failure", d)
			}
		}
		for _, pause := range []time.Duration{10, 20, 25, 25} {
			pause *= time.Second
			if d := try(verdict{}); d < pause || d > pause+time.Second {
				t.Fatalf("put off by %s, want %s", d, pause)
			}
			time.Sleep(pause)
			// One attempt is allowed; while it is under way, no other is.
			p, _, _ := enter(t.Context(), g, "crm")
			if p == nil {
				t.Fatalf("after %s, no attempt is allowed", pause)
			}
			if d := try(verdict{}); d == 0 {
				t.Fatal("a second attempt is allowed beside the first after a pause")
			}
			p.end(verdict{failed: true})
		}
		time.Sleep(25 * time.Second)
		if d := try(verdict{}); d != 0 {
			t.Fatalf("put off by %s after the pause", d)
		}
		if d := try(verdict{failed: true}); d != 0 {
			t.Fatalf("put off by %s after a success", d)
		}
		if d := try(verdict{}); d != 0 {
			t.Fatal("one failure after a success pauses the destination")
		}
	})
}

// A destination that asks for a pause is paused for that time. Other destinations are not.
func TestAskedForPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(100, 4, Breaker{})
		p, _, _ := enter(t.Context(), g, "slack")
		p.end(verdict{pause: time.Minute})
		if p, d, why := enter(t.Context(), g, "slack"); p != nil || d < time.Minute || why != "paused" {
			t.Fatalf("got %v, %s, %s", p, d, why)
		}
		if p, _, _ := enter(t.Context(), g, "other"); p == nil {
			t.Fatal("another destination is paused too")
		} else {
			p.end(verdict{})
		}
		time.Sleep(time.Minute)
		if p, d, _ := enter(t.Context(), g, "slack"); p == nil {
			t.Fatalf("after the pause it is put off by %s", d)
		} else {
			p.end(verdict{})
		}
	})
}

// Postponed deliveries to a dead destination come back one by one, however many there are.
func TestReturnsAreApart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(100, 4, Breaker{})
		hang(t, g, "dead", 200)
		time.Sleep(crowded)
		var last time.Duration
		for range 10_000 {
			p, away, _ := enter(t.Context(), g, "dead")
			if p != nil {
				t.Fatal("there is room for another delivery to a hanging destination")
			}
			if away < crowded || away < last+apart {
				t.Fatalf("away for %s after one for %s", away, last)
			}
			last = away
		}
	})
}

// A burst to one destination that answers takes most places, but leaves room for others.
func TestFlowing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1000, 4, Breaker{})
		p, _, _ := enter(t.Context(), g, "crm")
		p.end(verdict{})
		hang(t, g, "crm", 2000)
		if n := g.holds(); n < 850 || n > 950 {
			t.Errorf("a flowing destination holds %d of 1000 places", n)
		}
		for i := range 10 {
			if p, d, why := enter(t.Context(), g, fmt.Sprint("other", i)); p == nil {
				t.Errorf("another destination is put off by %s: %s", d, why)
			} else {
				p.end(verdict{})
			}
		}
	})
}

// Postponed deliveries to a destination that answers come back at the pace of its answers, within limits.
func TestReturnsAtThePaceOfAnswers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ answers, want time.Duration }{
		{50 * time.Microsecond, apart / 10}, {time.Millisecond, time.Millisecond}, {200 * time.Millisecond, apart},
	} {
		synctest.Test(t, func(t *testing.T) {
			g := newGate(1000, 4, Breaker{})
			for range 100 {
				p, _, why := enter(t.Context(), g, "crm")
				if p == nil {
					t.Fatal(why)
				}
				time.Sleep(tt.answers) // in the time of synctest
				p.end(verdict{})
			}
			hang(t, g, "crm", 2000)
			_, first, _ := enter(t.Context(), g, "crm")
			_, second, _ := enter(t.Context(), g, "crm")
			if got := second - first; got < tt.want*9/10 || got > tt.want*11/10 {
				t.Errorf("with an answer every %s, deliveries come back %s apart", tt.answers, got)
			}
		})
	}
}

func TestForgetsDestinations(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(100, 4, Breaker{})
		for i := range 10_000 {
			p, _, _ := enter(t.Context(), g, fmt.Sprint("host", i))
			p.end(verdict{})
			time.Sleep(100 * time.Millisecond)
		}
		if n := len(g.dests); n > 200 {
			t.Errorf("%d destinations are remembered", n)
		}
	})
}

// If a destination stops answering, the deliveries in its line give up their places.
func TestPatience(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(100, 1, Breaker{})
		p, _, _ := enter(t.Context(), g, "crm")
		p.end(verdict{})
		hang(t, g, "crm", 50)
		if n := g.holds(); n != 50 {
			t.Fatalf("%d wait for a destination that flows", n)
		}
		time.Sleep(2 * flowing)
		synctest.Wait()
		if n := g.holds(); n != 1 {
			t.Errorf("%d wait for a destination that hangs", n)
		}
		if p, d, why := enter(t.Context(), g, "crm"); p != nil || d < hesitant || why != "crowded" {
			t.Fatalf("got %v, %s, %s", p, d, why)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		p, _, _ = enter(t.Context(), g, "other")
		p.done(verdict{})
		p.leave()
		hang(t, g, "other", 1)
		if p, _, why := enter(ctx, g, "other"); p != nil || why != "stopping" {
			t.Errorf("a worker that stops is given a pass, or told %q", why)
		}
	})
}
