package main

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestEachAlertHasADrill finds each alert in one drill.
func TestEachAlertHasADrill(t *testing.T) {
	t.Parallel()
	names, drilled := map[string]bool{}, map[string]bool{}
	for _, d := range drills() {
		require.False(t, names[d.name], "two drills are called %s", d.name)
		names[d.name] = true
		for _, alert := range d.alerts {
			require.False(t, drilled[alert], "%s is in two drills", alert)
			drilled[alert] = true
			require.NotPanics(t, func() { regexp.MustCompile(d.shown(alert)) })
		}
		for alert := range d.shows {
			require.Contains(t, d.alerts, alert)
		}
	}
	for _, a := range rulesOf(t).alerts() {
		require.True(t, drilled[a.Alert], a.Alert)
		delete(drilled, a.Alert)
	}
	require.Empty(t, drilled, "no such alert")
}

// TestPublish runs some drills after others: the others keep their rows.
func TestPublish(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "page.md")
	require.NoError(t, os.WriteFile(path, []byte("a\n"+tableBegin+"\n"+tableEnd+"\nb\n"), 0o600))
	require.NoError(t, publishTable(path, []result{
		{
			alert: "MillraceDown", cause: "killed", fire: 4 * time.Second, board: 5 * time.Second, clear: 3 * time.Second,
			noticed: true,
		},
	}))
	require.NoError(t, publishTable(path, []result{
		{alert: "MillraceNoWorkers", cause: "stopped", err: errors.New("it did not fire")},
	}))
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Contains(t, string(content),
		"| MillraceDown | killed | 4 | 5 | 3 | yes |\n| MillraceNoWorkers | stopped | failed |")
	require.Regexp(t, "^a\n(?s:.*)\nb\n$", string(content))
	require.Error(t, publishTable("../../go.mod", nil))
}
