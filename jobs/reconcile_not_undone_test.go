package jobs_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/sandbox/simulator"
)

// TestNotUndone is what no rule undoes: it stays open.
func TestNotUndone(t *testing.T) {
	t.Parallel()
	t.Run("SwitchedOff", func(t *testing.T) {
		t.Parallel()
		s := newReconciled(t, false)
		s.lies = isPost("/payments/authorizations")
		s.start()
		id := s.place(nil)
		s.awaitStatus(id, orders.Failed)
		want := map[string]orders.FindingKind{orders.StepKey(id, orders.AuthorizePayment, 1): orders.FindingNotUndone}
		require.Eventually(t, func() bool { return len(s.findings()) > 0 }, time.Minute, 50*time.Millisecond)
		require.Equal(t, want, s.awaitRuns())
		s.untouched()
	})

	t.Run("Capture", func(t *testing.T) { // an operator may have refunded it by hand
		t.Parallel()
		s := newReconciled(t, true)
		s.lies = isPost("/payments/captures")
		s.start()
		id := s.place(nil)
		s.awaitStatus(id, orders.Failed)
		key := orders.StepKey(id, orders.CapturePayment, 1)
		require.Eventually(t, func() bool { return len(s.findings()) > 0 }, time.Minute, 50*time.Millisecond)
		require.Equal(t, map[string]orders.FindingKind{key: orders.FindingNotUndone}, s.awaitRuns())
		s.untouched()
		require.Zero(t, s.effects(id)["refund"])

		s.apply(orders.Event{OrderID: id, Kind: orders.SuccessDeclared, Step: orders.CapturePayment, Reason: "it was taken"})
		s.awaitStatus(id, orders.Refunded)
		s.awaitResolved(key)
		require.Equal(t, 1, s.effects(id)["refund"])
	})

	t.Run("RefundOfACompletedOrder", func(t *testing.T) {
		t.Parallel()
		s := newReconciled(t, true)
		s.lies = isPost("/payments/refunds")
		s.start()
		id := s.place(nil)
		s.awaitStatus(id, orders.Completed)
		s.apply(orders.Event{OrderID: id, Kind: orders.RefundRequested, Amount: 997})
		want := map[string]orders.FindingKind{orders.StepKey(id, orders.RefundPayment, 1): orders.FindingNotUndone}
		require.Eventually(t, func() bool { return len(s.findings()) > 0 }, time.Minute, 50*time.Millisecond)
		require.Equal(t, want, s.awaitRuns())
		require.Equal(t, orders.Money(0), s.awaitStatus(id, orders.Completed).Refunded)
		s.untouched()
	})

	t.Run("OrderThatNeedsAttention", func(t *testing.T) {
		t.Parallel()
		s := newReconciled(t, true)
		s.lies = isPost("/payments/authorizations")
		require.NoError(t, s.simulator.SetFaults(simulator.Faults{
			orders.Inventory: {RefuseRate: 1, Operations: []string{"release"}},
		}))
		s.start()
		id := s.place(nil)
		s.awaitStatus(id, orders.NeedsAttention)
		key := orders.StepKey(id, orders.AuthorizePayment, 1)
		require.Eventually(t, func() bool { return len(s.findings()) > 0 }, time.Minute, 50*time.Millisecond)
		require.Equal(t, map[string]orders.FindingKind{key: orders.FindingNotUndone}, s.awaitRuns())
		s.untouched()
		require.Equal(t, 0, s.effects(id)["void"])

		require.NoError(t, s.simulator.SetFaults(nil)) // once an operator has settled it, the rest follows
		s.apply(orders.Event{OrderID: id, Kind: orders.RetryRequested, Reason: "fixed"})
		s.awaitResolved(key)
		s.awaitStatus(id, orders.Failed)
		require.Equal(t, 1, s.effects(id)["void"])
	})

	t.Run("OtherAmount", func(t *testing.T) {
		t.Parallel()
		s := newReconciled(t, true)
		s.start()
		id := s.place(func(p *orders.Placement) { p.Items[0].ProductID = 9999 })
		s.awaitStatus(id, orders.Failed)
		s.exec(`UPDATE order_steps SET state = 'refused', amount_minor = 1
			WHERE order_id = $1 AND step = 'authorize_payment'`, id)
		s.exec("DELETE FROM order_steps WHERE order_id = $1 AND step = 'void_payment'", id)
		key := orders.StepKey(id, orders.AuthorizePayment, 1)
		require.Eventually(t, func() bool { return s.awaitRuns()[key] == orders.FindingAmount }, time.Minute,
			50*time.Millisecond)
		s.awaitRuns()
		s.untouched()
	})
}
