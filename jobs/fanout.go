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
	fanOutPoll = time.Second // the longest delay of a message whose notification is lost
	fanOutSoon = 50 * time.Millisecond
)

// FanOut turns order events into messages to webhooks, and enqueues the jobs that send them. Every process with workers
// runs a FanOut; they take turns.
type FanOut struct {
	deliveries *store.Deliveries
	logger     *slog.Logger
	woken      chan struct{}

	lag     prometheus.Histogram
	expired prometheus.Counter
}

// NewFanOut makes a FanOut; the caller runs it. registerer may be nil.
func NewFanOut(d *store.Deliveries, logger *slog.Logger, registerer prometheus.Registerer) *FanOut {
	f := &FanOut{
		deliveries: d, logger: logger, woken: make(chan struct{}, 1),
		lag: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "millrace_webhook_fanout_lag_seconds", Help: "Time from an event to its messages' creation.",
			Buckets: prometheus.ExponentialBuckets(0.005, 4, 9),
		}),
		expired: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "millrace_webhook_log_expired_total", Help: "Times that events were pruned before they became messages.",
		}),
	}
	if registerer != nil {
		registerer.MustRegister(f.lag, f.expired)
	}
	return f
}

// Wake reports that there are new events. It never blocks.
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
			f.logger.WarnContext(ctx, "webhook fan-out failed", "error", err)
		case err == nil && failing:
			f.logger.InfoContext(ctx, "webhook fan-out recovered")
		}
		failing = err != nil
		woken, soon := f.woken, (<-chan time.Time)(nil)
		if done.Idle {
			woken = nil // no need to hurry
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

// catchUp reads to the end of the log and returns the result of the last read.
func (f *FanOut) catchUp(ctx context.Context) (store.FannedOut, error) {
	for ctx.Err() == nil {
		done, err := f.deliveries.FanOut(ctx, webhook.Body)
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
		f.logger.ErrorContext(ctx, "webhook events missing, pruned before they were read", "error", done.Expired)
	}
	for _, id := range done.KeyEnded {
		f.logger.WarnContext(ctx, "webhook disabled", "webhook_id", id, "reason", store.DisabledKeyEnded)
	}
}
