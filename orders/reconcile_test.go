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
		want     orders.FindingKind
		open     bool // it may come to disagree by itself
	}{
		{"Pending", nil, func(*orders.Effect) {}, "", true},
		{"Succeeded", []string{"authorize_payment"}, func(*orders.Effect) {}, "", false},
		{"UnknownAndStillToUndo", unknown, func(*orders.Effect) {}, "", true},
		{"UnknownAndUndone", undone, func(*orders.Effect) {}, "", false},
		{"AfterItWasUndone", undone, func(e *orders.Effect) { e.At = epoch.Add(10 * time.Minute) }, "not_undone", false},
		{
			"RefusedSaysTheOrder",
			[]string{"authorize_payment!", "reserve_inventory!", "quote_shipping!"},
			func(*orders.Effect) {}, "not_undone", false,
		},
		{"OtherAmount", nil, func(e *orders.Effect) { e.Amount-- }, "amount", true},
		{"OtherCurrency", nil, func(e *orders.Effect) { e.Currency = "EUR" }, "amount", true},
		{"NoAmount", nil, func(e *orders.Effect) { e.Amount, e.Currency = 0, "" }, "", true},
		{"Late", nil, func(e *orders.Effect) { e.At = epoch.Add(time.Hour + 2*time.Minute) }, "late", true},
		{"AlmostLate", nil, func(e *orders.Effect) { e.At = epoch.Add(time.Hour + time.Second) }, "", true},
		{"OtherGeneration", nil, func(e *orders.Effect) { e.Key = e.Key[:len(e.Key)-1] + "2" }, "no_intent", false},
		{"OtherKey", nil, func(e *orders.Effect) { e.Key = "k" }, "no_intent", false},
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
			require.Equal(t, tt.open, o.Unsettled(e))
		})
	}
}
