package wire_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/upstream/wire"
)

// TestConnections: connections are used again, one at a time, and what is left of an answer ends them.
func TestConnections(t *testing.T) {
	t.Parallel()
	url, connections := scripted(t, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	transport := newTransport(t, 3)
	for range 10 {
		require.Equal(t, `200 "ok"`, exchange(t.Context(), transport, http.MethodPost, url, "{}"))
	}
	require.EqualValues(t, 1, connections.Load())

	var callers sync.WaitGroup
	for range 50 {
		callers.Go(func() {
			if got := exchange(t.Context(), transport, http.MethodPost, url, "{}"); got != `200 "ok"` {
				t.Error(got)
			}
		})
	}
	callers.Wait()
	require.LessOrEqual(t, connections.Load(), int64(3))
	transport.CloseIdleConnections()

	url, connections = scripted(t, "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"+strings.Repeat("x", 5000))
	for range 3 {
		exchange(t.Context(), transport, http.MethodGet, url, "")
	}
	require.EqualValues(t, 3, connections.Load())
}

// TestStale: a connection that the server has closed, or that has bytes which nothing asked for, is not used again.
func TestStale(t *testing.T) {
	t.Parallel()
	for _, more := range []string{"", "HTTP/1.1 408 Request Timeout\r\n\r\n"} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		closed := make(chan struct{}, 2)
		answered := make(chan struct{})
		var served sync.WaitGroup
		served.Go(func() {
			for range 2 {
				c, err := listener.Accept()
				if err != nil {
					return
				}
				_, _ = http.ReadRequest(bufio.NewReader(c))
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
				<-answered
				_, _ = io.WriteString(c, more)
				_ = c.Close()
				closed <- struct{}{}
			}
		})
		transport := newTransport(t, 1)
		for range 2 {
			url := "http://" + listener.Addr().String()
			require.Equal(t, `200 "ok"`, exchange(t.Context(), transport, http.MethodPost, url, "{}"))
			answered <- struct{}{}
			<-closed
		}
		require.NoError(t, listener.Close())
		served.Wait()
	}
}

// TestKeptForAWhile: a connection that was kept for too long is closed, and not used again.
func TestKeptForAWhile(t *testing.T) {
	t.Parallel()
	url, connections := scripted(t, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	transport := wire.New(wire.Config{Setup: time.Second, Conns: 1, Idle: time.Nanosecond, HeaderBytes: headerBytes})
	defer transport.CloseIdleConnections()
	for range 3 {
		require.Equal(t, `200 "ok"`, exchange(t.Context(), transport, http.MethodGet, url, ""))
	}
	require.EqualValues(t, 3, connections.Load())
}
