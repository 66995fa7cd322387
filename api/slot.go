package api

import (
	"context"
	"sync"
)

// slots bounds the answers that stay open: event streams, and requests that wait.
type slots struct {
	mu    sync.Mutex
	taken int
	by    map[string]int // of those that count for a subject
}

// acquire takes a slot, for a subject if there is one. own bounds what a subject may have; 0 is no bound.
func (s *slots) acquire(subject string, all, own int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.taken >= all:
		return errTooManyStreams
	case subject != "" && own > 0 && s.by[subject] >= own:
		return errTooManyOwnStreams
	}
	s.taken++
	if subject != "" {
		if s.by == nil {
			s.by = make(map[string]int)
		}
		s.by[subject]++
	}
	return nil
}

func (s *slots) release(subject string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken--
	if s.by[subject] > 1 {
		s.by[subject]--
	} else {
		delete(s.by, subject)
	}
}

// stay turns the request into one that stays open: it counts as a stream from here on, and no longer as a request being
// answered.
func (s *Server) stay(ctx context.Context, subject string) (leave func(), err error) {
	if err := s.slots.acquire(subject, s.config.MaxStreams, s.config.MaxStreamsEach); err != nil {
		return nil, err
	}
	exchangeOf(ctx).streaming = true
	s.metrics.inFlight.Dec()
	s.flights.leave()
	s.metrics.streams.Inc()
	return func() {
		s.slots.release(subject)
		s.metrics.streams.Dec()
	}, nil
}

// follower is whom an event stream counts for: a principal, and for a customer whose ticket somebody else made, that
// customer. Where nobody is asked who they are it is nobody.
func (p Principal) follower() string {
	if p.Name == principalDev {
		return ""
	}
	return p.Name + " " + p.CustomerID
}
