package main

import (
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAllSettings: everything that is wrong with a server's settings is reported at once.
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

// TestAllSettingsAtOnce: values that cannot even be read hide no other problem, wherever they stand.
func TestAllSettingsAtOnce(t *testing.T) { //nolint:paralleltest // it sets the environment
	for name, value := range map[string]string{
		"MILLRACE_WORKERS": "many", "MILLRACE_SWEEP_EVERY": "often", "MILLRACE_TRUSTED_PROXIES": "proxy",
		"MILLRACE_CALL_TIMEOUT": "long", "MILLRACE_BREAKER_OPEN": "bad, but overridden", "MILLRACE_API_CONNECTIONS": "0",
		"MILLRACE_SIMULATOR_ANY_ADDR": "of another command",
	} {
		t.Setenv(name, value)
	}
	err := run(t.Context(), []string{
		"serve", "--verify-every", "soon", "--max-in-flight=lots", "--tea", "3", "--cofee=2", "--breaker-open", "5s",
		"--log-level", "LOUD", "--log-format", "xml", "--rate-limit=-1", "--reconcile-repair=perhaps",
	}, io.Discard, io.Discard)
	for _, problem := range []string{
		"MILLRACE_WORKERS: ", "MILLRACE_SWEEP_EVERY: ", "MILLRACE_TRUSTED_PROXIES: ", "MILLRACE_CALL_TIMEOUT: ",
		"MILLRACE_API_CONNECTIONS: ", "--verify-every: ", "--max-in-flight: ",
		"--tea", "--cofee", "--log-level: ", "--log-format: ",
		"--rate-limit", "--reconcile-repair: ", "DATABASE_URL", "payment",
	} {
		require.ErrorContains(t, err, problem)
	}
	for _, none := range []string{"MILLRACE_BREAKER_OPEN", "--breaker-open", "ANY_ADDR", "unexpected", "--workers"} {
		require.NotContains(t, err.Error(), none)
	}
	require.Equal(t, 2, exitStatus(err))
	require.NoError(t, run(t.Context(), []string{"version"}, io.Discard, io.Discard))
}
