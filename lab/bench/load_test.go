package main

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/lab/internal/launch"
)

// TestRun has two callers whose calls take 10 ms: what is answered in the warm-up is not counted.
func TestRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var freed atomic.Int64
		l, err := run(t.Context(), 2, span{100 * time.Millisecond, time.Second}, func(context.Context) (call, func(), error) {
			call := func(ctx context.Context) error { return launch.Pause(ctx, 10*time.Millisecond) }
			return call, func() { freed.Add(1) }, nil
		})
		require.NoError(t, err)
		require.Equal(t, 220, l.all)
		require.InDelta(t, 198, l.measured, 2)
		require.InDelta(t, 198, l.rate(), 2)
		require.InDelta(t, 10, l.quantile(0.99), 0.001)
		require.EqualValues(t, 2, freed.Load())
	})
}

// TestRunFails ends the whole load with the first call that fails.
func TestRunFails(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	_, err := run(t.Context(), 4, span{0, time.Hour}, func(context.Context) (call, func(), error) {
		return func(context.Context) error { return broken }, func() {}, nil
	})
	require.ErrorIs(t, err, broken)
}

func TestGrowthOfMemory(t *testing.T) {
	t.Parallel()
	samples := []float64{0, 900, 40, 41, 42, 43}
	require.InDelta(t, 60, growth(samples), 1e-6, "1 MB a second, once it has started")
	require.Zero(t, growth([]float64{1}))
}
