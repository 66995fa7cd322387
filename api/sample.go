package api

import (
	"context"
	"sync"
	"time"
)

// sampleFor is how long what was measured stands for what is.
const sampleFor = time.Second

// sample keeps what is costly to measure for a second: however many ask, it is measured once.
type sample[T any] struct {
	now   func() time.Time
	mu    sync.Mutex
	at    time.Time
	value T
}

// get measures unless that was done just now. The measuring does not end with the caller who happened to start it.
func (s *sample[T]) get(ctx context.Context, measure func(context.Context) T) T {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at.IsZero() || s.now().Sub(s.at) > sampleFor {
		s.value, s.at = measure(context.WithoutCancel(ctx)), s.now()
	}
	return s.value
}
