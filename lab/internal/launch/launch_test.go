package launch_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/lab/internal/launch"
)

const (
	grace  = time.Minute
	become = "LAUNCH_TEST_STARTS" // what the test's own binary starts, instead of running tests
)

// TestMain is also a laboratory that a test kills: it starts a program, prints its number, and stays.
func TestMain(m *testing.M) {
	script := os.Getenv(become)
	if script == "" {
		os.Exit(m.Run())
	}
	p, err := launch.Start(launch.Program{Path: "/bin/sh", Args: []string{"-c", script}})
	if err != nil {
		os.Exit(1)
	}
	fmt.Println(p.PID())
	<-p.Done()
}

// sh starts a script, and makes sure that it is gone when the test is.
func sh(t *testing.T, script string, change ...func(*launch.Program)) *launch.Process {
	t.Helper()
	program := launch.Program{Path: "/bin/sh", Args: []string{"-c", script}, Env: []string{"PATH=/usr/bin:/bin"}}
	for _, c := range change {
		c(&program)
	}
	p, err := launch.Start(program)
	require.NoError(t, err)
	t.Cleanup(p.Kill)
	return p
}

func TestReady(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, script, api, ops string }{
		{
			"JSON", `echo '{"msg":"starting","api":"early"}'; echo '{"msg":"ready","api":"a:1","ops":"o:2"}'; exec sleep 60`,
			"a:1", "o:2",
		},
		{"FirstLineOfText", `echo listening; exec sleep 60`, "", ""},
		{"StandardError", `echo listening >&2; exec sleep 60`, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := sh(t, tt.script)
			ready, err := p.AwaitReady(t.Context())
			require.NoError(t, err)
			require.Equal(t, tt.api, ready.API)
			require.Equal(t, tt.ops, ready.Ops)
			require.Positive(t, ready.Startup)
			require.NoError(t, p.Alive())
			require.Nil(t, p.State())
		})
	}
}

func TestNotReady(t *testing.T) {
	t.Parallel()
	t.Run("Ended", func(t *testing.T) {
		t.Parallel()
		_, err := sh(t, `echo '{"msg":"no database"}'; exit 3`).AwaitReady(t.Context())
		require.ErrorContains(t, err, "exit status 3")
		require.ErrorContains(t, err, "no database")
	})
	t.Run("ContextEnds", func(t *testing.T) {
		t.Parallel()
		p := sh(t, `exec sleep 60`)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := p.AwaitReady(ctx)
		require.ErrorIs(t, err, context.Canceled)
		require.True(t, p.Ended())
	})
	t.Run("NoSuchProgram", func(t *testing.T) {
		t.Parallel()
		_, err := launch.Start(launch.Program{Path: "/no/such/program"})
		require.ErrorIs(t, err, os.ErrNotExist)
	})
	t.Run("NoPlaceForTheLog", func(t *testing.T) {
		t.Parallel()
		_, err := launch.Start(launch.Program{Path: "/bin/true", Log: filepath.Join(t.TempDir(), "missing", "log")})
		require.ErrorIs(t, err, os.ErrNotExist)
	})
}

func TestStop(t *testing.T) {
	t.Parallel()
	t.Run("Gracefully", func(t *testing.T) {
		t.Parallel()
		p := sh(t, `trap 'echo bye; exit 0' TERM; echo; while :; do sleep 0.02; done`)
		_, err := p.AwaitReady(t.Context())
		require.NoError(t, err)
		require.NoError(t, p.Stop(syscall.SIGTERM, grace))
		require.True(t, p.State().Success())
		require.False(t, p.Killed())
		require.Equal(t, "bye", p.Tail(1))
		require.ErrorContains(t, p.Alive(), "ended")
	})
	t.Run("TooLate", func(t *testing.T) {
		t.Parallel()
		p := sh(t, `trap '' TERM; echo; while :; do sleep 0.02; done`)
		_, err := p.AwaitReady(t.Context())
		require.NoError(t, err)
		require.ErrorContains(t, p.Stop(syscall.SIGTERM, time.Millisecond), "did not stop in 1ms")
		require.True(t, p.Killed())
	})
	t.Run("KillsItself", func(t *testing.T) {
		t.Parallel()
		p := sh(t, `kill -9 $$`)
		<-p.Done()
		require.True(t, p.Killed())
		p.Signal(syscall.SIGTERM) // which must not reach another process
	})
}

func TestOutput(t *testing.T) {
	t.Parallel()
	t.Run("GoesToTheLogAsWell", func(t *testing.T) {
		t.Parallel()
		log := filepath.Join(t.TempDir(), "log")
		for range 2 {
			<-sh(t, `echo one; echo two >&2; printf three`, func(p *launch.Program) { p.Log = log }).Done()
		}
		written, err := os.ReadFile(log)
		require.NoError(t, err)
		require.Equal(t, "one\ntwo\nthreeone\ntwo\nthree", string(written))
	})
	t.Run("LastLines", func(t *testing.T) {
		t.Parallel()
		p := sh(t, `i=0; while [ $i -lt 100 ]; do i=$((i+1)); echo $i; done; printf rest`)
		<-p.Done()
		require.Equal(t, "99\n100\nrest", p.Tail(3))
		require.Len(t, strings.Split(p.Tail(1000), "\n"), 31)
	})
	t.Run("LongLineDoesNotBlock", func(t *testing.T) {
		t.Parallel()
		p := sh(t, `head -c 1000000 /dev/zero; echo; echo end`)
		<-p.Done()
		require.Equal(t, "end", p.Tail(1))
		require.Less(t, len(p.Tail(2)), 100_000)
	})
	t.Run("HeldOpenByAChild", func(t *testing.T) {
		t.Parallel()
		p := sh(t, `sleep 60 & echo $!`)
		<-p.Done()
		child, err := strconv.Atoi(p.Tail(1))
		require.NoError(t, err)
		require.NoError(t, syscall.Kill(child, syscall.SIGKILL))
	})
}

func TestEnvironment(t *testing.T) {
	t.Parallel()
	p := sh(t, `echo "$A-$HOME"`, func(p *launch.Program) { p.Env = []string{"A=b"} })
	<-p.Done()
	require.Equal(t, "b-", p.Tail(1))
}

func TestAwaitPort(t *testing.T) {
	t.Parallel()
	ended := sh(t, `exit 1`)
	<-ended.Done()
	require.ErrorContains(t, ended.AwaitPort(t.Context(), launch.Address(0)), "exit status 1") // nothing can listen there

	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	require.NoError(t, sh(t, `exec sleep 60`).AwaitPort(t.Context(), listener.Addr().String()))
}

func TestFreePort(t *testing.T) {
	t.Parallel()
	port, err := launch.FreePort(t.Context())
	require.NoError(t, err)
	require.Positive(t, port)
	require.Equal(t, "127.0.0.1:"+strconv.Itoa(port), launch.Address(port))
}
