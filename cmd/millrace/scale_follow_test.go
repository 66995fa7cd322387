//go:build scale

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// happened is an event: it is the same for ever, whatever sent it.
type happened struct {
	OrderID string
	Version int64
}

// follower follows the events of all orders as a browser does: when a stream ends, it asks for the next one after the
// last event that arrived whole.
type follower struct {
	url, key, last string
	client         *http.Client
	streams        atomic.Int64
	failed         *atomic.Int64

	mu   sync.Mutex
	seen []happened
}

// follow begins at the oldest event, and goes on until the context ends.
func follow(ctx context.Context, t *testing.T, group *sync.WaitGroup, load *scaleLoad) *follower {
	f := &follower{url: load.url, key: load.key, client: &http.Client{Transport: &http.Transport{}}, failed: &load.failed}
	group.Go(func() {
		defer f.client.CloseIdleConnections()
		again := time.NewTicker(100 * time.Millisecond)
		defer again.Stop()
		for ctx.Err() == nil {
			f.stream(ctx, t)
			select {
			case <-again.C:
			case <-ctx.Done():
			}
		}
	})
	return f
}

// stream follows one stream to its end.
func (f *follower) stream(ctx context.Context, t *testing.T) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, f.url+"/api/events?after=start", nil)
	if err != nil {
		panic(err)
	}
	request.Header.Set("Authorization", "Bearer "+f.key)
	request.Header.Set("Accept", "text/event-stream")
	if f.last != "" {
		request.Header.Set("Last-Event-ID", f.last)
	}
	response, err := f.client.Do(request)
	if ctx.Err() != nil {
		return
	}
	if err != nil || response.StatusCode != http.StatusOK {
		f.failed.Add(1)
		t.Log("failed: a stream:", err, response)
		return
	}
	defer func() { _ = response.Body.Close() }()
	f.streams.Add(1)
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 1<<20)
	var id, kind, data string
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "id":
			id = value
		case "event":
			kind = value
		case "data":
			data = value
		case "": // the event is whole
			f.take(t, id, kind, data)
			id, kind, data = "", "", ""
		}
	}
}

func (f *follower) take(t *testing.T, id, kind, data string) {
	if id != "" {
		f.last = id
	}
	switch kind {
	case "", "cursor":
	case "resync":
		f.failed.Add(1)
		t.Log("failed: a stream has lost events:", data)
	default:
		var v happened
		if err := json.Unmarshal([]byte(data), &v); err != nil {
			panic(fmt.Sprintf("%s: %s", kind, data))
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.seen = append(f.seen, v)
	}
}

// count returns how many events have arrived.
func (f *follower) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.seen)
}

// requireAll waits for all events that the log has, and requires that each arrived once, and each order's in sequence.
func (f *follower) requireAll(t *testing.T, database string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), database)
	require.NoError(t, err)
	defer func() { _ = conn.Close(t.Context()) }()
	var all int
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT count(*) FROM millrace.order_events").Scan(&all))
	require.Eventually(t, func() bool { return f.count() >= all }, time.Minute, 50*time.Millisecond,
		"%d events, which have not all arrived", all)
	f.mu.Lock()
	defer f.mu.Unlock()
	require.Len(t, f.seen, all, "each event once")
	last := map[string]int64{}
	for _, v := range f.seen {
		require.Equal(t, last[v.OrderID]+1, v.Version, v.OrderID)
		last[v.OrderID] = v.Version
	}
}
