package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// TestCheckUpgradeCommand runs the command as a process, since its exit status is half of what it says.
func TestCheckUpgradeCommand(t *testing.T) {
	t.Parallel()
	database := storetest.URL(t)
	pool, err := store.NewPool(t.Context(), database, "test", 2)
	require.NoError(t, err)
	defer pool.Close()
	order := storetest.Order(t, storetest.New(t, pool))

	check := func(args ...string) (string, int) {
		t.Helper()
		command := exec.CommandContext(t.Context(), os.Args[0], append([]string{"check-upgrade"}, args...)...)
		command.Env = append(os.Environ(), asMillrace+"=1")
		var out bytes.Buffer
		command.Stdout, command.Stderr = &out, t.Output()
		_ = command.Run()
		return out.String(), command.ProcessState.ExitCode()
	}
	out, status := check("--database-url", database, "--orders", "0")
	require.Equal(t, 0, status, out)
	require.Contains(t, out, "replayed 1 orders and 1 events")
	require.Contains(t, out, ": 0 would differ\n")

	_, err = pool.Exec(t.Context(), "DELETE FROM millrace.order_steps WHERE step = 'quote_shipping'")
	require.NoError(t, err)
	out, status = check("--database-url", database)
	require.Equal(t, 1, status, out)
	require.Contains(t, out, "order "+order.ID.String()+", pending\n  - quote_shipping:1\n")
	out, status = check("--database-url", database, "--json")
	require.Equal(t, 1, status, out)
	var found store.UpgradeCheck
	require.NoError(t, json.Unmarshal([]byte(out), &found))
	require.EqualValues(t, 1, found.Differing)
	require.Equal(t, order.ID, found.Differences[0].OrderID)

	for _, args := range [][]string{
		{},
		{"--database-url", database, "--orders", "-1"},
		{"--database-url", "postgres://127.0.0.1:1/none"},
		{"--database-url", storetest.EmptyURL(t)},
	} {
		_, status := check(args...)
		require.Equal(t, 2, status, args)
	}
}
