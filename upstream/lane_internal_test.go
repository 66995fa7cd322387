package upstream

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
)

// TestLane keeps the latest calls, and shows what happens now and not what happened once.
func TestLane(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 28, 3, 0, 0, 0, time.UTC)
	l := new(lane)
	require.Equal(t, Lane{}, l.view(now))

	for i := range 100 {
		l.record(now, nil, time.Duration(i+1)*time.Millisecond)
	}
	require.Equal(t, Lane{Calls: 100, P95: 95 * time.Millisecond}, l.view(now))
	require.Equal(t, Lane{}, l.view(now.Add(laneSpan)), "old calls say nothing")

	l.record(now, &RefusedError{Code: "card_declined"}, time.Millisecond)
	l.record(now, &OpenError{Provider: orders.Payment}, 0)
	l.record(now, errors.New("the caller gave up"), time.Hour)
	require.Equal(t, Lane{Calls: 101, P95: 95 * time.Millisecond}, l.view(now), "a refusal is an answer")

	down := &UnavailableError{Provider: orders.Payment, Reason: "status 503"}
	for range 2 * laneCalls {
		l.record(now, down, time.Second)
	}
	require.Len(t, l.calls, laneCalls)
	view := l.view(now)
	require.Equal(t, Lane{
		Calls: laneCalls, P95: time.Second, LastError: "payment unavailable: status 503", LastErrorAt: now,
	}, view)

	require.Panics(t, func() {
		_, _ = l.observe(func() (Answer, error) {
			require.Equal(t, 1, l.view(now).InFlight)
			panic("a bug")
		})
	})
	require.Zero(t, l.view(now).InFlight)
}
