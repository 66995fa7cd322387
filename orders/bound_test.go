package orders_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
)

func TestAdmit(t *testing.T) {
	t.Parallel()
	with := func(n int, name orders.StepName, state orders.StepState) (o orders.Order) {
		for g := range n {
			o.Steps = append(o.Steps, orders.Step{Name: name, Generation: g + 1, State: state})
		}
		return o
	}
	refund, retry := orders.Event{Kind: orders.RefundRequested}, orders.Event{Kind: orders.RetryRequested}
	for name, tt := range map[string]struct {
		order orders.Order
		event orders.Event
		want  error
	}{
		"LastRefund":  {with(orders.MaxRefunds-1, orders.RefundPayment, orders.StateSucceeded), refund, nil},
		"Refund":      {with(orders.MaxRefunds, orders.RefundPayment, orders.StatePending), refund, orders.ErrTooManyRefunds},
		"Refused":     {with(orders.MaxRefunds, orders.RefundPayment, orders.StateRefused), refund, nil},
		"ManyRefused": {with(orders.MaxSteps, orders.RefundPayment, orders.StateRefused), refund, orders.ErrTooManyRefunds},
		"Retry":       {with(orders.MaxSteps-1, orders.VoidPayment, orders.StateRefused), retry, nil},
		"ManyRetries": {with(orders.MaxSteps, orders.VoidPayment, orders.StateRefused), retry, orders.ErrTooManyTries},
		"Undo": {
			with(orders.MaxSteps, orders.VoidPayment, orders.StateRefused), orders.Event{Kind: orders.UndoRequested}, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.ErrorIs(t, orders.Admit(&tt.order, tt.event), tt.want)
		})
	}
}

// The log is decided again whatever the bounds are, and an order with many steps passes too.
func TestFoldBeyondTheBounds(t *testing.T) {
	t.Parallel()
	p := placement()
	p.Items = []orders.Item{{ProductID: 1, Quantity: 1, Price: 1_000_000}}
	placed := orders.Place(p, orders.NewID(), epoch)
	o, log := placed.Order, []orders.Event{placed.Event}
	do := func(e orders.Event) {
		e.OrderID, e.At = o.ID, epoch
		d, err := orders.Decide(o, e)
		require.NoError(t, err)
		o, log = d.Order, append(log, d.Event)
	}
	for _, step := range []orders.StepName{
		orders.AuthorizePayment, orders.ReserveInventory, orders.QuoteShipping, orders.CapturePayment, orders.BookShipment,
	} {
		do(orders.Event{Kind: orders.StepSucceeded, Step: step, Generation: 1})
	}
	for g := range orders.MaxSteps {
		do(orders.Event{Kind: orders.RefundRequested, Amount: 1})
		do(orders.Event{Kind: orders.StepSucceeded, Step: orders.RefundPayment, Generation: g + 1})
	}
	folded, err := orders.Fold(o, log)
	require.NoError(t, err)
	require.Equal(t, o, folded)
}
