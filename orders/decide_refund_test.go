package orders_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
)

// TestRefund gives the money of a completed order back in parts. The total is 209.97.
func TestRefund(t *testing.T) {
	t.Parallel()
	completed := []string{
		"authorize_payment", "reserve_inventory", "quote_shipping", "capture_payment", "book_shipment", "send_email",
	}
	tests := []struct {
		name     string
		outcomes []string
		status   orders.Status
		refunded orders.Money
		left     orders.Money
		pending  []string
	}{
		{"Requested", []string{"refund 9.97"}, orders.Completed, 0, 20000, []string{"refund_payment"}},
		{"Partial", []string{"refund 9.97", "refund_payment"}, orders.Completed, 997, 20000, []string{"send_email"}},
		{
			"TwoAtATime",
			[]string{"refund 9.97", "refund 100", "refund_payment#2"},
			orders.Completed, 10000, 10000,
			[]string{"refund_payment", "send_email"},
		},
		{
			"AllOfIt",
			[]string{"refund 9.97", "refund 200", "refund_payment", "refund_payment#2"},
			orders.Refunded,
			20997, 0,
			[]string{"send_email", "send_email"},
		},
		{"Refused", []string{"refund 9.97", "refund_payment!"}, orders.Completed, 0, 20997, nil},
		{"Unknown", []string{"refund 9.97", "refund_payment?"}, orders.NeedsAttention, 0, 20997, nil},
		{
			"UnknownBesideAnother",
			[]string{"refund 9.97", "refund 100", "refund_payment?", "refund_payment#2"},
			orders.NeedsAttention, 10000, 10997,
			[]string{"send_email"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := run(t, append(slices.Clone(completed), tt.outcomes...)...)
			require.Equal(t, tt.status, o.Status)
			require.Equal(t, tt.refunded, o.Refunded)
			require.Equal(t, tt.left, o.Refundable())
			require.Equal(t, tt.pending, pending(o))
		})
	}

	for name, outcomes := range map[string][]string{
		"MoreThanCaptured":   append(slices.Clone(completed), "refund 209.98"),
		"NothingIsLeft":      append(slices.Clone(completed), "refund 209.97", "refund 0"),
		"MoreThanWhatIsLeft": append(slices.Clone(completed), "refund 9.97", "refund 200.01"),
		"BeforeTheEnd":       append(slices.Clone(completed[:4]), "refund 1"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			last := len(outcomes) - 1
			o := run(t, outcomes[:last]...)
			_, err := orders.Decide(o, parse(o.ID, outcomes[last]))
			require.Error(t, err)
			require.NotErrorIs(t, err, orders.ErrNoChange, "it must say why")
		})
	}
}
