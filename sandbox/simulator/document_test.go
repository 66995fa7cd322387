package simulator_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/sandbox/simulator"
)

// TestDocument runs the commands of docs/providers.md, and compares what they print with what is written there.
func TestDocument(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"curl", "jq"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip("there is no " + program)
		}
	}
	page, err := os.ReadFile("../../docs/providers.md")
	require.NoError(t, err)
	var script, want strings.Builder
	for _, console := range regexp.MustCompile("(?s)```console\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		for line := range strings.Lines(console[1]) {
			if command, ok := strings.CutPrefix(line, "$ "); ok {
				script.WriteString(command)
			} else if line != "\n" {
				want.WriteString(line)
			}
		}
	}
	url := start(t, simulator.Config{Path: filepath.Join(t.TempDir(), "ledger")}).base
	require.Contains(t, script.String(), "http://127.0.0.1:8082")
	run := exec.CommandContext(t.Context(), "sh", "-c", strings.ReplaceAll(script.String(), "http://127.0.0.1:8082", url))
	got, err := run.CombinedOutput()
	require.NoError(t, err, "%s", got)
	require.Equal(t, want.String(), string(got))
}
