package limit

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/millrace-orders/millrace/store"
)

const (
	flushBatch   = 1000 // counts in a statement
	flushTimeout = 2 * time.Second
	flushRetry   = time.Second // after a failure
)

// Run shares counts and forgets idle subjects, until ctx ends; then it shares the rest.
func (l *Limiter) Run(ctx context.Context) {
	sweep := time.NewTicker(l.config.Window)
	defer sweep.Stop()
	for {
		select {
		case <-l.pending:
			l.pause(ctx, l.flush(ctx))
		case <-sweep.C:
			l.sweep(ctx)
		case <-ctx.Done():
			l.flush(context.WithoutCancel(ctx))
			return
		}
	}
}

// pause waits until the next flush may begin.
func (l *Limiter) pause(ctx context.Context, next time.Time) {
	timer := time.NewTimer(time.Until(next))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// wake requests a flush. It never blocks.
func (l *Limiter) wake() {
	select {
	case l.pending <- struct{}{}:
	default:
	}
}

// flush shares the counts since the last flush, and returns when the next flush may run. Counts that fail are kept for
// it.
func (l *Limiter) flush(ctx context.Context) (next time.Time) {
	start := time.Now()
	counts := l.collect()
	if len(counts) == 0 {
		return start
	}
	err := l.share(ctx, counts)
	outcome := "ok"
	if err != nil {
		outcome = "error"
	}
	l.flushed.WithLabelValues(outcome).Observe(time.Since(start).Seconds())
	if ctx.Err() == nil {
		l.report(ctx, err)
	}
	if err != nil {
		l.wake()
		return time.Now().Add(flushRetry)
	}
	return start.Add(l.config.FlushEvery)
}

// report logs when sharing begins to fail and when it works again.
func (l *Limiter) report(ctx context.Context, err error) {
	if failing := err != nil; failing != l.failing {
		l.failing = failing
		if failing {
			l.config.Logger.WarnContext(ctx, "rate limit sharing failed", "error", err)
		} else {
			l.config.Logger.InfoContext(ctx, "rate limit sharing recovered")
		}
	}
}

func (l *Limiter) collect() (counts []store.RateCount) {
	l.mu.Lock()
	defer l.mu.Unlock()
	until := l.now().Add(-l.config.Window)
	for name := range l.unsent {
		s := l.subjects[name]
		s.forget(until)
		if counts = s.unsent(name, counts); s.requests() == 0 {
			l.remove(s)
		} else {
			l.rank(s)
		}
	}
	return counts
}

func (l *Limiter) share(ctx context.Context, counts []store.RateCount) error {
	for batch := range slices.Chunk(counts, flushBatch) {
		if err := l.shareBatch(ctx, batch); err != nil {
			return err
		}
	}
	return nil
}

func (l *Limiter) shareBatch(ctx context.Context, batch []store.RateCount) error {
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	totals, err := l.config.Share(ctx, batch, l.now().Add(-l.config.Window-l.segment))
	if err != nil {
		return fmt.Errorf("share counts: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	until := l.now().Add(-l.config.Window)
	for _, c := range batch {
		if s, ok := l.subjects[c.Subject]; ok {
			s.sent(c)
		}
	}
	for _, c := range totals {
		if s, ok := l.subjects[c.Subject]; ok {
			s.read(c)
		}
	}
	for _, c := range batch {
		s, ok := l.subjects[c.Subject]
		if !ok {
			continue
		}
		s.forget(until) // read may have brought back old requests
		l.rank(s)
		if len(s.unsent("", nil)) == 0 {
			delete(l.unsent, c.Subject)
		}
	}
	return nil
}

// sweep forgets subjects without requests in a window, here and in the database.
func (l *Limiter) sweep(ctx context.Context) {
	l.mu.Lock()
	now := l.now()
	l.prune(now)
	l.mu.Unlock()
	if l.config.Prune == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	// Twice a window: other processes' clocks and windows may differ a little.
	if err := l.config.Prune(ctx, now.Add(-2*l.config.Window)); err != nil && ctx.Err() == nil && !l.failing {
		l.config.Logger.WarnContext(ctx, "request count pruning failed", "error", err)
	}
}
