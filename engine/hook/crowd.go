package hook

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// A crowd is who is connected, and what they have sent that is not answered yet. It bounds the connections, those of
// one address, and the bytes of bodies in memory. Where a bound is reached, whoever has been at it longest without
// having sent a whole webhook gives way to who comes: a genuine sender has sent all of it within moments, and is not
// turned away because strangers are slow. It is safe for concurrent use.
type crowd struct {
	connections int // in all
	perAddress  int
	bytes       int64 // of bodies, in all

	mu     sync.Mutex
	guests map[net.Conn]*guest
	of     map[netip.Prefix]int // guests, by address
	held   int64                // bytes
	freed  chan struct{}        // closed and replaced when bytes come free
}

// A guest is one connection. What it holds is guarded by its crowd.
type guest struct {
	conn  net.Conn // nil if it cannot be closed
	from  netip.Prefix
	since time.Time // when it began what it is doing
	held  int64
	whole bool // it has sent a whole webhook, which is being answered
	gone  bool
}

func newCrowd(connections, perAddress int, bytes int64) *crowd {
	return &crowd{
		connections: connections, perAddress: perAddress, bytes: bytes,
		guests: map[net.Conn]*guest{}, of: map[netip.Prefix]int{}, freed: make(chan struct{}),
	}
}

type guestKey struct{}

// arrive is for [http.Server.ConnContext].
func (c *crowd) arrive(ctx context.Context, conn net.Conn) context.Context {
	g := &guest{conn: conn, from: address(conn), since: time.Now()}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of[g.from] >= c.perAddress {
		c.dismiss(func(other *guest) bool { return other.from == g.from })
	}
	if len(c.guests) >= c.connections {
		c.dismiss(func(*guest) bool { return true })
	}
	c.guests[conn] = g
	c.of[g.from]++
	return context.WithValue(ctx, guestKey{}, g)
}

// changed is for [http.Server.ConnState].
func (c *crowd) changed(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	g := c.guests[conn]
	switch {
	case g == nil:
	case state == http.StateClosed || state == http.StateHijacked:
		c.remove(g)
	case state == http.StateActive || state == http.StateIdle:
		g.since = time.Now()
	}
}

func (c *crowd) remove(g *guest) {
	if g.gone {
		return
	}
	g.gone = true
	delete(c.guests, g.conn)
	if c.of[g.from]--; c.of[g.from] == 0 {
		delete(c.of, g.from)
	}
	c.free(g)
}

// free gives back the bytes that g holds.
func (c *crowd) free(g *guest) {
	if g.held == 0 {
		return
	}
	c.held -= g.held
	g.held = 0
	close(c.freed)
	c.freed = make(chan struct{})
}

// dismiss closes the connection of the guest that has been at it longest, of those that are meant. It says whether
// there was one.
func (c *crowd) dismiss(meant func(*guest) bool) bool {
	var oldest *guest
	for _, g := range c.guests {
		if !g.whole && meant(g) && (oldest == nil || g.since.Before(oldest.since)) {
			oldest = g
		}
	}
	if oldest == nil {
		return false
	}
	c.remove(oldest)
	_ = oldest.conn.Close() // it is to go, whatever it says
	return true
}

// grace is how long a large body may take before it gives way to others.
const grace = 2 * time.Second

// hold lets g have n bytes, all that it will need: nobody who has some waits for more. It waits for them, until ctx
// ends, while all that is held is of whole webhooks, or of those that began just now.
func (c *crowd) hold(ctx context.Context, g *guest, n int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	look := time.NewTicker(grace / 4)
	defer look.Stop()
	for !g.gone && c.held+n > c.bytes {
		if c.dismiss(func(other *guest) bool { return other != g && other.held > 0 && time.Since(other.since) >= grace }) {
			continue
		}
		freed := c.freed
		c.mu.Unlock()
		select {
		case <-freed:
		case <-look.C:
		case <-ctx.Done():
		}
		c.mu.Lock()
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	if g.gone {
		return net.ErrClosed
	}
	c.held += n
	g.held, g.since = n, time.Now()
	return nil
}

// sent notes that g has sent a whole webhook. [crowd.answered] ends that.
func (c *crowd) sent(g *guest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	g.whole = true
}

func (c *crowd) answered(g *guest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	g.whole, g.since = false, time.Now()
	c.free(g)
}

// guestOf is the guest that a request came from.
func guestOf(r *http.Request) *guest {
	if g, ok := r.Context().Value(guestKey{}).(*guest); ok {
		return g
	}
	return &guest{} // the server is not ours
}

// address is who a connection comes from: of IPv6 the network, since whoever has one address there has them all.
func address(conn net.Conn) netip.Prefix {
	ap, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil {
		return netip.Prefix{}
	}
	addr := ap.Addr().Unmap().WithZone("")
	bits := 64
	if addr.Is4() {
		bits = 32
	}
	p, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}
