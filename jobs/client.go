package jobs

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

// Client is the River client that works all queues. When it stops, carrying jobs learn of it at once, and hand over
// what is left of their orders.
type Client struct {
	*river.Client[pgx.Tx]

	paused   *pauses
	stopping chan struct{}
	stop     sync.Once
	ended    sync.WaitGroup
}

// Start starts the workers.
func (c *Client) Start(ctx context.Context) error {
	c.paused.read(ctx)
	c.ended.Go(func() { c.paused.follow(context.WithoutCancel(ctx), c.stopping) })
	return c.Client.Start(ctx)
}

// Stop lets the running jobs end, and returns then. Jobs that take longer than 15 s are cancelled.
func (c *Client) Stop(ctx context.Context) error {
	c.halt()
	return c.Client.Stop(ctx)
}

// StopAndCancel cancels the running jobs and returns when they have ended.
func (c *Client) StopAndCancel(ctx context.Context) error {
	c.halt()
	return c.Client.StopAndCancel(ctx)
}

func (c *Client) halt() {
	c.stop.Do(func() { close(c.stopping) })
	c.ended.Wait()
}

const (
	pausesEvery   = time.Second
	pausesTimeout = 2 * time.Second
)

// pauses knows which providers' queues an operator has paused. River stops fetching from them, and carrying jobs must
// not call those providers either.
type pauses struct {
	queues *store.Queues
	logger *slog.Logger
	paused atomic.Pointer[map[string]bool]
	fails  streak
}

func (p *pauses) has(provider orders.Provider) bool {
	paused := p.paused.Load()
	return paused != nil && (*paused)[string(provider)]
}

// follow reads the pauses every second until done is closed.
func (p *pauses) follow(ctx context.Context, done <-chan struct{}) {
	ticker := time.NewTicker(pausesEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			p.read(ctx)
		case <-done:
			return
		}
	}
}

// read reads the pauses. If that fails, the pauses stay as they were.
func (p *pauses) read(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, pausesTimeout)
	defer cancel()
	paused, err := p.queues.Paused(ctx)
	if err == nil {
		p.paused.Store(&paused)
	}
	p.fails.warn(ctx, p.logger, "reading paused queues", err)
}
