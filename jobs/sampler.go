package jobs

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

// mostDurations is how many durations of orders a sample is estimated from.
const mostDurations = 1000

// Sampler keeps the history of the system. Every process with workers has one and counts what the feed hands it, so
// any process can go on when the leader dies. It is no River job: history must not have a gap when jobs do not run.
type Sampler struct {
	history *store.History
	logger  *slog.Logger
	self    string
	now     func() time.Time

	mu        sync.Mutex
	heard     store.Heard
	durations []time.Duration
	ended     int

	failing bool
}

// NewSampler makes a sampler. The caller subscribes Hear to the feed, and runs it. self is the process's name among the
// River clients, and now the database's clock.
func NewSampler(h *store.History, self string, now func() time.Time, logger *slog.Logger) *Sampler {
	return &Sampler{history: h, self: self, now: now, logger: logger}
}

// Hear counts what happened.
func (s *Sampler) Hear(entries []store.Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range entries {
		if !e.StatusChanged {
			continue
		}
		switch e.Status {
		case orders.Pending:
			s.heard.Placed++
		case orders.Completed:
			s.heard.Completed++
			s.measure(e)
		case orders.Failed:
			s.heard.Failed++
			s.measure(e)
		case orders.Cancelled:
			s.heard.Cancelled++
			s.measure(e)
		case orders.Refunded:
			s.heard.Refunded++
		case orders.Processing, orders.NeedsAttention:
		}
	}
}

// measure remembers how long an order took: its id has the time of its placing. Of many orders it keeps a fair choice.
func (s *Sampler) measure(e store.Entry) {
	seconds, nanoseconds := e.OrderID.Time().UnixTime()
	took := max(e.At.Sub(time.Unix(seconds, nanoseconds)), 0)
	s.ended++
	if len(s.durations) < mostDurations {
		s.durations = append(s.durations, took)
	} else if i := rand.IntN(s.ended); i < mostDurations {
		s.durations[i] = took
	}
}

// collect returns what was heard since the last call.
func (s *Sampler) collect() store.Heard {
	s.mu.Lock()
	defer s.mu.Unlock()
	heard := s.heard
	if len(s.durations) > 0 {
		slices.Sort(s.durations)
		heard.DurationP95Seconds = s.durations[(len(s.durations)*95-1)/100].Seconds()
	}
	s.heard, s.durations, s.ended = store.Heard{}, s.durations[:0], 0
	return heard
}

// Run takes samples until ctx ends.
func (s *Sampler) Run(ctx context.Context) {
	const span = time.Duration(store.TenSeconds)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	last := s.now().Truncate(span)
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if now := s.now(); !now.Truncate(span).Equal(last) {
			last = now.Truncate(span)
			s.sample(ctx, now)
		}
	}
}

func (s *Sampler) sample(ctx context.Context, now time.Time) {
	heard := s.collect()
	due, err := s.history.Due(ctx, s.self, now)
	if err == nil && due {
		err = s.history.Take(ctx, now, heard)
	}
	if err != nil && !s.failing && ctx.Err() == nil {
		s.logger.WarnContext(ctx, "sample of history not taken", "error", err)
	}
	s.failing = err != nil
}
