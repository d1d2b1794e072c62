package hook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"bellhop/engine/config"
	"bellhop/engine/record"
	"bellhop/rules"
)

// end is a fake connection. It has only a remote address, and it knows whether it was closed.
type end struct {
	net.Conn
	from   string
	closed atomic.Bool
}

func (e *end) RemoteAddr() net.Addr {
	a, err := net.ResolveTCPAddr("tcp", e.from)
	if err != nil {
		panic(err)
	}
	return a
}

func (e *end) Close() error { e.closed.Store(true); return nil }

func arrive(c *crowd, from string) (*end, *guest) {
	e := &end{from: from}
	ctx := c.arrive(context.Background(), e)
	return e, ctx.Value(guestKey{}).(*guest)
}

// At a limit, the oldest connection that has not sent a complete webhook is closed.
func TestCrowdConnections(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(5, 3, 1000)
		whole, g := arrive(c, "192.0.2.1:1")
		c.sent(g)
		time.Sleep(time.Second)
		slow, _ := arrive(c, "192.0.2.1:2")
		time.Sleep(time.Second)
		late, _ := arrive(c, "192.0.2.1:3")
		time.Sleep(time.Second)
		fourth, _ := arrive(c, "192.0.2.1:4")
		if whole.closed.Load() || !slow.closed.Load() || late.closed.Load() || fourth.closed.Load() {
			t.Error("of one address, not the slow one gave way")
		}
		time.Sleep(time.Second)
		c.changed(late, http.StateActive) // a new request
		for i := range 3 {
			time.Sleep(time.Second)
			arrive(c, fmt.Sprintf("198.51.100.%d:1", i))
		}
		if whole.closed.Load() || !fourth.closed.Load() || late.closed.Load() {
			t.Error("of all, not the one that has been at it longest gave way")
		}
		// One IPv6 network counts as one address.
		c = newCrowd(100, 2, 1000)
		first, _ := arrive(c, "[2001:db8:0:1::1]:1")
		time.Sleep(time.Second)
		arrive(c, "[2001:db8:0:1::2]:1")
		arrive(c, "[2001:db8:0:2::2]:1")
		arrive(c, "[2001:db8:0:1:ffff::3]:1")
		if !first.closed.Load() || len(c.guests) != 3 {
			t.Errorf("a network: %d guests", len(c.guests))
		}
	})
}

// The bytes of bodies are limited. Connections that have not sent all are closed, and those that have are waited for.
func TestCrowdBytes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(100, 100, 1000)
		slow, a := arrive(c, "192.0.2.1:1")
		_, b := arrive(c, "192.0.2.2:1")
		hold := func(g *guest, n int64) error {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			return c.hold(ctx, g, n)
		}
		if err := hold(a, 600); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := hold(b, 600); err != nil || time.Since(began) != grace {
			t.Fatalf("%v after %s", err, time.Since(began))
		}
		if !slow.closed.Load() || c.held != 600 {
			t.Errorf("held: %d", c.held)
		}
		if err := hold(a, 1); !errors.Is(err, net.ErrClosed) {
			t.Errorf("one that had to go goes on: %v", err)
		}
		c.sent(b)
		_, d := arrive(c, "192.0.2.3:1")
		began = time.Now()
		if err := hold(d, 600); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 5*time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		go func() {
			time.Sleep(time.Second)
			c.answered(b)
		}()
		began = time.Now()
		if err := hold(d, 600); err != nil || time.Since(began) != time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		c.answered(d)
		if c.held != 0 {
			t.Errorf("%d bytes are still held", c.held)
		}
	})
}

// Strangers that send half a webhook do not keep genuine senders out, even from the same address and with more
// connections than one address can have. No genuine sender is told to retry.
func TestSlowStrangers(t *testing.T) {
	t.Parallel()
	const token = "a-token-that-only-the-sender-knows"
	srv := serve(t, Options{
		Sources:       map[string]config.Source{"hoopai": {Verify: config.Verify{Scheme: config.Token, Header: "X-Token", Tokens: []string{token}}}},
		MaxConcurrent: 4, PerAddress: 100,
	})
	addr := strings.TrimPrefix(srv.URL, "http://")
	for range 300 {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		if _, err := io.WriteString(conn, "POST /hooks/hoopai HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n{"); err != nil {
			t.Fatal(err)
		}
	}
	for range 50 {
		a := do(t, "POST", srv.URL+"/hooks/hoopai", header("X-Token", token), strings.NewReader(`{"type":"AppointmentCreate","appointment":{"id":"a"}}`))
		if a.code != http.StatusAccepted {
			t.Fatalf("a genuine sender is told %d %s", a.code, a.body)
		}
	}
}

// Of many large webhooks at once, a few are received at a time. The others wait, or are told to retry if the machine is
// too busy.
func TestLargeBodiesAtOnce(t *testing.T) {
	t.Parallel()
	var h *Handler
	var most, accepted atomic.Int64
	srv := serve(t, Options{Receiver: receiver(func(context.Context, *rules.Event) (Receipt, error) {
		h.crowd.mu.Lock()
		defer h.crowd.mu.Unlock()
		most.Store(max(most.Load(), h.crowd.held))
		return Receipt{Event: "e", Status: record.Accepted}, nil
	})})
	h = srv.Config.Handler.(*Handler)
	body := `{"type":"AppointmentCreate","appointment":{"id":"a","notes":"` + strings.Repeat("x", 1<<20-100) + `"}}`
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			req, err := http.NewRequestWithContext(t.Context(), "POST", srv.URL+"/hooks/hoopai", strings.NewReader(body))
			if err != nil {
				t.Error(err)
				return
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			switch resp.StatusCode {
			case http.StatusAccepted:
				accepted.Add(1)
			case http.StatusTooManyRequests:
			default:
				t.Errorf("told %s", resp.Status)
			}
		})
	}
	all.Wait()
	if n := accepted.Load(); n < bodyBytes>>20 {
		t.Errorf("only %d were accepted", n)
	}
	if n := most.Load(); n == 0 || n > bodyBytes {
		t.Errorf("%d bytes of bodies at once", n)
	}
	if h.crowd.held != 0 {
		t.Errorf("%d bytes are still held", h.crowd.held)
	}
}
