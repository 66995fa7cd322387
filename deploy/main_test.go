//go:build deploy

// Package deploy has tests of what is deployed: make test-deploy. They run as root on Linux.
package deploy

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/millrace-orders/millrace/store/storetest"
)

// entering makes the test binary become a container's process: the variable has the root.
const entering = "MILLRACE_TEST_ENTER"

func TestMain(m *testing.M) {
	if root := os.Getenv(entering); root != "" {
		fmt.Fprintln(os.Stderr, enter(root, os.Args[1:]))
		os.Exit(1)
	}
	storetest.Main(m)
}

// enter does what an engine does at the end: it changes the root, gives up every privilege and starts the program.
func enter(root string, args []string) error {
	if err := unix.Chroot(root); err != nil {
		return err
	}
	for _, step := range []func() error{
		func() error { return os.Chdir("/") },
		func() error { return unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) },
		func() error { return unix.Setgroups(nil) },
		func() error { return unix.Setresgid(65532, 65532, 65532) },
		func() error { return unix.Setresuid(65532, 65532, 65532) },
		func() error { return os.Unsetenv(entering) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return unix.Exec(args[0], args, os.Environ())
}

// output runs a program from the top of the repository and returns what it prints.
func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	return outputIn(t, "..", name, args...)
}

func outputIn(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), name, args...)
	command.Dir = dir
	command.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=1795000000")
	var out, problems bytes.Buffer
	command.Stdout, command.Stderr = &out, &problems
	require.NoError(t, command.Run(), "%s %v: %s%s", name, args, out.String(), problems.String())
	return out.String()
}
