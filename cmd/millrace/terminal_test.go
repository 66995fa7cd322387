package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
	"github.com/millrace-orders/millrace/trace"
)

// TestLogFormat: a person on a terminal reads text. A pipe or a file gets JSON lines, unless a flag says otherwise.
func TestLogFormat(t *testing.T) {
	t.Parallel()
	terminal, err := os.OpenFile("/dev/null", os.O_WRONLY, 0) // a character device, as a terminal is
	require.NoError(t, err)
	defer func() { _ = terminal.Close() }()
	reader, pipe, err := os.Pipe()
	require.NoError(t, err)
	defer func() { _, _ = reader.Close(), pipe.Close() }()
	for _, tt := range []struct {
		format string
		w      io.Writer
		json   bool
	}{
		{"auto", terminal, false},
		{"auto", pipe, true},
		{"auto", new(bytes.Buffer), true},
		{"json", terminal, true},
		{"text", pipe, false},
	} {
		handler, ok := logFlags{LogFormat: tt.format}.logger(tt.w).Handler().(trace.Handler)
		require.True(t, ok)
		_, isJSON := handler.Handler.(*slog.JSONHandler)
		require.Equal(t, tt.json, isJSON, "%s to %T", tt.format, tt.w)
	}
}

// TestMigrateProgress: the log of a migration has each one before it runs and after it.
func TestMigrateProgress(t *testing.T) {
	t.Parallel()
	out, log := millrace(t, "migrate", "--database-url", storetest.EmptyURL(t))
	require.Equal(t, "the schema is up to date\n", out)
	count := map[string]int{}
	for line := range strings.Lines(log) {
		var entry struct {
			Msg, Schema, File string
			Version           int64
		}
		require.NoError(t, json.Unmarshal([]byte(line), &entry), line)
		if entry.Schema != "millrace" {
			continue
		}
		count[entry.Msg]++
		if entry.Msg == "migrating" {
			require.Equal(t, count["migrated"]+1, count["migrating"], "one is not logged before the next is done: %s", line)
			require.NotEmpty(t, entry.File)
		}
	}
	require.Positive(t, count["migrated"])
	require.Equal(t, count["migrating"], count["migrated"])
}

// TestProgress: a short command logs nothing, and a long one a line every few seconds.
func TestProgress(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	var log bytes.Buffer
	tell := progress(logFlags{LogFormat: "json"}.logger(&log), func() time.Time { return now }, "verifying")
	tell("system", 0, 0)
	require.Empty(t, log.String())
	for range 10 {
		now = now.Add(tellEvery / 2)
		tell("all orders", 500, 7000)
	}
	require.Equal(t, 5, strings.Count(log.String(), "\n"))
	require.Contains(t, log.String(),
		`"msg":"command goes on","doing":"verifying","part":"all orders","orders":500,"events":7000,"seconds":10`)
}

func TestVerdict(t *testing.T) {
	t.Parallel()
	all := len(store.Checks())
	require.Equal(t, fmt.Sprintf("all %d checks passed", all), result(0, 0))
	require.Equal(t, fmt.Sprintf("all %d checks passed, 1 skipped", all-1), result(0, 1))
	require.Equal(t, fmt.Sprintf("2 of %d checks failed", all), result(2, 0))
}
