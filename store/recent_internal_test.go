package store

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
)

// StopClock has time pass for a Recent only when the function that it returns is called, between other calls.
func (r *Recent) StopClock() (pass func(time.Duration)) {
	at := time.Now()
	r.now = func() time.Time { return at }
	return func(d time.Duration) { at = at.Add(d) }
}

// TestRecentAwait has callers wait for orders that this process brings to rest, or does not.
func TestRecentAwait(t *testing.T) {
	t.Parallel()
	r := NewRecent()
	isClosed := func(c <-chan struct{}) bool {
		select {
		case <-c:
			return true
		default:
			return false
		}
	}
	one, two := orders.ID{1}, orders.ID{2}
	first, forgetFirst := r.await(one)
	second, forgetSecond := r.await(one)
	gone, forgetGone := r.await(one)
	other, forgetOther := r.await(two)
	forgetGone()
	r.remember([]orders.Order{{ID: one, Version: 1, Status: orders.Processing}})
	require.False(t, isClosed(first))
	r.remember([]orders.Order{{ID: one, Version: 2, Status: orders.Completed}})
	require.True(t, isClosed(first))
	require.True(t, isClosed(second))
	require.False(t, isClosed(gone))
	require.False(t, isClosed(other))
	forgetFirst()
	forgetSecond()
	forgetOther()
	require.Empty(t, r.waiting)
	r.remember([]orders.Order{{ID: one, Version: 3, Status: orders.Refunded}})
}
