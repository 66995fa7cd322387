package jobs_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/sandbox/simulator"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// isPost selects the requests of a step, by its path.
func isPost(path string) func(*http.Request) bool {
	return func(r *http.Request) bool { return r.Method == http.MethodPost && r.URL.Path == path }
}

// mute has a provider do nothing about a step, nor say what became of it before it may answer: whatever the workers try
// meanwhile settles nothing.
func (s *system) mute(path string, step orders.StepName) (answer func()) {
	var answering atomic.Bool
	s.silent = func(r *http.Request) bool {
		return isPost(path)(r) || !answering.Load() && strings.HasSuffix(r.URL.Path, fmt.Sprintf(":%s:1", step))
	}
	return func() { answering.Store(true) }
}

// awaitRuns waits until reconciliation has run from its beginning to its end.
func (s *system) awaitRuns() (open map[string]orders.FindingKind) {
	s.t.Helper()
	s.findings() // what runs now is not over
	return kinds(s.findings())
}

// awaitResolved waits until a finding is.
func (s *system) awaitResolved(key string) {
	s.t.Helper()
	require.Eventually(s.t, func() bool {
		resolved, err := s.store.Findings.List(s.t.Context(), store.FindingResolved, 100)
		return err == nil && kinds(resolved)[key] != ""
	}, time.Minute, 50*time.Millisecond, "waiting for the finding to resolve")
}

// sound requires that the order's log folds to the order, and that the order breaks no rule.
func (s *system) sound(o orders.Order) {
	s.t.Helper()
	events, err := s.store.Orders.Events(s.t.Context(), o.ID, 0, int(o.Version)) // there may be more by now
	require.NoError(s.t, err)
	require.Empty(s.t, orders.Verify(o, events, time.Time{}))
}

// repaired expects that reconciliation has repaired one order by a rule, and said so.
func (s *system) repaired(id orders.ID, p orders.Provider, rule string) {
	s.t.Helper()
	log, err := s.store.Audit.List(s.t.Context(), 10)
	require.NoError(s.t, err)
	require.Len(s.t, log, 1)
	require.Equal(s.t, "reconciliation", log[0].Name)
	require.Equal(s.t, "reconcile."+rule, log[0].Action)
	require.Equal(s.t, id.String(), log[0].Target)
	require.Equal(s.t, string(p), log[0].Detail["provider"])
	require.Eventually(s.t, func() bool { // it is counted after the commit
		return testutil.GatherAndCompare(s.metrics, strings.NewReader(counters(p, rule)),
			"millrace_reconcile_repairs_total") == nil
	}, time.Minute, 10*time.Millisecond, "waiting for the count")
	events, err := s.store.Orders.Events(s.t.Context(), id, 0, 1000)
	require.NoError(s.t, err)
	declared := 0
	for _, e := range events {
		if e.Kind == orders.SuccessDeclared {
			require.Equal(s.t, "reconciliation", e.Principal)
			declared++
		}
	}
	require.Equal(s.t, 1, declared)
}

// untouched expects that reconciliation has repaired nothing.
func (s *system) untouched() {
	s.t.Helper()
	log, err := s.store.Audit.List(s.t.Context(), 10)
	require.NoError(s.t, err)
	require.Empty(s.t, log)
	require.NoError(s.t, testutil.GatherAndCompare(s.metrics, strings.NewReader(counters("", "")),
		"millrace_reconcile_repairs_total"))
}

// counters are the metrics after one repair, or none.
func counters(of orders.Provider, by string) string {
	var b strings.Builder
	b.WriteString("# HELP millrace_reconcile_repairs_total " +
		"Orders that reconciliation repaired, by the rule that allows it.\n" +
		"# TYPE millrace_reconcile_repairs_total counter\n")
	for _, p := range orders.Providers() {
		for _, rule := range []string{"accept", "undo"} {
			n := 0
			if p == of && rule == by {
				n = 1
			}
			fmt.Fprintf(&b, "millrace_reconcile_repairs_total{provider=%q,rule=%q} %d\n", p, rule, n)
		}
	}
	return b.String()
}

// TestUndoWhatTookEffect has providers refuse steps that they do nevertheless.
func TestUndoWhatTookEffect(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, path string
		step       orders.StepName
		status     orders.Status
		effects    map[string]int
		mails      []string
	}{
		{
			"Authorisation", "/payments/authorizations", orders.AuthorizePayment, orders.Failed,
			map[string]int{"authorize": 1, "void": 1, "reserve": 1, "release": 1, "quote": 1, "email": 1},
			[]string{"order_failed"},
		},
		{
			"Reservation", "/inventory/reservations", orders.ReserveInventory, orders.Failed,
			map[string]int{"authorize": 1, "void": 1, "reserve": 1, "release": 1, "quote": 1, "email": 1},
			[]string{"order_failed"},
		},
		{
			"Shipment", "/shipping/shipments", orders.BookShipment, orders.Refunded,
			map[string]int{
				"authorize": 1, "capture": 1, "refund": 1, "reserve": 1, "release": 1, "quote": 1, "ship": 1,
				"cancel_shipment": 1, "email": 1,
			},
			[]string{"order_refunded"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newReconciled(t, true)
			s.lies = isPost(tt.path)
			s.start()
			id := s.place(nil)
			s.awaitResolved(orders.StepKey(id, tt.step, 1))
			o := s.await(id, "the undoing", func(o orders.Order) bool {
				for _, step := range o.Steps {
					if step.State != orders.StateSucceeded {
						return false
					}
				}
				return o.Status.AtRest()
			})
			require.Equal(t, tt.status, o.Status)
			require.Equal(t, tt.effects, s.effects(id))
			s.sound(o)
			provider, _ := tt.step.Spec()
			s.repaired(id, provider.Provider, "undo")
			mails, err := s.store.Notifications.List(t.Context(), store.NotificationFilter{OrderID: id, Limit: 10})
			require.NoError(t, err)
			var templates []string
			for _, mail := range mails {
				templates = append([]string{mail.Template}, templates...)
			}
			require.Equal(t, tt.mails, templates)
			require.Empty(t, s.awaitRuns())
		})
	}
}

// TestUndoCannotBeDone: a repair that fails is a repair that a person must look at, and what was found stays open.
func TestUndoCannotBeDone(t *testing.T) {
	t.Parallel()
	s := newReconciled(t, true)
	s.lies = isPost("/payments/authorizations")
	require.NoError(t, s.simulator.SetFaults(simulator.Faults{
		orders.Payment: {RefuseRate: 1, Operations: []string{"void"}},
	}))
	s.start()
	id := s.place(nil)
	o := s.awaitStatus(id, orders.NeedsAttention)
	require.Equal(t, "void_payment refused: provider_refused", o.Reason)
	key := orders.StepKey(id, orders.AuthorizePayment, 1)
	require.Equal(t, map[string]orders.FindingKind{key: orders.FindingNotUndone}, s.awaitRuns())
	require.NoError(t, s.simulator.SetFaults(nil))
	s.apply(orders.Event{OrderID: id, Kind: orders.RetryRequested, Reason: "fixed"})
	o = s.awaitStatus(id, orders.Failed)
	s.awaitResolved(key)
	s.sound(o)
	require.Equal(t, 1, s.effects(id)["void"])
}

// TestUndoneTooEarly has effects that were listed after what undid them. A second release changes nothing, but a second
// refund might.
func TestUndoneTooEarly(t *testing.T) {
	t.Parallel()
	const earlier = `UPDATE order_steps SET settled_at = settled_at - interval '10 minutes'
		WHERE order_id = $1 AND step = $2`

	t.Run("Reservation", func(t *testing.T) {
		t.Parallel()
		s := newReconciled(t, true)
		id := s.place(nil)
		s.exec("DELETE FROM river_job WHERE kind = 'reserve_inventory'")
		s.plantStep(id, orders.ReserveInventory)
		s.apply(storetest.Outcome(id, orders.ReserveInventory, orders.StepUnknown))
		s.start()
		s.awaitStatus(id, orders.Failed)
		s.exec(earlier, id, "release_inventory")
		s.awaitResolved(orders.StepKey(id, orders.ReserveInventory, 1))
		o := s.awaitStatus(id, orders.Failed)
		require.Equal(t, 2, o.Latest(orders.ReleaseInventory).Generation)
		require.Equal(t, 1, s.effects(id)["release"])
		s.repaired(id, orders.Inventory, "undo")
	})

	t.Run("Capture", func(t *testing.T) {
		t.Parallel()
		s := newReconciled(t, true)
		answer := s.mute("/payments/captures", orders.CapturePayment)
		s.start()
		id := s.place(nil)
		s.await(id, "the capture", func(o orders.Order) bool { return o.Latest(orders.CapturePayment) != nil })
		s.plantStep(id, orders.CapturePayment)
		s.apply(storetest.Outcome(id, orders.CapturePayment, orders.StepUnknown))
		answer()
		s.awaitStatus(id, orders.Refunded)
		s.exec(earlier, id, "refund_payment")
		key := orders.StepKey(id, orders.CapturePayment, 1)
		require.Eventually(t, func() bool { return s.awaitRuns()[key] == orders.FindingNotUndone }, time.Minute,
			50*time.Millisecond)
		s.awaitRuns()
		s.untouched()
		require.Equal(t, 1, s.effects(id)["refund"])
	})
}

// plantStep makes a step happen at its provider, as a send of it would whose answer was lost.
func (s *system) plantStep(id orders.ID, step orders.StepName) int {
	s.t.Helper()
	intent, err := s.store.Orders.Intent(s.t.Context(), orders.StepJob{OrderID: id, Step: step, Generation: 1})
	require.NoError(s.t, err)
	return s.plantBytes(step, intent.Key, intent.Request)
}

func (s *system) plantBytes(step orders.StepName, key string, body []byte) int {
	s.t.Helper()
	path := map[orders.StepName]string{
		orders.AuthorizePayment: "/payments/authorizations", orders.CapturePayment: "/payments/captures",
		orders.ReserveInventory: "/inventory/reservations", orders.QuoteShipping: "/shipping/quotes",
		orders.VoidPayment: "/payments/voids", orders.RefundPayment: "/payments/refunds",
	}[step]
	r := httptest.NewRequestWithContext(s.t.Context(), http.MethodPost, path, bytes.NewReader(body))
	r.Header.Set("Idempotency-Key", key)
	w := httptest.NewRecorder()
	s.simulator.Handler().ServeHTTP(w, r)
	return w.Code
}
