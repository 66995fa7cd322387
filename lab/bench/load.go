package main

import (
	"context"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// span is how long a load runs: a warm-up, then the measured time.
type span struct{ warmup, measured time.Duration }

// load is the result of a closed loop of callers. Each caller sends its next request when the last is answered.
type load struct {
	all       int             // all requests, including the warm-up
	measured  int             // requests that were answered in the measured time
	elapsed   time.Duration   // the measured time
	latencies []time.Duration // of the measured requests, sorted
}

// call sends one request. Any error ends the load: a refused request is not a measurement.
type call func(ctx context.Context) error

// newCall makes a caller's call, and a function that frees its resources.
type newCall func(ctx context.Context) (one call, free func(), err error)

// run has callers call for the span.
func run(ctx context.Context, callers int, s span, caller newCall) (load, error) {
	var total load
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	calls := make([]call, callers)
	for i := range calls {
		one, free, err := caller(ctx)
		if err != nil {
			return load{}, err
		}
		defer free()
		calls[i] = one
	}
	begin := time.Now().Add(s.warmup)
	end := begin.Add(s.measured)
	for _, one := range calls {
		group.Go(func() error {
			var mine load
			for now := time.Now(); now.Before(end) && ctx.Err() == nil; {
				if err := one(ctx); err != nil {
					return err
				}
				answered := time.Now()
				mine.all++
				if answered.After(begin) && answered.Before(end) {
					mine.measured++
					mine.latencies = append(mine.latencies, answered.Sub(now))
				}
				now = answered
			}
			mu.Lock()
			defer mu.Unlock()
			total.all += mine.all
			total.measured += mine.measured
			total.latencies = append(total.latencies, mine.latencies...)
			return nil
		})
	}
	err := group.Wait()
	total.elapsed = s.measured
	slices.Sort(total.latencies)
	return total, err
}

// rate returns the answered requests per second.
func (l load) rate() float64 { return float64(l.measured) / l.elapsed.Seconds() }

// quantile returns the latency that the share q of the requests did not exceed, in milliseconds.
func (l load) quantile(q float64) float64 { return quantile(l.latencies, q) }

// quantile returns the quantile q of sorted durations, in milliseconds; 0 if there are none.
func quantile(sorted []time.Duration, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	i := min(int(q*float64(len(sorted))), len(sorted)-1)
	return float64(sorted[i]) / float64(time.Millisecond)
}
