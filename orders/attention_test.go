package orders_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
)

// settle makes what a person asks.
func settle(kind orders.EventKind, step orders.StepName) orders.Event {
	return orders.Event{Kind: kind, Step: step, Reason: "called the bank", At: epoch.Add(time.Minute)}
}

func TestAttention(t *testing.T) {
	t.Parallel()
	void := []string{"authorize_payment", "reserve_inventory!", "quote_shipping", "void_payment!"}
	both := []string{
		"authorize_payment", "reserve_inventory", "quote_shipping!", "void_payment!", "release_inventory?",
	}
	shipped := []string{
		"authorize_payment", "reserve_inventory", "quote_shipping", "capture_payment", "cancel", "book_shipment",
		"cancel_shipment!",
	}
	refund := []string{
		"authorize_payment", "reserve_inventory", "quote_shipping", "capture_payment", "book_shipment", "send_email",
		"refund 9.97", "refund_payment?",
	}
	tests := []struct {
		name     string
		outcomes []string
		event    orders.Event
		then     []string
		status   orders.Status
		pending  []string
		reason   string
	}{
		{
			"RetryRefused", void, settle(orders.RetryRequested, "void_payment"), nil,
			orders.Processing,
			[]string{"void_payment"},
			"reserve_inventory refused: no",
		},
		{
			"RetrySucceeds", void, settle(orders.RetryRequested, ""),
			[]string{"void_payment#2"},
			orders.Failed,
			[]string{"send_email"},
			"reserve_inventory refused: no",
		},
		{
			"RetryFailsAgain", void, settle(orders.RetryRequested, ""),
			[]string{"void_payment!#2"},
			orders.NeedsAttention, nil, "void_payment refused: no",
		},
		{
			"RetryOneOfTwo", both, settle(orders.RetryRequested, "release_inventory"),
			[]string{"release_inventory#2"},
			orders.NeedsAttention, nil, "void_payment refused: no",
		},
		{
			"UndoTriesEverything", both, settle(orders.UndoRequested, ""), nil,
			orders.Processing,
			[]string{"void_payment", "release_inventory"},
			"quote_shipping refused: no",
		},
		{
			"DeclaredDone", void, settle(orders.SuccessDeclared, ""), nil,
			orders.Failed,
			[]string{"send_email"},
			"reserve_inventory refused: no",
		},
		{
			"DeclaredNotDone", both, settle(orders.RefusalDeclared, "release_inventory"), nil,
			orders.NeedsAttention, nil, "void_payment refused: no",
		},
		{
			"UndoingGoesOn", shipped, settle(orders.SuccessDeclared, ""), nil,
			orders.Processing,
			[]string{"refund_payment"},
			"cancelled on request",
		},
		{"GoodsAreKept", shipped, settle(orders.RefusalDeclared, ""), nil, orders.Completed, []string{"send_email"}, ""},
		{
			"RefundRetried", refund, settle(orders.RetryRequested, ""), nil,
			orders.Completed,
			[]string{"refund_payment"},
			"",
		},
		{"RefundDeclaredNotDone", refund, settle(orders.RefusalDeclared, ""), nil, orders.Completed, nil, ""},
		{
			"RefundDeclaredDone", refund, settle(orders.SuccessDeclared, ""), nil,
			orders.Completed,
			[]string{"send_email"},
			"",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := run(t, tt.outcomes...)
			require.Equal(t, orders.NeedsAttention, o.Status)
			tt.event.OrderID = o.ID
			d, err := orders.Decide(o, tt.event)
			require.NoError(t, err)
			for _, outcome := range tt.then {
				d, err = orders.Decide(d.Order, parse(o.ID, outcome))
				require.NoError(t, err)
			}
			require.Equal(t, tt.status, d.Order.Status)
			require.Equal(t, tt.pending, pending(d.Order))
			require.Equal(t, tt.reason, d.Order.Reason)
		})
	}

	for name, tt := range map[string]struct {
		outcomes []string
		event    orders.Event
	}{
		"NotNeeded":          {[]string{"authorize_payment"}, settle(orders.RetryRequested, "")},
		"OtherStep":          {void, settle(orders.RetryRequested, "refund_payment")},
		"StepThatSucceeded":  {void, settle(orders.SuccessDeclared, "authorize_payment")},
		"WhichOfTwo":         {both, settle(orders.SuccessDeclared, "")},
		"RefusedAlready":     {void, settle(orders.RefusalDeclared, "")},
		"UndoAfterRefunding": {refund, settle(orders.UndoRequested, "")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := run(t, tt.outcomes...)
			tt.event.OrderID = o.ID
			_, err := orders.Decide(o, tt.event)
			require.Error(t, err)
			require.NotErrorIs(t, err, orders.ErrNoChange, "it must say why")
		})
	}
}

// What got no answer goes out again under its own key and with its own bytes; what was refused under a new one.
func TestKeyOfAnotherTry(t *testing.T) {
	t.Parallel()
	try := func(outcome string) orders.Step {
		o := run(t, "authorize_payment", "reserve_inventory!", "quote_shipping", "void_payment"+outcome)
		d, err := orders.Decide(o, settle(orders.RetryRequested, ""))
		require.NoError(t, err)
		require.Len(t, d.Started, 1)
		require.Equal(t, 2, d.Started[0].Generation)
		return d.Started[0]
	}
	unanswered, refused := try("?"), try("!")
	require.Equal(t, 1, unanswered.KeyGeneration)
	require.Empty(t, unanswered.Request)
	require.Equal(t, 2, refused.KeyGeneration)
	require.NotEmpty(t, refused.Request)
}
