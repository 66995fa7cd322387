package auth

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// ErrNotLocal is the error of an open server for a request that was not made on this machine, or not for it.
var ErrNotLocal = errors.New("the request was not made on this machine")

// forwarding reports whether proxies add this header field to the requests that they forward.
func forwarding(name string) bool {
	if strings.HasPrefix(name, "X-Forwarded") { // as net/http writes names
		return true
	}
	switch name {
	case "Forwarded", "Via", "Cdn-Loop", "X-Real-Ip", "X-Client-Ip", "X-Cluster-Client-Ip", "True-Client-Ip",
		"Cf-Connecting-Ip", "X-Original-For", "X-Original-Host", "X-Envoy-External-Address":
		return true
	}
	return false
}

// CheckLocal returns nil or an error that is ErrNotLocal. On an open server, being on this machine is the credential. A
// proxy on this machine forwards strangers' requests, so forwarded requests are refused. An attacker can point a name
// to 127.0.0.1, and a browser then takes the server for the attacker's own origin, so other names are refused.
func CheckLocal(r *http.Request) error {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !peer.Addr().Unmap().IsLoopback() {
		return fmt.Errorf("%w: its connection comes from elsewhere", ErrNotLocal)
	}
	if !isLoopbackHost(r.Host) {
		return fmt.Errorf("%w: its Host is not a name of this machine", ErrNotLocal)
	}
	for name := range r.Header {
		if forwarding(name) {
			return fmt.Errorf("%w: a proxy forwarded it (%s)", ErrNotLocal, name)
		}
	}
	return nil
}

func isLoopbackHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	address, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"))
	return err == nil && address.Unmap().IsLoopback()
}

// IsOpen reports whether requests without a credential are accepted.
func (a *Authenticator) IsOpen() bool {
	if a == nil || !a.config.Open {
		return false
	}
	select {
	case <-a.config.Closed:
		return false
	default:
		return true
	}
}
