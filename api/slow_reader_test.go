package api_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/api"
	"github.com/millrace-orders/millrace/store/storetest"
)

// A reader that takes nothing is cut off instead of holding a goroutine and a connection for ever.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	h := live(t, func(c *api.Config) {
		c.Heartbeat, c.SlowReader = 100*time.Microsecond, 100*time.Millisecond
	})
	server := httptest.NewUnstartedServer(h.api)
	server.Listener = tinyBuffers{server.Listener}
	server.Start()
	t.Cleanup(server.Close)

	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.(*net.TCPConn).SetReadBuffer(1))
	_, err = fmt.Fprintf(conn,
		"GET /api/orders/%s/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n",
		storetest.Order(t, h.store).ID)
	require.NoError(t, err)
	line, err := bufio.NewReaderSize(conn, 16).ReadString('\n')
	require.NoError(t, err)
	require.Contains(t, line, " 200 ", "it was there")
	require.Eventually(t, func() bool { return strings.Contains(h.metrics(t), "millrace_streams 0\n") },
		time.Minute, 50*time.Millisecond)
}

type tinyBuffers struct{ net.Listener }

func (l tinyBuffers) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return conn, conn.(*net.TCPConn).SetWriteBuffer(1)
}
