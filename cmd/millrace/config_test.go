package main

import (
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAllSettings: whoever sets up a server hears of everything that is wrong with it at once.
func TestAllSettings(t *testing.T) {
	t.Parallel()
	err := run(t.Context(), []string{
		"dev", "--workers=0", "--keep-events=1h", "--keep-deliveries=1s", "--verify-every=1ms", "--reconcile-every=1ms",
		"--inventory-sync-every=1ms", "--max-in-flight=0", "--api-connections=0", "--allowed-origins=shop.example",
	}, io.Discard, io.Discard)
	for _, flag := range []string{
		"--workers", "--keep-events", "--keep-deliveries", "--verify-every", "--reconcile-every",
		"--inventory-sync-every", "--max-in-flight", "--api-connections", "--allowed-origins",
	} {
		require.ErrorContains(t, err, flag)
	}
}
