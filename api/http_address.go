package api

import (
	"net/http"
	"net/netip"
	"strings"
)

// ipv6Network is the size of the network that one subscriber gets: addresses in it cannot be told apart.
const ipv6Network = 64

// client is the network that a request came from: an IPv4 address, or the first half of an IPv6 address.
//
// It is the other end of the connection. If that is a trusted proxy, client reads X-Forwarded-For from its right end.
// Each proxy appends the address of its peer, so the first address that is not trusted is the client. The addresses to
// its left are the client's own claims. No other header counts.
func client(r *http.Request, trusted []netip.Prefix) netip.Prefix {
	return network(clientAddr(r, trusted))
}

// clientAddress returns the client's whole address, for the log; empty if it is unknown.
func clientAddress(r *http.Request, trusted []netip.Prefix) string {
	if address := clientAddr(r, trusted); address.IsValid() {
		return address.String()
	}
	return ""
}

func clientAddr(r *http.Request, trusted []netip.Prefix) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{} // a listener that is not TCP
	}
	address := peer.Addr().Unmap().WithZone("")
	rest := strings.Join(r.Header.Values("X-Forwarded-For"), ",")
	for isTrusted(address, trusted) && rest != "" {
		i := strings.LastIndexByte(rest, ',')
		hop, ok := parseHop(rest[i+1:])
		if !ok {
			break // the last known address counts
		}
		address, rest = hop, rest[:max(i, 0)]
	}
	return address
}

func isTrusted(address netip.Addr, trusted []netip.Prefix) bool {
	for _, p := range trusted {
		if p.Contains(address) {
			return true
		}
	}
	return false
}

// parseHop reads an address, with or without a port.
func parseHop(s string) (netip.Addr, bool) {
	s = strings.TrimSpace(s)
	address, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	if err != nil {
		withPort, err := netip.ParseAddrPort(s)
		if err != nil {
			return netip.Addr{}, false
		}
		address = withPort.Addr()
	}
	return address.Unmap().WithZone(""), true
}

func network(address netip.Addr) netip.Prefix {
	if !address.IsValid() {
		return netip.Prefix{}
	}
	bits := address.BitLen()
	if address.Is6() {
		bits = ipv6Network
	}
	p, _ := address.Prefix(bits) // bits fit
	return p
}
