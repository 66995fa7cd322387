package wire_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/millrace-orders/millrace/upstream/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const headerBytes = 64 << 10

func newTransport(t *testing.T, conns int) *wire.Transport {
	t.Helper()
	transport := wire.New(wire.Config{Setup: 5 * time.Second, Conns: conns, Idle: time.Minute, HeaderBytes: headerBytes})
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// scripted is a server that answers each request with the next bytes, and closes a connection where they end with EOF.
// The last bytes answer all further requests.
func scripted(t *testing.T, answers ...string) (url string, connections *atomic.Int64) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var open sync.WaitGroup
	connections = new(atomic.Int64)
	var answered atomic.Int64
	var mu sync.Mutex
	all := map[net.Conn]bool{}
	open.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			mu.Lock()
			all[c] = true
			mu.Unlock()
			open.Go(func() {
				defer c.Close()
				in := bufio.NewReader(c)
				for {
					r, err := http.ReadRequest(in)
					if err != nil {
						return
					}
					_, _ = io.Copy(io.Discard, r.Body)
					answer, ends := strings.CutSuffix(answers[min(int(answered.Add(1)), len(answers))-1], "EOF")
					if _, err := io.WriteString(c, answer); err != nil || ends {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		mu.Lock()
		for c := range all {
			_ = c.Close()
		}
		mu.Unlock()
		open.Wait()
	})
	return "http://" + listener.Addr().String(), connections
}

// exchange returns what an exchange ends with: the status and the body, and what kind of error either ended with.
func exchange(ctx context.Context, transport http.RoundTripper, method, url, body string) string {
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return err.Error()
	}
	r.GetBody = nil
	answer, err := transport.RoundTrip(r)
	if err != nil {
		return "error: " + kind(ctx, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode < http.StatusOK {
		return answer.Status
	}
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1000))
	if err != nil {
		return fmt.Sprintf("%d %q, error: %s", answer.StatusCode, text, kind(ctx, err))
	}
	return fmt.Sprintf("%d %q", answer.StatusCode, text)
}

func kind(ctx context.Context, err error) string {
	var dial *net.OpError
	switch {
	case ctx.Err() != nil:
		return ctx.Err().Error()
	case errors.As(err, &dial) && dial.Op == "dial":
		return "dial"
	default:
		return "other"
	}
}

// TestAsNetHTTP compares exchanges with those of http.Transport, two on each server, so that the second may use the
// connection of the first.
func TestAsNetHTTP(t *testing.T) {
	t.Parallel()
	const fine = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	for name, answers := range map[string][]string{
		"fine":             {fine},
		"chunked":          {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"},
		"chunked, cut off": {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nokEOF"},
		"chunked, wrong":   {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nok\r\nEOF"},
		"trailer": {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n2\r\nok\r\n0\r\n" +
			"X: y\r\n\r\n"},
		"body cut off":         {"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nokEOF"},
		"until the end":        {"HTTP/1.1 200 OK\r\n\r\nokEOF"},
		"HTTP/1.0":             {"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nokEOF"},
		"close":                {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"},
		"no content":           {"HTTP/1.1 204 No Content\r\n\r\n"},
		"not modified":         {"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"},
		"continue":             {"HTTP/1.1 100 Continue\r\n\r\n" + fine},
		"early hints":          {"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + fine},
		"switching":            {"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nEOF"},
		"not HTTP":             {"SSH-2.0-OpenSSH\r\nEOF"},
		"wrong status":         {"HTTP/1.1 abc\r\n\r\nEOF"},
		"wrong length":         {"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nokEOF"},
		"two lengths":          {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nokEOF"},
		"wrong header":         {"HTTP/1.1 200 OK\r\nno colon\r\n\r\nEOF"},
		"nothing":              {"EOF"},
		"a long header":        {"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 2*headerBytes) + "\r\n\r\nEOF"},
		"more than the length": {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok, and more", fine},
		"a long body":          {"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + strings.Repeat("x", 5000), fine},
		"closed afterwards":    {fine + "EOF", fine},
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			t.Run(name+"/"+method, func(t *testing.T) {
				t.Parallel()
				body := ""
				if method == http.MethodPost {
					body = `{"amount": 1}`
				}
				standard := &http.Transport{MaxResponseHeaderBytes: headerBytes, DisableCompression: true}
				defer standard.CloseIdleConnections()
				ours := newTransport(t, 1)
				expectedURL, _ := scripted(t, answers...)
				url, _ := scripted(t, answers...)
				for i := range 2 {
					want := exchange(t.Context(), standard, method, expectedURL, body)
					got := exchange(t.Context(), ours, method, url, body)
					if i > 0 && (strings.HasPrefix(want, "error") || strings.HasPrefix(got, "error")) {
						continue // whether a transport notices in time that the connection is being closed is chance
					}
					require.Equal(t, want, got)
				}
			})
		}
	}
}

// TestInterim: interim answers of other protocols are refused, and a flood of harmless ones has the header's limit.
func TestInterim(t *testing.T) {
	t.Parallel()
	url, _ := scripted(t, "HTTP/1.1 102 Processing\r\n\r\n")
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	require.NoError(t, err)
	_, err = newTransport(t, 1).RoundTrip(r)
	var interim *wire.InterimError
	require.ErrorAs(t, err, &interim)
	require.Equal(t, 102, interim.Status)

	url, _ = scripted(t, strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", headerBytes/20))
	require.Equal(t, "error: other", exchange(t.Context(), newTransport(t, 1), http.MethodGet, url, ""))
}

// TestDeadlines: ctx ends the wait for a connection, for an answer, and for its body.
func TestDeadlines(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"no answer": "", "half a header": "HTTP/1.1 200 OK\r\nContent-Le",
		"half a body": "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, _ := scripted(t, answer)
			transport := newTransport(t, 1)
			ctx, cancel := context.WithCancel(t.Context())
			began := make(chan struct{})
			var callers sync.WaitGroup
			callers.Go(func() {
				close(began)
				if got := exchange(ctx, transport, http.MethodPost, url, "{}"); !strings.Contains(got, context.Canceled.Error()) {
					t.Error(got)
				}
			})
			<-began
			callers.Go(func() { // behind the other: there is one connection
				if got := exchange(ctx, transport, http.MethodPost, url, "{}"); !strings.Contains(got, context.Canceled.Error()) {
					t.Error(got)
				}
			})
			cancel()
			callers.Wait()
		})
	}
}

// TestTLS: certificates are verified, and connections are used again.
func TestTLS(t *testing.T) {
	t.Parallel()
	var connections atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "ok")
	}))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			connections.Add(1)
		}
	}
	server.Config.ErrorLog = nil
	server.StartTLS()
	defer server.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, http.NoBody)
	require.NoError(t, err)
	_, err = newTransport(t, 1).RoundTrip(r)
	var untrusted *tls.CertificateVerificationError
	require.ErrorAs(t, err, &untrusted)

	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	transport := wire.New(wire.Config{
		Setup: 5 * time.Second, Conns: 1, Idle: time.Minute, HeaderBytes: headerBytes, TLS: &tls.Config{RootCAs: roots},
	})
	defer transport.CloseIdleConnections()
	before := connections.Load()
	for range 5 {
		require.Equal(t, `200 "ok"`, exchange(t.Context(), transport, http.MethodGet, server.URL, ""))
	}
	require.EqualValues(t, 1, connections.Load()-before)
}

// BenchmarkExchange compares exchanges with those of http.Transport.
func BenchmarkExchange(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"reference": "x"}`)
	}))
	defer server.Close()
	for name, transport := range map[string]http.RoundTripper{
		"wire":     wire.New(wire.Config{Setup: time.Second, Conns: 64, Idle: time.Minute, HeaderBytes: headerBytes}),
		"net/http": &http.Transport{MaxIdleConnsPerHost: 64},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					if got := exchange(b.Context(), transport, http.MethodPost, server.URL, `{"amount": 1}`); got[:3] != "200" {
						b.Error(got)
					}
				}
			})
		})
		transport.(interface{ CloseIdleConnections() }).CloseIdleConnections()
	}
}

type panickingBody struct{}

func (panickingBody) Read([]byte) (int, error) { panic("test") }

func (panickingBody) Close() error { return nil }

// An exchange that panics gives its place back, and its connection, of which the server has heard only a part.
func TestPanic(t *testing.T) {
	t.Parallel()
	url, connections := scripted(t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	transport := newTransport(t, 1)
	for n := range int64(3) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, panickingBody{})
		require.NoError(t, err)
		require.Panics(t, func() { _, _ = transport.RoundTrip(r) })
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		r, err = http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		require.NoError(t, err)
		response, err := transport.RoundTrip(r)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		cancel()
		require.LessOrEqual(t, connections.Load(), n+2)
	}
}
