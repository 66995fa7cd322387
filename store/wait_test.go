package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store"
)

// atLast bounds what is waited for, only so that a test which would wait for ever fails by itself.
const atLast = time.Minute

func eventually(t *testing.T, condition func() bool, msgAndArgs ...any) {
	t.Helper()
	require.Eventually(t, condition, atLast, 5*time.Millisecond, msgAndArgs...)
}

// again does what may be repeated until the machine is quick enough for the store's deadlines.
func again(fn func() error) error {
	for start := time.Now(); ; {
		if err := fn(); !errors.Is(err, store.ErrUnavailable) || time.Since(start) > atLast {
			return err
		}
	}
}

// hold begins a transaction that others are to wait for, which may idle for as long as they take. It ends with the
// test at the latest: the pool waits for it.
func hold(t *testing.T, pool *pgxpool.Pool) pgx.Tx {
	t.Helper()
	tx, err := pool.Begin(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
	_, err = tx.Exec(t.Context(), "SET LOCAL idle_in_transaction_session_timeout = 0")
	require.NoError(t, err)
	return tx
}
