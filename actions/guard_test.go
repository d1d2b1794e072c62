package actions

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
)

// newGuard returns a guard with this allow list.
func newGuard(t *testing.T, allow ...string) *Guard {
	t.Helper()
	g, err := NewGuard(GuardOptions{Allow: allow})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	return g
}

func TestGuardRefusesWhatIsNotPublic(t *testing.T) {
	t.Parallel()
	g := newGuard(t)
	for _, address := range []string{
		"0.0.0.0", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200", "100.127.255.255", "127.0.0.1", "127.8.8.8",
		"168.63.129.16", "169.254.0.1", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.0.192", "192.0.2.1",
		"192.88.99.1", "192.168.0.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255",
		"240.0.0.1", "255.255.255.255",
		"::", "::1", "::ffff:10.0.0.1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::808:808",
		"64:ff9b:1::1", "100::1", "2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:10::1", "2001:20::1", "2001:db8::1",
		"2002:7f00:1::1", "2002:808:808::1", "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1",
	} {
		addr := netip.MustParseAddr(address)
		network := "tcp6"
		if addr.Is4() {
			network = "tcp4"
		}
		err := g.check(network, netip.AddrPortFrom(addr, 443).String())
		if _, ok := errors.AsType[*RefusedError](err); !ok {
			t.Errorf("%s: %v", address, err)
		}
	}
	for _, address := range []string{"1.1.1.1:443", "8.8.8.8:25", "99.255.255.255:80", "100.128.0.1:80", "172.32.0.1:8080", "[2606:4700:4700::1111]:587", "[::ffff:8.8.8.8]:443"} {
		network := "tcp4"
		if address[0] == '[' {
			network = "tcp6"
		}
		if err := g.check(network, address); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
	if err := g.check("udp4", "8.8.8.8:53"); err == nil {
		t.Error("UDP passes")
	}
	if err := g.check("tcp4", "nonsense"); !Classify(err).Permanent {
		t.Errorf("nonsense: %v", err)
	}
}

func TestGuardAllow(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		allow, address string
		ok             bool
	}{
		{"10.1.0.0/16", "10.1.2.3:80", true},
		{"10.1.9.9/16", "10.1.2.3:80", true},
		{"10.1.0.0/16", "10.2.2.3:80", false},
		{"10.1.0.0/16", "[::ffff:10.1.2.3]:80", true},
		{"::ffff:10.1.0.0/112", "10.1.2.3:80", true},
		{"10.1.2.3", "10.1.2.3:80", true},
		{"10.1.2.3", "10.1.2.4:80", false},
		{"10.1.2.3:80", "10.1.2.3:80", true},
		{"10.1.2.3:80", "10.1.2.3:81", false},
		{"fd00::/8", "[fd00::1]:80", true},
		{"[fd00::1]", "[fd00::1]:80", true},
		{"[fd00::1]:80", "[fd00::1]:443", false},
		{"fe80::1", "[fe80::1%eth0]:80", true},
		{"64:ff9b::/96", "[64:ff9b::7f00:1]:80", true},
		{"intranet.example.com", "10.1.2.3:80", false}, // a name permits nothing by address
	} {
		network := "tcp4"
		if c.address[0] == '[' {
			network = "tcp6"
		}
		if err := newGuard(t, c.allow).check(network, c.address); (err == nil) != c.ok {
			t.Errorf("allow %s, connect to %s: %v", c.allow, c.address, err)
		}
	}
	for _, bad := range []string{"", "10.0.0.0/33", "http://example.com", "*.example.com", "a b", "example.com:http", "example.com:99999", "example.com/24", "..", "example.com:"} {
		if _, err := NewGuard(GuardOptions{Allow: []string{bad}}); err == nil {
			t.Errorf("allow %q is accepted", bad)
		}
	}
}

func TestGuardConnects(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	t.Cleanup(srv.Close)
	_, port, _ := net.SplitHostPort(srv.Listener.Addr().String())
	resolver := loopbackResolver(t)
	for _, c := range []struct {
		allow, host string
		ok          bool
	}{
		{"", "127.0.0.1", false},
		{"", "[::ffff:127.0.0.1]", false},
		{"", "localhost", false},
		{"", "rebind.example.com", false}, // resolves to 127.0.0.1
		{"127.0.0.1", "127.0.0.1", true},
		{"127.0.0.0/8", "rebind.example.com", true},
		{"127.0.0.1:" + port, "rebind.example.com", true},
		{"127.0.0.1:1", "rebind.example.com", false},
		{"rebind.example.com", "rebind.example.com", true},
		{"Rebind.Example.com.", "REBIND.example.com", true},
		{"rebind.example.com:" + port, "rebind.example.com", true},
		{"rebind.example.com:1", "rebind.example.com", false},
		{"rebind.example.com", "other.example.com", false},
		{"rebind.example.com", "127.0.0.1", false},
	} {
		o := GuardOptions{Resolver: resolver}
		if c.allow != "" {
			o.Allow = []string{c.allow}
		}
		g, err := NewGuard(o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(g.Close)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+c.host+":"+port, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := g.httpClient().Do(r)
		if err == nil {
			_ = resp.Body.Close()
		}
		if (err == nil) != c.ok {
			t.Errorf("allow %q, %s: %v", c.allow, c.host, err)
			continue
		}
		if c.ok {
			continue
		}
		refused, ok := errors.AsType[*RefusedError](err)
		if !ok || !Classify(err).Permanent {
			t.Errorf("allow %q, %s: not a permanent refusal: %v", c.allow, c.host, err)
			continue
		}
		if text := refused.Error(); !strings.Contains(text, "127.0.0.1") || !strings.Contains(text, "egress: allow:") {
			t.Errorf("the refusal does not say what to do: %s", text)
		}
	}
}

// TestGuardIgnoresProxies sets the proxy variables, which are read once in a process. It works only if nothing
// in this package has read them before.
func TestGuardIgnoresProxies(t *testing.T) {
	var proxied atomic.Int32
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { proxied.Add(1) }))
	t.Cleanup(proxy.Close)
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY"} {
		t.Setenv(name, proxy.URL)
	}
	t.Setenv("NO_PROXY", "")
	g, err := NewGuard(GuardOptions{Resolver: loopbackResolver(t), Allow: []string{proxy.Listener.Addr().String()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	// Nothing listens on port 1. The proxy, which the guard permits, would answer instead.
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://rebind.example.com:1/", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := g.httpClient().Do(r)
	if err == nil {
		_ = resp.Body.Close()
	}
	if _, refused := errors.AsType[*RefusedError](err); !refused || proxied.Load() != 0 {
		t.Errorf("%v, %d requests to the proxy", err, proxied.Load())
	}
}

func TestGuardFollowsNoRedirect(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.RedirectHandler("http://127.0.0.1:1/", http.StatusTemporaryRedirect))
	t.Cleanup(srv.Close)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL, strings.NewReader("secret"))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := newGuard(t, "127.0.0.1").httpClient().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusTemporaryRedirect {
		t.Errorf("status %d", resp.StatusCode)
	}
}

// loopbackResolver returns a resolver that asks a small name server, for which every name has the address 127.0.0.1.
func loopbackResolver(t *testing.T) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			if n < 12 {
				continue
			}
			end := 12 // of the question
			for end < n && buf[end] != 0 {
				end += int(buf[end]) + 1
			}
			end += 5
			if end > n {
				continue
			}
			answer := append([]byte{}, buf[:end]...)
			binary.BigEndian.PutUint16(answer[2:], 0x8180)
			copy(answer[6:12], []byte{0, 0, 0, 0, 0, 0})
			if binary.BigEndian.Uint16(buf[end-4:]) == 1 { // A
				answer[7] = 1
				answer = append(answer, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1)
			}
			_, _ = conn.WriteTo(answer, from)
		}
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-done
	})
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

func TestLoopback(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{
		"127.0.0.1:80": true, "127.9.9.9:80": true, "[::1]:80": true, "localhost:80": true, "LocalHost:0": true, "[::ffff:127.0.0.1]:80": true,
		":80": false, "0.0.0.0:80": false, "[::]:80": false, "10.0.0.1:80": false, "example.com:80": false, "127.0.0.1": true, "": false,
		"localhost.example.com:80": false,
	} {
		if got := Loopback(address); got != want {
			t.Errorf("%q: %v", address, got)
		}
	}
}
