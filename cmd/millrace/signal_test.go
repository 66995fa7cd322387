package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store/storetest"
)

func TestUntilSignal(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	signals, exited := make(chan os.Signal), make(chan os.Signal, 1)
	ctx := untilSignal(signals, func() time.Time { return now }, func(s os.Signal) { exited <- s })
	require.NoError(t, ctx.Err())
	signals <- os.Interrupt
	<-ctx.Done()
	for range 3 { // a process group, a terminal and a supervisor send the same one
		signals <- syscall.SIGTERM
	}
	require.Empty(t, exited)
	close(signals)

	signals = make(chan os.Signal)
	clock := make(chan time.Time, 2)
	clock <- now
	clock <- now.Add(sameSignal)
	ctx = untilSignal(signals, func() time.Time { return <-clock }, func(s os.Signal) { exited <- s })
	signals <- os.Interrupt
	<-ctx.Done()
	signals <- syscall.SIGTERM
	require.Equal(t, syscall.SIGTERM, <-exited)
	close(signals)
}

// TestTakenPort: a port that is taken fails the process before it works on anything.
func TestTakenPort(t *testing.T) {
	t.Parallel()
	database, simulators := storetest.URL(t), newSimulators(t)
	first := startProcess(t, "api", "--database-url", storetest.As(database, storetest.ServeRole),
		"--api-addr", "127.0.0.1:0",
		"--ops-addr", "127.0.0.1:0", "--rate-limit", "0")
	first.place(seedOrder)
	require.NoError(t, first.stop())

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = listener.Close() }()
	for _, flag := range []string{"--api-addr", "--ops-addr"} {
		args := append(without(serveArgs(database, simulators), flag), flag, listener.Addr().String())
		require.ErrorContains(t, run(t.Context(), args, t.Output(), t.Output()), flag)
	}
	require.Empty(t, effects(t, simulators))
	require.Zero(t, count(t, database, "SELECT count(*) FROM millrace.instances"), "no worker was ever alive")
}

// TestImpatience stops a process beside a provider that hangs. It says what it waits for; a second signal ends it.
func TestImpatience(t *testing.T) {
	t.Parallel()
	database, simulators := storetest.URL(t), newSimulators(t)
	status, _, body := do(t, http.MethodPut, simulators+"/faults", `{"payment":{"hangRate":1}}`)
	require.Less(t, status, 300, string(body))
	command := exec.CommandContext(context.Background(), os.Args[0], serveArgs(database, simulators)...)
	command.Env = append(os.Environ(), asMillrace+"=1")
	stderr, err := command.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	log := bufio.NewScanner(stderr)
	i := &instance{t: t}
	i.api = "http://" + awaitLine(t, log, "ready").API
	i.place(seedOrder)
	require.Eventually(t, func() bool {
		const running = "SELECT count(*) FROM millrace.river_job WHERE state = 'running' AND queue = 'payment'"
		return count(t, database, running) == 1
	}, time.Minute, 10*time.Millisecond)

	require.NoError(t, command.Process.Signal(os.Interrupt))
	require.NoError(t, command.Process.Signal(syscall.SIGTERM)) // the same one
	waiting := awaitLine(t, log, "waiting for running work")
	for waiting.Seconds < 2 {
		waiting = awaitLine(t, log, "waiting for running work")
	}
	require.Contains(t, waiting.Running, "payment")
	require.Positive(t, waiting.AtMostSeconds)
	require.NoError(t, command.Process.Signal(os.Interrupt))
	for log.Scan() {
		require.NotContains(t, log.Text(), "stopped", "it waited")
	}
	require.ErrorContains(t, command.Wait(), fmt.Sprint(128+int(syscall.SIGINT)))
}

// count is the single number that a query yields.
func count(t *testing.T, database, query string) (n int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), database)
	require.NoError(t, err)
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	require.NoError(t, conn.QueryRow(t.Context(), query).Scan(&n))
	return n
}

type logLine struct {
	Msg, API      string
	Seconds       int
	AtMostSeconds int `json:"at_most_seconds"`
	Running       string
}

// awaitLine reads the log up to a line with a message.
func awaitLine(t *testing.T, log *bufio.Scanner, message string) (line logLine) {
	t.Helper()
	for log.Scan() {
		line = logLine{}
		require.NoError(t, json.Unmarshal(log.Bytes(), &line), log.Text())
		if line.Msg == message {
			return line
		}
	}
	require.Fail(t, "the log has ended before: "+message)
	return line
}
