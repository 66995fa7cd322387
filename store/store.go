// Package store keeps orders in Postgres, and is the only package that knows SQL.
//
// Every write is one transaction that carries the order, its log, its steps and their River jobs: all of it is
// visible at once, or none of it ever is. Every write takes a slice, because one transaction for many callers is what
// makes it fast. Decisions are never taken here: Place and Apply ask the orders package what to write.
//
// store imports orders and River's insert-only client. It knows no worker and no HTTP.
package store

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/riverqueue/river"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// DB is a *pgxpool.Pool, or in tests a pgx.Tx that is rolled back, on which a transaction is a savepoint.
type DB interface {
	dbsqlc.DBTX
	Begin(ctx context.Context) (pgx.Tx, error)
}

// Config says what a Store works with.
type Config struct {
	DB DB
	// Now is the clock of everything that is written. Default time.Now.
	Now func() time.Time
	// Wall is this machine's clock, which verification compares with the database's. Default: Now.
	Wall func() time.Time
	// Doorbell is rung after each commit. May be nil: then readers and workers find out by polling.
	Doorbell *Doorbell
	// Recent is what this process knows of orders without reading them. Default: the store has one of its own.
	Recent *Recent
	// Writes is told whether placements are stored. May be nil.
	Writes *Writes
	// VerifyEvery is how often this process verifies when it leads. Its heartbeats say so. 0: never.
	VerifyEvery time.Duration
	// Alone gives each call a transaction of its own. For comparison: it costs most of the throughput.
	Alone      bool
	Registerer prometheus.Registerer // may be nil
}

// Store reads and writes orders. It is safe for concurrent use.
type Store struct {
	db      DB
	queries *dbsqlc.Queries
	jobs    *river.Client[pgx.Tx]
	now     func() time.Time
	wall    func() time.Time
	lastID  atomic.Uint64 // the moment in the latest order's id
	bell    *Doorbell
	recent  *Recent

	writes *Writes

	verifyEvery time.Duration

	sealed atomic.Int64 // up to when orders are sealed, as far as this process knows; in milliseconds

	placing  *group[orders.Placement, Placed]
	applying [groupLanes]*group[orders.Event, Applied] // by order
	reading  *group[orders.StepJob, Intent]
}

// New makes a Store. It does not touch the database.
func New(c Config) (*Store, error) {
	jobs, err := newJobInserter()
	if err != nil {
		return nil, fmt.Errorf("make job inserter: %w", err)
	}
	now := c.Now
	if now == nil {
		now = time.Now
	}
	wall := c.Wall
	if wall == nil {
		wall = now
	}
	s := &Store{
		db: newImpatient(c.DB), queries: dbsqlc.New(), jobs: jobs, now: now, wall: wall,
		bell: c.Doorbell, recent: cmp.Or(c.Recent, NewRecent()), verifyEvery: c.VerifyEvery, writes: c.Writes,
	}
	panics := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "millrace_commit_panics_total", Help: "Callers whose write or read panicked.",
	})
	callers := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "millrace_commit_callers", Help: "Callers that shared a transaction.",
		Buckets: []float64{1, 2, 4, 8, 16, 32, 64, 128},
	}, []string{"operation"})
	if c.Registerer != nil {
		c.Registerer.MustRegister(callers, panics)
	}
	s.placing = &group[orders.Placement, Placed]{
		flush: s.place, lanes: groupLanes, alone: c.Alone, callers: callers.WithLabelValues("place"), panics: panics,
		weight: placementWeight,
	}
	for i := range s.applying {
		s.applying[i] = &group[orders.Event, Applied]{
			flush: s.apply, lanes: 1, alone: c.Alone, callers: callers.WithLabelValues("apply"), panics: panics,
		}
	}
	s.reading = &group[orders.StepJob, Intent]{
		flush: s.intents, lanes: groupLanes, alone: c.Alone, callers: callers.WithLabelValues("read_step"), panics: panics,
	}
	return s, nil
}

// Limits on how long a transaction, or a read, may take.
const (
	writeTimeout  = 5 * time.Second
	readTimeout   = 5 * time.Second
	conflictTries = 3
)

// inTx runs fn in a transaction and commits it. Deadlocks and serialisation failures are tried again.
//
// The caller's cancellation does not reach the transaction: pgx would close the connection, and a client that goes
// away must find either a whole order or none when it comes back, not a pool that is busy reconnecting.
func (s *Store) inTx(ctx context.Context, fn func(ctx context.Context, tx pgx.Tx) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	for try := 1; ; try++ {
		err := pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
			return unwritten(func() error { return fn(ctx, tx) })
		})
		if err == nil || !isConflict(err) {
			return classify(err)
		}
		if try == conflictTries {
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		select {
		case <-time.After(rand.N(time.Duration(try) * 20 * time.Millisecond)):
		case <-ctx.Done():
			return classify(err)
		}
	}
}
