package hook

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// A crowd has all open connections. It limits their number, the number from one address, and the bytes of bodies in
// memory. When a limit is reached, it closes the oldest connection that has not sent a complete webhook, to make room
// for the new one. Genuine senders send a webhook within moments, so slow strangers cannot keep them out. A crowd is
// safe for concurrent use.
type crowd struct {
	connections int // in all
	perAddress  int
	bytes       int64 // of bodies, in all

	mu     sync.Mutex
	guests map[net.Conn]*guest
	of     map[netip.Prefix]int // the number of guests, by address
	held   int64                // bytes, of all guests
	freed  chan struct{}        // closed and replaced when bytes come free
}

// A guest is one connection. Its fields are guarded by the mutex of its crowd.
type guest struct {
	conn  net.Conn // nil if it cannot be closed
	from  netip.Prefix
	since time.Time // when it connected, began a request, got memory or was answered, whichever was last
	held  int64
	whole bool // it has sent a complete webhook, which is not answered yet
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
	g.gone = true
	delete(c.guests, g.conn)
	if c.of[g.from]--; c.of[g.from] == 0 {
		delete(c.of, g.from)
	}
	c.free(g)
}

// free releases the bytes that g holds, and wakes those that wait for memory.
func (c *crowd) free(g *guest) {
	if g.held == 0 {
		return
	}
	c.held -= g.held
	g.held = 0
	close(c.freed)
	c.freed = make(chan struct{})
}

// dismiss closes the connection of one guest for which meant is true and that has not sent a complete webhook: the one
// with the earliest since. It says whether there was one. The caller holds c.mu.
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
	_ = oldest.conn.Close() // the connection is given up, so its error does not matter
	return true
}

// grace is how long a large body is left alone before its connection can be closed for others.
const grace = 2 * time.Second

// hold reserves n bytes for g. n must be all that g will need, because guests that hold bytes and wait for more could
// block each other. If there are too few bytes free, hold closes the connections of guests that hold bytes for longer
// than grace and have not sent a complete webhook. If there are none, it waits. It returns the error of ctx if ctx
// ends first, and [net.ErrClosed] if g's own connection was closed.
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

// sent notes that g has sent a complete webhook. Until [crowd.answered], its connection is not closed for others.
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

// guestOf returns the guest that sent a request.
func guestOf(r *http.Request) *guest {
	if g, ok := r.Context().Value(guestKey{}).(*guest); ok {
		return g
	}
	return &guest{} // the server was not made by Server
}

// address returns the address that a connection comes from, or the zero Prefix for one that is not of IP. For IPv6 it
// is the /64 network, because one host usually has all of its addresses.
func address(conn net.Conn) netip.Prefix {
	from, _ := netip.ParseAddrPort(conn.RemoteAddr().String())
	addr := from.Addr().Unmap().WithZone("")
	bits := 64
	if addr.Is4() {
		bits = 32
	}
	network, _ := addr.Prefix(bits)
	return network
}
