//go:build !windows && !race

// The servers are other processes, where the detector finds nothing.

package main

import (
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"bellhop/engine/record"
	"bellhop/engine/store"
	"bellhop/engine/store/storetest"
)

// A cluster is two servers on one database, under the load of a mix.
type cluster struct {
	*mix
	server *storetest.Server
	nodes  []*realProgram
	cmds   []*exec.Cmd
	line   *line // from the first server to the database
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	t.Parallel()
	if testing.Short() {
		t.Skip("runs two servers under load")
	}
	c := &cluster{mix: newMix(t), server: storetest.NewServer(t)}
	at := c.server.Database(t)
	c.line = newLine(t, c.server.Socket())
	for i, store := range []string{c.line.url(at), at} {
		c.nodes = append(c.nodes, c.program(t, fmt.Sprintf("store: %q\nnode: node%d\n", store, i)))
		c.cmds = append(c.cmds, nil)
		c.begin(t, i)
	}
	t.Cleanup(func() {
		for _, cmd := range c.cmds {
			_ = cmd.Process.Signal(syscall.SIGCONT)
			_ = cmd.Process.Kill()
			_ = cmd.Wait() // killed
		}
	})
	return c
}

func (c *cluster) begin(t *testing.T, i int) {
	t.Helper()
	c.cmds[i] = c.nodes[i].begin(t)
}

func (c *cluster) load(t *testing.T) (stop func()) {
	return c.send(t, c.nodes[0].listen, c.nodes[1].listen)
}

// end waits until everything is sent and checks it. It looks at the second server.
func (c *cluster) end(t *testing.T, what string) {
	t.Helper()
	c.nodes[1].settled(t)
	t.Logf("%s: %s", what, c.check(t, c.nodes[1].deliveries(t, "")))
}

// Servers that share a database are killed one after the other.
func TestNodesKilled(t *testing.T) {
	c := newCluster(t)
	stop := c.load(t)
	const times = 10
	for i := range times {
		pause(t.Context(), time.Duration(200+c.random.IntN(800))*time.Millisecond)
		if err := c.cmds[i%2].Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = c.cmds[i%2].Wait() // killed
		pause(t.Context(), time.Duration(c.random.IntN(500))*time.Millisecond)
		c.begin(t, i%2)
	}
	stop()
	c.end(t, fmt.Sprintf("one of two servers killed %d times", times))
}

// The database is restarted under load, as after a crash.
func TestNodesDatabaseRestarts(t *testing.T) {
	c := newCluster(t)
	stop := c.load(t)
	const times = 3
	for range times {
		pause(t.Context(), time.Duration(500+c.random.IntN(1000))*time.Millisecond)
		c.server.Stop("immediate")
		pause(t.Context(), time.Duration(c.random.IntN(1000))*time.Millisecond)
		if err := c.server.Start(); err != nil {
			t.Fatal(err)
		}
		// Webhooks are taken again without anybody's help.
		c.takes(t, 0)
		c.takes(t, 1)
	}
	stop()
	c.end(t, fmt.Sprintf("the database restarted %d times", times))
}

// takes waits until a server stores an event again.
func (c *cluster) takes(t *testing.T, i int) {
	t.Helper()
	deadline := time.After(time.Minute)
	for {
		var answer struct{ Status string }
		if err := tryJSON(t.Context(), "http://"+c.nodes[i].admin+"/readyz", &answer); err == nil {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("a minute after the database was there again, server %d cannot write", i)
		default:
			pause(t.Context(), 50*time.Millisecond)
		}
	}
}

// One server is cut off from the database for 30 seconds, while the other one goes on.
func TestNodesCutOff(t *testing.T) {
	c := newCluster(t)
	stop := c.load(t)
	pause(t.Context(), time.Second)
	c.line.cut(true)
	pause(t.Context(), 30*time.Second)
	c.line.cut(false)
	c.takes(t, 0)
	pause(t.Context(), time.Second)
	stop()
	c.end(t, "one server cut off for 30 s")
}

// One server is stopped for longer than it takes until the other one takes over its work, and then goes on where it was.
func TestNodesPaused(t *testing.T) {
	c := newCluster(t)
	stop := c.load(t)
	pause(t.Context(), time.Second)
	c.stopped = time.Now()
	if err := c.cmds[0].Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	// The senders meanwhile give up on it after their timeout and go on with the other server.
	deadline := time.After(time.Minute)
	for gone := false; !gone; {
		select {
		case <-deadline:
			t.Fatal("a minute later the other server has not noticed")
		default:
			pause(t.Context(), 500*time.Millisecond)
		}
		var list struct{ Nodes []store.Node }
		getJSON(t, "http://"+c.nodes[1].admin+"/api/v1/nodes", &list)
		gone = len(list.Nodes) == 1
	}
	noticed := time.Since(c.stopped)
	pause(t.Context(), 2*time.Second)
	c.resumed = time.Now()
	if err := c.cmds[0].Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	pause(t.Context(), 2*time.Second)
	stop()
	c.end(t, fmt.Sprintf("one server stopped, noticed after %s, and let go", noticed.Round(time.Second)))
}

// A waiting step is sent by any server, and by one.
func TestNodesShareWork(t *testing.T) {
	c := newCluster(t)
	stop := c.load(t)
	pause(t.Context(), 3*time.Second)
	stop()
	c.end(t, "two servers")
	var list struct{ Nodes []store.Node }
	getJSON(t, "http://"+c.nodes[0].admin+"/api/v1/nodes", &list)
	if len(list.Nodes) != 2 || list.Nodes[0].Rules != list.Nodes[1].Rules {
		t.Errorf("the nodes are %+v", list.Nodes)
	}
	for i, p := range c.nodes {
		if n := len(p.deliveries(t, "&state="+string(record.Sent))); n == 0 {
			t.Errorf("server %d shows no delivery", i)
		}
	}
}

// A line is a connection to the database that can be cut.
type line struct {
	l      net.Listener
	socket string

	mu    sync.Mutex
	gone  bool
	conns map[net.Conn]bool
}

func newLine(t *testing.T, socket string) *line {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	x := &line{l: l, socket: socket, conns: map[net.Conn]bool{}}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { x.carry(in) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		x.cut(true)
		running.Wait()
	})
	return x
}

// url returns the URL of a database, over the line.
func (x *line) url(at string) string {
	database, _, _ := strings.Cut(strings.TrimPrefix(at, "postgres://bellhop@/"), "?")
	return "postgres://bellhop@" + x.l.Addr().String() + "/" + database + "?sslmode=disable"
}

func (x *line) carry(in net.Conn) {
	defer in.Close()
	out, err := net.Dial("unix", x.socket)
	if err != nil {
		return
	}
	defer out.Close()
	x.mu.Lock()
	if x.gone {
		x.mu.Unlock()
		return
	}
	x.conns[in], x.conns[out] = true, true
	x.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { _, _ = io.Copy(out, in); _ = out.Close() })
	both.Go(func() { _, _ = io.Copy(in, out); _ = in.Close() })
	both.Wait()
	x.mu.Lock()
	delete(x.conns, in)
	delete(x.conns, out)
	x.mu.Unlock()
}

// cut closes all connections, and those that come, while gone is true.
func (x *line) cut(gone bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.gone = gone; gone {
		for c := range x.conns {
			_ = c.Close()
		}
	}
}
