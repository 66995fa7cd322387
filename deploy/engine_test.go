//go:build deploy

package deploy

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store/storetest"
)

// engine is a podman with a storage of its own.
type engine struct {
	flags    []string
	database string
}

// TestEngine has podman and runc run the services of compose.yaml, from the image and with a limit of memory: the
// migration, simulators, health checks, an order to its end, and a stop with status 0. Postgres is the tests' own.
func TestEngine(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it needs a machine that may run containers")
	}
	for _, program := range []string{"podman", "runc"} {
		if _, err := exec.LookPath(program); err != nil || os.Geteuid() != 0 {
			t.Skip("it needs root, podman and runc")
		}
	}
	services, ports := composed(t)
	e := newEngine(t)
	layout, err := filepath.Abs(builtImage(t))
	require.NoError(t, err)
	e.podman(t, "pull", "-q", "oci:"+layout+":test")
	image := strings.Fields(e.podman(t, "images", "-q", "--no-trunc"))[0]

	e.start(t, image, "simulators", services["simulators"])
	e.awaitHealth(t, "simulators", services["simulators"])
	migrate := services["migrate"]
	e.podman(t, slices.Concat(e.run("migrate", migrate, "--rm"), []string{image}, migrate.Command)...)
	e.start(t, image, "millrace", services["millrace"])
	e.awaitHealth(t, "millrace", services["millrace"])
	pid, err := strconv.Atoi(strings.TrimSpace(e.podman(t, "inspect", "-f", "{{.State.Pid}}", "millrace")))
	require.NoError(t, err)
	requireConfined(t, pid)
	requireOrder(t, ports["8080"])
	e.podman(t, "stop", "-t", "40", "millrace")
	require.Equal(t, "0\n", e.podman(t, "inspect", "-f", "{{.State.ExitCode}}", "millrace"), "it drains and exits with 0")
}

func newEngine(t *testing.T) *engine {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "millrace-engine-") // a short path: the length of a socket's path is limited
	require.NoError(t, err)
	e := &engine{
		flags: []string{
			"--root", filepath.Join(dir, "root"), "--runroot", filepath.Join(dir, "run"), "--storage-driver", "vfs",
			"--runtime", "runc", "--cgroup-manager", "cgroupfs", "--events-backend", "none",
		},
		database: forwarded(t, storetest.EmptyURL(t)),
	}
	t.Cleanup(func() {
		if t.Failed() {
			for _, name := range []string{"simulators", "millrace"} {
				out, _ := e.command(context.Background(), "logs", name).CombinedOutput()
				t.Logf("%s:\n%s", name, out)
			}
		}
		out, err := e.command(context.Background(), "rm", "-a", "-f", "-t", "0").CombinedOutput()
		require.NoError(t, err, string(out))
		require.NoError(t, os.RemoveAll(dir))
	})
	return e
}

func (e *engine) command(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "podman", slices.Concat(e.flags, args)...)
}

// podman runs a command of podman, and returns what it prints.
func (e *engine) podman(t *testing.T, args ...string) string {
	t.Helper()
	return outputIn(t, ".", "podman", slices.Concat(e.flags, args)...)
}

// run returns the arguments that run a service, up to the image.
func (e *engine) run(name string, s service, more ...string) []string {
	args := append([]string{
		"run", "--name", name, "--network", "host", "--add-host", "simulators:127.0.0.1", "--read-only", "--cap-drop", "all",
		"--security-opt", "no-new-privileges", "--memory", "256m",
		"--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024", // podman's own may be above this machine's
	}, more...)
	for _, mount := range s.Tmpfs {
		dir, _, _ := strings.Cut(mount, ":")
		args = append(args, "--tmpfs", dir+":rw,mode=1777")
	}
	for variable, value := range s.Environment {
		if variable == "DATABASE_URL" {
			value = e.database
		}
		args = append(args, "--env", variable+"="+value)
	}
	return args
}

func (e *engine) start(t *testing.T, image, name string, s service) {
	t.Helper()
	e.podman(t, slices.Concat(e.run(name, s, "--detach"), []string{image}, s.Command)...)
}

// awaitHealth waits until the health check of a service succeeds in its container.
func (e *engine) awaitHealth(t *testing.T, name string, s service) {
	t.Helper()
	require.Eventually(t, func() bool {
		return e.command(t.Context(), slices.Concat([]string{"exec", name}, s.Healthcheck.Test[1:])...).Run() == nil
	}, 2*time.Minute, time.Second)
}
