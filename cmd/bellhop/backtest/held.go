package backtest

import (
	"cmp"
	"container/heap"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"bellhop/engine/decide"
	"bellhop/engine/record"
	"bellhop/engine/store"
	"bellhop/rules"
)

const (
	defaultMemory = 256 << 20
	stepBytes     = 700 // about how many bytes a waiting step takes, without its request
)

// held has the steps that wait, or that can wait again. It does not keep their events; they are read again.
type held struct {
	sets   [2]*rules.Set // present and proposed, in this order everywhere below
	of     map[place]*appointment
	queue  queue
	memory int // bytes left

	planned, latest origin // cache: the event read last that planned a step, and the one read last as an appointment's latest
}

type origin struct {
	event string
	decide.Origin
}

// A place identifies an appointment.
type place struct{ source, appointment string }

// An appointment has steps that follow it.
type appointment struct {
	latest string // the id of its latest event
	pairs  []*pair
}

// A pair has the steps that one rule makes of one event in the two sets. It is compared when no step can change
// any more.
type pair struct {
	rule  string
	of    occasion
	steps [2][]*step
	bytes int
}

// A step is one of a pair. Those that are done with have the state [record.Pending].
type step struct {
	record.Delivery
	pair  *pair
	set   int
	index int // in the queue; -1 if it is not in it
}

// following says whether a step of the pair can still change.
func (p *pair) following() bool {
	follows := func(s *step) bool { return decide.Follows(&s.Delivery) }
	return slices.ContainsFunc(p.steps[0], follows) || slices.ContainsFunc(p.steps[1], follows)
}

// queue is a heap of the steps that wait. The step that is due next is first.
type queue []*step

func (q queue) Len() int      { return len(q) }
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i]; q[i].index, q[j].index = i, j }
func (q queue) Less(i, j int) bool {
	a, b := q[i], q[j]
	return cmp.Or(a.Due.Compare(b.Due), strings.Compare(a.Event, b.Event), strings.Compare(a.Rule, b.Rule), a.Step-b.Step, a.set-b.set) < 0
}

func (q *queue) Push(x any) {
	s, _ := x.(*step)
	s.index = len(*q)
	*q = append(*q, s)
}

func (q *queue) Pop() any {
	last := len(*q) - 1
	s := (*q)[last]
	(*q)[last] = nil
	*q, s.index = (*q)[:last], -1
	return s
}

// put updates the queue after a step has changed. Only a step that waits stays in the queue.
func (q *queue) put(s *step) {
	switch waits := s.State == record.Waiting; {
	case waits && s.index >= 0:
		heap.Fix(q, s.index)
	case waits:
		heap.Push(q, s)
	case s.index >= 0:
		heap.Remove(q, s.index)
	}
}

// toCome says whether a message still waits at the end.
func (t *test) toCome(d *record.Delivery) bool { return !d.At.IsZero() && d.Due.After(t.o.Span.Until) }

// hold keeps what a rule makes of an event until it can be compared. If there is no memory for it, it comes to
// what it would if nothing changed after its event.
func (t *test) hold(ctx context.Context, rule string, of occasion, present, proposed []*record.Delivery) error {
	h := &t.held
	p := &pair{rule: rule, of: of}
	for set, list := range [2][]*record.Delivery{present, proposed} {
		for _, d := range list {
			s := &step{Delivery: *d, pair: p, set: set, index: -1}
			h.queue.put(s)
			p.steps[set] = append(p.steps[set], s)
			p.bytes += stepBytes + len(d.Request)
		}
	}
	h.memory -= p.bytes
	a := h.of[of.place]
	if a == nil {
		a = &appointment{}
		h.of[of.place] = a
	}
	a.latest, a.pairs = of.event, append(a.pairs, p)
	return t.relieve(ctx, p)
}

// relieve stops following a pair if the memory is used up. It decides the steps of the pair and compares them.
func (t *test) relieve(ctx context.Context, p *pair) error {
	if t.held.memory >= 0 {
		return nil
	}
	for _, steps := range p.steps {
		for _, s := range steps {
			if decide.Follows(&s.Delivery) {
				t.report.Unfollowed++
			}
			for s.State == record.Waiting {
				if err := t.settle(ctx, s); err != nil {
					return err
				}
			}
			t.held.queue.put(s)
		}
	}
	t.compare(p)
	return nil
}

// compare compares the two sides of a pair, and removes the pair.
func (t *test) compare(p *pair) {
	at := p.of.place
	if a := t.held.of[at]; a != nil {
		a.pairs = slices.DeleteFunc(a.pairs, func(other *pair) bool { return other == p })
		if len(a.pairs) == 0 {
			delete(t.held.of, at)
		}
	}
	t.held.memory += p.bytes
	var lists [2][]*record.Delivery
	for set, steps := range p.steps {
		for _, s := range steps {
			lists[set] = append(lists[set], &s.Delivery)
		}
	}
	c := comparison{t, p.of}
	c.rule(p.rule, lists[0], lists[1])
}

// follow makes what waits for an event's appointment follow it. made is what the event itself has added.
func (t *test) follow(ctx context.Context, e *record.Event, ev *rules.Event, made *[2][]record.Delivery) error {
	a := t.held.of[place{e.Source, e.Appointment}]
	if a == nil {
		return nil
	}
	a.latest = e.ID
	if e.Before == nil { // the server did not know it any more either
		return nil
	}
	var before, after decide.Memory
	if err := errors.Join(json.Unmarshal(e.Before, &before), json.Unmarshal(e.After, &after)); err != nil {
		return fmt.Errorf("event %s: recorded state: %w", e.ID, err)
	}
	for _, p := range slices.Clone(a.pairs) {
		for set, steps := range p.steps {
			change := decide.Change{Set: t.held.sets[set], Event: ev, Before: &before, After: &after, Now: e.ReceivedAt, Added: made[set]}
			for _, s := range steps {
				if !decide.Follows(&s.Delivery) {
					continue
				}
				// A step that was never tried never goes on as another.
				changed, _, err := change.Follow(&s.Delivery, func() (decide.Origin, error) { return t.read(ctx, &t.held.planned, s.Event) })
				if err != nil && !errors.Is(err, errUnreadable) {
					return fmt.Errorf("let what waits follow event %s: %w", e.ID, err)
				}
				if changed {
					t.held.queue.put(s)
				}
			}
		}
		if !p.following() {
			t.compare(p)
		}
	}
	return nil
}

// settleDue decides the steps that are due, in the order of their times.
func (t *test) settleDue(ctx context.Context, isDue func(time.Time) bool) error {
	for len(t.held.queue) > 0 && isDue(t.held.queue[0].Due) {
		if err := t.settleNext(ctx); err != nil {
			return err
		}
	}
	return nil
}

// settleRest decides all steps that wait, as if nothing changes any more, and compares all pairs.
func (t *test) settleRest(ctx context.Context) error {
	if err := t.settleDue(ctx, func(time.Time) bool { return true }); err != nil {
		return err
	}
	var rest []*pair
	for _, a := range t.held.of {
		rest = append(rest, a.pairs...)
	}
	slices.SortFunc(rest, func(a, b *pair) int {
		return cmp.Or(strings.Compare(a.of.event, b.of.event), strings.Compare(a.rule, b.rule))
	})
	for _, p := range rest {
		t.compare(p)
	}
	return nil
}

func (t *test) settleNext(ctx context.Context) error {
	s := t.held.queue[0]
	if err := t.settle(ctx, s); err != nil {
		return err
	}
	t.held.queue.put(s)
	s.pair.bytes += len(s.Request)
	t.held.memory -= len(s.Request)
	if !s.pair.following() {
		t.compare(s.pair)
		return nil
	}
	return t.relieve(ctx, s.pair)
}

// settle decides about a step that is due, as the server does.
func (t *test) settle(ctx context.Context, s *step) error {
	from, err := t.read(ctx, &t.held.planned, s.Event)
	state := from.State
	if latest := t.held.of[s.pair.of.place].latest; err == nil && latest != s.Event {
		var last decide.Origin
		last, err = t.read(ctx, &t.held.latest, latest)
		state = last.State
	}
	if errors.Is(err, errUnreadable) {
		s.State, s.Reason, s.Follows = record.Skipped, errUnreadable.Error(), false
		return nil
	}
	if err != nil {
		return err
	}
	ev := *from.Event
	ev.History = t.visits(ctx, &ev, record.FirstID(s.Due))
	from.Event = &ev
	if err := decide.Decide(t.held.sets[s.set], &s.Delivery, from, state, s.Due); err != nil {
		return fmt.Errorf("put step %d of rule %s for event %s: %w", s.Step, s.Rule, s.Event, err)
	}
	if s.State == record.Sending {
		s.State = record.Pending
	}
	return nil
}

// errUnreadable says that an event can no longer be read, although it could be when it ran through the rules.
var errUnreadable = errors.New("the event that planned it is no longer there")

// read gives a recorded event again. into has the one that was read last.
func (t *test) read(ctx context.Context, into *origin, id string) (decide.Origin, error) {
	if into.event == id {
		return into.Origin, nil
	}
	e, err := t.o.Store.Event(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return decide.Origin{}, errUnreadable
	}
	if err != nil {
		return decide.Origin{}, err
	}
	o, err := decide.OriginOf(t.n, &e)
	if err != nil {
		return decide.Origin{}, fmt.Errorf("%w: %w", errUnreadable, err)
	}
	*into = origin{id, o}
	return o, nil
}
