package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"time"

	"github.com/ogen-go/ogen/sse"

	"github.com/millrace-orders/millrace/client/oas"
)

const (
	mediaStream = "text/event-stream"

	firstReconnect = time.Second // until the server says otherwise
	maxEventBytes  = 1 << 20
	// maxGaps is how often in a row an event may be missing or unreadable before the stream counts as broken for good.
	maxGaps = 5
)

// stream is an order's event stream over any number of connections.
type stream struct {
	*Client
	address   string
	orderID   string
	last      int64 // the version of the last event that was handed out
	atRest    bool  // what that event says
	connected bool  // there was a connection before
	reconnect time.Duration
	failures  int // attempts to connect in a row that failed
	gaps      int // connections in a row that lacked the next event
}

func (c *Client) newStream(id string, after int64) (*stream, error) {
	parsed, err := parseID(id)
	if err != nil {
		return nil, err
	}
	return &stream{
		Client: c, orderID: parsed.String(), last: after, reconnect: firstReconnect,
		address: c.base.JoinPath("api", "orders", parsed.String(), "events").String(),
	}, nil
}

// follow makes a connection and reads it to its end. done means that nothing is to follow: the order is finished, or
// the caller has left.
func (s *stream) follow(ctx context.Context, yield func(Event, error) bool) (done bool, err error) {
	connection, cancel := context.WithCancel(ctx)
	defer cancel()
	response, err := s.connect(connection)
	switch {
	case err != nil && s.connected && temporary(err) && ctx.Err() == nil:
		s.failures++
		return false, s.pause(ctx, s.transport.backoff(s.failures))
	case err != nil:
		return false, err
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusNoContent {
		return true, nil
	}
	s.connected, s.failures = true, 0

	before := s.last
	done, err = s.read(&watched{response.Body, s.silence, cancel}, yield)
	switch {
	case done || err != nil:
		return done, err
	case s.last > before && s.atRest:
		return false, nil // it ended as it should; asking once more confirms that it is finished
	default:
		return false, s.pause(ctx, min(max(s.reconnect, firstBackoff), maxRetryAfter))
	}
}

func (s *stream) connect(ctx context.Context) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.address, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", mediaStream)
	if s.last > 0 {
		r.Header.Set("Last-Event-ID", strconv.FormatInt(s.last, 10))
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

// read hands out the events of one connection. However that ends, the next one goes on after the last event that was
// handed out, so what cannot be read, or is not the next, is left for the next connection to bring again.
func (s *stream) read(body io.Reader, yield func(Event, error) bool) (done bool, err error) {
	decoder := sse.NewDecoder(body, 0, maxEventBytes, "", &s.reconnect)
	defer func() { s.reconnect = decoder.Retry() }()
	for {
		sent, err := decoder.Decode()
		if errors.Is(err, sse.ErrEventTooLarge) {
			continue
		}
		if err != nil {
			return false, nil // the connection is gone: there will be another
		}
		var decoded oas.OrderEvent
		if decoded.UnmarshalJSON([]byte(sent.Data)) != nil || decoded.OrderID.String() != s.orderID {
			continue
		}
		switch event := newEvent(&decoded); {
		case event.Version <= s.last:
		case event.Version > s.last+1:
			if s.gaps++; s.gaps > maxGaps {
				return false, fmt.Errorf("event %d of order %s is not readable", s.last+1, s.orderID)
			}
			return false, nil
		default:
			s.last, s.atRest, s.gaps = event.Version, event.AtRest(), 0
			if !yield(event, nil) {
				return true, nil
			}
		}
	}
}

func (s *stream) pause(ctx context.Context, d time.Duration) error {
	if wait(ctx, d) {
		return nil
	}
	return ended(ctx)
}

// ended is why there was no waiting: the context has ended, or would have.
func ended(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return context.DeadlineExceeded
}

// watched is a body that counts as dead after a silence: without that, a connection whose other end is gone is read
// for ever.
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
