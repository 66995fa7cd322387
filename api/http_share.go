package api

import (
	"context"

	"github.com/millrace-orders/millrace/auth/roles"
	"github.com/millrace-orders/millrace/stream"
)

// share returns the principal as a holder of what callers share. While the server is open it has no name.
func (p Principal) share() stream.Holder {
	if p.IsDev() {
		return stream.Holder{}
	}
	return stream.Holder{Name: "principal " + p.Name}
}

// follower returns the holder that an event stream counts for beside the principal: with a ticket that a service
// made for a customer, that customer.
func (p Principal) follower(most int) stream.Holder {
	if p.IsDev() || most < 0 {
		return stream.Holder{}
	}
	return stream.Holder{Name: "follower " + p.Name + "\x00" + p.CustomerID, Most: most}
}

// isDiscreet reports whether the principal is not told which of the shop's people did something.
func (p Principal) isDiscreet() bool { return p.Role == roles.Customer }

// stay turns the request into one that stays open: it counts as a stream from here on, and no longer as a request being
// answered.
func (s *Server) stay(ctx context.Context, holders ...stream.Holder) (leave func(), err error) {
	if err := s.staying.Take(holders...); err != nil {
		return nil, err
	}
	x := exchangeOf(ctx)
	x.streaming = true
	s.metrics.inFlight.Dec()
	s.flights.Release(x.inFlight)
	s.metrics.streams.Inc()
	return func() {
		s.staying.Release(holders...)
		s.metrics.streams.Dec()
	}, nil
}

// stayFollowing is for callers that follow events: they may have that many streams, and no more than their share.
func (s *Server) stayFollowing(ctx context.Context) (leave func(), err error) {
	p := exchangeOf(ctx).principal
	return s.stay(ctx, p.share(), p.follower(s.config.MaxStreamsEach))
}
