package api

import (
	"context"
	"sync"
	"time"

	"github.com/millrace-orders/millrace/store"
)

// systemSample is the state that all processes share.
type systemSample struct {
	leader  string
	latency time.Duration
	queues  []store.Queue

	violations []store.Violation
	err        error
}

func (o systemOperations) measureSystem(ctx context.Context) (m systemSample) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	start := time.Now()
	m.leader, m.err = o.queues.Leader(ctx)
	m.latency = time.Since(start)
	if m.err == nil {
		m.queues, m.err = o.queues.List(ctx)
	}
	if m.err == nil {
		var v store.Verification
		v, m.err = o.verifier.Standing(ctx)
		m.violations = v.Violations
	}
	return m
}

// sampleFor is how long a measurement is used.
const sampleFor = time.Second

// sample keeps a costly measurement for a second, so that many callers cost one measurement.
type sample[T any] struct {
	now   func() time.Time
	mu    sync.Mutex
	at    time.Time
	value T
}

// get returns the last measurement, or takes a new one if that is too old. The measurement goes on if the caller that
// started it leaves.
func (s *sample[T]) get(ctx context.Context, measure func(context.Context) T) T {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at.IsZero() || s.now().Sub(s.at) > sampleFor {
		s.value, s.at = measure(context.WithoutCancel(ctx)), s.now()
	}
	return s.value
}
