package orders_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
)

// TestUndo has a step turn out to have taken effect, of orders in every situation.
func TestUndo(t *testing.T) {
	t.Parallel()
	const authorize, reserve, quote = "authorize_payment", "reserve_inventory", "quote_shipping"
	const capture = "capture_payment"
	declined := []string{authorize + "!", reserve + "!", quote, "send_email"}
	captureRefused := []string{
		authorize, reserve, quote, capture + "!", "void_payment", "release_inventory", "send_email",
	}
	captureUnknown := []string{
		authorize, reserve, quote, capture + "?", "refund_payment", "void_payment", "release_inventory", "send_email",
	}
	notShipped := []string{
		authorize, reserve, quote, capture, "book_shipment!", "refund_payment", "void_payment", "release_inventory",
		"send_email",
	}
	completed := []string{authorize, reserve, quote, capture, "book_shipment", "send_email"}
	tests := []struct {
		name     string
		outcomes []string
		step     string
		undo     string // what is started; empty: a person must look
		then     []string
		status   orders.Status
		pending  []string
		reason   string
		person   bool // no rule allows it, but a person may say so
	}{
		{
			"Refused", declined, authorize, "void_payment", nil,
			orders.Processing,
			[]string{"void_payment"},
			"authorize_payment refused: no", false,
		},
		{
			"RefusedIsUndone", declined, authorize, "void_payment",
			[]string{"void_payment"},
			orders.Failed, nil, "authorize_payment refused: no", false,
		},
		{
			"Cancelled",
			[]string{"cancel", authorize + "!", reserve, quote, "release_inventory", "send_email"},
			authorize, "void_payment",
			[]string{"void_payment"},
			orders.Cancelled, nil, "cancelled on request", false,
		},
		{
			"CannotBeUndone", declined, authorize, "void_payment",
			[]string{"void_payment!"},
			orders.NeedsAttention, nil, "void_payment refused: no", false,
		},
		{
			"CannotBeUndoneAndIsSettled",
			[]string{authorize + "!", reserve, quote, "release_inventory", "send_email"},
			authorize, "void_payment",
			[]string{"void_payment!", "settle"},
			orders.Failed, nil, "authorize_payment took effect after all", false,
		},
		{
			"UndoneTooEarly",
			[]string{authorize + "?", reserve + "!", quote, "void_payment", "send_email"},
			authorize, "void_payment",
			[]string{"void_payment#2"},
			orders.Failed, nil, "authorize_payment unknown: deadline", false,
		},
		{ // it ends as another: the customer is told of the money
			"Captured", captureRefused, capture, "refund_payment",
			[]string{"refund_payment"},
			orders.Refunded,
			[]string{"send_email"},
			"capture_payment refused: no", true,
		},
		{
			"Shipped", notShipped, "book_shipment", "cancel_shipment",
			[]string{"cancel_shipment"},
			orders.Refunded, nil, "book_shipment refused: no", false,
		},
		{name: "RefundedAlready", outcomes: captureUnknown, step: capture},
		{name: "Completed", outcomes: completed, step: authorize},
		{name: "CompletedWithARefund", outcomes: append(completed, "refund 1", "refund_payment!"), step: "refund_payment"},
		{name: "BeingUndone", outcomes: declined[:1], step: authorize},
		{
			name: "NeedsAttention", step: authorize,
			outcomes: []string{authorize + "!", reserve, quote, "release_inventory!"},
		},
		{name: "Succeeded", outcomes: captureRefused, step: reserve},
		{name: "HasNoUndo", outcomes: []string{authorize + "!", reserve + "!", quote + "!"}, step: quote},
		{name: "NeverStarted", outcomes: declined, step: capture},
		{name: "Compensation", outcomes: captureRefused, step: "void_payment"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := run(t, tt.outcomes...)
			e, ok := o.Undo(orders.StepJob{OrderID: o.ID, Step: orders.StepName(tt.step), Generation: 1})
			require.Equal(t, tt.undo != "" && !tt.person, ok)
			if tt.person {
				e = orders.Event{
					OrderID: o.ID, Kind: orders.SuccessDeclared, Step: orders.StepName(tt.step), Reason: "the provider has it",
				}
			} else if !ok {
				_, err := orders.Decide(o, orders.Event{
					OrderID: o.ID, Kind: orders.SuccessDeclared, Step: orders.StepName(tt.step), Generation: 1, At: epoch,
				})
				require.Error(t, err)
				return
			}
			e.At = epoch.Add(time.Hour)
			d, err := orders.Decide(o, e)
			require.NoError(t, err)
			require.Len(t, d.Started, 1)
			require.Equal(t, orders.StepName(tt.undo), d.Started[0].Name)
			require.Equal(t, d.Started[0].Generation, d.Started[0].KeyGeneration, "another undo has a key of its own")
			require.NotEmpty(t, d.Started[0].Request)
			require.False(t, o.Undone(orders.Effect{Key: orders.StepKey(o.ID, e.Step, 1), At: epoch.Add(30 * time.Minute)}))
			for _, outcome := range tt.then {
				next := parse(o.ID, outcome)
				if outcome == "settle" {
					next = settle(orders.SuccessDeclared, "")
					next.OrderID = o.ID
				}
				next.At = epoch.Add(2 * time.Hour)
				d, err = orders.Decide(d.Order, next)
				require.NoError(t, err)
			}
			require.Equal(t, tt.status, d.Order.Status)
			require.Equal(t, tt.pending, pending(d.Order))
			require.Equal(t, tt.reason, d.Order.Reason)
			undone := d.Order.Undone(orders.Effect{Key: orders.StepKey(o.ID, e.Step, 1), At: epoch.Add(30 * time.Minute)})
			require.Equal(t, tt.status != orders.Processing && tt.status != orders.NeedsAttention, undone)
		})
	}
}

// An event that was decided on for another version of the order is refused.
func TestUndoOnce(t *testing.T) {
	t.Parallel()
	o := run(t, "authorize_payment!", "reserve_inventory!", "quote_shipping")
	e, ok := o.Undo(orders.StepJob{OrderID: o.ID, Step: orders.AuthorizePayment, Generation: 1})
	require.True(t, ok)
	e.At = epoch.Add(time.Hour)
	d, err := orders.Decide(o, e)
	require.NoError(t, err)
	_, err = orders.Decide(d.Order, e)
	require.ErrorIs(t, err, orders.ErrVersionConflict)
	_, ok = d.Order.Undo(orders.StepJob{OrderID: o.ID, Step: orders.AuthorizePayment, Generation: 1})
	require.False(t, ok)
}

// TestUnanswered is about a void and a release, of which one has no answer.
func TestUnanswered(t *testing.T) {
	t.Parallel()
	o := run(t, "authorize_payment", "reserve_inventory", "quote_shipping!", "void_payment?")
	require.Empty(t, o.Unanswered(orders.Payment), "it is being undone")
	d, err := orders.Decide(o, parse(o.ID, "release_inventory!"))
	require.NoError(t, err)
	o = d.Order
	require.Empty(t, o.Unanswered(orders.Inventory), "it was refused")
	unanswered := o.Unanswered(orders.Payment)
	require.Len(t, unanswered, 1)
	e := o.Accept(unanswered[0], "void_1")
	d, err = orders.Decide(o, e)
	require.NoError(t, err)
	require.Equal(t, orders.StateSucceeded, d.Order.Step(orders.VoidPayment, 1).State)
	require.Equal(t, "void_1", d.Order.Step(orders.VoidPayment, 1).Reference)
	require.Equal(t, orders.NeedsAttention, d.Order.Status, "the release is still to be settled")

	void := orders.Effect{Key: orders.StepKey(o.ID, orders.VoidPayment, 1), At: epoch.Add(time.Hour)}
	require.True(t, d.Order.Undone(void), "the order has got to know of it")
	require.False(t, o.Undone(void))
	d, err = orders.Decide(o, settle(orders.RetryRequested, "void_payment"))
	require.NoError(t, err)
	require.False(t, d.Order.Undone(void), "it is not known how that ends")
}
