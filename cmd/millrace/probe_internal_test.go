package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/api"
)

// TestReady: a process is ready unless a part is down or it is leaving. Whole paths are compared.
func TestReady(t *testing.T) {
	t.Parallel()
	var database, heartbeat error
	leaving := make(chan struct{})
	p := &probes{
		checks: map[string]func() error{
			"database": func() error { return database }, "heartbeat": func() error { return heartbeat },
		},
		leaving: leaving, next: http.NotFoundHandler(),
	}
	ask := func(method, path string) (int, string) {
		w := httptest.NewRecorder()
		p.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		return w.Code, w.Body.String()
	}
	status, body := ask(http.MethodGet, "/health/ready")
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, `{"status":"ok","version":"dev","checks":[{"name":"database","status":"ok"},
		{"name":"heartbeat","status":"ok"}]}`, body)
	database = fmt.Errorf("%w: %w", api.ErrDegraded, errors.New("secret"))
	status, body = ask(http.MethodGet, "/health/ready")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, body, `"status":"degraded"`)
	require.NotContains(t, body, "secret")
	heartbeat = errors.New("no heartbeat")
	status, _ = ask(http.MethodHead, "/health/ready")
	require.Equal(t, http.StatusServiceUnavailable, status)
	status, _ = ask(http.MethodGet, "/health/live")
	require.Equal(t, http.StatusOK, status, "a restart would repair nothing")

	database, heartbeat = nil, nil
	close(leaving)
	status, _ = ask(http.MethodGet, "/health/ready")
	require.Equal(t, http.StatusServiceUnavailable, status)
	for _, path := range []string{"/health", "/health/", "/health/ready/", "/health//ready", "/Health/live"} {
		status, _ = ask(http.MethodGet, path)
		require.Equal(t, http.StatusNotFound, status, path)
	}
	status, _ = ask(http.MethodPost, "/health/live")
	require.Equal(t, http.StatusNotFound, status, "the guard sees every change")
}

// TestLogLevelEnds: a level that an operator chose ends by itself, and settings that are read again do not end it.
func TestLogLevelEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := new(logLevel)
		l.configure(slog.LevelInfo)
		l.choose(slog.LevelDebug, time.Now().Add(time.Minute))
		l.choose(slog.LevelError, time.Now().Add(time.Hour))
		<-time.After(2 * time.Minute)
		synctest.Wait()
		require.Equal(t, slog.LevelError, l.Level(), "the end of the first choice is not that of the second")
		l.configure(slog.LevelWarn)
		require.Equal(t, slog.LevelError, l.Level())
		<-time.After(time.Hour)
		synctest.Wait()
		require.Equal(t, slog.LevelWarn, l.Level())
		require.Equal(t, levelState{Level: slog.LevelWarn, Configured: slog.LevelWarn}, l.state())
		l.configure(slog.LevelInfo)
		require.Equal(t, slog.LevelInfo, l.Level())
	})
}

func TestParseLevel(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	level, until, problem := parseLevel([]byte(`{"level":"DEBUG"}`), now)
	require.Empty(t, problem)
	require.Equal(t, slog.LevelDebug, level)
	require.Equal(t, now.Add(15*time.Minute), until)
	_, until, problem = parseLevel([]byte(`{"level":"WARN","until":"2026-11-28T13:00:00Z"}`), now)
	require.Empty(t, problem)
	require.Equal(t, now.Add(time.Hour), until)
	for _, body := range []string{
		``, `null`, `{}`, `[]`, `{"level":null}`, `{"level":"debug"}`, `{"level":"DEBUG-4"}`, `{"level":1}`,
		`{"level":"DEBUG","until":null}`, `{"level":"DEBUG","until":"2026-11-28T11:00:00Z"}`,
		`{"level":"DEBUG","until":"2026-11-29T12:00:01Z"}`, `{"level":"DEBUG","until":"soon"}`, `{"level":"DEBUG","x":"y"}`,
		`{"level":"DEBUG","level":"INFO"}`, `{"level":"DEBUG"} {}`,
	} {
		_, _, problem = parseLevel([]byte(body), now)
		require.NotEmpty(t, problem, body)
	}
}
