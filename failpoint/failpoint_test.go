package failpoint_test

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/failpoint"
)

const asVictim = "MILLRACE_TEST_FAILPOINT"

// TestCrash arms a copy of this test binary, which must die at the third hit.
func TestCrash(t *testing.T) { //nolint:paralleltest // what is armed is the whole process's
	if os.Getenv(asVictim) != "" {
		require.NoError(t, failpoint.Arm("there=crash@3,elsewhere=crash"))
		failpoint.Hit("there")
		failpoint.Hit("there")
		_, _ = os.Stdout.WriteString("alive\n")
		failpoint.Hit("there")
		_, _ = os.Stdout.WriteString("and well\n")
		return
	}
	victim := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestCrash$")
	victim.Env = append(os.Environ(), asVictim+"=1")
	out, err := victim.Output()
	require.ErrorContains(t, err, "killed")
	require.Equal(t, "alive\n", string(out))
}

func TestPause(t *testing.T) { //nolint:paralleltest // what is armed is the whole process's
	t.Cleanup(func() { _ = failpoint.Arm("") })
	require.NoError(t, failpoint.Arm("there=pause:20ms@2"))
	start := time.Now()
	failpoint.Hit("elsewhere")
	failpoint.Hit("there")
	failpoint.Hit("there")
	failpoint.Hit("there")
	require.GreaterOrEqual(t, time.Since(start), 40*time.Millisecond)
	require.NoError(t, failpoint.Arm(""))
	failpoint.Hit("there")
}

func TestPanic(t *testing.T) { //nolint:paralleltest // what is armed is the whole process's
	t.Cleanup(func() { _ = failpoint.Arm("") })
	require.NoError(t, failpoint.Arm("there=panic@2"))
	failpoint.Hit("elsewhere")
	failpoint.Hit("there")
	require.PanicsWithValue(t, "failpoint there", func() { failpoint.Hit("there") })
	require.Panics(t, func() { failpoint.Hit("there") }, "again and again")
}

func TestArm(t *testing.T) { //nolint:paralleltest // what is armed is the whole process's
	t.Cleanup(func() { _ = failpoint.Arm("") })
	for _, bad := range []string{
		"x", "x=", "=crash", "x=crush", "x=panic:1s", "x=panic@0",
		"x=crash@0", "x=crash@-1", "x=pause:", "x=pause:0s", "x=pause:soon", "x=crash,,",
	} {
		require.Error(t, failpoint.Arm(bad), bad)
	}
}

func BenchmarkHit(b *testing.B) {
	for b.Loop() {
		failpoint.Hit("there")
	}
}
