package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/millrace-orders/millrace/api"
	"github.com/millrace-orders/millrace/store"
)

const (
	pulseEvery   = time.Second
	pulseTimeout = 2 * time.Second
	// pulseDown is how long the database must fail to answer before the process is not ready. A balancer that takes out
	// every process at once, for a blip, answers its own errors in place of Millrace's.
	pulseDown        = 5 * time.Second
	pulseConnections = 1
)

// pulse remembers whether the database answers this process. It has a connection of its own: requests that take all of
// the API's connections do not look like a database that is down.
type pulse struct {
	probe func(context.Context) (schema int64, err error)
	now   func() time.Time

	schema atomic.Int64 // the version that the latest success read

	mu    sync.Mutex
	since time.Time // of the failures in a row; zero if the latest probe succeeded
	err   error
}

// watchDatabase probes the database until the process stops.
func (n *node) watchDatabase(ctx context.Context) (*pulse, error) {
	pool, err := n.pool(ctx, "health", pulseConnections)
	if err != nil {
		return nil, err
	}
	p := newPulse(pool, time.Now)
	n.every(pulseEvery, p.beat)
	return p, nil
}

func newPulse(pool *pgxpool.Pool, now func() time.Time) *pulse {
	return &pulse{probe: func(ctx context.Context) (int64, error) { return store.SchemaVersion(ctx, pool) }, now: now}
}

// beat probes once.
func (p *pulse) beat(ctx context.Context) {
	began := p.now()
	ctx, cancel := context.WithTimeout(ctx, pulseTimeout)
	defer cancel()
	schema, err := p.probe(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	switch p.err = err; {
	case err == nil:
		p.since = time.Time{}
		p.schema.Store(schema)
	case p.since.IsZero():
		p.since = began
	}
}

// Err returns nil if the database answered the latest probe. A failure counts as degraded until it has lasted for
// pulseDown.
func (p *pulse) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil || p.now().Sub(p.since) >= pulseDown {
		return p.err
	}
	return fmt.Errorf("%w: %w", api.ErrDegraded, p.err)
}
