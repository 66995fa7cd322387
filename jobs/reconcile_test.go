package jobs_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/auth/roles"
	"github.com/millrace-orders/millrace/jobs"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/sandbox/simulator"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
	"github.com/millrace-orders/millrace/upstream"
)

// newReconciled is a system that compares with its providers all the time, whatever is younger than a moment included.
func newReconciled(t *testing.T, repair bool) *system {
	t.Helper()
	return newSystem(t, func(s *system, _ *upstream.Config) {
		s.metrics = prometheus.NewRegistry()
		s.configure = func(c *jobs.Config) {
			c.ReconcileEvery, c.ReconcileGrace, c.ReconcileRepair = time.Second, time.Millisecond, repair
			c.Registerer = s.metrics
		}
	})
}

// plant makes a payment happen at its provider that Millrace did not ask for.
func (s *system) plant(key, body string, args ...any) {
	s.t.Helper()
	r := httptest.NewRequestWithContext(s.t.Context(), http.MethodPost, "/payments/authorizations",
		strings.NewReader(fmt.Sprintf(body, args...)))
	r.Header.Set("Idempotency-Key", key)
	w := httptest.NewRecorder()
	s.simulator.Handler().ServeHTTP(w, r)
	require.Equal(s.t, http.StatusOK, w.Code, w.Body)
}

// findings waits until everything that has happened up to now is compared, and returns what is open.
func (s *system) findings() []store.Finding {
	s.t.Helper()
	now := time.Now()
	require.Eventually(s.t, func() bool {
		list, err := s.store.Findings.Progress(s.t.Context())
		if err != nil || len(list) != len(orders.Providers()) {
			return false
		}
		for _, r := range list {
			if r.To.Before(now) || r.State != store.ReconciliationOK {
				return false
			}
		}
		return true
	}, time.Minute, 50*time.Millisecond, "waiting for the comparison")
	open, err := s.store.Findings.List(s.t.Context(), store.FindingOpen, 100)
	require.NoError(s.t, err)
	return open
}

func kinds(findings []store.Finding) map[string]orders.FindingKind {
	byKey := map[string]orders.FindingKind{}
	for _, f := range findings {
		byKey[f.Key] = f.Kind
	}
	return byKey
}

// TestReconcileFindsNothing has orders of all kinds under way while everything is compared every second.
func TestReconcileFindsNothing(t *testing.T) {
	t.Parallel()
	s := newReconciled(t, true)
	require.NoError(t, s.simulator.SetFaults(simulator.Faults{
		orders.Payment:   {LostRate: 0.2, JitterMs: 20},
		orders.Inventory: {RefuseRate: 0.2, JitterMs: 20, Operations: []string{"reserve"}},
		orders.Shipping:  {RefuseRate: 0.2, JitterMs: 50, Operations: []string{"quote", "ship"}},
	}))
	s.start()
	var ids []orders.ID
	for i := range 60 {
		ids = append(ids, s.place(func(p *orders.Placement) {
			if i%6 == 1 {
				p.PaymentMethod = "card_declined"
			}
		}))
		if i%6 == 2 {
			s.cancel(ids[i])
		}
	}
	for _, id := range ids {
		s.await(id, "rest", func(o orders.Order) bool { return o.Status.AtRest() })
	}
	require.NoError(t, s.simulator.SetFaults(nil))
	require.Empty(t, s.findings())
	seen, err := s.store.Findings.List(t.Context(), store.FindingResolved, 100)
	require.NoError(t, err)
	require.Empty(t, seen, "nor did it ever find anything")
}

func TestReconcile(t *testing.T) {
	t.Parallel()
	s := newReconciled(t, false)
	s.start()
	completed, failed := s.place(nil), s.place(func(p *orders.Placement) { p.PaymentMethod = "card_declined" })
	for _, id := range []orders.ID{completed, failed} {
		s.await(id, "rest", func(o orders.Order) bool { return o.Status.AtRest() })
	}
	require.Empty(t, s.findings())

	stranger := orders.NewID()
	const money = `{"orderId":%q,"customerId":"1","amount":%s,"currency":"USD","paymentMethod":"card"}`
	orphan := orders.StepKey(stranger, orders.AuthorizePayment, 1)
	s.plant(orphan, money, stranger, "5.00")
	second := orders.StepKey(completed, orders.AuthorizePayment, 2)
	s.plant(second, money, completed, "209.97")
	s.plant("not-ours", money, completed, "1.00")
	// The order has a larger capture than the provider.
	capture := orders.StepKey(completed, orders.CapturePayment, 1)
	s.exec("UPDATE order_steps SET amount_minor = 20998 WHERE order_id = $1 AND step = 'capture_payment'", completed)
	// A refused reservation that took effect nevertheless.
	reserve := orders.StepKey(failed, orders.ReserveInventory, 1)
	s.exec("UPDATE order_steps SET state = 'refused' WHERE order_id = $1 AND step = 'reserve_inventory'", failed)
	s.exec("DELETE FROM order_steps WHERE order_id = $1 AND step = 'release_inventory'", failed)
	// A quote that the provider never made, although the order says so.
	require.NoError(t, s.simulator.SetFaults(simulator.Faults{
		orders.Shipping: {Down: true, Operations: []string{"quote"}},
	}))
	lost := s.place(nil)
	missing := orders.StepKey(lost, orders.QuoteShipping, 1)
	_, err := s.store.Orders.Apply(t.Context(), []orders.Event{
		storetest.Outcome(lost, orders.QuoteShipping, orders.StepSucceeded),
	})
	require.NoError(t, err)

	want := map[string]orders.FindingKind{
		orphan: orders.FindingUnknownOrder, second: orders.FindingNoIntent, "not-ours": orders.FindingNoIntent,
		capture: orders.FindingAmount, reserve: orders.FindingNotUndone, missing: orders.FindingMissing,
		orders.StepKey(failed, orders.ReleaseInventory, 1): orders.FindingNoIntent,
	}
	// An event is read only when no older transaction is running, so one may be compared a little later.
	require.Eventually(t, func() bool { return len(s.findings()) == len(want) }, time.Minute, 50*time.Millisecond)
	require.Equal(t, want, kinds(s.findings()))
	require.Equal(t, want, kinds(s.findings()), "they are seen again, and are no more than before")

	// A difference that is put right is resolved. An operator accepts the others.
	require.NoError(t, s.simulator.SetFaults(nil))
	require.Equal(t, http.StatusOK, s.plantStep(lost, orders.QuoteShipping)) // as a late try of its job would send it
	s.exec(`INSERT INTO order_steps (order_id, step, generation, state, amount_minor, request, reference, reason,
			started_at, deadline_at, settled_at)
		VALUES ($1, 'release_inventory', 1, 'succeeded', 0, '', '', '', now(), now(), now())`, failed)
	accepted, err := s.store.Findings.Accept(t.Context(), orders.Payment, orphan, "refunded by hand", store.Actor{
		Name: "7kq2mxw5a3fd", Role: roles.Operator,
	})
	require.NoError(t, err)
	require.Len(t, accepted, 1)
	delete(want, orphan)
	delete(want, missing)
	delete(want, reserve)
	delete(want, orders.StepKey(failed, orders.ReleaseInventory, 1))
	require.Eventually(t, func() bool { return len(s.findings()) == len(want) }, time.Minute, 50*time.Millisecond)
	require.Equal(t, want, kinds(s.findings()))
	log, err := s.store.Audit.List(t.Context(), 10)
	require.NoError(t, err)
	require.Equal(t, "findings.accept", log[0].Action)
}

// TestReconcileWithoutAList: a provider need not have a list, and may be down. Both are visible, and hold up no other
// provider.
func TestReconcileWithoutAList(t *testing.T) {
	t.Parallel()
	s := newReconciled(t, true)
	s.listings = map[string]int{
		"/inventory/operations": http.StatusNotImplemented, "/shipping/operations": http.StatusServiceUnavailable,
	}
	s.start()
	id := s.place(nil)
	s.awaitStatus(id, orders.Completed)
	want := map[orders.Provider]store.ReconciliationState{
		orders.Payment: "ok", orders.Email: "ok", orders.Inventory: "not_listed", orders.Shipping: "unavailable",
	}
	states := map[orders.Provider]store.ReconciliationState{}
	require.Eventually(t, func() bool {
		list, err := s.store.Findings.Progress(t.Context())
		for _, r := range list {
			states[r.Provider] = r.State
		}
		return err == nil && maps.Equal(states, want)
	}, time.Minute, 50*time.Millisecond, "waiting for the states")
	open, err := s.store.Findings.List(t.Context(), store.FindingOpen, 10)
	require.NoError(t, err)
	require.Empty(t, open)
}
