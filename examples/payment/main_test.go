package main

import (
	"context"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestServe: a process that is told to stop answers the call that had begun, and only then ends.
func TestServe(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	stopping, ended := make(chan struct{}), make(chan struct{})
	server := &http.Server{ReadHeaderTimeout: time.Minute}
	server.RegisterOnShutdown(func() { close(stopping) })
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		stop()
		<-stopping
		select {
		case <-ended:
			t.Error("serve ended before its call")
		case <-time.After(100 * time.Millisecond): // that it goes on cannot be seen, only that it has not ended
		}
		w.WriteHeader(http.StatusCreated)
	})
	var served error
	go func() {
		served = serve(ctx, server, listener)
		close(ended)
	}()
	address := "http://" + listener.Addr().String()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, http.NoBody)
	require.NoError(t, err)
	response, err := http.DefaultTransport.RoundTrip(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusCreated, response.StatusCode)
	<-ended
	require.NoError(t, served)
}
