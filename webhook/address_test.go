package webhook_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/webhook"
)

// evident are URLs that are refused when they are registered, and again when they are sent to.
var evident = []string{
	"http://shop.example.com/", "ftp://shop.example.com/", "gopher://shop.example.com/", "file:///etc/passwd",
	"//shop.example.com",
	"https://", "https:///x", "shop.example.com", "https://user:pass@shop.example.com/", "https://shop.example.com/#x",
	"https://shop.example.com:5432/", "https://shop.example.com:80/", "https://shop.example.com:22/",
	"https://127.0.0.1/", "https://127.8.9.1/", "https://localhost/", "https://x.localhost/", "https://LOCALHOST./",
	"https://metadata/", "https://10.0.0.1/", "https://172.16.5.4/", "https://172.31.255.255/", "https://192.168.1.1/",
	"https://169.254.169.254/latest/meta-data/", "https://100.64.0.1/", "https://0.0.0.0/", "https://0/",
	"https://192.0.0.8/",
	"https://192.0.2.1/", "https://198.18.0.1/", "https://198.51.100.7/", "https://203.0.113.9/", "https://224.0.0.1/",
	"https://240.0.0.1/", "https://255.255.255.255/", "https://192.88.99.1/",
	"https://2130706433/", "https://0x7f000001/", "https://0x7f.0.0.1/", "https://0177.0.0.1/", "https://127.1/",
	"https://10.1/",
	"https://[::1]/", "https://[::]/", "https://[::ffff:10.0.0.1]/", "https://[::ffff:127.0.0.1]/",
	"https://[::127.0.0.1]/",
	"https://[64:ff9b::a9fe:a9fe]/", "https://[64:ff9b:1::1]/", "https://[2002:7f00:1::]/", "https://[2001::1]/",
	"https://[2001:db8::1]/", "https://[3fff::1]/", "https://[fe80::1]/", "https://[fe80::1%25eth0]/",
	"https://[fc00::1]/",
	"https://[fd12:3456::1]/", "https://[ff02::1]/", "https://[5f00::1]/", "https://[100::1]/",
	"https://shop.example.com/\r\nHost: x", "https://shop.example.com/ü", "https://" + strings.Repeat("x",
		2000) + ".example/",
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, url := range evident {
		require.Error(t, webhook.Policy{}.Check(url), url)
	}
	for _, url := range []string{
		"https://shop.example.com", "https://shop.example.com/hook?x=1", "https://shop.example.com:8443/",
		"https://1.1.1.1/",
		"https://shop.example.com:443/", "https://[2606:4700::1111]/", "https://SHOP.example.com./",
		"https://xn--bcher-kva.example/",
	} {
		require.NoError(t, webhook.Policy{}.Check(url), url)
	}
	inside := webhook.Policy{Networks: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}}
	require.NoError(t, inside.Check("http://10.1.2.3:8080/"))
	require.NoError(t, inside.Check("http://[::ffff:10.1.2.3]/"))
	require.NoError(t, inside.Check("http://hooks.internal:8080/"), "where it leads is seen when it is dialled")
	require.Error(t, inside.Check("https://10.2.0.1/"))
	require.Error(t, inside.Check("https://0x7f.1/"))
}

// What is evident is not sent to either: it may have been registered under another policy.
func TestSendIsBlocked(t *testing.T) {
	t.Parallel()
	s := webhook.NewSender(webhook.Config{})
	for _, url := range evident {
		out := s.Send(t.Context(), webhook.Message{URL: url})
		require.True(t, out.Blocked, url)
		require.False(t, out.Delivered)
	}
}

// A name may lead anywhere, and elsewhere the next time. What counts is the address that is connected to.
func TestNamesThatLeadInside(t *testing.T) {
	t.Parallel()
	var reached atomic.Int64
	victim := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	t.Cleanup(victim.Close)
	for _, address := range []string{
		"127.0.0.1", "10.0.0.1", "169.254.169.254", "100.64.1.1", "0.0.0.0", "192.168.0.1", "172.20.0.1", "224.0.0.251",
		"255.255.255.255", "198.18.0.1", "::1", "::", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1",
		"2002:7f00:1::", "2001::1", "fe80::1", "fd00::1", "ff02::1",
	} {
		s := webhook.NewSender(webhook.Config{Resolver: leadingTo(t, netip.MustParseAddr(address))})
		out := s.Send(t.Context(), webhook.Message{URL: "https://innocent.example/"})
		require.True(t, out.Blocked, "%s: %s", address, out.Error)
		require.Equal(t, "address is not public", out.Error)
	}
	require.Zero(t, reached.Load())

	// The exception is for its own addresses only, and a name may not lead from http to the internet.
	loopback := webhook.Policy{Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	for url, address := range map[string]string{
		"https://innocent.example:9/": "1.1.1.1", "http://innocent.example/": "1.1.1.1",
		"http://innocent.example:80/": "10.0.0.1",
	} {
		s := webhook.NewSender(webhook.Config{Policy: loopback, Resolver: leadingTo(t, netip.MustParseAddr(address))})
		require.True(t, s.Send(t.Context(), webhook.Message{URL: url}).Blocked, url)
	}
}

// leadingTo returns a resolver that resolves every name to addr.
func leadingTo(t *testing.T, addr netip.Addr) *net.Resolver {
	t.Helper()
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = server.Close() })
	go func() {
		query := make([]byte, 512)
		for {
			n, from, err := server.ReadFrom(query)
			if err != nil {
				return
			}
			_, _ = server.WriteTo(dnsAnswer(query[:n], addr), from)
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", server.LocalAddr().String())
	}}
}

// dnsAnswer answers a query with an address, or with nothing if it asks for another kind (RFC 1035, 4.1).
func dnsAnswer(query []byte, addr netip.Addr) []byte {
	end := 12
	for query[end] != 0 {
		end += int(query[end]) + 1
	}
	question := query[12 : end+5]
	kind, data := byte(1), addr.AsSlice()
	if addr.Is6() {
		kind = 28
	}
	asked := question[len(question)-3]
	answers := byte(0)
	if asked == kind {
		answers = 1
	}
	answer := append([]byte{query[0], query[1], 0x81, 0x80, 0, 1, 0, answers, 0, 0, 0, 0}, question...)
	if answers == 1 {
		answer = append(answer, 0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 0, 0, byte(len(data)))
		answer = append(answer, data...)
	}
	return answer
}

// A redirect is not followed, wherever it leads, and a proxy of the environment is not used.
func TestRedirects(t *testing.T) {
	t.Parallel()
	var reached atomic.Int64
	victim := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	t.Cleanup(victim.Close)
	for _, status := range []int{301, 302, 303, 307, 308} {
		server := httptest.NewServer(http.RedirectHandler(victim.URL, status))
		t.Cleanup(server.Close)
		out := local().Send(t.Context(), webhook.Message{URL: server.URL})
		require.False(t, out.Delivered)
		require.Equal(t, fmt.Sprint("status ", status), out.Error)
	}
	require.Zero(t, reached.Load())
}

func local() *webhook.Sender {
	return webhook.NewSender(webhook.Config{
		Policy: webhook.Policy{Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
	})
}

// TLS is checked as everywhere.
func TestBadCertificate(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS()
	t.Cleanup(server.Close)
	require.Equal(t, "bad certificate", local().Send(t.Context(), webhook.Message{URL: server.URL}).Error)
}
