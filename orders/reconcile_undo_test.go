package orders_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
)

func TestUndoLost(t *testing.T) {
	t.Parallel()
	id := orders.NewID()
	effect := func(name orders.StepName, amount orders.Money) orders.Effect {
		spec, _ := name.Spec()
		e := orders.Effect{
			Provider: spec.Provider, Key: orders.StepKey(id, name, 1), OrderID: id.String(), At: epoch,
		}
		if amount > 0 {
			e.Amount, e.Currency = amount, orders.USD
		}
		return e
	}
	undo := func(e orders.Effect) orders.Effect {
		e.Key = orders.UndoKey(e.Key)
		return e
	}
	with := func(e orders.Effect, change func(*orders.Effect)) orders.Effect {
		change(&e)
		return e
	}
	authorised, captured := effect(orders.AuthorizePayment, 500), effect(orders.CapturePayment, 500)
	reserved, shipped := effect(orders.ReserveInventory, 0), effect(orders.BookShipment, 0)
	reserved.Units = 3
	second := with(captured, func(e *orders.Effect) { e.Key = orders.StepKey(id, orders.CapturePayment, 2) })
	refund := orders.RefundPayment
	type undos map[orders.StepName]orders.Money
	for _, tt := range []struct {
		name    string
		effects []orders.Effect
		want    undos
		held    string
	}{
		{
			"Completed",
			[]orders.Effect{
				authorised, reserved, effect(orders.QuoteShipping, 0), captured, shipped, effect(orders.SendEmail, 500),
			},
			undos{orders.CancelShipment: 0, refund: 500, orders.ReleaseInventory: 0, orders.VoidPayment: 0},
			"",
		},
		{"Authorised", []orders.Effect{authorised}, undos{orders.VoidPayment: 500}, ""},
		{
			"CapturedInPart",
			[]orders.Effect{authorised, with(captured, func(e *orders.Effect) { e.Amount = 200 })},
			undos{refund: 200, orders.VoidPayment: 300},
			"",
		},
		{"RefundedInPart", []orders.Effect{captured, effect(refund, 120)}, undos{refund: 380}, ""},
		{"Refunded", []orders.Effect{captured, effect(refund, 500)}, undos{}, ""},
		{"Released", []orders.Effect{reserved, effect(orders.ReleaseInventory, 0)}, undos{}, ""},
		{"Voided", []orders.Effect{authorised, effect(orders.VoidPayment, 500)}, undos{}, ""},
		{"UndoneBefore", []orders.Effect{captured, undo(captured), reserved, undo(reserved)}, undos{}, ""},
		{"CapturedTwice", []orders.Effect{captured, second}, undos{refund: 1000}, ""},
		{"Nothing", []orders.Effect{effect(orders.QuoteShipping, 0)}, undos{}, ""},

		{"CapturedTwiceAndRefunded", []orders.Effect{captured, second, effect(refund, 1)}, nil, "several times"},
		{"RefundedMore", []orders.Effect{captured, effect(refund, 501)}, nil, "more was given back"},
		{"NoAmount", []orders.Effect{effect(orders.CapturePayment, 0)}, nil, "no amount"},
		{"NoAmountOfRefund", []orders.Effect{captured, effect(refund, 0)}, nil, "no amount"},
		{
			"OtherCurrency",
			[]orders.Effect{captured, with(effect(refund, 5), func(e *orders.Effect) { e.Currency = "EUR" })},
			nil, "different currencies",
		},
		{"OtherKey", []orders.Effect{with(captured, func(e *orders.Effect) { e.Key = "k" })}, nil, "not one of Millrace's"},
		{
			"OtherSpelling",
			[]orders.Effect{with(captured, func(e *orders.Effect) { e.Key = e.Key[:53] + "01" })},
			nil, "not one of Millrace's",
		},
		{
			"OtherOrder",
			[]orders.Effect{with(captured, func(e *orders.Effect) { e.OrderID = orders.NewID().String() })},
			nil, "another provider or order",
		},
		{
			"OtherProvider",
			[]orders.Effect{with(captured, func(e *orders.Effect) { e.Provider = orders.Shipping })},
			nil, "another provider or order",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			plan, held := orders.UndoLost(tt.effects)
			if tt.held != "" {
				require.Contains(t, held, tt.held)
				require.Empty(t, plan)
				return
			}
			require.Empty(t, held)
			require.Len(t, plan, len(tt.effects))
			got := undos{}
			last := len(orders.Specs())
			for _, u := range plan {
				require.Equal(t, u.Step != "", u.Key() != "" && len(u.Request()) > 0)
				if u.Step == "" {
					last = -1
					continue
				}
				got[u.Step] += u.Amount
				require.Equal(t, u.Step == orders.ReleaseInventory, u.Units == 3)
				at := position(u.Step.Undoes())
				require.LessOrEqual(t, at, last, "%s comes too late", u.Step)
				last = at
			}
			require.Equal(t, tt.want, got)
		})
	}
}

func position(name orders.StepName) int {
	for i, spec := range orders.Specs() {
		if spec.Name == name {
			return i
		}
	}
	return -1
}

// TestUndoRequest: the body is the order's own, but for the customer.
func TestUndoRequest(t *testing.T) {
	t.Parallel()
	id := orders.NewID()
	key := orders.StepKey(id, orders.CapturePayment, 2)
	u := orders.Undo{
		Effect: orders.Effect{Provider: orders.Payment, Key: key, OrderID: id.String(), Amount: 500, Currency: orders.USD},
		Step:   orders.RefundPayment, Amount: 380,
	}
	require.JSONEq(t, `{"orderId":"`+id.String()+`","customerId":"unknown","amount":3.80,"currency":"USD",
		"captureKey":"`+key+`"}`, string(u.Request()))
	require.Equal(t, key+":undo", u.Key())
	original, ok := orders.UndoneKey(u.Key())
	require.True(t, ok)
	require.Equal(t, key, original)
}
