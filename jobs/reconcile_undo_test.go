package jobs_test

import (
	"context"
	"log/slog"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/time/rate"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/reconcile"
	"github.com/millrace-orders/millrace/sandbox/simulator"
	"github.com/millrace-orders/millrace/store"
)

// lose removes orders from the database, as a restore to a moment before them does.
func (s *system) lose(ids ...orders.ID) {
	s.t.Helper()
	s.exec(`WITH events AS (DELETE FROM order_events WHERE order_id = ANY($1)),
		items AS (DELETE FROM order_items WHERE order_id = ANY($1)),
		steps AS (DELETE FROM order_steps WHERE order_id = ANY($1))
		DELETE FROM orders WHERE id = ANY($1)`, ids)
}

func (s *system) plan(grace time.Duration) reconcile.UndoPlan {
	s.t.Helper()
	planner := reconcile.UndoPlanner{
		Findings: s.store.Findings, Providers: s.providers, Now: time.Now, Since: time.Now().Add(-time.Hour), Grace: grace,
	}
	plan, err := planner.Plan(s.t.Context())
	require.NoError(s.t, err)
	return plan
}

func (s *system) undoer() *reconcile.Undoer {
	return &reconcile.Undoer{
		Findings: s.store.Findings, Providers: s.providers, Limiter: rate.NewLimiter(rate.Inf, 1), Reason: "restored",
		Actor: store.Actor{Name: "cli:ada"}, Logger: slog.New(slog.DiscardHandler),
	}
}

// undo undoes everything that may be undone, in as many runs as it takes.
func (s *system) undo() (r reconcile.UndoResult) {
	s.t.Helper()
	require.Eventually(s.t, func() bool {
		var err error
		r, err = s.undoer().Do(s.t.Context(), s.plan(0))
		return err == nil && r.Remained == 0
	}, time.Minute, 50*time.Millisecond, "a run ends without a silent provider")
	return r
}

// undone asserts that no money, no goods and no shipment is left of an order, and that nothing was undone twice.
func (s *system) undone(id orders.ID) {
	s.t.Helper()
	left, undos := map[string]int64{}, map[string]int{}
	for _, e := range s.simulator.Ledger() {
		if e.OrderID != id.String() {
			continue
		}
		switch e.Operation {
		case "authorize":
			left["held"] += int64(e.Money())
		case "capture":
			left["held"] -= int64(e.Money())
			left["taken"] += int64(e.Money())
		case "void":
			left["held"] -= int64(e.Money())
		case "refund":
			left["taken"] -= int64(e.Money())
		case "reserve":
			left["reserved"]++
		case "release":
			left["reserved"]--
		case "ship":
			left["shipped"]++
		case "cancel_shipment":
			left["shipped"]--
		}
		if e.Operation != "refund" && e.Operation != "capture" && e.RefersTo != "" && e.Operation != "ship" {
			undos[e.RefersTo]++
			require.Equal(s.t, 1, undos[e.RefersTo], "%s of %s", e.Operation, e.RefersTo)
		}
	}
	for what, n := range left {
		require.Zero(s.t, n, "%s of %s", what, id)
	}
}

// lostOrders carries out orders of all kinds: completed, declined, cancelled, refunded in part, and refunded whole.
func (s *system) lostOrders(n int) (ids []orders.ID) {
	s.t.Helper()
	for i := range n {
		id := s.place(func(p *orders.Placement) {
			if i%5 == 1 {
				p.PaymentMethod = "card_declined"
			}
		})
		if i%5 == 2 {
			s.cancel(id)
		}
		ids = append(ids, id)
	}
	for i, id := range ids {
		o := s.await(id, "rest", func(o orders.Order) bool { return o.Status.AtRest() })
		if amount := map[int]orders.Money{3: 1000, 4: o.Total}[i%5]; amount > 0 && o.Status == orders.Completed {
			s.apply(orders.Event{OrderID: id, Kind: orders.RefundRequested, Amount: amount})
			s.await(id, "its refund", func(o orders.Order) bool { return o.Refunded == amount })
		}
	}
	s.awaitNoJobs()
	return ids
}

// TestUndoLostOrders loses orders, has reconciliation find what they left at the providers, and undoes it beside
// answers that are lost and a run that is cut off. Then nothing is left to find, in the database or at the providers.
func TestUndoLostOrders(t *testing.T) {
	t.Parallel()
	s := newReconciled(t, true)
	s.start()
	kept := s.place(nil)
	s.awaitStatus(kept, orders.Completed)
	ids := s.lostOrders(10)
	effects := 0
	for _, e := range s.simulator.Ledger() {
		if e.OrderID != kept.String() {
			effects++
		}
	}
	s.lose(ids...)
	require.Eventually(t, func() bool { return len(s.findings()) == effects }, time.Minute, 50*time.Millisecond)

	require.Len(t, s.plan(time.Hour).Held, len(ids), "no finding is an hour old")
	plan := s.plan(0)
	require.Empty(t, plan.Held)
	require.Len(t, plan.Orders, len(ids))
	count := 0
	for _, total := range plan.Totals() {
		count += total.Count
		require.NotEqual(t, total.Undo != "", total.Effect == orders.SendEmail || total.Effect == orders.QuoteShipping ||
			total.Effect.Undoes() != "" || total.Undo == "", "%+v", total)
	}
	require.Equal(t, effects, count)

	cut, stop := context.WithCancel(t.Context())
	u := s.undoer()
	u.Told = func(r reconcile.UndoResult) {
		if r.Orders == 3 {
			stop()
		}
	}
	r, err := u.Do(cut, plan)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, len(ids)-3, r.Remained)
	require.NoError(t, s.simulator.SetFaults(simulator.Faults{
		orders.Payment: {LostRate: 0.4}, orders.Shipping: {ErrorRate: 0.4, Operations: []string{"cancel_shipment"}},
	}))
	r = s.undo()
	require.NoError(t, s.simulator.SetFaults(nil))
	require.Empty(t, r.Held)

	for _, id := range ids {
		s.undone(id)
	}
	require.Empty(t, s.simulator.Summary().Violations)
	require.Empty(t, s.findings(), "another reconciliation finds nothing")
	all, _, err := reconcile.All(t.Context(), s.store, s.providers, time.Now().Add(-time.Hour))
	require.NoError(t, err)
	require.Empty(t, all)
	before := len(s.simulator.Ledger())
	again := s.plan(0)
	require.Empty(t, again.Orders)
	require.Equal(t, len(ids), again.UndoneBefore)
	require.Len(t, s.simulator.Ledger(), before)
	o, err := s.store.Orders.Get(t.Context(), kept)
	require.NoError(t, err)
	require.Equal(t, orders.Completed, o.Status)

	audited := map[string]int{}
	log, err := s.store.Audit.List(t.Context(), 1000)
	require.NoError(t, err)
	for _, e := range log {
		if e.Action == "findings.undo" {
			require.Equal(t, "cli:ada", e.Name)
			require.Equal(t, "restored", e.Detail["reason"])
			audited[e.Target]++
		}
	}
	require.Len(t, audited, effects, "every effect is in the audit log")
	for target, n := range audited {
		require.Equal(t, 1, n, target)
	}
}

// TestUndoIsHeld: what must stay, stays. Money does not go back for goods that are on their way; an order that an
// operator has dealt with in part, or that exists, is left alone; and so is a key that is not Millrace's.
func TestUndoIsHeld(t *testing.T) {
	t.Parallel()
	s := newReconciled(t, false)
	s.start()
	shipped, accepted, exists := s.place(nil), s.place(nil), s.place(nil)
	for _, id := range []orders.ID{shipped, accepted, exists} {
		s.awaitStatus(id, orders.Completed)
	}
	s.awaitNoJobs()
	capture := func(id orders.ID) string { return orders.StepKey(id, orders.CapturePayment, 1) }
	stranger := orders.NewID()
	s.plant("not-ours", `{"orderId":%q,"customerId":"1","amount":5,"currency":"USD"}`,
		stranger)
	s.lose(shipped, accepted)
	require.Eventually(t, func() bool { return len(s.findings()) == 13 }, time.Minute, 50*time.Millisecond)
	_, err := s.store.Findings.Accept(t.Context(), orders.Payment, capture(accepted), "by hand", store.Actor{Name: "a"})
	require.NoError(t, err)
	require.NoError(t, s.simulator.SetFaults(simulator.Faults{
		orders.Shipping: {RefuseRate: 1, Operations: []string{"cancel_shipment"}},
	}))

	before := len(s.simulator.Ledger())
	held := map[string]string{}
	for range 2 { // another run changes nothing
		clear(held)
		plan := s.plan(0)
		r, err := s.undoer().Do(t.Context(), plan)
		require.NoError(t, err)
		for _, h := range append(plan.Held, r.Held...) {
			held[h.Order] = h.Reason
		}
		require.Equal(t, map[string]string{
			shipped.String():  "cancel_shipment refused: provider_refused",
			accepted.String(): "an operator has accepted one of its findings",
			stranger.String(): "a key is not one of Millrace's",
		}, held)
	}
	require.Len(t, s.simulator.Ledger(), before, "nothing was undone")

	undos, why := orders.UndoLost([]orders.Effect{{
		Provider: orders.Payment, Key: capture(exists), OrderID: exists.String(), Amount: 1, Currency: orders.USD,
	}})
	require.Empty(t, why)
	_, err = s.store.Findings.BeginUndo(t.Context(), exists, undos, "restored", store.Actor{Name: "cli:ada"})
	require.ErrorIs(t, err, store.ErrOrderExists)
	require.Empty(t, s.plan(0).Orders)

	s.exec("INSERT INTO archive_files (name, orders, bytes, sha256, written_at) VALUES ('x', 1, 1, sha256('x'), now())")
	s.exec(`INSERT INTO archived_orders (order_id, file_id, principal, customer_id, version, placed_at, deleted_at)
		SELECT o.id, f.id, o.principal, o.customer_id, o.version, o.placed_at, now()
		FROM orders o, archive_files f WHERE o.id = $1`, exists)
	s.lose(exists)
	_, err = s.store.Findings.BeginUndo(t.Context(), exists, undos, "restored", store.Actor{Name: "cli:ada"})
	require.ErrorIs(t, err, store.ErrOrderExists, "an archived order is not lost")
	plan := s.plan(0)
	require.Empty(t, plan.Orders)
	for _, h := range plan.Held {
		require.NotEqual(t, exists.String(), h.Order)
	}
}

// TestUndoOfForgottenKeys: a provider that lists an effect and finds nothing to undo has forgotten it. A provider
// that does not answer ends the run, and a part of a listing is not used.
func TestUndoOfForgottenKeys(t *testing.T) {
	t.Parallel()
	s := newReconciled(t, false)
	var forgets, silent, unlisted atomic.Bool
	s.garbles = func(r *http.Request) (*garbled, bool) {
		switch {
		case forgets.Load() && r.URL.Path == "/shipping/cancellations":
			return &garbled{http.StatusOK, `{"id":"c1","nothing":true}`}, false
		case silent.Load() && r.Method == http.MethodPost, unlisted.Load() && r.URL.Path == "/shipping/operations":
			return &garbled{http.StatusServiceUnavailable, ``}, false
		}
		return nil, false
	}
	s.start()
	ids := []orders.ID{s.place(nil), s.place(nil), s.place(nil)}
	for _, id := range ids {
		s.awaitStatus(id, orders.Completed)
	}
	s.awaitNoJobs()
	s.lose(ids...)
	require.Eventually(t, func() bool { return len(s.findings()) == 18 }, time.Minute, 50*time.Millisecond)

	unlisted.Store(true)
	planner := reconcile.UndoPlanner{
		Findings: s.store.Findings, Providers: s.providers, Now: time.Now, Since: time.Now().Add(-time.Hour),
	}
	_, err := planner.Plan(t.Context())
	require.ErrorContains(t, err, "shipping")
	unlisted.Store(false)

	silent.Store(true)
	before := len(s.simulator.Ledger())
	r, err := s.undoer().Do(t.Context(), s.plan(0))
	require.ErrorIs(t, err, reconcile.ErrProviderSilent)
	require.Equal(t, len(ids), r.Remained)
	silent.Store(false)

	forgets.Store(true)
	require.Eventually(t, func() bool {
		r, err = s.undoer().Do(t.Context(), s.plan(0))
		return err == nil
	}, time.Minute, 50*time.Millisecond, "the breaker closes")
	require.Len(t, r.Held, len(ids))
	for _, h := range r.Held {
		require.Contains(t, h.Reason, "cancel_shipment not_found")
	}
	require.Len(t, s.simulator.Ledger(), before, "no money went back for shipments that may be on their way")
}
