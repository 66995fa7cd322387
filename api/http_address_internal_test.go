package api

import (
	"net/http"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestClient(t *testing.T) {
	t.Parallel()
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	tests := []struct {
		name, peer string
		forwarded  []string
		want       string
	}{
		{"Direct", "192.0.2.1:999", nil, "192.0.2.1/32"},
		{"Spoofed", "192.0.2.1:999", []string{"198.51.100.1"}, "192.0.2.1/32"},
		{"Proxied", "10.1.2.3:999", []string{"198.51.100.1"}, "198.51.100.1/32"},
		{"ProxiedTwice", "10.1.2.3:999", []string{"198.51.100.1, 10.9.9.9"}, "198.51.100.1/32"},
		{"ClaimsToTheLeft", "10.1.2.3:999", []string{"1.1.1.1, 10.5.5.5,198.51.100.1"}, "198.51.100.1/32"},
		{"SeveralHeaders", "10.1.2.3:999", []string{"1.1.1.1", "198.51.100.1"}, "198.51.100.1/32"},
		{"OnlyProxies", "10.1.2.3:999", []string{"10.5.5.5"}, "10.5.5.5/32"},
		{"ProxyItself", "10.1.2.3:999", nil, "10.1.2.3/32"},
		{"Nonsense", "10.1.2.3:999", []string{"198.51.100.1, unknown"}, "10.1.2.3/32"},
		{"NonsenseBehindAProxy", "10.1.2.3:999", []string{"<script>, 10.5.5.5"}, "10.5.5.5/32"},
		{"Empty", "10.1.2.3:999", []string{""}, "10.1.2.3/32"},
		{"EmptyHop", "10.1.2.3:999", []string{"198.51.100.1,"}, "10.1.2.3/32"},
		{"WithPort", "10.1.2.3:999", []string{"198.51.100.1:1234"}, "198.51.100.1/32"},
		{"IPv6", "[2001:db8:1:2:3:4:5:6]:999", nil, "2001:db8:1:2::/64"},
		{"IPv6Neighbour", "[2001:db8:1:2:ffff::1]:999", nil, "2001:db8:1:2::/64"},
		{"IPv6Zone", "[fe80::1%eth0]:999", nil, "fe80::/64"},
		{"IPv6Proxy", "[fd00::1]:999", []string{"2001:db8:1:2::1"}, "2001:db8:1:2::/64"},
		{"IPv6Brackets", "[fd00::1]:999", []string{"[2001:db8:1:2::1]"}, "2001:db8:1:2::/64"},
		{"IPv6BracketsPort", "[fd00::1]:999", []string{"[2001:db8:1:2::1]:80"}, "2001:db8:1:2::/64"},
		{"IPv4InIPv6", "[::ffff:192.0.2.1]:999", nil, "192.0.2.1/32"},
		{"IPv4InIPv6Proxy", "[::ffff:10.0.0.1]:999", []string{"::ffff:198.51.100.1"}, "198.51.100.1/32"},
		{"NotTCP", "@", []string{"198.51.100.1"}, "invalid Prefix"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := &http.Request{RemoteAddr: tt.peer, Header: http.Header{
				"X-Forwarded-For": tt.forwarded, "X-Real-Ip": {"203.0.113.7"}, "True-Client-Ip": {"203.0.113.7"},
				"Forwarded": {"for=203.0.113.7"},
			}}
			require.Equal(t, tt.want, client(r, trusted).String())
		})
	}
}

func FuzzClient(f *testing.F) {
	f.Add("198.51.100.1, 10.9.9.9")
	f.Add("[::1%]:,,%[")
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	f.Fuzz(func(t *testing.T, forwarded string) {
		r := &http.Request{RemoteAddr: "10.1.2.3:999", Header: http.Header{"X-Forwarded-For": {forwarded}}}
		require.True(t, client(r, trusted).IsValid())
		r.RemoteAddr = "192.0.2.1:999"
		require.Equal(t, "192.0.2.1/32", client(r, trusted).String())
	})
}
