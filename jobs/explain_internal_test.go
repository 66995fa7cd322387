package jobs

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/explain"
)

// An explanation says by when something has happened. It must go by what the workers do.
func TestExplanationsGoByTheWorkers(t *testing.T) {
	t.Parallel()
	require.Equal(t, carryTimeout, explain.CarryTimeout)
	require.Equal(t, longestRun, explain.LongestRun)
	require.Equal(t, askFor, explain.AskFor)
	require.Equal(t, trustAfter, explain.Trust)
	require.Equal(t, explain.SweepEvery, Config{}.withDefaults().SweepEvery)
}
