package main

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store/storetest"
)

// writes is the writes that a log was made of.
type writes struct {
	mu   sync.Mutex
	list []string
}

func (w *writes) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.list = append(w.list, string(b))
	return len(b), nil
}

func (w *writes) all() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.list)
}

func TestLogWriter(t *testing.T) {
	t.Parallel()
	say := func(t *testing.T, l *logWriter, line string) {
		n, err := l.Write([]byte(line))
		require.NoError(t, err)
		require.Equal(t, len(line), n)
	}

	t.Run("lines that follow one another share a write", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			var w writes
			l := &logWriter{to: &w}
			say(t, l, "a\n")
			require.Equal(t, []string{"a\n"}, w.all(), "a line alone does not wait")
			say(t, l, "b\n")
			say(t, l, "c\n")
			require.Len(t, w.all(), 1)
			<-time.After(logPause)
			synctest.Wait()
			require.Equal(t, []string{"a\n", "b\nc\n"}, w.all())
			<-time.After(logPause)
			say(t, l, "d\n")
			require.Equal(t, []string{"a\n", "b\nc\n", "d\n"}, w.all())
		})
	})

	t.Run("no more waits than there is room for", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			var w writes
			l := &logWriter{to: &w}
			long := strings.Repeat("x", logRoom/2)
			for range 3 {
				say(t, l, long)
			}
			require.Equal(t, []string{long, long + long}, w.all())
			say(t, l, "e\n")
			<-time.After(logPause) // the timer of what is written already, and another
			synctest.Wait()
			require.Equal(t, []string{long, long + long, "e\n"}, w.all())
		})
	})

	t.Run("the end writes the rest", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			var w writes
			l := &logWriter{to: &w}
			say(t, l, "a\n")
			say(t, l, "b\n")
			l.flush()
			l.flush()
			(*logWriter)(nil).flush()
			require.Equal(t, []string{"a\n", "b\n"}, w.all())
			<-time.After(logPause)
		})
	})
}

// TestLastLine: a process that ends writes the lines that still wait.
func TestLastLine(t *testing.T) {
	t.Parallel()
	command := exec.CommandContext(context.Background(), os.Args[0], serveArgs(storetest.URL(t), newSimulators(t))...)
	command.Env = append(os.Environ(), asMillrace+"=1")
	stderr, err := command.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	log := bufio.NewScanner(stderr)
	awaitLine(t, log, "ready")
	require.NoError(t, command.Process.Signal(syscall.SIGTERM))
	awaitLine(t, log, "stopped")
	for log.Scan() { // until it ends
	}
	require.NoError(t, command.Wait())
}
