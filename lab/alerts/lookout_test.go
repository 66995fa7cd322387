package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/lab/internal/launch"
)

// TestLookout: the board must show a cause, and not later than 2 s after the alert. A cause that it showed before
// proves nothing.
func TestLookout(t *testing.T) {
	t.Parallel()
	var page atomic.Value
	page.Store("All is well.")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, page.Load().(string))
	}))
	t.Cleanup(server.Close)
	n := &node{ops: server.Listener.Addr().(*net.TCPAddr).Port}
	r := &receiver{state: map[string]notice{}}
	l := &lab{
		deployment: &deployment{client: server.Client(), api: n, work: n}, monitor: &monitor{receiver: r},
		since: time.Now().Add(-time.Minute),
	}
	fired := func(at time.Time) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.state["down"] = notice{alert: "MillraceDown", rules: "full", firing: true, firedAt: at}
	}
	d := drill{alerts: []string{"MillraceDown"}}
	o, err := l.lookOut(t.Context(), d)
	require.NoError(t, err)
	t.Cleanup(o.end)
	page.Store("<li>Process x has been silent.</li>\n<i>Runbook: MillraceDown&#46;</i>")
	require.True(t, launch.Eventually(t.Context(), time.Minute, func() bool { return !o.shown("MillraceDown").IsZero() }))
	fired(time.Now())
	require.NoError(t, l.awaitShown(t.Context(), d, o))
	fired(o.shown("MillraceDown").Add(-shownWithin - time.Second))
	require.ErrorContains(t, l.awaitShown(t.Context(), d, o), "too late")
	d.notices = o.shown("MillraceDown").Sub(l.since)
	require.NoError(t, l.awaitShown(t.Context(), d, o), "Millrace could not notice it sooner")

	ended, end := context.WithCancel(t.Context())
	end()
	_, err = l.lookOut(ended, d)
	require.ErrorContains(t, err, "before it was there")
	d.shows = map[string]string{"MillraceDown": "Process . has been silent"}
	_, err = l.lookOut(ended, d)
	require.Error(t, err, "a pattern instead of the name")
}
