package work

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"
)

// A gate isolates destinations from each other. Each destination has a limit of attempts at the same time and a limit of
// places in memory. A destination that keeps failing, or asks for a pause, is paused. A pause costs its deliveries no
// attempt.
//
// The gate is not a library's circuit breaker around a call, such as failsafe-go's. A delivery whose destination is
// paused gives its place back and is postponed in the store. It is recalled from there when the destination answers
// again. Limits, pauses and recalls are decided together, under one lock.
type gate struct {
	places  int // deliveries held at once, over all destinations
	each    int // attempts at once, to one destination
	breaker Breaker

	mu      sync.Mutex
	held    int
	dests   map[string]*destination
	sweepAt int // the number of destinations at which to forget some

	recall chan recall
}

// A Breaker says when a failing destination is paused. The zero value works.
type Breaker struct {
	Failures int           // in a row, after which it is paused; 0 is 5
	Pause    time.Duration // length of the first pause; 0 is 5 s. It doubles each time the attempt after a pause fails
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

// A destination is guarded by the gate's mutex, except for the two semaphores.
type destination struct {
	line     chan struct{} // one element for each delivery between its claim and its record
	running  chan struct{} // one element for each attempt under way
	held     int           // deliveries in memory: waiting, in line or being sent
	failures int           // in a row
	pauses   int           // in a row, without a success between
	until    time.Time     // no attempt before
	why      string        // the last failure, or the answer that asked for a pause
	answered time.Time     // its last success
	silent   time.Time     // since when it owes an answer; zero while nothing is held
	pace     time.Duration // average time between its last successes
	returns  time.Time     // when the last postponed delivery comes back
	probing  bool          // the one attempt after a pause is running

	away      bool // deliveries may be postponed, perhaps since before a restart
	sentAway  time.Time
	recalling bool
}

// flows reports whether the destination answers at present.
func (d *destination) flows(now time.Time) bool {
	return d.pauses == 0 && now.Sub(d.answered) < flowing
}

func newGate(places, each int, b Breaker) *gate {
	return &gate{
		places: places, each: each, breaker: b.withDefaults(), dests: map[string]*destination{}, sweepAt: 64,
		recall: make(chan recall, 64),
	}
}

// inLine is how many deliveries of a destination can be claimed for each attempt that can run. A claim and a record wait
// for the disk, and attempts should not wait for them.
const inLine = 8

const (
	crowded  = 2 * time.Second  // longest postponement if the destination flows
	hesitant = crowded / 10     // shortest postponement
	longest  = 30 * time.Second // longest postponement if the destination owes an answer; it is recalled with the answer
	furthest = 10 * time.Minute // longest postponement beyond a pause of the destination
	patience = 10 * time.Second // how long a delivery keeps its place while it waits for its destination
	flowing  = time.Second      // a destination flows if it answered within this time

	// Postponed deliveries come back one after the other. apart is the time between two of them, over all destinations
	// that do not answer. For a destination that answers, it is the time between its answers. Each return costs the
	// store about as much as a delivery, and a long backlog of dead destinations must not keep it busy.
	apart = 2 * time.Millisecond
)

// A recall asks for up to n postponed deliveries to a destination that answers again.
type recall struct {
	name string
	n    int
}

// A pass allows a delivery to be claimed. [pass.start] waits until the attempt can begin, [pass.done] ends the attempt,
// and [pass.leave] must be called last.
type pass struct {
	g     *gate
	name  string
	d     *destination
	probe bool
}

// enter waits until a delivery to the destination can be claimed. If it must be postponed, the pass is nil, postpone
// says for how long, and why is a word for the metrics.
func (g *gate) enter(ctx context.Context, name string) (p *pass, postpone time.Duration, why string) {
	d, postpone, why := g.hold(name)
	if d == nil {
		return nil, postpone, why
	}
	p = &pass{g: g, name: name, d: d}
	if postpone, why := p.wait(ctx, d.line); postpone > 0 {
		g.release(name, d)
		return nil, postpone, why
	}
	// The destination may have failed while the delivery waited.
	if pause := g.paused(d); pause > 0 {
		p.leave()
		return nil, g.stay(d, pause), "paused"
	}
	return p, 0, ""
}

// start waits until the attempt can begin. If postpone is not zero, it cannot begin now.
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

// wait takes an element of a semaphore, or returns for how long the delivery is postponed. It waits only while the
// destination answers.
func (p *pass) wait(ctx context.Context, sem chan struct{}) (postpone time.Duration, why string) {
	select {
	case sem <- struct{}{}:
		return 0, ""
	default:
	}
	look := time.NewTicker(flowing)
	defer look.Stop()
	for waited := flowing; ; waited += flowing {
		select {
		case sem <- struct{}{}:
			return 0, ""
		case <-look.C:
			if waited >= patience || !p.g.flows(p.d) {
				return p.g.stay(p.d, crowded), "crowded"
			}
		case <-ctx.Done():
			return time.Millisecond, "stopping"
		}
	}
}

// leave gives the place back.
func (p *pass) leave() {
	<-p.d.line
	p.g.release(p.name, p.d)
}

// hold takes a place, unless the destination is paused or has all its places. d is nil then.
func (g *gate) hold(name string) (d *destination, postpone time.Duration, why string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	d = g.dests[name]
	if d == nil {
		g.sweep(now)
		d = &destination{line: make(chan struct{}, inLine*g.each), running: make(chan struct{}, g.each), away: true}
		g.dests[name] = d
	}
	if pause := d.until.Sub(now); pause > 0 {
		return nil, g.sendAway(d, now, pause), "paused"
	}
	if !(d.held < g.each && d.flows(now)) && d.held >= g.limit(d, now) {
		return nil, g.sendAway(d, now, d.hesitation(now)), "crowded"
	}
	if d.held == 0 {
		d.silent = now
	}
	d.held++
	g.held++
	return d, 0, ""
}

// limit returns how many places a destination can hold. Those that flow share all places, because they will soon give
// them back. One that does not flow can hold a place for each attempt that can run, and all of these together half of
// the places. One that is tried again after a pause holds one place. A destination that holds nothing always gets a
// place, because there is no other way to learn whether it answers.
func (g *gate) limit(d *destination, now time.Time) int {
	if d.flows(now) {
		if g.places-g.held <= g.places/10 {
			return max(d.held, g.each)
		}
		share := 1
		for _, other := range g.dests {
			if other != d && other.held > 0 && other.flows(now) {
				share++
			}
		}
		return max(2*g.each, g.places*9/10/share)
	}
	silent := 0
	for _, other := range g.dests {
		if !other.flows(now) {
			silent += other.held
		}
	}
	switch {
	case silent >= g.places/2 && d.pauses == 0:
		return max(1, min(d.held, g.each))
	case silent >= g.places/2:
		return 0
	case d.pauses > 0:
		return 1
	default:
		return g.each
	}
}

// hesitation returns how long a delivery is postponed if its destination has all its places. The longer the destination
// owes an answer, the longer.
func (d *destination) hesitation(now time.Time) time.Duration {
	switch {
	case d.pauses > 0:
		return 2 * crowded
	case d.flows(now):
		return crowded * d.gap(now) / apart
	default:
		return min(max(2*now.Sub(d.silent), hesitant), longest)
	}
}

// sendAway returns how long the next delivery to d is postponed, at least for pause.
func (g *gate) sendAway(d *destination, now time.Time, pause time.Duration) time.Duration {
	d.away, d.sentAway = true, now
	gap := d.gap(now)
	if !d.flows(now) {
		others := 0
		for _, other := range g.dests {
			if other != d && other.returns.After(now) && !other.flows(now) {
				others++
			}
		}
		gap *= time.Duration(1 + others)
	}
	at := now.Add(pause)
	if next := d.returns.Add(gap); next.After(at) {
		at = next
	}
	if last := now.Add(pause + furthest); at.After(last) {
		at = last
	}
	d.returns = at
	return at.Sub(now)
}

// gap returns the time between two postponed deliveries that come back to d. If d flows, it is the time between its
// answers.
func (d *destination) gap(now time.Time) time.Duration {
	if !d.flows(now) {
		return apart
	}
	return min(max(d.pace, apart/10), apart)
}

func (g *gate) flows(d *destination) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return d.flows(time.Now())
}

// ask recalls postponed deliveries to d, if d answers and has places for them.
func (g *gate) ask(name string, d *destination, now time.Time) {
	if !d.away || d.recalling || d.pauses > 0 || d.failures > 0 || d.answered.IsZero() || now.Before(d.until) {
		return
	}
	if d.held > g.each { // there is enough to do
		return
	}
	n := g.limit(d, now) - d.held
	if n < 1 {
		return
	}
	select {
	case g.recall <- recall{name, min(n, 500)}:
		d.recalling = true
	default: // askAll tries again
	}
}

// askAll calls ask for all destinations. The last postponed deliveries have no other occasion.
func (g *gate) askAll() {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	for name, d := range g.dests {
		g.ask(name, d, now)
	}
}

// recalled ends a recall; came is how many deliveries came back.
func (g *gate) recalled(r recall, came int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	d := g.dests[r.name]
	if d == nil {
		return
	}
	d.recalling = false
	// A delivery that was postponed just now may not be stored as postponed yet.
	if now := time.Now(); came < r.n && now.Sub(d.sentAway) > flowing {
		d.away, d.returns = false, now
	}
}

// stay is like sendAway, for a caller without the lock.
func (g *gate) stay(d *destination, pause time.Duration) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.sendAway(d, time.Now(), pause)
}

func (g *gate) paused(d *destination) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	return time.Until(d.until)
}

// allow returns a pause if an attempt cannot start now. probe means that it is the one attempt after a pause.
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

func (g *gate) release(name string, d *destination) {
	g.mu.Lock()
	defer g.mu.Unlock()
	d.held--
	g.held--
	if d.held == 0 {
		d.silent = time.Time{}
	}
	g.ask(name, d, time.Now())
}

// sweep forgets destinations that have nothing to remember. It looks at all of them, but only if their number has
// doubled since the last sweep.
func (g *gate) sweep(now time.Time) {
	if len(g.dests) < g.sweepAt {
		return
	}
	for name, d := range g.dests {
		if d.held == 0 && d.failures == 0 && d.pauses == 0 && now.After(d.until) && now.After(d.returns) && now.Sub(d.answered) > flowing {
			delete(g.dests, name)
		}
	}
	g.sweepAt = max(64, 2*len(g.dests))
}

// A verdict is what an attempt says about its destination.
type verdict struct {
	unknown bool          // nothing: the destination was not reached, or the delivery is at fault
	failed  bool          // it does not answer, or answers with a failure
	pause   time.Duration // the pause that it asked for
	why     string        // the failure, for people
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
	now := time.Now()
	switch {
	case v.unknown:
		return
	case v.failed:
		d.failures++
		d.why = v.why
		if p.probe || d.pauses == 0 && d.failures >= g.breaker.Failures {
			d.until = now.Add(min(g.breaker.Pause<<min(d.pauses, 20), g.breaker.MaxPause))
			d.pauses++
		}
	default:
		d.pace = (7*d.pace + min(now.Sub(d.answered), flowing)) / 8
		d.failures, d.pauses, d.answered, d.silent, d.why = 0, 0, now, now, ""
	}
	// The delivery is postponed for the pause that was asked for. The destination is paused for MaxPause at most, and
	// then tried with one attempt, because the pause may be meant for this delivery only.
	if v.pause > 0 {
		d.pauses, d.why = max(d.pauses, 1), v.why
		if until := now.Add(min(v.pause, g.breaker.MaxPause)); until.After(d.until) {
			d.until = until
		}
	}
}

// A Destination is the state of a destination for operators.
type Destination struct {
	Name     string    `json:"name"`
	State    string    `json:"state"`              // ok, failing or paused
	Reason   string    `json:"reason,omitempty"`   // the last failure, without secrets
	Failures int       `json:"failures,omitempty"` // in a row
	Until    time.Time `json:"until,omitzero"`     // no attempt before
	Held     int       `json:"held"`               // deliveries in memory: waiting or being sent
}

// list returns the destinations that were used lately or are paused, sorted by name.
func (g *gate) list() []Destination {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	list := make([]Destination, 0, len(g.dests))
	for name, d := range g.dests {
		out := Destination{Name: name, State: "ok", Reason: d.why, Failures: d.failures, Held: d.held}
		switch {
		case d.until.After(now):
			out.State, out.Until = "paused", d.until.UTC()
		case d.failures > 0 || d.pauses > 0:
			out.State = "failing"
		}
		list = append(list, out)
	}
	slices.SortFunc(list, func(a, b Destination) int { return strings.Compare(a.Name, b.Name) })
	return list
}
