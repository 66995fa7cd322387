package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/api"
	"github.com/millrace-orders/millrace/store/storetest"
)

// unsteady is a proxy that spoils each second request: it cuts the connection, or answers with a 503 of its own.
func unsteady(t *testing.T, target string) (address string, spoilt *atomic.Int64) {
	t.Helper()
	to, err := url.Parse(target)
	require.NoError(t, err)
	proxy := httputil.NewSingleHostReverseProxy(to)
	var requests atomic.Int64
	spoilt = new(atomic.Int64)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch requests.Add(1) % 4 {
		case 2:
			spoilt.Add(1)
			panic(http.ErrAbortHandler)
		case 0:
			spoilt.Add(1)
			http.Error(w, "no server", http.StatusServiceUnavailable)
		default:
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL, spoilt
}

// TestEventsTail: however the connection breaks, each event is printed once, and a later run goes on with the cursor
// that an earlier one printed.
func TestEventsTail(t *testing.T) {
	t.Parallel()
	s := startShop(t)
	address, spoilt := unsteady(t, s.api)
	var placed []string
	place := func() {
		placed = append(placed, storetest.Order(t, s.store).ID.String())
	}
	place()

	out, in := io.Pipe()
	log, logged := io.Pipe()
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		ended <- run(ctx, []string{
			"events", "tail", "--after", "start", "--json", "--url", address, "--key-file",
			s.keys["viewer"],
		}, in, logged)
		_ = in.Close()
		_ = logged.Close()
	}()
	notes := make(chan string, 1)
	go func() {
		text, _ := io.ReadAll(log)
		notes <- string(text)
	}()
	lines := bufio.NewScanner(out)
	for n := range 4 {
		if n > 0 {
			place() // only now: the tail asks anew for each event
		}
		require.True(t, lines.Scan())
		var e api.OrderEvent
		require.NoError(t, json.Unmarshal(lines.Bytes(), &e), lines.Text())
		require.Equal(t, placed[n], e.OrderID.String(), "none is missing, and none comes twice")
	}
	cancel()
	require.False(t, lines.Scan(), lines.Text())
	require.NoError(t, <-ended, "an operator that has seen enough ends it without an error")
	require.Positive(t, spoilt.Load())
	said := <-notes
	require.Contains(t, said, "trying again")
	_, cursor, found := strings.Cut(said, "To go on from here: --after ")
	require.True(t, found, said)

	place()
	text, _, err := s.command(t.Context(), "viewer", s.api, "events", "tail", "--after", strings.TrimSpace(cursor),
		"--limit", "1", "--type", "OrderCreated", "--customer", "1")
	require.NoError(t, err)
	require.Regexp(t, `^20\S+Z  `+placed[4]+`    1  pending +0%  \S.*\n$`, text)
}

// What cannot succeed later ends the tail at once. So does an address without an API, before the first answer.
func TestEventsTailEnds(t *testing.T) {
	t.Parallel()
	s := startShop(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, _, err := s.command(ctx, "viewer", s.api, "events", "tail", "--after", "yesterday")
	require.ErrorContains(t, err, "query.after must be a cursor of the feed")
	require.Equal(t, 3, exitStatus(err))
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "<html>")
	}))
	defer page.Close()
	_, _, err = s.command(ctx, "viewer", page.URL, "events", "tail")
	require.ErrorContains(t, err, "is not a page of events")
	require.Equal(t, 1, exitStatus(err))
}
