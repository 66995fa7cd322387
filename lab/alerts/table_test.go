package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestEachAlertHasADrill finds each alert in one drill, or among those that have none.
func TestEachAlertHasADrill(t *testing.T) {
	t.Parallel()
	without, names := undrilled(), map[string]bool{}
	drilled := map[string]bool{}
	for _, d := range drills() {
		require.False(t, names[d.name], "two drills are called %s", d.name)
		names[d.name] = true
		for _, alert := range d.alerts {
			require.False(t, drilled[alert], "%s is in two drills", alert)
			drilled[alert] = true
		}
	}
	for _, a := range rulesOf(t).alerts() {
		require.NotEqual(t, drilled[a.Alert], without[a.Alert] != "", a.Alert)
		delete(drilled, a.Alert)
		delete(without, a.Alert)
	}
	require.Empty(t, drilled, "no such alert")
	require.Empty(t, without, "no such alert")
}

// TestPublish runs some drills after others: the others keep their rows.
func TestPublish(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "page.md")
	require.NoError(t, os.WriteFile(path, []byte("a\n"+tableBegin+"\n"+tableEnd+"\nb\n"), 0o600))
	require.NoError(t, publishTable(path, []result{
		{alert: "MillraceDown", cause: "killed", fire: 4 * time.Second, clear: 3 * time.Second, noticed: true},
	}))
	require.NoError(t, publishTable(path, []result{
		{alert: "MillraceNoWorkers", cause: "stopped", err: errors.New("it did not fire")},
	}))
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Contains(t, string(content),
		"| MillraceDown | killed | 4 | 3 | yes |\n| MillraceNoWorkers | stopped | failed |")
	require.Regexp(t, "^a\n(?s:.*)\nb\n$", string(content))
	require.Error(t, publishTable("../../go.mod", nil))
}
