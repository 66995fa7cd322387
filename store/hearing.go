package store

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgxlisten"
)

// A process rings for itself now and then, to find out whether it hears. A pooler can lose LISTEN without an error.
const (
	hearingEvery = 10 * time.Second
	hearingWait  = 5 * time.Second
)

// hearing is whether notifications reach this process.
type hearing struct {
	pool  *pgxpool.Pool // whose connections listen; nil: the process polls
	rings atomic.Int64  // that were heard
	deaf  atomic.Bool
	every time.Duration
	wait  time.Duration
}

// ListenOn has the feed listen over a connection made as those of a pool are, instead of over one of its own pool. With
// nil the feed does not listen and only polls. It must be called before Run.
func (f *Feed) ListenOn(pool *pgxpool.Pool) { f.hearing.pool = pool }

// Hears reports whether notifications reach the feed. Otherwise it finds events by polling, up to a second later.
func (f *Feed) Hears() bool { return f.hearing.pool != nil && !f.hearing.deaf.Load() }

// listen turns the doorbell into reads. Losing it costs latency, never events: the reader polls as well.
func (f *Feed) listen(ctx context.Context) {
	if f.hearing.pool == nil {
		f.logger.InfoContext(ctx, "notifications are not listened for: events and jobs are polled for")
		return
	}
	checked := make(chan struct{})
	go func() {
		defer close(checked)
		f.checkHearing(ctx)
	}()
	defer func() { <-checked }()
	ring := func(context.Context, *pgconn.Notification, *pgx.Conn) error {
		f.hearing.rings.Add(1)
		select {
		case f.rung <- struct{}{}:
		default:
		}
		return nil
	}
	listener := &pgxlisten.Listener{
		Connect: func(ctx context.Context) (*pgx.Conn, error) {
			pool := f.hearing.pool.Config()
			if pool.BeforeConnect != nil {
				if err := pool.BeforeConnect(ctx, pool.ConnConfig); err != nil {
					return nil, err
				}
			}
			return pgx.ConnectConfig(ctx, pool.ConnConfig)
		},
		LogError: func(ctx context.Context, err error) {
			if ctx.Err() == nil {
				f.logger.WarnContext(ctx, "doorbell is not heard", "error", err)
			}
		},
		ReconnectDelay: reconnectDelay,
	}
	listener.Handle("millrace_feed", pgxlisten.HandlerFunc(ring))
	_ = listener.Listen(ctx) // ends with ctx
}

// checkHearing rings now and then, and notes whether the ring is heard. While the database does not answer, it learns
// nothing.
func (f *Feed) checkHearing(ctx context.Context) {
	ticker := time.NewTicker(f.hearing.every)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		deaf, ok := f.isDeaf(ctx)
		if !ok || deaf == f.hearing.deaf.Swap(deaf) {
			continue
		}
		if deaf {
			f.logger.WarnContext(ctx, "notifications do not arrive: events and jobs are polled for")
		} else {
			f.logger.InfoContext(ctx, "notifications arrive again")
		}
	}
}

// isDeaf rings and waits until something is heard. ok is false if the ring could not be sent.
func (f *Feed) isDeaf(ctx context.Context) (deaf, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, f.hearing.wait)
	defer cancel()
	before := f.hearing.rings.Load()
	if err := f.queries.RingFeed(ctx, f.pool); err != nil {
		return false, false
	}
	poll := time.NewTicker(f.hearing.wait / 50)
	defer poll.Stop()
	for f.hearing.rings.Load() == before {
		select {
		case <-poll.C:
		case <-ctx.Done():
			return true, errors.Is(ctx.Err(), context.DeadlineExceeded)
		}
	}
	return false, true
}
