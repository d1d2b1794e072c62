package work

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"
)

// A gate isolates destinations from each other. Each has a limit of attempts at the same time, and can hold no more
// places than it leaves free for the others. One that keeps failing, or asks for a pause, is paused, which costs its
// deliveries no attempt.
//
// It is not a circuit breaker of a library around a call, such as failsafe-go's: a delivery that finds its destination paused
// gives its place back and is put off in the store, and is recalled from there when the destination answers again. Limits,
// pauses and recalls are decided together, under one lock.
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

// A Breaker says when a failing destination is paused. The zero value is usable.
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
	why      string        // the last failure, or the answer that asked for a pause
	answered time.Time     // when it last answered as it should
	silent   time.Time     // since when it owes an answer; zero while nothing is held
	pace     time.Duration // between such answers, on average over the last ones
	returns  time.Time     // when the last of those that stay away comes back
	probing  bool          // the one attempt after a pause is under way

	away      bool // some may stay away, perhaps since before a restart
	sentAway  time.Time
	recalling bool
}

func (d *destination) flows(now time.Time) bool {
	return d.pauses == 0 && now.Sub(d.answered) < flowing
}

func newGate(places, each int, b Breaker) *gate {
	return &gate{
		places: places, each: each, breaker: b.withDefaults(), dests: map[string]*destination{}, sweepAt: 64,
		recall: make(chan recall, 64),
	}
}

// inLine is how many deliveries of a destination may be claimed for each attempt at once. Claiming and
// recording wait for the disk, and attempts are not to wait for that.
const inLine = 8

const (
	crowded  = 2 * time.Second  // how long a delivery stays away when its destination flows, at most
	hesitant = crowded / 10     // and at least
	longest  = 30 * time.Second // how long at most if that one owes an answer: it is asked back as soon as there is one
	furthest = 10 * time.Minute // how long a delivery stays away at most, besides the pause of its destination
	patience = 10 * time.Second // how long it keeps its place while it waits for its destination
	flowing  = time.Second      // a destination that answered within this time is flowing

	// Those that stay away come back one after the other, this far apart over all destinations that do not
	// answer, or as far as the answers of a destination are: each coming and going costs the store about as
	// much as a delivery, and a long backlog of dead destinations must not keep it busy.
	apart = 2 * time.Millisecond
)

// A recall asks for up to n deliveries to come back that stay away from a destination, which answers again.
type recall struct {
	name string
	n    int
}

// A pass allows a delivery to be claimed. [pass.start] then waits for the attempt's turn, [pass.done] ends
// the attempt, and [pass.leave] must be called last.
type pass struct {
	g     *gate
	name  string
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
	p = &pass{g: g, name: name, d: d}
	if postpone, why := p.wait(ctx, d.line); postpone > 0 {
		g.release(name, d)
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

// wait takes an element of a semaphore, or says how long to stay away instead. It waits for a destination
// only while that answers.
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

// hold takes a place, unless the destination is paused or has its share already.
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

// limit is how many places a destination may hold. Those that flow share what there is, since they will soon
// give it back. One that does not may hold as many as attempts are made at once, and all of these together half
// of what there is. One that is tried again after a pause holds one. A destination that holds nothing always gets
// a place: there is no other way to learn whether it answers.
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

// hesitation is how long a delivery stays away from a destination that has its share: the longer it owes an
// answer, the longer.
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

// sendAway is how long the next delivery to d stays away, which is pause at least.
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

// gap is how far apart deliveries come back to d: as fast as it takes them, if it flows.
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

// ask asks for those back that stay away from d, if it answers and has room for them.
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
	default: // there will be another occasion
	}
}

// askAll does so for every destination: the last ones that were sent away have no other occasion.
func (g *gate) askAll() {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	for name, d := range g.dests {
		g.ask(name, d, now)
	}
}

// recalled says how many came of a recall.
func (g *gate) recalled(r recall, came int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	d := g.dests[r.name]
	if d == nil {
		return
	}
	d.recalling = false
	// One that was sent away just now may not be written down as such yet.
	if now := time.Now(); came < r.n && now.Sub(d.sentAway) > flowing {
		d.away, d.returns = false, now
	}
}

// stay is away for a delivery that holds a place.
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

// sweep forgets destinations of which there is nothing to remember. It looks at them all, but only when
// they have doubled in number since it last did.
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

// verdict is what an attempt says of its destination.
type verdict struct {
	unknown bool          // nothing: it was not reached, or the fault is the delivery's own
	failed  bool          // it does not answer, or not as it should
	pause   time.Duration // it asked for one
	why     string        // why it is paused, for people
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
	// The pause that was asked for is the delivery's own. The destination as a whole is paused for a share
	// of it, and then tried with one attempt: what is asked of one need not be meant for all.
	if v.pause > 0 {
		d.pauses, d.why = max(d.pauses, 1), v.why
		if until := now.Add(min(v.pause, g.breaker.MaxPause)); until.After(d.until) {
			d.until = until
		}
	}
}

// A Destination is what is known of where deliveries go.
type Destination struct {
	Name     string    `json:"name"`
	State    string    `json:"state"`              // ok, failing or paused
	Reason   string    `json:"reason,omitempty"`   // the last failure, without secrets
	Failures int       `json:"failures,omitempty"` // in a row
	Until    time.Time `json:"until,omitzero"`     // no attempt before
	Held     int       `json:"held"`               // deliveries that wait in memory or are being sent
}

// list is the destinations that deliveries went to lately, or that are paused, by name.
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
