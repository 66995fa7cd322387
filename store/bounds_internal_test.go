package store

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// TestHeldUp: sessions are looked at only beside a transaction that stays, and for a second after that has helped.
func TestHeldUp(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	b := &logBounds{now: func() time.Time { return now }}
	at := func(oldest, newest uint64) bool { return b.heldUp(dbsqlc.LogBoundsRow{Oldest: oldest, Newest: newest}) }
	require.False(t, at(10, 20), "it may have just begun")
	now = now.Add(patience)
	require.False(t, at(10, 21))
	now = now.Add(1)
	require.True(t, at(10, 22), "it was running at the first read")
	require.True(t, at(19, 22), "so was this one, which was not the oldest")
	require.False(t, at(20, 22))
	b.helped = now
	require.True(t, at(20, 23))
	require.False(t, at(24, 24), "nothing is running")
	now = now.Add(lookOn)
	require.False(t, at(22, 25))
}
