package hook

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A crowdOf enters a gate in goroutines of a synctest bubble and notes who is let in, in which order.
type crowdOf struct {
	t     *testing.T
	gate  *gate
	later time.Duration // is added to the gate's clock

	mu      sync.Mutex
	inside  map[string]int
	refused map[string]int
	order   []string
	leave   map[string]chan struct{} // a value lets one webhook of the location leave
}

func newCrowdOf(t *testing.T, most, share int) *crowdOf {
	c := &crowdOf{t: t, inside: map[string]int{}, refused: map[string]int{}, leave: map[string]chan struct{}{}}
	c.gate = newGate(most, share, func() time.Time { return time.Now().Add(c.later) })
	return c
}

// send starts a webhook that has a number of its location, and returns when it is inside, waits or is refused.
func (c *crowdOf) send(location string, number int) {
	if c.leave[location] == nil {
		c.leave[location] = make(chan struct{})
	}
	leave := c.leave[location]
	go func() {
		err := c.gate.enter(c.t.Context(), location)
		c.mu.Lock()
		defer c.mu.Unlock()
		if err != nil {
			if !errors.Is(err, errFull) {
				c.t.Error(err)
			}
			c.refused[location]++
			return
		}
		c.inside[location]++
		c.order = append(c.order, fmt.Sprint(location, number))
		c.mu.Unlock()
		<-leave
		c.mu.Lock()
		c.inside[location]--
		c.gate.leave(location)
	}()
	synctest.Wait()
}

func (c *crowdOf) sendMany(location string, from, to int) {
	for i := from; i <= to; i++ {
		c.send(location, i)
	}
}

// store lets n webhooks of a location leave, one after the other.
func (c *crowdOf) store(location string, n int) {
	for range n {
		c.leave[location] <- struct{}{}
		synctest.Wait()
	}
}

func (c *crowdOf) want(what string, got, want int) {
	c.t.Helper()
	if got != want {
		c.t.Errorf("%s: %d, want %d", what, got, want)
	}
}

// Beside another location, one that floods has only its share at the store; the other's webhook is let in at once.
func TestGateFlood(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCrowdOf(t, 256, 4)
		c.send("quiet", 1)
		c.store("quiet", 1)
		c.sendMany("busy", 1, 100)
		c.want("busy at the store", c.inside["busy"], 4)
		c.send("quiet", 2)
		c.want("quiet at the store", c.inside["quiet"], 1)
		c.want("order", slices.Index(c.order, "quiet2"), 5) // quiet1 and four of busy came before
		c.store("busy", 40)
		c.want("busy at the store beside quiet", c.inside["busy"], 5)
		c.store("quiet", 1)
		c.store("busy", 60)
		c.want("busy at the end", c.inside["busy"], 0)
		c.want("refused", len(c.refused), 0)
		var busy []string
		for _, who := range c.order {
			if who[0] == 'b' {
				busy = append(busy, who)
			}
		}
		for i, who := range busy {
			var number int
			if _, err := fmt.Sscanf(who, "busy%d", &number); err != nil || number < i || number > i+2 { // two can be let in together
				t.Fatalf("not in the order in which they came: %v", busy)
			}
		}
		c.want("webhooks that the gate still knows", c.gate.count+len(c.gate.lines), 0)
	})
}

// A location that sends alone has nearly all places. If others have sent long ago only, it is alone.
func TestGateAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCrowdOf(t, 256, 4)
		c.send("quiet", 1)
		c.store("quiet", 1)
		c.later = together + time.Second
		c.sendMany("busy", 1, 240)
		c.want("busy at the store", c.inside["busy"], 224)
		c.send("quiet", 2)
		c.want("quiet at the store", c.inside["quiet"], 1)
		c.store("busy", 220)
		c.want("busy at the store beside quiet", c.inside["busy"], 5)
		c.store("quiet", 1)
		c.store("busy", 20)
		c.want("webhooks that the gate still knows", c.gate.count+len(c.gate.lines), 0)
	})
}

// Locations that send equally much do not hold up each other.
func TestGateEquals(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCrowdOf(t, 256, 4)
		for i := range 30 {
			c.send("a", i)
			c.send("b", i)
		}
		c.want("at the store", c.inside["a"]+c.inside["b"], 60)
		c.store("a", 30)
		c.store("b", 30)
	})
}

// If there are too many, the location with the most gives up what it sent last.
func TestGateFull(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCrowdOf(t, 20, 4)
		c.send("quiet", 1)
		c.store("quiet", 1)
		c.sendMany("busy", 1, 25)
		c.want("refused of busy", c.refused["busy"], 5)
		c.send("quiet", 2)
		c.want("quiet at the store", c.inside["quiet"], 1)
		c.want("refused of busy for quiet", c.refused["busy"], 6)
		c.send("third", 1)
		c.want("third at the store", c.inside["third"], 1)
		c.want("refused of busy for third", c.refused["busy"], 7)
		c.sendMany("busy", 26, 30)
		c.want("refused of busy later", c.refused["busy"], 12)
		c.want("refused of quiet and third", c.refused["quiet"]+c.refused["third"], 0)
		c.store("quiet", 1)
		c.store("third", 1)
		c.store("busy", 18)
		c.want("last of busy", slices.Index(c.order, "busy18"), len(c.order)-1)
		c.want("webhooks that the gate still knows", c.gate.count+len(c.gate.lines), 0)
	})
}

// A webhook whose time is over leaves its line.
func TestGateGivesUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCrowdOf(t, 20, 1)
		c.send("quiet", 1)
		c.store("quiet", 1)
		c.send("busy", 1)
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		if err := c.gate.enter(ctx, "busy"); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		c.send("busy", 2)
		c.store("busy", 2)
		c.want("webhooks that the gate still knows", c.gate.count+len(c.gate.lines), 0)
	})
}
