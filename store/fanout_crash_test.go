package store_test

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// failing is a database whose nth statement in a transaction, or whose commit, fails.
type failing struct {
	store.DB
	after *int
}

var errCrash = errors.New("crash")

func (f failing) Begin(ctx context.Context) (pgx.Tx, error) {
	tx, err := f.DB.Begin(ctx)
	return failingTx{tx, f.after}, err
}

type failingTx struct {
	pgx.Tx
	after *int
}

func (f failingTx) crashes() bool {
	*f.after--
	return *f.after < 0
}

func (f failingTx) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	if f.crashes() {
		return nil, errCrash
	}
	return f.Tx.Query(ctx, sql, args...)
}

func (f failingTx) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	if f.crashes() {
		ctx, cancel := context.WithCancel(ctx)
		cancel()
		return f.Tx.QueryRow(ctx, sql, args...)
	}
	return f.Tx.QueryRow(ctx, sql, args...)
}

func (f failingTx) Commit(ctx context.Context) error {
	if f.crashes() {
		return errors.Join(errCrash, f.Rollback(ctx))
	}
	return f.Tx.Commit(ctx)
}

// A crash after any statement leaves everything or nothing: in the end there is one message of each event.
func TestFanOutCrashes(t *testing.T) {
	t.Parallel()
	pool := storetest.Pool(t)
	s := storetest.New(t, pool)
	w := makeWebhook(t, s)
	crashes, after := 0, 0
	// One store waits and fans out: another one would have to find out by itself what other databases' transactions hide.
	crashing := storetest.New(t, failing{pool, &after})
	for at := 0; ; at++ {
		storetest.Order(t, s)
		awaitLog(t, crashing, at+1)
		after = at
		_, err := crashing.Deliveries.FanOut(t.Context(), body)
		if err == nil {
			break
		}
		crashes++
		require.Empty(t, deliveriesOf(t, s, w), "after a crash at statement %d", at)
	}
	require.Greater(t, crashes, 8)
	require.Len(t, deliveriesOf(t, s, w), crashes+1)
	require.Zero(t, fanOutAll(t, s, crashes+1))
}
