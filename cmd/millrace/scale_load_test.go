//go:build scale

package main

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// scaleLoad places orders and reads them, and repeats nothing.
type scaleLoad struct {
	url, key             string
	sent, failed, placed atomic.Int64
}

func (l *scaleLoad) run(t *testing.T) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	for range 6 {
		group.Go(func() {
			client := &http.Client{Transport: &http.Transport{}, Timeout: 30 * time.Second}
			defer client.CloseIdleConnections()
			for ctx.Err() == nil {
				location := l.send(t, client, http.MethodPost, "/api/orders", seedOrder, http.StatusAccepted)
				if location != "" {
					l.placed.Add(1)
					l.send(t, client, http.MethodGet, location, "", http.StatusOK)
				}
			}
		})
	}
	return func() {
		cancel()
		group.Wait()
	}
}

// send sends one request, which has to have a given answer, and returns the answer's Location.
func (l *scaleLoad) send(t *testing.T, client *http.Client, method, path, body string, want int) string {
	status, location := l.ask(t, client, method, path, body, l.key)
	if status != want {
		l.failed.Add(1)
		t.Logf("failed: %s %s: %d", method, path, status)
	}
	return location
}

// ask sends one request and returns the answer's status, which is 0 if there was none, and its Location.
func (l *scaleLoad) ask(
	t *testing.T, client *http.Client, method, path, body, key string,
) (status int, location string) {
	// net/http repeats a request whose body it could read again.
	request, err := http.NewRequestWithContext(context.Background(), method, l.url+path,
		io.NopCloser(strings.NewReader(body)))
	if err != nil {
		panic(err)
	}
	request.Header.Set("Authorization", "Bearer "+key)
	request.Header.Set("Content-Type", "application/json")
	if method == http.MethodPost {
		request.Header.Set("Idempotency-Key", uuid.NewString())
	}
	l.sent.Add(1)
	response, err := client.Do(request)
	if err != nil {
		t.Log(method, path, err)
		return 0, ""
	}
	defer func() { _ = response.Body.Close() }()
	if answer, err := io.ReadAll(response.Body); err != nil {
		t.Logf("%s %s: %d %v %.200s", method, path, response.StatusCode, err, answer)
		return 0, ""
	}
	return response.StatusCode, response.Header.Get("Location")
}

// awaitCompleted waits until all orders are completed, and compares their number.
func awaitCompleted(t *testing.T, database string, placed int64) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), database)
	require.NoError(t, err)
	defer func() { _ = conn.Close(t.Context()) }()
	var all, completed int64
	require.Eventually(t, func() bool {
		err := conn.QueryRow(t.Context(), `SELECT count(*), count(*) FILTER (WHERE status = 'completed')
			FROM millrace.orders`).Scan(&all, &completed)
		return err == nil && completed == placed
	}, 3*time.Minute, 100*time.Millisecond)
	require.Equal(t, placed, all)
}
