// Package wire is an HTTP/1.1 transport for many short exchanges with one server. It writes the request and reads the
// answer on the caller's goroutine. http.Transport has two goroutines for each connection, and wakes both and the
// caller for each exchange: that was nearly a fifth of a working process's processor time.
//
// It sends each request once. Only a request without a body is sent again, on a new connection, if the server closed
// a kept connection before it answered.
package wire

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// Config is how a Transport connects. All values are needed.
type Config struct {
	Setup       time.Duration // longest time to make a connection
	Conns       int           // at most; further exchanges wait
	Idle        time.Duration // for how long a connection is kept
	HeaderBytes int64         // of an answer, interim answers included
	TLS         *tls.Config   // nil: the system's roots
}

// Transport implements http.RoundTripper for http and https URLs. It uses no proxy.
type Transport struct {
	config Config
	dialer net.Dialer
	slots  chan struct{} // holds a token for each exchange

	mu    sync.Mutex
	kept  []*conn // the one used last is the last
	timer *time.Timer
}

// InterimError is an unsolicited interim answer (1xx). 100 and 103 are harmless. Any other is from a server that speaks
// a different protocol, and more could follow.
type InterimError struct{ Status int }

func (e *InterimError) Error() string { return fmt.Sprintf("status %d", e.Status) }

// New makes a Transport.
func New(c Config) *Transport {
	return &Transport{
		config: c, slots: make(chan struct{}, c.Conns), dialer: net.Dialer{KeepAlive: 15 * time.Second},
	}
}

// RoundTrip implements http.RoundTripper. The answer's body must be closed. Errors: ctx's; those of net and crypto/tls;
// *InterimError; and what http.ReadResponse reports of an answer that is not HTTP.
func (t *Transport) RoundTrip(r *http.Request) (answer *http.Response, err error) {
	if r.Body != nil {
		defer r.Body.Close()
	}
	ctx := r.Context()
	select {
	case t.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() {
		if answer == nil { // also after a panic; otherwise the answer's body has the slot
			<-t.slots
		}
	}()
	for {
		var c *conn
		if c, err = t.take(ctx, r); err != nil {
			return nil, because(ctx, err)
		}
		if answer, err = c.exchange(ctx, r); err == nil {
			return answer, nil
		}
		if c.used && !c.heard && ctx.Err() == nil && (r.Body == nil || r.Body == http.NoBody) {
			continue // the server closed the connection, and a question may be asked again
		}
		return nil, because(ctx, err)
	}
}

// because returns ctx's error if ctx has ended, because an exchange that ctx ends fails in many ways.
func because(ctx context.Context, err error) error {
	if ended := ctx.Err(); ended != nil {
		return ended
	}
	return err
}

// take returns a kept connection, or a new one.
func (t *Transport) take(ctx context.Context, r *http.Request) (*conn, error) {
	for {
		t.mu.Lock()
		n := len(t.kept)
		if n == 0 {
			t.mu.Unlock()
			return t.connect(ctx, r)
		}
		c := t.kept[n-1]
		t.kept = t.kept[:n-1]
		t.mu.Unlock()
		if time.Since(c.since) < t.config.Idle && !c.isStale() {
			c.used = true
			return c, nil
		}
		_ = c.Close()
	}
}

func (t *Transport) connect(ctx context.Context, r *http.Request) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, t.config.Setup)
	defer cancel()
	secure := r.URL.Scheme == "https"
	port := r.URL.Port()
	switch {
	case port != "":
	case secure:
		port = "443"
	default:
		port = "80"
	}
	plain, err := t.dialer.DialContext(ctx, "tcp", net.JoinHostPort(r.URL.Hostname(), port))
	if err != nil {
		return nil, err
	}
	if !secure {
		return newConn(t, plain, plain), nil
	}
	config := t.config.TLS.Clone()
	if config == nil {
		config = new(tls.Config)
	}
	if config.ServerName == "" {
		config.ServerName = r.URL.Hostname()
	}
	encrypted := tls.Client(plain, config)
	if err := encrypted.HandshakeContext(ctx); err != nil {
		_ = plain.Close()
		return nil, err
	}
	return newConn(t, encrypted, plain), nil
}

// keep takes a connection back.
func (t *Transport) keep(c *conn) {
	c.since = time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, c)
	if t.timer == nil {
		t.timer = time.AfterFunc(t.config.Idle, t.tidy)
	}
}

// tidy closes the connections that have been kept for too long.
func (t *Transport) tidy() {
	t.mu.Lock()
	defer t.mu.Unlock()
	old := 0
	for old < len(t.kept) && time.Since(t.kept[old].since) >= t.config.Idle {
		_ = t.kept[old].Close()
		old++
	}
	t.kept = append([]*conn(nil), t.kept[old:]...)
	t.timer = nil
	if len(t.kept) > 0 {
		t.timer = time.AfterFunc(t.config.Idle-time.Since(t.kept[0].since), t.tidy)
	}
}

// CloseIdleConnections closes the connections that are kept.
func (t *Transport) CloseIdleConnections() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.kept {
		_ = c.Close()
	}
	t.kept = nil
	if t.timer != nil {
		t.timer.Stop()
		t.timer = nil
	}
}
