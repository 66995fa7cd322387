package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// TestRepair: what a repair does and what the audit log has of it are one, or neither is there.
func TestRepair(t *testing.T) {
	t.Parallel()
	refused := func(t *testing.T, s *store.Store) orders.Event {
		t.Helper()
		id := storetest.Order(t, s).ID
		for _, step := range []orders.StepName{orders.AuthorizePayment, orders.ReserveInventory, orders.QuoteShipping} {
			_, err := s.Orders.Apply(t.Context(), []orders.Event{storetest.Outcome(id, step, orders.StepRefused)})
			require.NoError(t, err)
		}
		o, err := s.Orders.Get(t.Context(), id)
		require.NoError(t, err)
		e, ok := o.Undo(orders.StepJob{OrderID: id, Step: orders.AuthorizePayment, Generation: 1})
		require.True(t, ok)
		e.At = time.Now()
		return e
	}
	entry := store.AuditEntry{Actor: store.Actor{Name: "reconciliation"}, Action: "a", Target: "t"}

	t.Run("Once", func(t *testing.T) {
		t.Parallel()
		s := storetest.New(t, storetest.Tx(t))
		e := refused(t, s)
		applied, err := s.Findings.Repair(t.Context(), e, entry)
		require.NoError(t, err)
		require.True(t, applied.Changed)
		require.Equal(t, orders.Processing, applied.Order.Status)
		again, err := s.Findings.Repair(t.Context(), e, entry)
		require.NoError(t, err)
		require.False(t, again.Changed)
		require.ErrorIs(t, again.Err, orders.ErrVersionConflict)
		log, err := s.Audit.List(t.Context(), 10)
		require.NoError(t, err)
		require.Len(t, log, 1)
		intent, err := s.Orders.Intent(t.Context(), orders.StepJob{
			OrderID: e.OrderID, Step: orders.VoidPayment, Generation: 1,
		})
		require.NoError(t, err)
		require.Equal(t, orders.StatePending, intent.State)
	})

	t.Run("NotWithoutTheLog", func(t *testing.T) {
		t.Parallel()
		tx := storetest.Tx(t)
		s := storetest.New(t, tx)
		e := refused(t, s)
		_, err := s.Findings.Repair(t.Context(), e, store.AuditEntry{Action: "unnamed"})
		require.Error(t, err)
		o, err := s.Orders.Get(t.Context(), e.OrderID)
		require.NoError(t, err)
		require.Equal(t, orders.Failed, o.Status)
	})
}

// TestStaleFindings goes through findings that have waited for different times.
func TestStaleFindings(t *testing.T) {
	t.Parallel()
	now := time.Now().UTC().Truncate(time.Microsecond)
	s := storetest.New(t, storetest.Tx(t))
	var findings []store.Finding
	for i := range 5 {
		findings = append(findings, store.Finding{
			Provider: orders.Payment, Kind: orders.FindingLate, Key: fmt.Sprint(i),
		})
	}
	start, err := s.Log.Start(t.Context())
	require.NoError(t, err)
	_, err = s.Findings.SaveProgress(t.Context(), store.Reconciliation{
		Provider: orders.Payment, State: store.ReconciliationOK, To: now, Cursor: start,
	}, store.Comparison{Findings: findings})
	require.NoError(t, err)
	keys := func(before time.Time, after store.Finding, limit int) (keys []string, last store.Finding) {
		page, err := s.Findings.Stale(t.Context(), before, after, limit)
		require.NoError(t, err)
		for _, f := range page {
			keys, last = append(keys, f.Key), f
		}
		return keys, last
	}
	later := now.Add(time.Hour)
	findings[1].RecheckedAt, findings[1].LastSeenAt = later, later
	findings[2].RecheckedAt, findings[2].LastSeenAt = later, now
	require.NoError(t, s.Findings.Rechecked(t.Context(), findings[1:3], findings[2:3]))
	open, err := s.Findings.List(t.Context(), store.FindingOpen, 9)
	require.NoError(t, err)
	for _, f := range open {
		require.Equal(t, f.Key == "1", f.LastSeenAt.Equal(later), f.Key)
	}
	first, last := keys(later.Add(time.Minute), store.Finding{}, 2)
	require.Equal(t, []string{"0", "3"}, first, "of equally old ones by key, and the one that was looked at not yet")
	second, _ := keys(later.Add(time.Minute), last, 3)
	require.Equal(t, []string{"4", "1"}, second, "and none that is resolved")
	untouched, _ := keys(later, store.Finding{}, 9)
	require.Equal(t, []string{"0", "3", "4"}, untouched, "what was looked at since is left out")
}
