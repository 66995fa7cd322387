package launch_test

import (
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/lab/internal/launch"
)

// A laboratory that is killed leaves nothing behind.
func TestDiesWithParent(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	require.NoError(t, err)
	laboratory, err := launch.Start(launch.Program{Path: self, Env: []string{become + "=exec sleep 60"}})
	require.NoError(t, err)
	t.Cleanup(laboratory.Kill)
	_, err = laboratory.AwaitReady(t.Context())
	require.NoError(t, err)
	pid, err := strconv.Atoi(laboratory.Tail(1))
	require.NoError(t, err)
	require.Equal(t, []int{laboratory.PID(), pid}, launch.Family(laboratory.PID()))
	laboratory.Kill()
	require.True(t, launch.Eventually(t.Context(), time.Minute, func() bool {
		stat := launch.Stat(pid)
		return stat == nil || stat[0] == "Z" // its new parent may take a while to look
	}))
}
