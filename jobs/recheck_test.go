package jobs_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/jobs"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
	"github.com/millrace-orders/millrace/upstream"
)

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
	open, err := s.store.Findings(s.t.Context(), store.FindingOpen, 100)
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
	for range 52 {
		id := s.place(nil)
		for _, step := range []orders.StepName{orders.AuthorizePayment, orders.ReserveInventory, orders.QuoteShipping} {
			s.apply(storetest.Outcome(id, step, orders.StepRefused))
		}
		s.exec(insertFindings, "not_undone", id.String()+":authorize_payment:", "10 minutes", 1)
	}
	s.exec("DELETE FROM river_job") // so that the run has the time to itself
	s.start()
	if _, waiting := s.awaitRun(); waiting > 0 {
		t.Skipf("the run's time was up %d findings before its end: this machine is too slow", waiting)
	}
	log, err := s.store.AuditLog(t.Context(), 100)
	require.NoError(t, err)
	require.Len(t, log, 50)
}

// TestRecheckPastBreaker: what an open breaker kept from being asked about still waits to be looked at.
func TestRecheckPastBreaker(t *testing.T) {
	t.Parallel()
	s := onceReconciled(t)
	s.silent = func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/payments/") }
	require.Eventually(t, func() bool {
		_, err := s.providers.Ask(t.Context(), orders.AuthorizePayment, "k")
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
