package webhook

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
)

// ErrBlocked means that an address may not be sent to. No byte was sent.
var ErrBlocked = errors.New("address is not public")

const maxURLLength = 2000

// Policy decides where messages may go: to public addresses, by https at port 443 or 8443.
type Policy struct {
	// Networks are exceptions: their addresses may have any port, and http as well.
	Networks []netip.Prefix
}

// special are the networks that do not lead to a host on the internet. In IPv6 only 2000::/3 is the internet. That
// excludes loopback, private and link-local addresses, multicast, and 64:ff9b::/96, which leads to IPv4.
//
// Source: the IANA special-purpose address registries, https://www.iana.org/assignments/iana-ipv4-special-registry
//
//nolint:gochecknoglobals // a constant table
var (
	special = parsePrefixes(
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
		"192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
		"224.0.0.0/4", "240.0.0.0/4",
		"2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
	)
	internet6 = netip.MustParsePrefix("2000::/3")
)

func parsePrefixes(list ...string) (prefixes []netip.Prefix) {
	for _, s := range list {
		prefixes = append(prefixes, netip.MustParsePrefix(s))
	}
	return prefixes
}

func contains(networks []netip.Prefix, addr netip.Addr) bool {
	return slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(addr) })
}

func isPublic(addr netip.Addr) bool {
	return addr.IsValid() && addr.Zone() == "" && (addr.Is4() || internet6.Contains(addr)) && !contains(special, addr)
}

// allows reports whether the policy allows one resolved address.
func (p Policy) allows(scheme string, to netip.AddrPort) bool {
	addr := to.Addr().Unmap() // ::ffff:10.0.0.1 is 10.0.0.1
	if contains(p.Networks, addr) {
		return true
	}
	return scheme == "https" && (to.Port() == 443 || to.Port() == 8443) && isPublic(addr)
}

// control is a net.Dialer's Control: it checks the address about to be dialled, after the name was resolved. A check of
// the name itself, or of an earlier resolution, could be misled by a name server.
func (p Policy) control(scheme string) func(network, address string, _ syscall.RawConn) error {
	return func(_, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil || !p.allows(scheme, to) {
			return ErrBlocked
		}
		return nil
	}
}

// Check returns the problem with a URL, as far as it shows without resolving the name; nil if there is none. The
// message is for the caller that sent the URL.
func (p Policy) Check(raw string) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil || len(raw) > maxURLLength || strings.ContainsFunc(raw, isStrange):
		return fmt.Errorf("must be a URL of at most %d ASCII characters", maxURLLength)
	case u.Scheme != "https" && (u.Scheme != "http" || len(p.Networks) == 0):
		return errors.New("must begin with https://")
	case u.User != nil:
		return errors.New("must not have a user or a password")
	case u.Fragment != "" || strings.HasSuffix(raw, "#"):
		return errors.New("must not have a fragment")
	}
	return p.checkHost(u)
}

func isStrange(r rune) bool { return r <= ' ' || r > '~' }

func (p Policy) checkHost(u *url.URL) error {
	host, port := strings.TrimSuffix(strings.ToLower(u.Hostname()), "."), u.Port()
	addr, err := netip.ParseAddr(host)
	if err == nil {
		addr = addr.Unmap()
	}
	numeric := strings.Trim(host[strings.LastIndexByte(host, '.')+1:], "0123456789") == "" ||
		strings.HasPrefix(host[strings.LastIndexByte(host, '.')+1:], "0x")
	switch {
	case err == nil && contains(p.Networks, addr):
		return nil
	case err == nil && !isPublic(addr):
		return errors.New("must not lead to an address that is not public")
	case err != nil && (numeric || strings.ContainsAny(host, "%:[]\\") || host == ""):
		// 2130706433, 0x7f.1 and 0177.0.0.1 are 127.0.0.1 to some resolvers.
		return errors.New("must have the name of a host, or an address in its usual form")
	case len(p.Networks) > 0:
		return nil // the resolved address is checked when it is dialled
	case err != nil && (!strings.Contains(host, ".") || strings.HasSuffix(host, ".localhost")):
		return errors.New("must have the full name of a host on the internet")
	case port != "" && port != "443" && port != "8443":
		return errors.New("must have the port 443 or 8443")
	}
	return nil
}

// newDialer makes a dialer that connects only to allowed addresses. resolver is nil except in tests.
func (p Policy) newDialer(scheme string, resolver *net.Resolver) *net.Dialer {
	return &net.Dialer{
		Timeout: dialTimeout, KeepAlive: keepAlive, Resolver: resolver, Control: p.control(scheme),
	}
}
