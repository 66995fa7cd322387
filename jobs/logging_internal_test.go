package jobs

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTally(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	now := time.Now()
	counts := newTally(func() time.Time { return now }, slog.New(slog.NewTextHandler(&out, nil)))
	lines := func() int { return strings.Count(out.String(), "\n") }
	for range 500 {
		counts.error(t.Context(), "a", "went wrong")
		counts.error(t.Context(), "b", "went wrong")
	}
	require.Equal(t, 2, lines(), "one for each kind")
	now = now.Add(tallyEvery)
	out.Reset()
	counts.error(t.Context(), "a", "went wrong", "step", "x")
	require.Equal(t, 1, lines())
	require.Contains(t, out.String(), "step=x count=500")
}

// River's lines about every failed run, and every five seconds, are DEBUG lines.
func TestRiverIsQuiet(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		level slog.Level
		want  []string
	}{
		{slog.LevelInfo, []string{"INFO producer: Something else", "ERROR jobexecutor.JobExecutor: Job errored"}},
		{slog.LevelDebug, []string{
			"DEBUG producer: Producer job counts", "DEBUG jobexecutor.JobExecutor: Job errored; retrying",
			"INFO producer: Something else", "ERROR jobexecutor.JobExecutor: Job errored",
		}},
	} {
		var out bytes.Buffer
		handler := slog.NewTextHandler(&out, &slog.HandlerOptions{Level: tt.level})
		logger := slog.New(riverHandler{handler}).With("a", 1).WithGroup("g")
		logger.Info("producer: Producer job counts")
		logger.Info("jobexecutor.JobExecutor: Job errored; retrying")
		logger.Info("producer: Something else")
		logger.Error("jobexecutor.JobExecutor: Job errored")
		var got []string
		for line := range strings.Lines(out.String()) {
			_, line, _ = strings.Cut(line, "level=")
			level, message, _ := strings.Cut(line, " msg=")
			message, _, _ = strings.Cut(strings.TrimPrefix(message, "\""), "\"")
			got = append(got, level+" "+message)
		}
		require.Equal(t, tt.want, got)
	}
}
