package jobs

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Two processes that start within one second on one machine are two.
func TestInstanceIDs(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	require.NotEqual(t, newInstanceID(at), newInstanceID(at.Add(time.Microsecond)))
	require.NotContains(t, newInstanceID(at), ".")
}
