package jobs_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/jobs"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/upstream"
)

// A listing that takes longer than a run may is gone through page by page, each page once, in as many runs as it takes,
// which follow each other at once.
func TestReconcileGoesOnWhereItStopped(t *testing.T) {
	t.Parallel()
	const pages = 3
	var repeated atomic.Bool
	var known atomic.Pointer[string]
	var firsts sync.Map         // by the span's beginning
	slow := make(chan struct{}) // a page that takes longer than a run may, once
	list := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/payments/operations" || known.Load() == nil {
			_ = json.NewEncoder(w).Encode(map[string]any{"operations": []any{}, "id": "x"})
			return
		}
		query := r.URL.Query()
		n, _ := strconv.Atoi(query.Get("cursor"))
		if n == 0 {
			_, again := firsts.LoadOrStore(query.Get("since"), true)
			repeated.Store(repeated.Load() || again)
		}
		if n == pages-1 {
			select {
			case <-slow:
			case <-r.Context().Done():
				close(slow)
				return
			}
		}
		since, _ := time.Parse(time.RFC3339Nano, query.Get("since"))
		answer := map[string]any{"operations": []map[string]any{{"key": *known.Load(), "at": since.Add(time.Second)}}}
		if n+1 < pages {
			answer["next"] = strconv.Itoa(n + 1)
		}
		_ = json.NewEncoder(w).Encode(answer)
	}))
	t.Cleanup(list.Close)
	s := newSystem(t, func(s *system, c *upstream.Config) {
		c.URLs[orders.Payment] = list.URL + "/payments"
		c.Timeout = 20 * time.Second
		s.listings = map[string]int{"/inventory/operations": 501, "/shipping/operations": 501, "/email/operations": 501}
		s.configure = func(c *jobs.Config) { c.ReconcileEvery = time.Hour }
	})
	id := s.place(nil)
	key := orders.StepKey(id, orders.AuthorizePayment, 1)
	known.Store(&key)
	s.start()
	<-slow
	compared := func() (to time.Time) {
		list, err := s.store.Findings.Progress(t.Context())
		require.NoError(t, err)
		for _, r := range list {
			if r.Provider == orders.Payment && r.Span.To.IsZero() {
				to = r.To
			}
		}
		return to
	}
	begun := time.Now().Add(-3 * time.Hour)
	require.Eventually(t, func() bool { return compared().After(begun) }, time.Minute, 10*time.Millisecond)
	require.False(t, repeated.Load(), "the first page of a span is asked for once")
}

// TestReconcileBegins: the first comparison begins two hours back, in the log as in the listing, however much is older.
func TestReconcileBegins(t *testing.T) {
	t.Parallel()
	s := newSystem(t, func(s *system, _ *upstream.Config) {
		s.listings = map[string]int{"/payments/operations": http.StatusServiceUnavailable} // so it is kept where it begins
		s.configure = func(c *jobs.Config) { c.ReconcileEvery = time.Hour }
	})
	old := s.place(nil)
	const batches, batch = 60, 50
	for i := range batches { // a transaction each: the place is found to a transaction
		s.exec(`INSERT INTO millrace.order_events (order_id, version, kind, amount_minor, step, generation, reference, reason,
				status, progress, status_changed, at, logged_at)
			SELECT $1, $2::integer + n, 'step_succeeded', 0, 'authorize_payment', 1, '', '', 'processing', 0, false, a.at, a.at
			FROM generate_series(1, $3::integer) n, LATERAL (SELECT now() - interval '5 hours' AS at) a`,
			old, 100+i*batch, batch)
	}
	s.exec("UPDATE millrace.order_events SET logged_at = now() - interval '5 hours' WHERE order_id = $1", old)
	recent := s.place(nil)
	begun := time.Now()
	s.start()
	var r store.Reconciliation
	require.Eventually(t, func() bool {
		list, err := s.store.Findings.Progress(t.Context())
		for _, each := range list {
			if each.Provider == orders.Payment {
				r = each
			}
		}
		return err == nil && r.State == store.ReconciliationUnavailable
	}, time.Minute, 10*time.Millisecond, "waiting for the first run")
	require.WithinRange(t, r.To, begun.Add(-2*time.Hour-time.Second), time.Now().Add(-2*time.Hour))
	require.Eventually(t, func() bool { // what is being committed is read a little later
		rest, _, _, err := s.store.Log.Read(t.Context(), r.Cursor, store.LogFilter{}, batches*batch)
		require.NoError(t, err)
		require.Less(t, len(rest), 2*batch)
		return slices.ContainsFunc(rest, func(e store.Entry) bool { return e.OrderID == recent })
	}, time.Minute, 10*time.Millisecond)
}
