package main

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/api"
)

// TestPulse: a database that fails to answer for a moment leaves the process ready, and one that stays away does not.
func TestPulse(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	down := errors.New("connection refused")
	var answer error
	p := &pulse{now: func() time.Time { return now }, probe: func(context.Context) (int64, error) { return 30, answer }}
	beat := func(after time.Duration, err error) error {
		now, answer = now.Add(after), err
		p.beat(t.Context())
		return p.Err()
	}
	require.NoError(t, beat(0, nil))
	require.EqualValues(t, 30, p.schema.Load())
	for range 3 {
		for range 4 {
			err := beat(time.Second, down)
			require.ErrorIs(t, err, api.ErrDegraded)
			require.ErrorIs(t, err, down)
		}
		require.NoError(t, beat(time.Second, nil), "a blip")
	}
	require.ErrorIs(t, beat(time.Second, down), api.ErrDegraded)
	err := beat(pulseDown, down)
	require.ErrorIs(t, err, down)
	require.NotErrorIs(t, err, api.ErrDegraded, "it is down")
	require.NoError(t, beat(time.Second, nil))
}
