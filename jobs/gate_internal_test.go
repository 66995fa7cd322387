package jobs

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/upstream"
)

func TestGate(t *testing.T) {
	t.Parallel()
	states := map[orders.Provider]string{orders.Payment: upstream.HalfOpen, orders.Email: upstream.Open}
	g := &gate{probed: map[string]time.Time{}, state: func(p orders.Provider) string { return states[p] }}
	require.Equal(t, 200, g.admit("inventory", 200))
	require.Equal(t, 200, g.admit("maintenance", 200))
	require.Equal(t, 0, g.admit("email", 200))
	require.Equal(t, 1, g.admit("payment", 200), "to try the provider with")
	require.Equal(t, 0, g.admit("payment", 200), "one at a time")
	g.probed["payment"] = time.Now().Add(-probeEvery)
	require.Equal(t, 0, g.admit("payment", 0), "no worker is free")
}
