package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"

	"github.com/millrace-orders/millrace/store"
)

const (
	streamBatch = 100
	streamRetry = time.Second
	comment     = ": heartbeat\n\n"
	// tooFarBehind is when a stream stops to rely on the feed and looks for itself, with its heartbeats.
	tooFarBehind = 5 * time.Second
)

// source is what a stream is of: it knows what was sent, and what comes next. done means that there will be no more.
type source interface {
	topic() topic
	// catchUp writes a page of what the log has; more says that there is more. It takes a turn for the read, and ends the
	// turn before it writes: or clients that read slowly would hold up all others.
	catchUp(ctx context.Context, w liveWriter, turn turn) (more, done bool, err error)
	// pass writes what has just happened. ok is false if something is missing in between, which the log has.
	pass(ctx context.Context, w liveWriter, notices []*notice) (ok, done bool, err error)
	// advance hears that everything up to a place in the log has been sent, and returns how to tell the client; nil if
	// that needs no telling.
	advance(reached store.Cursor) []byte
}

// openStream answers with what a source has and will have.
func (s *Server) openStream(ctx context.Context, from source) (*huma.StreamResponse, error) {
	x := exchangeOf(ctx)
	leave, err := s.stayFollowing(ctx)
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(hctx huma.Context) { //nolint:contextcheck // it outlives its request
		r, w := humachi.Unwrap(hctx)
		st := &stream{
			Server: s, liveWriter: s.newLiveWriter(w), source: from, allowed: x.stillAllowed, requestID: x.requestID,
			reader: x.principal,
		}
		if err := st.begin(); err != nil || r.Method == http.MethodHead {
			leave()
			return
		}
		conn, ctx, ok := s.detached.take(r, w)
		if !ok {
			defer leave()
			st.follow(hctx.Context())
			return
		}
		answer := chunked{conn}
		st.liveWriter = s.newLiveWriter(answer)
		go func() {
			defer s.detached.running.Done()
			defer leave()
			defer conn.Close()
			defer s.rescueStream(st)
			st.follow(ctx)
			answer.end(s.config.SlowReader)
		}()
	}}, nil
}

// rescueStream is deferred by a stream that net/http does not rescue: its panic would end the process, with all its
// work. The answer is broken off: it must not look complete.
func (s *Server) rescueStream(st *stream) {
	if v := recover(); v != nil {
		s.metrics.panics.Inc()
		s.config.Logger.Error("stream panicked", "request_id", st.requestID, "error", v, "stack", string(debug.Stack()))
	}
}

// stream is one open event stream.
type stream struct {
	*Server
	liveWriter
	source
	reader    Principal
	turn      turn
	allowed   func(context.Context) error
	requestID string
	begins    <-chan struct{} // closed when the feed begins; nil once that is dealt with
}

// begin sends the header at once, so that the client knows it is connected.
func (s *stream) begin() error {
	if err := clearReadDeadline(s.control); err != nil {
		return err
	}
	h := s.w.Header()
	h.Set("Content-Type", mediaStream)
	h.Set("Cache-Control", "no-cache")
	h.Add("Vary", "Accept")          // beside the Origin of CORS
	h.Set("X-Accel-Buffering", "no") // or nginx collects events until it has a page of them
	return s.write(fmt.Appendf(nil, "retry: %d\n\n", streamRetry.Milliseconds()))
}

// follow runs the stream to its end. Of a stream that failed the client knows no more than that it ended.
func (s *stream) follow(ctx context.Context) {
	if err := s.run(ctx); err != nil && ctx.Err() == nil {
		s.config.Logger.InfoContext(ctx, "stream was cut off", "request_id", s.requestID, "error", err)
	}
}

// run sends what there is and waits for more, until there will be no more, the client is gone or the server drains.
// An error ends the stream as well; the client reconnects and goes on where it was.
func (s *stream) run(ctx context.Context) error {
	listener := s.hub.listen(s.topic()) // before the log is read, so that nothing falls in between
	defer listener.close()
	heartbeat := time.NewTicker(s.config.Heartbeat)
	defer heartbeat.Stop()
	s.turn = s.catchUps.of(s.reader, heartbeat.C, func() error { return s.write([]byte(comment)) })
	if s.config.Feed != nil {
		s.begins = s.config.Feed.Begun()
		s.hasBegun()
	}
	for current := false; ; {
		if s.allowed(ctx) != nil {
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
		case <-listener.wake:
		case <-s.begins:
		case <-heartbeat.C:
			current = !s.isBehind()
			if err := s.beat(listener); err != nil {
				return err
			}
		case <-s.draining:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

// forward sends what the hub has for the stream, or while the stream is not current, what the log has.
func (s *stream) forward(ctx context.Context, l *listener, current *bool) (done bool, err error) {
	if !*current {
		*current = true
		s.metrics.catchUps.Inc()
		return s.readLog(ctx)
	}
	notices, ok := l.take()
	if s.hasBegun() {
		ok = false // what was committed before that nobody hands out, and it comes before these
	}
	if ok && len(notices) > 0 {
		ok, done, err = s.pass(ctx, s.liveWriter, notices)
	}
	*current = ok
	return done, err
}

// readLog sends what the log has. That may take hours, for a client that reads slowly from the start: a key that is
// revoked meanwhile, or a server that drains, ends it as it ends a stream that is current.
func (s *stream) readLog(ctx context.Context) (done bool, err error) {
	for more := true; more; {
		more, done, err = s.catchUp(ctx, s.liveWriter, s.turn)
		if errors.Is(err, errDraining) {
			return true, nil
		}
		if done || err != nil {
			return done, err
		}
		select {
		case <-s.draining:
			return more, nil
		default:
		}
		if more && s.allowed(ctx) != nil {
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
func (s *Server) isBehind() bool {
	return s.config.Feed == nil || s.config.Feed.Behind() > tooFarBehind
}

// beat keeps the connection alive, and tells the client a place to resume from that is not older than it has to be: it
// may not have been sent an event for days.
func (s *stream) beat(l *listener) error {
	message := []byte(comment)
	if at, ok := l.reached(); ok && s.begins == nil {
		message = append(message, s.advance(at)...)
	}
	return s.write(message)
}

// sendAll writes events under the ids that a stream has for them.
func sendAll(w liveWriter, notices []*notice, reader Principal, id func(*notice) string) error {
	if len(notices) == 0 {
		return nil
	}
	var b bytes.Buffer
	for _, n := range notices {
		if err := n.writeTo(&b, id(n), reader); err != nil {
			return err
		}
	}
	return w.write(b.Bytes())
}
