package main

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

const arrivalPause = time.Millisecond

// arrivals are the connections whose first request has not reached the handler. http.Server.Shutdown drops requests
// that it reads late, also on connections that it has accepted, and a proxy that has sent one does not repeat it.
type arrivals struct {
	mu    sync.Mutex
	conns map[net.Conn]bool
}

type arrivalKey struct{}

// watch has a server tell of its connections.
func (a *arrivals) watch(server *http.Server) {
	a.conns = map[net.Conn]bool{}
	server.ConnState = func(conn net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			a.mu.Lock()
			defer a.mu.Unlock()
			a.conns[conn] = true
		case http.StateHijacked, http.StateClosed:
			a.done(conn)
		case http.StateActive, http.StateIdle: // the handler may not have begun, or has
		}
	}
	server.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		return context.WithValue(ctx, arrivalKey{}, sync.OnceFunc(func() { a.done(conn) }))
	}
	handler := server.Handler
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if done, ok := r.Context().Value(arrivalKey{}).(func()); ok {
			done()
		}
		handler.ServeHTTP(w, r)
	})
}

func (a *arrivals) done(conn net.Conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.conns, conn)
}

// wait waits until there are none.
func (a *arrivals) wait(ctx context.Context) error {
	return awaitNone(ctx, func() (int, error) {
		a.mu.Lock()
		defer a.mu.Unlock()
		return len(a.conns), nil
	})
}

// awaitNone waits until count returns 0, or fails.
func awaitNone(ctx context.Context, count func() (int, error)) error {
	for {
		if n, err := count(); err != nil || n == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(arrivalPause):
		}
	}
}
