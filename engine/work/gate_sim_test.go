package work

import (
	"cmp"
	"container/heap"
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A queued is a delivery in the simulated queue.
type queued struct {
	to     int
	at     time.Time
	n      int  // orders deliveries that are due at the same time
	putOff bool // the gate postponed it
}

type queue []queued

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	return cmp.Or(q[i].at.Compare(q[j].at), cmp.Compare(q[i].n, q[j].n)) < 0
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(v any)   { *q = append(*q, v.(queued)) }
func (q *queue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

// A world simulates destinations, some of them dead, and a queue with a gate. Like the store's queue, it fetches the
// deliveries that are due every ten milliseconds, the earliest first, while the gate's places last.
type world struct {
	ctx      context.Context
	g        *gate
	dead     func(to int) bool
	q        queue
	working  int
	done     chan queued // deliveries that were sent
	back     chan queued // deliveries that come back to the queue
	sent     []int       // the number that was sent, by destination
	returned int         // how often the gate postponed a delivery
}

const (
	answer = 5 * time.Millisecond // the duration of an attempt to a destination that answers
	hangs  = 30 * time.Second     // the duration of one to a dead destination
	fetch  = 10 * time.Millisecond
)

func newWorld(ctx context.Context, destinations int, dead func(int) bool) *world {
	return &world{
		ctx: ctx, g: newGate(2000, 16, Breaker{}), dead: dead, sent: make([]int, destinations),
		done: make(chan queued, 4000), back: make(chan queued, 4000),
	}
}

func (w *world) add(to, n int) {
	for range n {
		heap.Push(&w.q, queued{to: to, at: time.Now(), n: len(w.q)})
	}
}

func (w *world) work(j queued) {
	again := func(d time.Duration, putOff bool) {
		j.at, j.putOff = time.Now().Add(d), putOff
		w.back <- j
	}
	p, postpone, _ := w.g.enter(w.ctx, fmt.Sprint(j.to))
	if p == nil {
		again(postpone, true)
		return
	}
	defer p.leave()
	if postpone, _ = p.start(w.ctx); postpone > 0 {
		again(postpone, true)
		return
	}
	if w.dead(j.to) {
		time.Sleep(hangs)
		p.done(verdict{failed: true})
		again(time.Minute, false)
		return
	}
	time.Sleep(answer)
	p.done(verdict{})
	w.done <- j
}

// run works the queue until until returns true or the limit has passed. It returns how long this took.
func (w *world) run(limit time.Duration, until func() bool) time.Duration {
	began := time.Now()
	look := time.Now()
	for time.Since(began) < limit {
		if !look.After(time.Now()) {
			w.g.askAll()
			look = look.Add(flowing / 4)
		}
	drain:
		for {
			select {
			case j := <-w.done:
				w.working--
				w.sent[j.to]++
			case j := <-w.back:
				w.working--
				if j.putOff {
					w.returned++
				}
				heap.Push(&w.q, j)
			case r := <-w.g.recall:
				came := 0
				for i := range w.q {
					if j := &w.q[i]; came < r.n && j.putOff && j.at.After(time.Now()) && fmt.Sprint(j.to) == r.name {
						j.at = time.Now()
						came++
					}
				}
				heap.Init(&w.q)
				w.g.recalled(r, came)
			default:
				break drain
			}
		}
		if until() {
			break
		}
		for w.working < w.g.places && len(w.q) > 0 && !w.q[0].at.After(time.Now()) {
			j := heap.Pop(&w.q).(queued)
			w.working++
			go w.work(j)
		}
		time.Sleep(fetch)
	}
	return time.Since(began)
}

// stop empties the queue and waits for the deliveries under way.
func (w *world) stop() {
	w.q = nil
	for w.working > 0 {
		select {
		case <-w.done:
		case <-w.back:
		}
		w.working--
	}
}

// A burst to a destination that answers takes at most twice as long beside many others as alone, also if most of the
// others are dead and have a backlog.
func TestBurstBesideDeadDestinations(t *testing.T) {
	t.Parallel()
	const burst, backlog = 1000, 3000
	alone := time.Duration(0)
	for _, tt := range []struct{ known, dead int }{
		{1, 0}, {50, 1}, {50, 49}, {500, 250}, {500, 499},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t.Context(), tt.known, func(to int) bool { return to > 0 && to <= tt.dead })
			defer w.stop()
			for to := range tt.known {
				w.add(to, 1)
				if w.dead(to) {
					w.add(to, backlog/tt.dead)
				}
			}
			// The others have hung for one second at the first burst, and for more than 40 seconds at the second.
			for _, since := range []time.Duration{time.Second, 40 * time.Second} {
				w.run(since, func() bool { return false })
				before := w.sent[0]
				w.add(0, burst)
				took := w.run(10*time.Minute, func() bool { return w.sent[0]-before >= burst })
				if tt.known == 1 {
					alone = max(alone, took)
				}
				if took > 2*alone {
					t.Errorf("%d destinations known, %d of them dead for %s: the burst took %s, alone %s", tt.known, tt.dead, since, took, alone)
				}
			}
		})
	}
}

// When a destination is back, its backlog takes at most twice as long beside many others as alone, also if the others
// are dead.
func TestRecovery(t *testing.T) {
	t.Parallel()
	const backlog, others = 1000, 2000
	alone := time.Duration(0)
	for _, tt := range []struct{ known, dead int }{{1, 0}, {50, 49}, {500, 250}, {500, 499}} {
		synctest.Test(t, func(t *testing.T) {
			var down atomic.Bool
			down.Store(true)
			w := newWorld(t.Context(), tt.known, func(to int) bool { return to == 0 && down.Load() || to > 0 && to <= tt.dead })
			defer w.stop()
			for to := range tt.known {
				w.add(to, 1)
				if to > 0 && w.dead(to) {
					w.add(to, others/max(tt.dead, 1))
				}
			}
			w.add(0, backlog)
			w.run(2*time.Minute, func() bool { return false })
			down.Store(false)
			before := w.sent[0]
			if before != 0 {
				t.Fatalf("%d were sent to a destination that was down", before)
			}
			found := w.run(20*time.Minute, func() bool { return w.sent[0] > 0 })
			if most := w.g.breaker.MaxPause + hangs + crowded; found > most {
				t.Errorf("%d destinations known, %d of them dead: it took %s to see that the destination was back, want %s at most", tt.known, tt.dead, found, most)
			}
			// The few that were tried while it was down wait for their own next attempt, so they do not count.
			took := w.run(20*time.Minute, func() bool { return w.sent[0] >= backlog*95/100 })
			if tt.known == 1 {
				alone = took
			}
			if took > 2*alone {
				t.Errorf("%d destinations known, %d of them dead: the backlog took %s, alone %s", tt.known, tt.dead, took, alone)
			}
		})
	}
}

// A destination that does not answer holds at most as many places as attempts to it can run at once. Many of these
// together hold at most half of all places, and one more each.
func TestSilentHoldLittle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(2000, 16, Breaker{})
		hang(t, g, "dead", 1000)
		if n := g.holds(); n != 16 {
			t.Errorf("a destination that never answered holds %d places", n)
		}
		for i := range 500 {
			hang(t, g, fmt.Sprint("dead", i), 20)
		}
		if n := g.holds(); n > 1000+500 {
			t.Errorf("destinations that never answered hold %d of 2000 places", n)
		}
	})
}
