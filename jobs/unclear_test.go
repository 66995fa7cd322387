package jobs_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
)

// TestAnswersThatAreNotOfTheContract: a success that is not in the contract's words decides nothing. Whatever became of
// the step, it happens once, and the order goes on when the provider has said so.
func TestAnswersThatAreNotOfTheContract(t *testing.T) {
	t.Parallel()
	answers := []garbled{
		{200, "<html>Back soon</html>"},
		{200, `{"error":{"code":"card_declined"}}`},
		{202, `{"id":"x","status":"pending"}`},
		{200, ``},
	}
	tests := []struct {
		path, operation string
		step            orders.StepName
		fails           bool // the order is undone
		refund          bool // a refund is asked for
		status          orders.Status
	}{
		{path: "/payments/authorizations", operation: "authorize", step: orders.AuthorizePayment, status: orders.Completed},
		{path: "/inventory/reservations", operation: "reserve", step: orders.ReserveInventory, status: orders.Completed},
		{path: "/payments/captures", operation: "capture", step: orders.CapturePayment, status: orders.Completed},
		{path: "/shipping/shipments", operation: "ship", step: orders.BookShipment, status: orders.Completed},
		{path: "/payments/voids", operation: "void", step: orders.VoidPayment, fails: true, status: orders.Failed},
		{
			path: "/payments/refunds", operation: "refund", step: orders.RefundPayment, refund: true,
			status: orders.Refunded,
		},
	}
	for i, tt := range tests {
		for _, does := range []bool{true, false} {
			t.Run(fmt.Sprint(tt.step, does), func(t *testing.T) {
				t.Parallel()
				s := newSystem(t)
				var told atomic.Bool
				s.garbles = func(r *http.Request) (*garbled, bool) {
					if r.URL.Path != tt.path || told.Swap(true) {
						return nil, false
					}
					return &answers[i%len(answers)], does
				}
				s.start()
				id := s.place(func(p *orders.Placement) {
					if tt.fails {
						p.Items[0].ProductID = 9999
					}
				})
				if tt.refund {
					s.awaitStatus(id, orders.Completed)
					s.apply(orders.Event{OrderID: id, Kind: orders.RefundRequested})
				}
				o := s.awaitStatus(id, tt.status)
				require.True(t, told.Load())
				require.Equal(t, orders.StateSucceeded, o.Latest(tt.step).State)
				require.NotEmpty(t, o.Latest(tt.step).Reference, "the provider's own, which the first answer had not")
				require.Equal(t, 1, s.effects(id)[tt.operation])
			})
		}
	}
}

// TestUndoThatFoundNothingOddly: what an undo says of itself is read whatever else is in its answer.
func TestUndoThatFoundNothingOddly(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"Number": `{"id":77,"nothing":true}`, "ByteOrderMark": "\ufeff" + `{"id":"r1","nothing":true}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSystem(t)
			s.garbles = func(r *http.Request) (*garbled, bool) {
				if r.URL.Path != "/payments/refunds" {
					return nil, false
				}
				return &garbled{200, body}, false
			}
			s.start()
			id := s.place(nil)
			s.awaitStatus(id, orders.Completed)
			s.apply(orders.Event{OrderID: id, Kind: orders.RefundRequested})
			o := s.await(id, "the refund", func(o orders.Order) bool {
				refund := o.Latest(orders.RefundPayment)
				return refund != nil && refund.State != orders.StatePending
			})
			require.Equal(t, orders.StateRefused, o.Latest(orders.RefundPayment).State)
			require.Equal(t, "nothing_to_undo", o.Latest(orders.RefundPayment).Reason)
			require.Zero(t, o.Refunded)
		})
	}
}

// TestFreeOrder: an order with a total of 0 is shipped, and the payment provider hears nothing of it.
func TestFreeOrder(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.silent = func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/payments/") }
	s.start()
	id := s.place(func(p *orders.Placement) {
		for i := range p.Items {
			p.Items[i].Price = 0
		}
	})
	o := s.awaitStatus(id, orders.Completed)
	s.awaitNoJobs()
	require.Equal(t, map[string]int{"reserve": 1, "quote": 1, "ship": 1, "email": 1}, s.effects(id))
	s.sound(o)
	require.Nil(t, o.Latest(orders.AuthorizePayment))
}
