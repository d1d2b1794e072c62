package work

import (
	"context"
	"sync"
	"time"
)

// A gate keeps destinations apart. Each has a limit of attempts at once, and may hold no more places than
// it leaves free for the others. One that keeps failing, or asks for a pause, is left alone for a while,
// which costs its deliveries no attempt.
type gate struct {
	places  int // deliveries held at once, over all destinations
	each    int // attempts at once, to one destination
	breaker Breaker

	mu      sync.Mutex
	held    int
	dests   map[string]*destination
	sweepAt int // the number of destinations at which to forget some
}

// A Breaker says when a failing destination is left alone. The zero value is usable.
type Breaker struct {
	Failures int           // in a row, after which it is; 0 is 5
	Pause    time.Duration // for how long; 0 is 5 s. It doubles each time the one attempt after it fails
	MaxPause time.Duration // 0 is 2 min
}

func (b Breaker) withDefaults() Breaker {
	if b.Failures == 0 {
		b.Failures = 5
	}
	if b.Pause == 0 {
		b.Pause = 5 * time.Second
	}
	if b.MaxPause == 0 {
		b.MaxPause = max(b.Pause, 2*time.Minute)
	}
	return b
}

// destination is guarded by the gate's mutex, except for the two semaphores.
type destination struct {
	line     chan struct{} // one element for each delivery between its claim and its record
	running  chan struct{} // one element for each attempt under way
	held     int           // deliveries that wait in memory, are in line, or under way
	failures int           // in a row
	pauses   int           // in a row, without a success between
	until    time.Time     // no attempt before
	answered time.Time     // when it last answered as it should
	pace     time.Duration // between such answers, on average over the last ones
	returns  time.Time     // when the last of those that stay away comes back
	probing  bool          // the one attempt after a pause is under way
}

func newGate(places, each int, b Breaker) *gate {
	return &gate{places: places, each: each, breaker: b.withDefaults(), dests: map[string]*destination{}, sweepAt: 64}
}

// inLine is how many deliveries of a destination may be claimed for each attempt at once. Claiming and
// recording wait for the disk, and attempts are not to wait for that.
const inLine = 8

const (
	crowded  = 2 * time.Second  // how long a delivery stays away at least when its destination has its share of places
	patience = 10 * time.Second // how long it keeps its place while it waits for its destination
	flowing  = time.Second      // a destination that answered within this time is flowing

	// Those that stay away come back one after the other, this far apart for each destination that is known,
	// or as far as its answers are where it takes more than that: each coming and going costs the store about as much as a delivery, and a long backlog of a dead
	// destination must not keep it busy.
	apart = 2 * time.Millisecond
)

// A pass allows a delivery to be claimed. [pass.start] then waits for the attempt's turn, [pass.done] ends
// the attempt, and [pass.leave] must be called last.
type pass struct {
	g     *gate
	d     *destination
	probe bool
}

// enter waits until a delivery to the destination may be claimed. If that is not to be now, the pass is
// nil, postpone says how long to stay away, and why is a word for it.
func (g *gate) enter(ctx context.Context, name string) (p *pass, postpone time.Duration, why string) {
	d, postpone, why := g.hold(name)
	if d == nil {
		return nil, postpone, why
	}
	p = &pass{g: g, d: d}
	if postpone, why := p.wait(ctx, d.line); postpone > 0 {
		g.release(d)
		return nil, postpone, why
	}
	// Asked only now: while it waited, the destination may have turned out dead.
	if pause := g.paused(d); pause > 0 {
		p.leave()
		return nil, g.stay(d, pause), "paused"
	}
	return p, 0, ""
}

// start waits until the attempt may be made. If it is not to be made now, the claim is to be given back.
func (p *pass) start(ctx context.Context) (postpone time.Duration, why string) {
	if postpone, why = p.wait(ctx, p.d.running); postpone > 0 {
		return postpone, why
	}
	var pause time.Duration
	if p.probe, pause = p.g.allow(p.d); pause > 0 {
		<-p.d.running
		return p.g.stay(p.d, pause), "paused"
	}
	return 0, ""
}

// wait takes an element of a semaphore, or says how long to stay away instead.
func (p *pass) wait(ctx context.Context, sem chan struct{}) (postpone time.Duration, why string) {
	select {
	case sem <- struct{}{}:
		return 0, ""
	default:
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case sem <- struct{}{}:
		return 0, ""
	case <-timer.C:
		return p.g.stay(p.d, crowded), "crowded"
	case <-ctx.Done():
		return time.Millisecond, "stopping"
	}
}

// leave gives the place back.
func (p *pass) leave() {
	<-p.d.line
	p.g.release(p.d)
}

// hold takes a place, unless the destination is paused or has its share already. One that is flowing may
// hold nine of ten places, since it will soon give them back; another may hold as many as are free after
// it, so that however many destinations hang, there is room for one more.
func (g *gate) hold(name string) (d *destination, postpone time.Duration, why string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	d = g.dests[name]
	if d == nil {
		g.sweep()
		d = &destination{line: make(chan struct{}, inLine*g.each), running: make(chan struct{}, g.each)}
		g.dests[name] = d
	}
	if pause := time.Until(d.until); pause > 0 {
		return nil, g.away(d, pause), "paused"
	}
	free := g.places - g.held
	if time.Since(d.answered) < flowing && d.failures == 0 {
		if free <= g.places/10 && d.held > 0 {
			return nil, g.away(d, crowded*d.gap()/apart), "crowded"
		}
	} else if d.held > 0 && d.held >= free {
		return nil, g.away(d, crowded), "crowded"
	}
	d.held++
	g.held++
	return d, 0, ""
}

// away is how long the next delivery to d stays away, which is pause at least.
func (g *gate) away(d *destination, pause time.Duration) time.Duration {
	now := time.Now()
	at := now.Add(pause)
	if next := d.returns.Add(d.gap() * time.Duration(len(g.dests))); next.After(at) {
		at = next
	}
	d.returns = at
	return at.Sub(now)
}

// gap is how far apart deliveries come back to d: as fast as it takes them, if it is flowing.
func (d *destination) gap() time.Duration {
	if d.failures > 0 || time.Since(d.answered) >= flowing {
		return apart
	}
	return min(max(d.pace, apart/10), apart)
}

// stay is away for a delivery that holds a place.
func (g *gate) stay(d *destination, pause time.Duration) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.away(d, pause)
}

func (g *gate) paused(d *destination) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	return time.Until(d.until)
}

// allow says whether an attempt may start, and whether it is the one that tries a failing destination again.
func (g *gate) allow(d *destination) (probe bool, pause time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if pause := time.Until(d.until); pause > 0 {
		return false, pause
	}
	if d.pauses == 0 {
		return false, 0
	}
	if d.probing {
		return false, g.breaker.Pause
	}
	d.probing = true
	return true, 0
}

func (g *gate) release(d *destination) {
	g.mu.Lock()
	defer g.mu.Unlock()
	d.held--
	g.held--
}

// sweep forgets destinations of which there is nothing to remember. It looks at them all, but only when
// they have doubled in number since it last did.
func (g *gate) sweep() {
	if len(g.dests) < g.sweepAt {
		return
	}
	now := time.Now()
	for name, d := range g.dests {
		if d.held == 0 && d.failures == 0 && d.pauses == 0 && now.After(d.until) && now.After(d.returns) && now.Sub(d.answered) > flowing {
			delete(g.dests, name)
		}
	}
	g.sweepAt = max(64, 2*len(g.dests))
}

// verdict is what an attempt says of its destination.
type verdict struct {
	unknown bool          // nothing: it was not reached, for a reason of ours
	failed  bool          // it does not answer, or not as it should
	pause   time.Duration // it asked for one
}

// done ends the attempt.
func (p *pass) done(v verdict) {
	<-p.d.running
	g, d := p.g, p.d
	g.mu.Lock()
	defer g.mu.Unlock()
	if p.probe {
		d.probing = false
	}
	switch {
	case v.unknown:
	case v.failed:
		d.failures++
		if p.probe || d.pauses == 0 && d.failures >= g.breaker.Failures {
			d.until = time.Now().Add(min(g.breaker.Pause<<min(d.pauses, 20), g.breaker.MaxPause))
			d.pauses++
		}
	default:
		now := time.Now()
		d.pace = (7*d.pace + min(now.Sub(d.answered), flowing)) / 8
		d.failures, d.pauses, d.answered = 0, 0, now
	}
	if until := time.Now().Add(v.pause); v.pause > 0 && until.After(d.until) {
		d.until = until
	}
}
