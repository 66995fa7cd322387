package jobs

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/webhook"
)

const (
	fanOutPoll = time.Second // how long a message waits at most for the job that sends it, if nobody rings
	fanOutSoon = 50 * time.Millisecond
)

// FanOut turns what happens to orders into messages to webhooks, and has them sent. Every process with workers runs
// one; they take turns.
type FanOut struct {
	store  *store.Store
	logger *slog.Logger
	woken  chan struct{}

	lag     prometheus.Histogram
	expired prometheus.Counter
}

// NewFanOut makes a FanOut; the caller runs it. registerer may be nil.
func NewFanOut(s *store.Store, logger *slog.Logger, registerer prometheus.Registerer) *FanOut {
	f := &FanOut{
		store: s, logger: logger, woken: make(chan struct{}, 1),
		lag: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "millrace_webhook_fanout_lag_seconds", Help: "Time from an event to its messages.",
			Buckets: prometheus.ExponentialBuckets(0.005, 4, 9),
		}),
		expired: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "millrace_webhook_log_expired_total", Help: "Times that the log was pruned before it was read.",
		}),
	}
	if registerer != nil {
		registerer.MustRegister(f.lag, f.expired)
	}
	return f
}

// Wake says that there are new events. It never waits.
func (f *FanOut) Wake() {
	select {
	case f.woken <- struct{}{}:
	default:
	}
}

// Run works until ctx ends.
func (f *FanOut) Run(ctx context.Context) {
	poll := time.NewTicker(fanOutPoll)
	defer poll.Stop()
	for failing := false; ; {
		done, err := f.catchUp(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failing:
			f.logger.WarnContext(ctx, "webhooks are not fanned out", "error", err)
		case err == nil && failing:
			f.logger.InfoContext(ctx, "webhooks are fanned out again")
		}
		failing = err != nil
		woken, soon := f.woken, (<-chan time.Time)(nil)
		if done.Idle {
			woken = nil // nobody is in a hurry
		}
		if done.Soon {
			soon = time.After(fanOutSoon)
		}
		select {
		case <-woken:
		case <-soon:
		case <-poll.C:
		case <-ctx.Done():
			return
		}
	}
}

// catchUp reads to the end and returns how the last read went.
func (f *FanOut) catchUp(ctx context.Context) (store.FannedOut, error) {
	for ctx.Err() == nil {
		done, err := f.store.FanOut(ctx, webhook.Body)
		if err != nil {
			return done, err
		}
		f.report(ctx, done)
		if !done.More {
			return done, nil
		}
	}
	return store.FannedOut{}, ctx.Err()
}

func (f *FanOut) report(ctx context.Context, done store.FannedOut) {
	now := time.Now()
	for _, at := range done.Events {
		f.lag.Observe(max(now.Sub(at), 0).Seconds())
	}
	if done.Expired != nil {
		f.expired.Inc()
		f.logger.ErrorContext(ctx, "webhooks miss events: the log was pruned before it was read", "error", done.Expired)
	}
	for _, id := range done.KeyEnded {
		f.logger.WarnContext(ctx, "webhook is disabled", "webhook_id", id, "reason", store.DisabledKeyEnded)
	}
}
