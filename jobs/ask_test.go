package jobs_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/sandbox/simulator"
	"github.com/millrace-orders/millrace/store/storetest"
)

// TestAcceptLateAnswers has a void of a failed order, or a refund, without an answer.
func TestAcceptLateAnswers(t *testing.T) {
	t.Parallel()
	voided := func(s *system, id orders.ID, step orders.StepName) { s.plantStep(id, step) }
	tests := []struct {
		name     string
		refund   bool
		off      bool
		happens  func(*system, orders.ID, orders.StepName)
		repaired bool
	}{
		{name: "ItHappened", happens: voided, repaired: true},
		{name: "RefundHappened", refund: true, happens: voided, repaired: true},
		{name: "SwitchedOff", happens: voided, off: true},
		{name: "NeverArrived", happens: func(*system, orders.ID, orders.StepName) {}},
		{name: "WasRefused", happens: func(s *system, id orders.ID, step orders.StepName) {
			require.NoError(s.t, s.simulator.SetFaults(simulator.Faults{orders.Payment: {RefuseRate: 1}}))
			require.Equal(s.t, http.StatusUnprocessableEntity, s.plantStep(id, step))
		}},
		{name: "FoundNothing", happens: func(s *system, id orders.ID, step orders.StepName) {
			require.Equal(s.t, http.StatusOK, s.plantBytes(step, orders.StepKey(id, step, 1),
				fmt.Appendf(nil, `{"orderId":%q,"customerId":"1","authorizationKey":"forgotten"}`, id)))
		}},
		{name: "OtherAmount", refund: true, happens: func(s *system, id orders.ID, step orders.StepName) {
			require.Equal(s.t, http.StatusOK, s.plantBytes(step, orders.StepKey(id, step, 1), fmt.Appendf(nil,
				`{"orderId":%q,"customerId":"1","amount":5.00,"currency":"USD","captureKey":%q}`, id,
				orders.StepKey(id, orders.CapturePayment, 1))))
			require.Eventually(s.t, func() bool {
				return kinds(s.findings())[orders.StepKey(id, step, 1)] == orders.FindingAmount
			}, time.Minute, 50*time.Millisecond)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newReconciled(t, !tt.off)
			step, operation := orders.VoidPayment, "void"
			if tt.refund {
				step, operation = orders.RefundPayment, "refund"
			}
			answer := s.mute("/payments/"+operation+"s", step)
			s.start()
			id := s.place(func(p *orders.Placement) {
				if !tt.refund {
					p.Items[0].ProductID = 9999
				}
			})
			if tt.refund {
				s.awaitStatus(id, orders.Completed)
				s.apply(orders.Event{OrderID: id, Kind: orders.RefundRequested, Amount: 997})
			}
			s.await(id, operation, func(o orders.Order) bool { return o.Latest(step) != nil })
			if tt.name == "OtherAmount" { // before it is asked about, as it would have been long ago
				tt.happens(s, id, step)
			}
			s.apply(storetest.Outcome(id, step, orders.StepUnknown))
			answer()
			s.awaitStatus(id, orders.NeedsAttention)
			if tt.name != "OtherAmount" {
				tt.happens(s, id, step)
			}
			if !tt.repaired {
				s.awaitRuns()
				s.awaitRuns()
				s.untouched()
				s.awaitStatus(id, orders.NeedsAttention)
				return
			}
			status := orders.Failed
			if tt.refund {
				status = orders.Completed
			}
			o := s.awaitStatus(id, status)
			require.Equal(t, orders.StateSucceeded, o.Latest(step).State)
			require.NotEmpty(t, o.Latest(step).Reference)
			require.Equal(t, 1, s.effects(id)[operation])
			if tt.refund {
				require.Equal(t, orders.Money(997), o.Refunded)
			}
			require.Empty(t, s.awaitRuns())
			s.repaired(id, orders.Payment, "accept")
			s.sound(o)
		})
	}
}

// TestAskPastSilence: a provider that says nothing about some orders is asked about the others.
func TestAskPastSilence(t *testing.T) {
	t.Parallel()
	s := newReconciled(t, true)
	var ids []orders.ID
	for range 6 {
		id := s.place(nil)
		ids = append(ids, id)
		s.plantStep(id, orders.AuthorizePayment)
		s.apply(storetest.Outcome(id, orders.AuthorizePayment, orders.StepSucceeded))
		s.apply(storetest.Outcome(id, orders.QuoteShipping, orders.StepSucceeded))
		s.apply(storetest.Outcome(id, orders.ReserveInventory, orders.StepRefused))
		s.plantStep(id, orders.VoidPayment)
		s.apply(storetest.Outcome(id, orders.VoidPayment, orders.StepUnknown))
	}
	s.exec("DELETE FROM river_job")
	s.silent = func(r *http.Request) bool { // about all but the oldest, which is asked about last
		return strings.HasSuffix(r.URL.Path, ":void_payment:1") && !strings.Contains(r.URL.Path, ids[0].String())
	}
	s.start()
	s.awaitStatus(ids[0], orders.Failed)
	s.repaired(ids[0], orders.Payment, "accept")
}

// TestAskPastSilentSteps: of three refunds of one order, two are never answered for.
func TestAskPastSilentSteps(t *testing.T) {
	t.Parallel()
	s := newReconciled(t, true)
	s.silent = func(r *http.Request) bool {
		return strings.HasSuffix(r.URL.Path, ":refund_payment:1") || strings.HasSuffix(r.URL.Path, ":refund_payment:2")
	}
	s.start()
	id := s.place(nil)
	s.await(id, "the e-mail", func(o orders.Order) bool {
		return o.Status == orders.Completed && o.Latest(orders.SendEmail).State == orders.StateSucceeded
	})
	require.NoError(t, s.client.StopAndCancel(t.Context()))
	for range 3 {
		s.apply(orders.Event{OrderID: id, Kind: orders.RefundRequested, Amount: 100})
	}
	last := orders.StepJob{OrderID: id, Step: orders.RefundPayment, Generation: 3}
	intent, err := s.store.Orders.Intent(t.Context(), last)
	require.NoError(t, err)
	s.plantBytes(last.Step, intent.Key, intent.Request)
	for generation := range 3 {
		unknown := storetest.Outcome(id, orders.RefundPayment, orders.StepUnknown)
		unknown.Generation = generation + 1
		s.apply(unknown)
	}
	require.NoError(t, s.client.Start(context.Background()))
	s.await(id, "the refund", func(o orders.Order) bool { return o.Refunded == 100 })
}
