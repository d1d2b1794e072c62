package hook

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// A gate lets webhooks to the store, location by location, so that one that sends very many at once, such as an import of
// its bookings, does not delay the others. It has at most share more webhooks at the store than all the others have
// here. The rest of its webhooks wait, in the order in which they came. A location that sends alone can have nearly all.
//
// most webhooks can be at the store and wait. When there are so many, the location with the most gives up the webhook
// that it sent last, for one of a location with fewer. A gate is safe for concurrent use.
type gate struct {
	most, share int
	now         func() time.Time

	mu    sync.Mutex
	count int // of all lines
	lines map[string]*line
	// The two locations that sent last, and when: one that is neither has not sent since.
	latest, before sender
}

// A line has the webhooks of one location that are at the store or wait.
type line struct {
	inside  int
	waiting []*waiter
}

type waiter struct {
	let chan error // gets nil when the webhook can go to the store, or errFull
}

type sender struct {
	location string
	at       time.Time
}

// together is how long a location counts as one that sends after it has sent. It is long, because somebody who sends
// rarely must not wait either.
const together = time.Hour

// errFull says that there are too many webhooks.
var errFull = errors.New("too many webhooks at once")

func newGate(most, share int, now func() time.Time) *gate {
	return &gate{most: most, share: share, now: now, lines: map[string]*line{}}
}

func (l *line) size() int { return l.inside + len(l.waiting) }

// enter waits until a webhook of the location can go to the store. The caller must then call [gate.leave]. It returns
// errFull if there are too many webhooks, or the error of ctx.
func (g *gate) enter(ctx context.Context, location string) error {
	w, err := g.join(location)
	if w == nil {
		return err
	}
	select {
	case err := <-w.let:
		return err
	case <-ctx.Done():
		return g.giveUp(location, w, ctx.Err())
	}
}

// join takes a place. It returns a waiter if the webhook must wait.
func (g *gate) join(location string) (*waiter, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if now := g.now(); location == g.latest.location {
		g.latest.at = now
	} else {
		g.before, g.latest = g.latest, sender{location, now}
	}
	l := g.lines[location]
	if l == nil {
		l = &line{}
		g.lines[location] = l
	}
	if g.count >= g.most && !g.makeRoom(l) {
		g.tidy(location, l)
		return nil, errFull
	}
	free := len(l.waiting) == 0 && l.inside < g.limit(location, l)
	g.count++
	if free {
		l.inside++
		return nil, nil
	}
	w := &waiter{make(chan error, 1)}
	l.waiting = append(l.waiting, w)
	return w, nil
}

// limit returns how many webhooks of the location can be at the store. l is its line.
func (g *gate) limit(location string, l *line) int {
	other := g.latest
	if other.location == location {
		other = g.before
	}
	if other.at.IsZero() || g.now().Sub(other.at) > together {
		return g.most - g.most/8 // the rest can wait, and so can give way to others
	}
	return g.share + g.count - l.size()
}

// makeRoom refuses the last waiting webhook of the line that is longest, if that is longer than l. It says whether it did.
func (g *gate) makeRoom(l *line) bool {
	var longest *line
	for _, other := range g.lines {
		if len(other.waiting) > 0 && other.size() > l.size()+1 && (longest == nil || other.size() > longest.size()) {
			longest = other
		}
	}
	if longest == nil {
		return false
	}
	last := len(longest.waiting) - 1
	longest.waiting[last].let <- errFull
	longest.waiting = longest.waiting[:last]
	g.count--
	return true
}

// leave says that a webhook has been stored, or cannot be.
func (g *gate) leave(location string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.lines[location]
	l.inside--
	g.count--
	for limit := g.limit(location, l); len(l.waiting) > 0 && l.inside < limit; l.inside++ {
		l.waiting[0].let <- nil
		l.waiting = l.waiting[1:]
	}
	g.tidy(location, l)
}

// giveUp takes a waiter out of its line. If it has just been let in or refused, that counts.
func (g *gate) giveUp(location string, w *waiter, err error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.lines[location]
	if l == nil {
		return <-w.let
	}
	i := slices.Index(l.waiting, w)
	if i < 0 {
		return <-w.let
	}
	l.waiting = slices.Delete(l.waiting, i, i+1)
	g.count--
	g.tidy(location, l)
	return err
}

// tidy forgets a line without webhooks.
func (g *gate) tidy(location string, l *line) {
	if l.size() == 0 {
		delete(g.lines, location)
	}
}
