package orders_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
)

// TestCompare has an effect of the order's authorisation, of 209.97 USD, in every situation that the order may be in.
func TestCompare(t *testing.T) {
	t.Parallel()
	unknown := []string{"authorize_payment?", "reserve_inventory!"}
	undone := append(unknown, "quote_shipping", "void_payment")
	tests := []struct {
		name     string
		outcomes []string
		change   func(*orders.Effect)
		want     orders.Drift
	}{
		{"Pending", nil, func(*orders.Effect) {}, ""},
		{"Succeeded", []string{"authorize_payment"}, func(*orders.Effect) {}, ""},
		{"UnknownAndStillToUndo", unknown, func(*orders.Effect) {}, ""},
		{"UnknownAndUndone", undone, func(*orders.Effect) {}, ""},
		{"AfterItWasUndone", undone, func(e *orders.Effect) { e.At = epoch.Add(10 * time.Minute) }, "not_undone"},
		{
			"RefusedSaysTheOrder",
			[]string{"authorize_payment!", "reserve_inventory!", "quote_shipping!"},
			func(*orders.Effect) {}, "not_undone",
		},
		{"OtherAmount", nil, func(e *orders.Effect) { e.Amount-- }, "amount"},
		{"OtherCurrency", nil, func(e *orders.Effect) { e.Currency = "EUR" }, "amount"},
		{"NoAmount", nil, func(e *orders.Effect) { e.Amount, e.Currency = 0, "" }, ""},
		{"Late", nil, func(e *orders.Effect) { e.At = epoch.Add(time.Hour + 2*time.Minute) }, "late"},
		{"AlmostLate", nil, func(e *orders.Effect) { e.At = epoch.Add(time.Hour + time.Second) }, ""},
		{"OtherGeneration", nil, func(e *orders.Effect) { e.Key = e.Key[:len(e.Key)-1] + "2" }, "no_intent"},
		{"OtherKey", nil, func(e *orders.Effect) { e.Key = "k" }, "no_intent"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := run(t, tt.outcomes...)
			e := orders.Effect{
				Provider: orders.Payment, Key: orders.StepKey(o.ID, orders.AuthorizePayment, 1), Amount: 20997,
				Currency: orders.USD, At: epoch,
			}
			tt.change(&e)
			got, detail := o.Compare(e)
			require.Equal(t, tt.want, got, detail)
		})
	}
}
