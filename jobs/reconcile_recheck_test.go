package jobs_test

import (
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/jobs"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
	"github.com/millrace-orders/millrace/upstream"
)

// insertFindings inserts findings of a kind about many keys, which were looked at some time ago.
const insertFindings = `INSERT INTO reconciliation_findings (provider, kind, key, order_id, detail, state,
	first_seen_at, last_seen_at, rechecked_at)
	SELECT 'payment', $1, $2 || n, '', '', 'open', now(), now(), now() - $3::interval
	FROM generate_series(1, $4::integer) n`

// onceReconciled has one run of reconciliation, at the start.
func onceReconciled(t *testing.T) *system {
	t.Helper()
	return newSystem(t, func(s *system, providers *upstream.Config) {
		providers.Breaker.OpenFor = time.Hour
		s.configure = func(c *jobs.Config) { c.ReconcileEvery, c.ReconcileRepair = time.Hour, true }
	})
}

// awaitRun waits until the run is over, and returns how many of the open findings it has not looked at.
func (s *system) awaitRun() (open []store.Finding, waiting int) {
	s.t.Helper()
	require.Eventually(s.t, func() bool {
		var over bool
		err := s.pool.QueryRow(s.t.Context(), `SELECT EXISTS (SELECT FROM river_job
			WHERE kind = 'reconcile' AND finalized_at IS NOT NULL)`).Scan(&over)
		return err == nil && over
	}, 2*time.Minute, 50*time.Millisecond, "waiting for the run")
	open, err := s.store.Findings.List(s.t.Context(), store.FindingOpen, 100)
	require.NoError(s.t, err)
	for _, f := range open {
		if f.RecheckedAt.Before(f.FirstSeenAt) {
			waiting++
		}
	}
	return open, waiting
}

// TestRepairsMost: a run repairs fifty orders, and leaves the others for the next.
func TestRepairsMost(t *testing.T) {
	t.Parallel()
	s := onceReconciled(t)
	const orderCount = 52
	for range orderCount {
		id := s.place(nil)
		for _, step := range []orders.StepName{orders.AuthorizePayment, orders.ReserveInventory, orders.QuoteShipping} {
			s.apply(storetest.Outcome(id, step, orders.StepRefused))
		}
		s.exec(insertFindings, "not_undone", id.String()+":authorize_payment:", "10 minutes", 1)
	}
	s.exec("DELETE FROM river_job") // so that the run has the time to itself
	s.start()
	_, waiting := s.awaitRun()
	log, err := s.store.Audit.List(t.Context(), 100)
	require.NoError(t, err)
	require.LessOrEqual(t, len(log), 50)
	// A run whose time is up, on a slow machine, has left some, and broken off the one before them.
	require.GreaterOrEqual(t, len(log), min(50, orderCount-waiting-1))
}

// TestRecheckPastBreaker: what an open breaker kept from being asked about still waits to be looked at.
func TestRecheckPastBreaker(t *testing.T) {
	t.Parallel()
	s := onceReconciled(t)
	s.silent = func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/payments/") }
	require.Eventually(t, func() bool {
		_, err := s.providers.Ask(t.Context(), orders.AuthorizePayment, "k", nil)
		_, open := errors.AsType[*upstream.OpenError](err)
		return open
	}, time.Minute, time.Millisecond, "waiting for the breaker")
	const order = "01990000-0000-7000-8000-000000000001:"
	s.exec(insertFindings, "missing", order+"reserve_inventory:", "10 minutes", 1)
	s.exec("UPDATE reconciliation_findings SET provider = 'inventory'")
	s.exec(insertFindings, "missing", order+"authorize_payment:", "1 hour", 3)
	s.start()
	open, waiting := s.awaitRun()
	require.Equal(t, 3, waiting)
	for _, f := range open {
		asked := f.Provider == orders.Inventory
		require.Equal(t, asked, f.RecheckedAt.After(f.FirstSeenAt), f.Key)
		require.Equal(t, asked, f.LastSeenAt.After(f.FirstSeenAt), f.Key)
	}
}

// TestRecheckAll has one finding that was put right behind more than are read at a time. One run gets to it.
func TestRecheckAll(t *testing.T) {
	t.Parallel()
	s := newSystem(t, func(s *system, _ *upstream.Config) {
		s.configure = func(c *jobs.Config) { c.ReconcileEvery = time.Hour }
	})
	id := s.place(nil)
	s.plantStep(id, orders.AuthorizePayment)
	s.exec(insertFindings, "late", "k", "30 minutes", 450)
	s.exec(insertFindings, "missing", id.String()+":authorize_payment:", "10 minutes", 1)
	s.start()
	s.awaitResolved(orders.StepKey(id, orders.AuthorizePayment, 1))
}

// TestRecheckPastSilence: a provider that is silent about some findings is asked about the others, and is asked no more
// often in a run than its breaker bears.
func TestRecheckPastSilence(t *testing.T) {
	t.Parallel()
	s := newReconciled(t, true)
	id := s.place(nil)
	s.plantStep(id, orders.AuthorizePayment)
	s.exec(insertFindings, "missing", "01990000-0000-7000-8000-000000000001:capture_payment:", "1 hour", 5)
	s.exec(insertFindings, "missing", id.String()+":authorize_payment:", "10 minutes", 1)
	var silent atomic.Int64
	s.silent = func(r *http.Request) bool {
		if r.URL.Path == "/payments/operations" { // a run begins
			silent.Store(0)
		}
		if !strings.Contains(r.URL.Path, "01990000-0000-7000-8000-000000000001") {
			return false
		}
		if silent.Add(1) > 2 {
			t.Error("asked too often in a run")
		}
		return true
	}
	s.start()
	s.awaitResolved(orders.StepKey(id, orders.AuthorizePayment, 1))
}

// TestRecheckOfOrderUnderWay: an effect without an order whose order was restored, and is under way again, may yet come
// to disagree with it. Its finding stays until that is decided.
func TestRecheckOfOrderUnderWay(t *testing.T) {
	t.Parallel()
	s := onceReconciled(t)
	s.silent = func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/payments/") }
	id := s.place(nil)
	s.exec(insertFindings, "unknown_order", id.String()+":authorize_payment:", "10 minutes", 1)
	s.start()
	open, waiting := s.awaitRun()
	require.Len(t, open, 1)
	require.Zero(t, waiting, "it was looked at")
}
