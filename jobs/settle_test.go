package jobs_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/sandbox/simulator"
	"github.com/millrace-orders/millrace/store/storetest"
)

func (s *system) apply(e orders.Event) {
	s.t.Helper()
	e.At = time.Now()
	applied, err := s.store.Orders.Apply(s.t.Context(), []orders.Event{e})
	require.NoError(s.t, err)
	require.NoError(s.t, applied[0].Err)
	require.True(s.t, applied[0].Changed)
}

// A compensation that was refused is tried again under a new key, and the order comes to its end.
func TestRetryRefused(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	require.NoError(t, s.simulator.SetFaults(simulator.Faults{
		orders.Payment: {RefuseRate: 1, Operations: []string{"void"}},
	}))
	s.start()
	id := s.place(func(p *orders.Placement) { p.Items[0].ProductID = 9999 })
	s.awaitStatus(id, orders.NeedsAttention)
	require.NoError(t, s.simulator.SetFaults(nil))
	s.apply(orders.Event{OrderID: id, Kind: orders.RetryRequested, Reason: "fixed"})
	order := s.awaitStatus(id, orders.Failed)
	require.Equal(t, "reserve_inventory refused: out_of_stock", order.Reason)
	require.Equal(t, 1, s.effects(id)["void"])
}

// A refund without an answer is tried again. Whether or not it had happened, the money goes back once.
func TestRetryUnanswered(t *testing.T) {
	t.Parallel()
	for name, arrived := range map[string]bool{"ItHadHappened": true, "ItHadNotArrived": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSystem(t)
			id := s.place(nil)
			s.start()
			s.await(id, "the e-mail", func(o orders.Order) bool {
				return o.Status == orders.Completed && o.Latest(orders.SendEmail).State == orders.StateSucceeded
			})
			require.NoError(t, s.client.StopAndCancel(t.Context()))

			s.apply(orders.Event{OrderID: id, Kind: orders.RefundRequested, Amount: 997})
			job := orders.StepJob{OrderID: id, Step: orders.RefundPayment, Generation: 1}
			intent, err := s.store.Orders.Intent(t.Context(), job)
			require.NoError(t, err)
			if arrived {
				r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/payments/refunds",
					bytes.NewReader(intent.Request))
				r.Header.Set("Idempotency-Key", intent.Key)
				s.simulator.Handler().ServeHTTP(httptest.NewRecorder(), r)
			}
			s.apply(storetest.Outcome(id, orders.RefundPayment, orders.StepUnknown))
			s.apply(orders.Event{OrderID: id, Kind: orders.RetryRequested, Reason: "asked"})
			again, err := s.store.Orders.Intent(t.Context(), orders.StepJob{
				OrderID: id, Step: orders.RefundPayment, Generation: 2,
			})
			require.NoError(t, err)
			require.True(t, again.Again)
			require.Equal(t, intent.Key, again.Key)
			require.Equal(t, intent.Request, again.Request)

			require.NoError(t, s.client.Start(t.Context()))
			order := s.await(id, "the refund", func(o orders.Order) bool { return o.Refunded > 0 })
			require.Equal(t, orders.Money(997), order.Refunded)
			require.Equal(t, orders.Completed, order.Status)
			require.Equal(t, 1, s.effects(id)["refund"])
			for _, key := range s.simulator.Keys() {
				if key.Key == intent.Key {
					require.Equal(t, 1, key.Sends, "a provider that knows the answer is asked, not sent it again")
				}
			}
		})
	}
}
