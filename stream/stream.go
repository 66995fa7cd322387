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
	// tooFarBehind is when a stream stops to rely on the feed and looks for itself, with its heartbeats.
	tooFarBehind = 5 * time.Second
)

// stream is one open event stream.
type stream struct {
	*Streams
	Writer
	Source
	client Client
	turn   Turn
	begins <-chan struct{} // closed when the feed begins; nil once that is dealt with
}

// begin sends the header at once, so that the client knows it is connected.
func (s *stream) begin() error {
	if err := s.ClearReadDeadline(); err != nil {
		return err
	}
	h := s.w.Header()
	h.Set("Content-Type", MediaType)
	h.Set("Cache-Control", "no-cache")
	h.Add("Vary", "Accept")          // beside the Origin of CORS
	h.Set("X-Accel-Buffering", "no") // or nginx collects events until it has a page of them
	return s.Send(fmt.Appendf(nil, "retry: %d\n\n", reconnect.Milliseconds()))
}

// follow runs the stream to its end. Of a stream that failed the client knows no more than that it ended.
func (s *stream) follow(ctx context.Context) {
	if err := s.run(ctx); err != nil && ctx.Err() == nil {
		s.config.Logger.InfoContext(ctx, "stream was cut off", "request_id", s.client.RequestID, "error", err)
	}
}

// run sends what there is and waits for more, until there will be no more, the client is gone or the server drains.
// An error ends the stream as well; the client reconnects and goes on where it was.
func (s *stream) run(ctx context.Context) error {
	listener := s.hub.listen(s.topic()) // before the log is read, so that nothing falls in between
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
			return nil // a key that was revoked; or nobody can tell, and the client asks again
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

// forward sends what the hub has for the stream, or while the stream is not current, what the log has.
func (s *stream) forward(ctx context.Context, l *Listener, current *bool) (done bool, err error) {
	if !*current {
		*current = true
		s.catchUps.Inc()
		return s.readLog(ctx)
	}
	items, ok := l.take()
	if s.hasBegun() {
		ok = false // what was committed before that nobody hands out, and it comes before these
	}
	if ok && len(items) > 0 {
		ok, err = s.pass(ctx, s, items)
	}
	*current = ok
	return done, err
}

// readLog sends what the log has. That may take hours, for a client that reads slowly from the start: a key that is
// revoked meanwhile, or a server that drains, ends it as it ends a stream that is current.
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
			return true, nil //nolint:nilerr // a key that was revoked; or nobody can tell, and the client asks again
		}
	}
	return false, nil
}

// hasBegun says once that the feed has begun, for a stream that was there before.
func (s *stream) hasBegun() bool {
	select {
	case <-s.begins:
		s.begins = nil
		return true
	default:
		return false
	}
}

// isBehind says that the feed may not have heard of events for a while.
func (s *Streams) isBehind() bool {
	return s.config.Feed == nil || s.config.Feed.Behind() > tooFarBehind
}

// beat keeps the connection alive, and tells the client a place to resume from that is not older than it has to be: it
// may not have been sent an event for days.
func (s *stream) beat(l *Listener) error {
	message := []byte(comment)
	if at, ok := l.reached(); ok && s.begins == nil {
		message = append(message, s.advance(at)...)
	}
	return s.Send(message)
}

// sendAll writes events under the ids that a source has for them.
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

// newItem makes an item of an event that was read from the log.
func (s *stream) newItem(e store.Entry) *item { return newItem(e, s.config.Encode) }
