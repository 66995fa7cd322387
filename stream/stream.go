package stream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millrace-orders/millrace/store"
)

const (
	batch     = 100
	reconnect = time.Second
	comment   = ": heartbeat\n\n"
	// tooFarBehind is the lag at which a stream no longer relies on the feed, and reads the log with its heartbeats.
	tooFarBehind = 5 * time.Second
)

// stream is one open event stream.
type stream struct {
	*Streams
	Writer
	Source
	client Client
	turn   Turn
	begins <-chan struct{} // closed when the feed begins; nil once that is handled
}

// begin sends the header at once, so that the client knows it is connected.
func (s *stream) begin() error {
	if err := s.ClearReadDeadline(); err != nil {
		return err
	}
	h := s.w.Header()
	h.Set("Content-Type", MediaType)
	h.Set("Cache-Control", "no-cache")
	h.Add("Vary", "Accept")          // in addition to the Origin of CORS
	h.Set("X-Accel-Buffering", "no") // otherwise nginx buffers events until it has a page
	return s.Send(fmt.Appendf(nil, "retry: %d\n\n", reconnect.Milliseconds()))
}

// follow runs the stream to its end. If the stream fails, its client learns only that it has ended.
func (s *stream) follow(ctx context.Context) {
	if err := s.run(ctx); err != nil && ctx.Err() == nil {
		s.config.Logger.InfoContext(ctx, "stream was cut off", "request_id", s.client.RequestID, "error", err)
	}
}

// run sends the existing events and waits for more, until the stream is complete, the client is gone or the server
// drains. An error ends the stream as well; the client reconnects and continues from its last event.
func (s *stream) run(ctx context.Context) error {
	listener := s.hub.listen(s.topic()) // before the log is read, so that no event is missed in between
	defer listener.Close()
	heartbeat := time.NewTicker(s.config.Heartbeat)
	defer heartbeat.Stop()
	s.turn = s.turns.of(s.client.Holder, heartbeat.C, func() error { return s.Send([]byte(comment)) })
	if s.config.Feed != nil {
		s.begins = s.config.Feed.Begun()
		s.hasBegun()
	}
	for current := false; ; {
		if s.client.Allowed(ctx) != nil {
			return nil // the key was revoked, or cannot be checked; the client asks again
		}
		done, err := s.forward(ctx, listener, &current)
		if done || err != nil {
			return err
		}
		if !current {
			continue
		}
		select {
		case <-listener.Wake():
		case <-s.begins:
		case <-heartbeat.C:
			current = !s.isBehind()
			if err := s.beat(listener); err != nil {
				return err
			}
		case <-s.config.Draining:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

// forward sends the hub's events for the stream or, if the stream is not current, the log's.
func (s *stream) forward(ctx context.Context, l *Listener, current *bool) (done bool, err error) {
	if !*current {
		*current = true
		s.catchUps.Inc()
		return s.readLog(ctx)
	}
	items, ok := l.take()
	if s.hasBegun() {
		ok = false // events from before the feed began come first, and the hub does not have them
	}
	if ok && len(items) > 0 {
		ok, err = s.pass(ctx, s, items)
	}
	*current = ok
	return done, err
}

// readLog sends the log's events. For a client that reads slowly from the start, that may take hours. A key that is
// revoked meanwhile, or a server that drains, ends it as it ends a current stream.
func (s *stream) readLog(ctx context.Context) (done bool, err error) {
	for more := true; more; {
		more, done, err = s.catchUp(ctx, s)
		if errors.Is(err, ErrDraining) {
			return true, nil
		}
		if done || err != nil {
			return done, err
		}
		select {
		case <-s.config.Draining:
			return more, nil
		default:
		}
		if more && s.client.Allowed(ctx) != nil {
			return true, nil //nolint:nilerr // the key was revoked, or cannot be checked; the client asks again
		}
	}
	return false, nil
}

// hasBegun reports, once, that the feed has begun after this stream did.
func (s *stream) hasBegun() bool {
	select {
	case <-s.begins:
		s.begins = nil
		return true
	default:
		return false
	}
}

// isBehind reports whether the feed may have missed events for a while.
func (s *Streams) isBehind() bool {
	return s.config.Feed == nil || s.config.Feed.Behind() > tooFarBehind
}

// beat keeps the connection alive, and gives the client a recent cursor to resume from: the stream may not have sent an
// event for days.
func (s *stream) beat(l *Listener) error {
	message := []byte(comment)
	if at, ok := l.reached(); ok && s.begins == nil {
		message = append(message, s.advance(at)...)
	}
	return s.Send(message)
}

// sendAll writes events with the ids that the source gives them.
func (s *stream) sendAll(items []*item, id func(*item) string) error {
	if len(items) == 0 {
		return nil
	}
	var b bytes.Buffer
	for _, i := range items {
		if err := i.writeTo(&b, id(i), s.client.Discreet); err != nil {
			return err
		}
	}
	return s.Send(b.Bytes())
}

// newItem makes an item of an event from the log.
func (s *stream) newItem(e store.Entry) *item { return newItem(e, s.config.Encode) }
