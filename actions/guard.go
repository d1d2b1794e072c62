package actions

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"code.dny.dev/ssrf"
	"golang.org/x/net/idna"
)

// A Guard makes every outgoing connection. It refuses addresses that are not on the public internet, so that neither
// a rule nor a payload can reach machines near the server. The check is made on the resolved address at the moment of
// connecting, for redirects as well. It is safe for concurrent use.
type Guard struct {
	denied   *ssrf.Guardian
	resolver *net.Resolver
	prefixes []netip.Prefix
	ports    []netip.AddrPort    // addresses that are permitted on one port
	hosts    map[string][]string // permitted host names, each with its ports; the port "" permits all
	client   *http.Client
}

// GuardOptions say what a Guard permits beyond the public internet. The zero value permits nothing more.
type GuardOptions struct {
	// Allow lists ranges ("10.1.0.0/16"), addresses and host names. An address or a host name can have a port. A
	// host name permits every address that it resolves to.
	Allow []string
	// Resolver looks names up; nil means the system's resolver.
	Resolver *net.Resolver
}

// A RefusedError is the error for a connection that the guard refused to make.
type RefusedError struct {
	Host    string // as requested, host:port
	Address netip.AddrPort
}

func (e *RefusedError) Error() string {
	where := e.Address.String()
	if e.Host != where {
		where = e.Host + " (" + where + ")"
	}
	return fmt.Sprintf("connecting to %s is not allowed: the address is not on the public internet; `egress: allow:` in bellhop.yaml can permit it", where)
}

// Addresses in public ranges that reach only the machine itself: the platform endpoint of a large cloud.
var deniedV4 = []netip.Prefix{netip.MustParsePrefix("168.63.129.16/32")}

// NewGuard reads the allow list. An entry that is none of the forms that Allow permits is an error.
func NewGuard(o GuardOptions) (*Guard, error) {
	g := &Guard{
		denied:   ssrf.New(ssrf.WithAnyPort(), ssrf.WithDeniedV4Prefixes(deniedV4...)),
		resolver: o.Resolver,
		hosts:    map[string][]string{},
	}
	for _, entry := range o.Allow {
		if err := g.allow(strings.TrimSpace(entry)); err != nil {
			return nil, err
		}
	}
	// No proxy: with one, the proxy would resolve and connect, and the check would see only its address.
	g.client = &http.Client{
		Transport: &http.Transport{
			DialContext:            g.dialContext,
			ForceAttemptHTTP2:      true,
			TLSHandshakeTimeout:    10 * time.Second,
			ExpectContinueTimeout:  time.Second,
			IdleConnTimeout:        90 * time.Second,
			MaxIdleConns:           256,
			MaxIdleConnsPerHost:    64,
			MaxConnsPerHost:        256,
			MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return g, nil
}

func (g *Guard) allow(entry string) error {
	if prefix, err := netip.ParsePrefix(entry); err == nil {
		if a := prefix.Addr(); a.Is4In6() && prefix.Bits() >= 96 {
			prefix = netip.PrefixFrom(a.Unmap(), prefix.Bits()-96)
		}
		g.prefixes = append(g.prefixes, prefix.Masked())
		return nil
	}
	if addr, err := netip.ParseAddr(strings.Trim(entry, "[]")); err == nil {
		addr = addr.WithZone("").Unmap()
		g.prefixes = append(g.prefixes, netip.PrefixFrom(addr, addr.BitLen()))
		return nil
	}
	if ap, err := netip.ParseAddrPort(entry); err == nil {
		g.ports = append(g.ports, netip.AddrPortFrom(ap.Addr().WithZone("").Unmap(), ap.Port()))
		return nil
	}
	host, port := entry, ""
	if h, p, err := net.SplitHostPort(entry); err == nil {
		if _, err := net.LookupPort("tcp", p); err != nil || p == "" || strings.Trim(p, "0123456789") != "" {
			return fmt.Errorf("egress: allow: %q has no usable port", entry)
		}
		host, port = h, p
	}
	name, err := hostName(host)
	if err != nil {
		return fmt.Errorf("egress: allow: %q is not an address, a range such as 10.0.0.0/8, a host name, or one of the latter with a port", entry)
	}
	g.hosts[name] = append(g.hosts[name], port)
	return nil
}

// hostForm matches a host name, also one on a private network.
var hostForm = regexp.MustCompile(`^[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?$`)

// hostName returns a host name in the spelling that is compared and sent: ASCII, lower case, no dot at the
// end.
func hostName(host string) (string, error) {
	name, err := idna.Lookup.ToASCII(strings.TrimSuffix(host, "."))
	if err != nil {
		// Names such as my_host are not domain names, but they are common on private networks.
		name = strings.ToLower(strings.TrimSuffix(host, "."))
	}
	if len(name) > 253 || !hostForm.MatchString(name) {
		return "", fmt.Errorf("%q is not a host name", host)
	}
	return name, nil
}

// dialContext connects to address, a host:port, at one of its permitted addresses. If the guard refuses them
// all, the error is permanent and wraps a [*RefusedError].
func (g *Guard) dialContext(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, Own(fmt.Errorf("connecting: %w", err))
	}
	dialer := net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second, Resolver: g.resolver}
	if g.allowsHost(host, port) {
		return dialer.DialContext(ctx, network, address)
	}
	dialer.ControlContext = func(_ context.Context, network, address string, _ syscall.RawConn) error {
		return g.check(network, address)
	}
	conn, err := dialer.DialContext(ctx, network, address)
	// The dialer reports the first error if all addresses fail. So if a name has a refused address and one that
	// is only out of reach, the error depends on which came first.
	if refused, ok := errors.AsType[*RefusedError](err); ok {
		refused.Host = address
		return nil, Own(refused)
	}
	return conn, err
}

func (g *Guard) allowsHost(host, port string) bool {
	name, err := hostName(host)
	return err == nil && slices.ContainsFunc(g.hosts[name], func(p string) bool { return p == "" || p == port })
}

// check is called by the dialer for each resolved address, right before it connects.
func (g *Guard) check(network, address string) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return Own(fmt.Errorf("connecting to %s: %w", address, err))
	}
	// An IPv4 address mapped into IPv6 is judged as the IPv4 address, and the zone is ignored.
	addr := ap.Addr().WithZone("").Unmap()
	if slices.Contains(g.ports, netip.AddrPortFrom(addr, ap.Port())) ||
		slices.ContainsFunc(g.prefixes, func(prefix netip.Prefix) bool { return prefix.Contains(addr) }) {
		return nil
	}
	if network != "tcp4" && network != "tcp6" || g.denied.SafeAddr(addr) != nil {
		return &RefusedError{Address: ap}
	}
	return nil
}

// httpClient returns a client that connects only through the guard. All callers share its connections.
// It ignores proxy variables, keeps no cookies and follows no redirects.
func (g *Guard) httpClient() *http.Client { return g.client }

// Close closes idle connections. The guard stays usable.
func (g *Guard) Close() { g.client.CloseIdleConnections() }

// Loopback says whether a host, with or without a port, can be reached from this machine only. Names other than localhost
// are not looked up.
func Loopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && ip.Unmap().IsLoopback()
}
