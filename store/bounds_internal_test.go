package store

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// TestAtLeastHeard: the log is read as far as the feed has handed it out, however the sessions of other databases look
// now, and no further. What was heard of another history says nothing.
func TestAtLeastHeard(t *testing.T) {
	t.Parallel()
	b := newBounds(nil)
	oldest := func(epoch int64, oldest, newest uint64) uint64 {
		return b.atLeastHeard(dbsqlc.LogBoundsRow{Epoch: epoch, Oldest: oldest, Newest: newest}).Oldest
	}
	require.Equal(t, uint64(5), oldest(1, 5, 90), "nothing was heard yet")
	b.hear(Cursor{Epoch: 1, Txid: 70})
	require.Equal(t, uint64(71), oldest(1, 5, 90))
	require.Equal(t, uint64(80), oldest(1, 80, 90))
	require.Equal(t, uint64(5), oldest(2, 5, 90), "the database was restored")
	require.Equal(t, uint64(5), oldest(1, 5, 70), "a standby was promoted that had not received it")
}
