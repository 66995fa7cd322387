package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// database is what the types of this package share: connections, clocks, and how to write.
type database struct {
	db      DB // each statement has readTimeout, and fails with ErrUnavailable in an outage
	patient DB // the same without readTimeout: the caller brings a deadline
	queries *dbsqlc.Queries
	bounds  *logBounds
	jobs    *river.Client[pgx.Tx]
	now     func() time.Time
	wall    func() time.Time
	bell    *Doorbell

	standby bool                  // db is a replica: nothing can be written, nor waited for
	oldest  func() (uint64, bool) // of a replica: ReplicasConfig.Oldest
}

// Limits on how long a transaction, or a read, may take.
const (
	writeTimeout  = 5 * time.Second
	readTimeout   = 5 * time.Second
	conflictTries = 3
)

// inTx runs fn in a transaction and commits it. Deadlocks and serialisation failures are tried again.
//
// The caller's cancellation does not reach the transaction, because pgx would close the connection. A client that goes
// away must find either a whole order or none when it returns, and not a pool that is busy reconnecting.
func (d *database) inTx(ctx context.Context, fn func(ctx context.Context, tx pgx.Tx) error) error {
	defer waited(ctx, time.Now())
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	for try := 1; ; try++ {
		err := pgx.BeginFunc(ctx, d.db, func(tx pgx.Tx) error {
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
