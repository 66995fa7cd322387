package client

import (
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/ogen-go/ogen/sse"
)

const (
	mediaStream = "text/event-stream"

	firstReconnect = time.Second // until the server sets another delay
	maxEventBytes  = 1 << 20
)

// stream is an event stream over any number of connections.
type stream struct {
	*Client
	address   string
	lastID    string // the next connection continues after it
	connected bool   // there was an earlier connection
	reconnect time.Duration
	failures  int // failed attempts to connect, in a row
}

// follow makes a connection and reads it to its end. again reports whether the next connection need not wait. done
// reports whether no next connection is needed: the stream is complete, or the caller has left.
func (s *stream) follow(
	ctx context.Context, read func(*sse.Decoder) (again, done bool, err error),
) (done bool, err error) {
	connection, cancel := context.WithCancel(ctx)
	defer cancel()
	response, err := s.connect(connection)
	switch {
	case err != nil && s.connected && temporary(err) && ctx.Err() == nil:
		s.failures++
		return false, s.pause(ctx, max(s.transport.backoff(s.failures), retryAfter(err)))
	case err != nil:
		return false, err
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusNoContent {
		return true, nil
	}
	s.connected, s.failures = true, 0
	decoder := sse.NewDecoder(&watched{response.Body, s.silence, cancel}, 0, maxEventBytes, "", &s.reconnect)
	again, done, err := read(decoder)
	s.reconnect = decoder.Retry()
	if again || done || err != nil {
		return done, err
	}
	return false, s.pause(ctx, min(max(s.reconnect, firstBackoff), maxRetryAfter))
}

func (s *stream) connect(ctx context.Context) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.address, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", mediaStream)
	if s.lastID != "" {
		r.Header.Set("Last-Event-ID", s.lastID)
	}
	response, err := s.transport.Do(r)
	if err != nil {
		return nil, err
	}
	media, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if response.StatusCode != http.StatusNoContent && media != mediaStream {
		response.Body.Close()
		return nil, fmt.Errorf("the answer is %q and no event stream", media)
	}
	return response, nil
}

func (s *stream) pause(ctx context.Context, d time.Duration) error {
	if wait(ctx, d) {
		return nil
	}
	return ended(ctx)
}

// ended returns the reason for not waiting: the context has ended, or would end first.
func ended(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return context.DeadlineExceeded
}

// watched is a body that counts as dead after a silence. Without it, a connection whose other end is gone is read for
// ever.
type watched struct {
	io.Reader
	silence time.Duration
	dead    func()
}

func (w *watched) Read(p []byte) (int, error) {
	timer := time.AfterFunc(w.silence, w.dead)
	defer timer.Stop()
	return w.Reader.Read(p)
}
