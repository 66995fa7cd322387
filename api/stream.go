package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"

	"github.com/millrace-orders/millrace/orders"
)

const (
	streamBatch = 100
	streamRetry = time.Second
)

// openStream answers with the order's events after a version, live.
func (s *Server) openStream(ctx context.Context, order *orders.Order, after int64) (*huma.StreamResponse, error) {
	if after == order.Version && finished(order) {
		return &huma.StreamResponse{Body: func(hctx huma.Context) { hctx.SetStatus(http.StatusNoContent) }}, nil
	}
	if !s.streams.acquire(s.config.MaxStreams) {
		return nil, errTooManyStreams
	}
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		defer s.streams.release()
		s.metrics.streams.Inc()
		defer s.metrics.streams.Dec()
		s.metrics.inFlight.Dec()
		s.flights.leave()
		r, w := humachi.Unwrap(hctx)
		x := exchangeOf(ctx)
		x.streaming = true
		st := &stream{
			Server: s, liveWriter: newLiveWriter(w), order: order.ID, sent: after, reader: x.principal,
			allowed: x.stillAllowed,
		}
		err := st.begin()
		if err == nil && r.Method != http.MethodHead {
			err = st.run(ctx)
		}
		if ctx.Err() == nil {
			x.cause = err
		}
	}}, nil
}

// finished says that nothing more will happen to the order by itself.
func finished(o *orders.Order) bool {
	for _, s := range o.Steps {
		if s.State == orders.StatePending {
			return false
		}
	}
	return o.Status.AtRest()
}

// stream is one open event stream.
type stream struct {
	*Server
	liveWriter
	order   orders.ID
	sent    int64 // the version of the last event that was sent
	reader  Principal
	allowed func() error
}

// run sends what there is and waits for more, until the order is finished, the client is gone or the server drains.
// An error ends the stream as well; the client reconnects and goes on where it was.
func (s *stream) run(ctx context.Context) error {
	wake, stop := s.streams.listen(s.order) // before the first read, so that nothing falls in between
	defer stop()
	heartbeat := time.NewTicker(s.config.Heartbeat)
	defer heartbeat.Stop()
	for {
		if s.allowed() != nil {
			return nil // a key that was revoked; or nobody can tell, and the client asks again
		}
		done, err := s.catchUp(ctx)
		if err != nil || done {
			return err
		}
		select {
		case <-wake:
		case <-heartbeat.C:
			if err := s.write([]byte(": heartbeat\n\n")); err != nil {
				return err
			}
		case <-s.draining:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

// begin sends the header at once, so that the client knows it is connected.
func (s *stream) begin() error {
	if err := clearReadDeadline(s.control); err != nil {
		return err
	}
	h := s.w.Header()
	h.Set("Content-Type", mediaStream)
	h.Set("Cache-Control", "no-cache")
	h.Set("Vary", "Accept")
	h.Set("X-Accel-Buffering", "no") // or nginx collects events until it has a page of them
	return s.write(fmt.Appendf(nil, "retry: %d\n\n", streamRetry.Milliseconds()))
}

// catchUp sends all events that have not been sent. done means that there will be no more.
func (s *stream) catchUp(ctx context.Context) (done bool, err error) {
	for {
		events, err := s.config.Store.Events(ctx, s.order, s.sent, streamBatch)
		if err != nil {
			return false, err
		}
		if len(events) == 0 {
			order, err := s.config.Store.Order(ctx, s.order)
			if err != nil {
				return false, err
			}
			// If it has moved on since, the feed is about to say so.
			return order.Version == s.sent && finished(&order), nil
		}
		if err := s.send(events); err != nil {
			return false, err
		}
		if last := events[len(events)-1]; len(events) < streamBatch && !last.Status.AtRest() {
			return false, nil
		}
	}
}

func (s *stream) send(events []orders.Event) error {
	var b bytes.Buffer
	for _, e := range events {
		event := newOrderEvent(e)
		event.Actor = actorOf(e, s.reader)
		data, err := json.Marshal(event)
		if err != nil {
			return fmt.Errorf("encode event: %w", err)
		}
		fmt.Fprintf(&b, "id: %d\nevent: %s\ndata: %s\n\n", event.Version, event.Type, data)
	}
	if err := s.write(b.Bytes()); err != nil {
		return err
	}
	s.sent = events[len(events)-1].Version
	return nil
}
