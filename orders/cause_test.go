package orders_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
)

func TestCause(t *testing.T) {
	t.Parallel()
	undone := []string{"authorize_payment", "reserve_inventory", "quote_shipping!"}
	completed := []string{
		"authorize_payment", "reserve_inventory", "quote_shipping", "capture_payment", "book_shipment", "send_email",
	}
	after := func(done []string, more ...string) []string { return append(append([]string{}, done...), more...) }
	const void, release, refund = orders.VoidPayment, orders.ReleaseInventory, orders.RefundPayment
	for name, tt := range map[string]struct {
		outcomes []string
		want     orders.Cause
	}{
		"None":    {outcomes: undone},
		"Refused": {after(undone, "release_inventory", "void_payment!"), orders.Cause{void, orders.StateRefused, "no"}},
		"FirstOfTwo": {
			after(undone, "release_inventory?", "void_payment!"), orders.Cause{void, orders.StateRefused, "no"},
		},
		"OtherOfTwo": {
			after(undone, "void_payment", "release_inventory?"), orders.Cause{release, orders.StateUnknown, "deadline"},
		},
		"Refund": {
			after(completed, "refund 1", "refund_payment?"), orders.Cause{refund, orders.StateUnknown, "deadline"},
		},
		"SettledByItself": {outcomes: after(undone, "void_payment", "release_inventory")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := run(t, tt.outcomes...)
			require.Equal(t, tt.want, o.Cause())
			if tt.want != (orders.Cause{}) {
				require.Equal(t, o.Reason, tt.want.String(), "the sentence and the data say the same")
			}
		})
	}
}

// An operator's own words are in the reason, and are not a code.
func TestCauseDeclared(t *testing.T) {
	t.Parallel()
	o := run(t, "authorize_payment", "reserve_inventory!", "quote_shipping", "void_payment?")
	d, err := orders.Decide(o, settle(orders.RefusalDeclared, ""))
	require.NoError(t, err)
	require.True(t, strings.HasSuffix(d.Order.Reason, "called the bank"))
	require.Equal(t, orders.Cause{orders.VoidPayment, orders.StateRefused, "declared"}, d.Order.Cause())
}

// Of two refunds without an answer, the reason is about the one whose outcome came last. The cause follows it.
func TestCauseOfTwoRefunds(t *testing.T) {
	t.Parallel()
	o := run(t, "authorize_payment", "reserve_inventory", "quote_shipping", "capture_payment", "book_shipment",
		"send_email", "refund 1", "refund 2", "refund_payment?")
	later := parse(o.ID, "refund_payment?#2")
	later.Reason = "abandoned"
	d, err := orders.Decide(o, later)
	require.NoError(t, err)
	require.Equal(t, "refund_payment unknown: abandoned", d.Order.Reason)
	require.Equal(t, orders.Cause{orders.RefundPayment, orders.StateUnknown, "abandoned"}, d.Order.Cause())
}
