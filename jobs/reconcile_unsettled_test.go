package jobs_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/sandbox/simulator"
	"github.com/millrace-orders/millrace/store"
)

// comparedTo waits until everything that the payment provider did before a moment of the workers' clock is compared.
func (s *system) comparedTo(at time.Time) {
	s.t.Helper()
	require.Eventually(s.t, func() bool {
		list, err := s.store.Findings.Progress(s.t.Context())
		for _, r := range list {
			if r.Provider == orders.Payment && !r.To.Before(at) && r.State == store.ReconciliationOK {
				return err == nil
			}
		}
		return false
	}, time.Minute, 50*time.Millisecond, "waiting for the comparison")
}

// unsettled counts the payment provider's effects that are kept to be looked at again.
func (s *system) unsettled() int {
	s.t.Helper()
	effects, err := s.store.Findings.Unsettled(s.t.Context(), orders.Payment, time.Now().Add(24*time.Hour), 100)
	require.NoError(s.t, err)
	return len(effects)
}

// TestUnsettled has a payment that was refused and took effect. Its order is undone for longer than a listing is looked
// at again, and it is found nevertheless once the order has failed.
func TestUnsettled(t *testing.T) {
	t.Parallel()
	s := newReconciled(t, false)
	var down atomic.Bool
	down.Store(true)
	s.lies = func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/authorizations") }
	s.silent = func(r *http.Request) bool { return down.Load() && strings.HasSuffix(r.URL.Path, "/releases") }
	s.start()
	id := s.place(nil)
	s.await(id, "undoing", func(o orders.Order) bool {
		release := o.Latest(orders.ReleaseInventory)
		return o.Goal == orders.GoalFail && release != nil && release.State == orders.StatePending
	})
	s.comparedTo(time.Now())
	s.ahead.Store(int64(25 * time.Minute))
	s.comparedTo(time.Now().Add(24 * time.Minute))
	require.Equal(t, 1, s.unsettled())
	open, err := s.store.Findings.List(t.Context(), store.FindingOpen, 10)
	require.NoError(t, err)
	require.Empty(t, open)

	down.Store(false)
	s.awaitStatus(id, orders.Failed)
	s.ahead.Store(int64(60 * time.Minute))
	s.comparedTo(time.Now().Add(59 * time.Minute))
	open, err = s.store.Findings.List(t.Context(), store.FindingOpen, 10)
	require.NoError(t, err)
	require.Equal(t, map[string]orders.FindingKind{
		orders.StepKey(id, orders.AuthorizePayment, 1): orders.FindingNotUndone,
	}, kinds(open))
	require.Zero(t, s.unsettled())
}

// TestUnsettledAgrees has a payment whose answers are lost until long after it was compared. It agrees in the end, and
// is forgotten.
func TestUnsettledAgrees(t *testing.T) {
	t.Parallel()
	s := newReconciled(t, true)
	require.NoError(t, s.simulator.SetFaults(simulator.Faults{
		orders.Payment: {LostRate: 1, Operations: []string{"authorize"}},
	}))
	var silent atomic.Bool
	silent.Store(true)
	s.silent = func(r *http.Request) bool { // nor is there an answer to the question what became of it
		return silent.Load() && r.Method == http.MethodGet && strings.HasPrefix(r.URL.Path, "/payments/") &&
			r.URL.Path != "/payments/operations"
	}
	s.start()
	id := s.place(nil)
	require.Eventually(t, func() bool { return s.unsettled() == 1 }, time.Minute, 10*time.Millisecond)
	silent.Store(false)
	require.NoError(t, s.simulator.SetFaults(nil))
	s.awaitStatus(id, orders.Completed)
	s.ahead.Store(int64(30 * time.Minute))
	s.comparedTo(time.Now().Add(29 * time.Minute))
	require.Zero(t, s.unsettled())
	for _, state := range []store.FindingState{store.FindingOpen, store.FindingResolved} {
		found, err := s.store.Findings.List(t.Context(), state, 10)
		require.NoError(t, err)
		require.Empty(t, found)
	}
}
