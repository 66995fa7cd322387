package board

import (
	"context"
	"sync"
	"time"
)

// The board asks the database this often at most, whatever the number of pages that are open. A page asks the board
// every 750 ms, and a process looks at its breakers every 500 ms: together, a change shows within 2 s.
const (
	quickFor = 500 * time.Millisecond
	slowFor  = 750 * time.Millisecond
	hourFor  = 5 * time.Second
	// restFor is how many times as long as a measurement took the next one waits: a board must not weigh on a database
	// that is slow already.
	restFor  = 5
	restMost = 30 * time.Second
)

// sample keeps a measurement for a while. Callers that arrive during a measurement wait for it.
type sample[T any] struct {
	now     func() time.Time
	least   time.Duration
	measure func(context.Context) (T, error)

	mu    sync.Mutex
	until time.Time
	value T
	err   error
}

// forget makes the next caller measure.
func (s *sample[T]) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.until = time.Time{}
}

// get returns the latest measurement, or takes a new one if that is too old. The measurement goes on if the caller that
// started it leaves.
func (s *sample[T]) get(ctx context.Context) (T, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	begin := s.now()
	if begin.Before(s.until) {
		return s.value, s.err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readTimeout)
	defer cancel()
	s.value, s.err = s.measure(ctx)
	end := s.now()
	s.until = end.Add(min(max(s.least, restFor*end.Sub(begin)), restMost))
	return s.value, s.err
}
