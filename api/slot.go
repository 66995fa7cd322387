package api

import (
	"context"
	"sync"
)

// slots bounds what callers share: requests in flight, open streams, exports. No caller can take it all: a principal
// may hold as many as are left. Alone it gets half of them, and the next principal half of the rest.
type slots struct {
	total int
	full  error // when all are taken
	own   error // when the caller holds its share

	mu    sync.Mutex
	taken int
	by    map[string]int // of each holder
}

// holder is the caller that a slot counts for. It has no name if the caller is unknown: before a request was
// authenticated, and while the server is open.
type holder struct {
	name string
	most int // 0: as many as are left
}

func newSlots(total int, full, own error) *slots {
	return &slots{total: total, full: full, own: own, by: make(map[string]int)}
}

// take takes a slot.
func (s *slots) take(holders ...holder) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken >= s.total {
		return s.full
	}
	s.taken++
	err := s.count(holders)
	if err != nil {
		s.taken--
	}
	return err
}

// charge counts a slot that was taken without a name for a holder.
func (s *slots) charge(h holder) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count([]holder{h})
}

// count counts a slot that is among the taken ones. s must be locked.
func (s *slots) count(holders []holder) error {
	for _, h := range holders {
		most := h.most
		if most == 0 {
			most = s.total - s.taken + 1
		}
		if h.name != "" && s.by[h.name] >= most {
			return s.own
		}
	}
	for _, h := range holders {
		if h.name != "" {
			s.by[h.name]++
		}
	}
	return nil
}

// release gives a slot back, with the holders that it counts for.
func (s *slots) release(holders ...holder) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken--
	for _, h := range holders {
		if s.by[h.name]--; s.by[h.name] <= 0 {
			delete(s.by, h.name)
		}
	}
}

// share returns the principal as a holder of what callers share. While the server is open it has no name.
func (p Principal) share() holder {
	if p.IsDev() {
		return holder{}
	}
	return holder{name: "principal " + p.Name}
}

// follower returns the holder that an event stream counts for beside the principal: with a ticket that a service
// made for a customer, that customer.
func (p Principal) follower(most int) holder {
	if p.IsDev() || most < 0 {
		return holder{}
	}
	return holder{name: "follower " + p.Name + "\x00" + p.CustomerID, most: most}
}

// stay turns the request into one that stays open: it counts as a stream from here on, and no longer as a request being
// answered.
func (s *Server) stay(ctx context.Context, holders ...holder) (leave func(), err error) {
	if err := s.streams.take(holders...); err != nil {
		return nil, err
	}
	x := exchangeOf(ctx)
	x.streaming = true
	s.metrics.inFlight.Dec()
	s.flights.release(x.inFlight)
	s.metrics.streams.Inc()
	return func() {
		s.streams.release(holders...)
		s.metrics.streams.Dec()
	}, nil
}

// stayFollowing is for who follows events: they may have that many streams, and no more than their share.
func (s *Server) stayFollowing(ctx context.Context) (leave func(), err error) {
	p := exchangeOf(ctx).principal
	return s.stay(ctx, p.share(), p.follower(s.config.MaxStreamsEach))
}
