//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store/storetest"
)

// TestSubscriberOutlivesPostgres follows all events while Postgres crashes again and again. The subscriber does what a
// browser does, and hears of everything once, each order's events in sequence.
func TestSubscriberOutlivesPostgres(t *testing.T) {
	t.Parallel()
	dir := storetest.Dir(t)
	m := startDev(t, "--data", dir)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()

	const all = 60
	var finished atomic.Int64
	versions := map[string]int64{}
	following := make(chan struct{})
	cursor := "start"
	go func() {
		defer close(following)
		for finished.Load() < all && ctx.Err() == nil {
			cursor = followEvents(ctx, m.api, cursor, func(orderID, step string, version int64) {
				if version != versions[orderID]+1 {
					t.Errorf("order %s: version %d after %d", orderID, version, versions[orderID])
				}
				versions[orderID] = version
				if step == "send_email" && finished.Add(1) == all {
					cancel()
				}
			})
		}
	}()
	for i := range all {
		if i%20 == 10 {
			crash(t, dir)
		}
		for { // under a key, as after any error
			status, _, _ := do(t, http.MethodPost, m.api+"/api/orders", seedOrder, "Idempotency-Key", strconv.Itoa(i))
			if status < http.StatusMultipleChoices {
				break
			}
		}
	}
	<-following
	require.Equal(t, int64(all), finished.Load())
	require.Len(t, versions, all)
}

// followEvents reads one stream to its end, and returns where to go on.
func followEvents(ctx context.Context, api, cursor string, heard func(orderID, step string, version int64)) string {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, api+"/api/events?after=start", nil)
	if err != nil {
		return cursor
	}
	request.Header.Set("Accept", "text/event-stream")
	if cursor != "start" {
		request.Header.Set("Last-Event-ID", cursor)
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		return cursor
	}
	defer func() { _ = response.Body.Close() }()
	id := cursor
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), "id: "); ok {
			id = value
		}
		if value, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			cursor = id
			var e struct {
				OrderID, Step string
				Version       int64
			}
			if json.Unmarshal([]byte(value), &e) == nil && e.OrderID != "" {
				heard(e.OrderID, e.Step, e.Version)
			}
		}
	}
	return cursor
}

// crash kills a process of the Postgres below dir, at which the server ends all sessions and recovers.
func crash(t *testing.T, dir string) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "postgres", "*", "postmaster.pid"))
	require.NoError(t, err)
	require.Len(t, found, 1, dir)
	lock, err := os.ReadFile(found[0])
	require.NoError(t, err)
	postmaster, _, _ := strings.Cut(string(lock), "\n")
	children, err := os.ReadFile("/proc/" + postmaster + "/task/" + postmaster + "/children")
	require.NoError(t, err)
	child, err := strconv.Atoi(strings.Fields(string(children))[0])
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(child, syscall.SIGKILL))
}
