//go:build deploy

package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestUnits: systemd finds nothing wrong with the units, and they expose little.
func TestUnits(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("there is no systemd-analyze")
	}
	units, err := filepath.Glob("systemd/*.service")
	require.NoError(t, err)
	require.Len(t, units, 3)
	dir := t.TempDir()
	for _, unit := range units {
		content, err := os.ReadFile(unit)
		require.NoError(t, err)
		file := filepath.Join(dir, filepath.Base(unit))
		// The program is not installed here.
		text := strings.ReplaceAll(string(content), "/usr/local/bin/millrace", "/bin/true")
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	}
	for _, unit := range units {
		file := filepath.Join(dir, filepath.Base(unit))
		printed, err := exec.CommandContext(t.Context(), "systemd-analyze", "verify", file).CombinedOutput()
		require.NoError(t, err, string(printed))
		require.Empty(t, string(printed), unit)
		printed, _ = exec.CommandContext(t.Context(), "systemd-analyze", "security", "--offline=true", file).CombinedOutput()
		match := regexp.MustCompile(`exposure level for \S+: ([0-9.]+)`).FindStringSubmatch(string(printed))
		require.NotNil(t, match, string(printed))
		exposure, err := strconv.ParseFloat(match[1], 64)
		require.NoError(t, err)
		require.Less(t, exposure, 2.0, unit)
	}
}
