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

// Heard returns the position up to which logs that share the feed's bounds read at least.
func (f *Feed) Heard() Cursor {
	f.bounds.mu.Lock()
	defer f.bounds.mu.Unlock()
	return f.bounds.heard
}
