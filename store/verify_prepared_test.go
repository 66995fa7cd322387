package store_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// A transaction that was prepared and forgotten belongs to no session, and holds up the feed all the same. It is named
// once, however old it is.
func TestVerifyNamesPreparedTransactions(t *testing.T) {
	t.Parallel()
	pool := storetest.Pool(t)
	_, err := pool.Exec(t.Context(), "BEGIN; CREATE TABLE public.t (); PREPARE TRANSACTION 'forgotten'")
	require.NoError(t, err)
	defer func() { _, _ = pool.Exec(t.Context(), "ROLLBACK PREPARED 'forgotten'") }()
	found, err := storetest.New(t, pool).Verifier.Verify(t.Context(), store.VerifyOptions{
		Limits: store.Limits{Writer: time.Nanosecond, Snapshot: time.Nanosecond},
	})
	require.NoError(t, err)
	require.Contains(t, checks(found), "old_writer")
	for _, v := range found.Violations {
		if v.Check == "old_snapshot" { // of another connection, which is being set up
			require.NotContains(t, strings.Join(v.Details, " "), "forgotten")
		}
	}
}
