package main

import (
	"bufio"
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// slowListener accepts nothing until it is asked for its socket, or closed.
type slowListener struct {
	*net.TCPListener

	asked chan struct{}
	once  sync.Once
}

func (l *slowListener) Accept() (net.Conn, error) {
	<-l.asked
	return l.TCPListener.Accept()
}

func (l *slowListener) Close() error {
	defer l.once.Do(func() { close(l.asked) })
	return l.TCPListener.Close()
}

func (l *slowListener) SyscallConn() (syscall.RawConn, error) {
	l.once.Do(func() { close(l.asked) })
	return l.TCPListener.SyscallConn()
}

// TestLastCall: a server that stops answers the requests on connections that the kernel has taken and the server has
// not. Without the last call they are reset, and without the wait for arrivals some are closed.
func TestLastCall(t *testing.T) {
	t.Parallel()
	tcp, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	listener := &slowListener{TCPListener: tcp.(*net.TCPListener), asked: make(chan struct{})}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(
		func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })}
	arriving := new(arrivals)
	arriving.watch(server)
	go func() { _ = server.Serve(listener) }()

	var waiting []net.Conn
	for range 20 {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", tcp.Addr().String())
		require.NoError(t, err)
		defer conn.Close()
		require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
		_, err = conn.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
		require.NoError(t, err)
		waiting = append(waiting, conn)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	shutDown(ctx, server, listener, arriving, slog.New(slog.DiscardHandler))
	for _, conn := range waiting {
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusNoContent, response.StatusCode)
		require.NoError(t, response.Body.Close())
	}
}
