package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// TestReplicaURLs: the list is a secret, from a flag that may be repeated or from a file, and each URL is checked.
func TestReplicaURLs(t *testing.T) {
	t.Parallel()
	const first, second = "postgres://u:secret@a/m", "postgres://u:secret@b/m"
	for _, args := range [][]string{
		{"api", "--replica-urls=" + first + "," + second},
		{"api", "--replica-urls", first, "--replica-urls=" + second},
	} {
		visible, environ, found := hidden(args, []string{"DATABASE_REPLICA_URLS_FILE=old"})
		require.True(t, found)
		require.Equal(t, []string{"api"}, visible)
		require.Equal(t, []string{"DATABASE_REPLICA_URLS=" + first + "," + second}, environ)
	}
	file := filepath.Join(t.TempDir(), "urls")
	require.NoError(t, os.WriteFile(file, []byte(first+","+second+"\n"), 0o600))
	read, err := readAgain([]string{"api", "--database-url=postgres://a/m", "--replica-urls-file=" + file})
	require.NoError(t, err)
	require.Equal(t, []string{first, second}, read.config.replicas.ReplicaURLs)

	err = run(t.Context(), []string{
		"api", "--database-url=postgres://a/m", "--replica-urls=postgres://a/m,postgres://u:se@cret@b/m",
	}, io.Discard, io.Discard)
	require.ErrorContains(t, err, "--replica-urls, URL 2: malformed database URL")
	require.NotContains(t, err.Error(), "cret")
}

// TestDoctorExaminesReplicas looks at a standby, the primary itself, a standby of strangers, and nothing.
func TestDoctorExaminesReplicas(t *testing.T) {
	t.Parallel()
	pair, strangers := storetest.NewPair(t), storetest.NewPair(t)
	var out bytes.Buffer
	err := run(t.Context(), []string{
		"doctor", "--json", "--database-url", pair.Primary.DSN("postgres"), "--replica-urls", pair.Standby.DSN("postgres"),
		"--replica-urls", pair.Primary.DSN("postgres"), "--replica-urls", strangers.Standby.DSN("postgres"),
		"--replica-urls", "postgres://127.0.0.1:1/none?sslmode=disable",
	}, &out, t.Output())
	require.ErrorIs(t, err, errUnhealthy)
	var found struct{ Checks []store.Diagnosis }
	require.NoError(t, json.Unmarshal(out.Bytes(), &found))
	states := map[string]store.DiagnosisState{}
	for _, d := range found.Checks {
		states[d.Check] = d.State
	}
	for check, want := range map[string]store.DiagnosisState{
		"replica 1": store.DiagnosisOK, "replica 2": store.DiagnosisFailed, "replica 3": store.DiagnosisFailed,
		"replica 4": store.DiagnosisWarning,
	} {
		require.Equal(t, want, states[check], check)
	}
	pair.PauseReplay(t)
	storetest.Execute(t, pair.Primary, "CREATE TABLE public.more ()")
	d, err := store.DiagnoseReplica(t.Context(), pair.Primary.DSN("postgres"), pair.Standby.DSN("postgres"), "replica 1")
	require.NoError(t, err)
	require.Equal(t, store.DiagnosisWarning, d.State)
}
