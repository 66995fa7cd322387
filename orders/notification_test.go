package orders_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
)

// TestEmails says which mail goes out at which end, and that there is a template for it.
func TestEmails(t *testing.T) {
	t.Parallel()
	const authorize, reserve, quote = "authorize_payment", "reserve_inventory", "quote_shipping"
	completed := []string{authorize, reserve, quote, "capture_payment", "book_shipment"}
	after := func(more ...string) []string { return append(slices.Clone(completed), more...) }
	for _, tt := range []struct {
		name     string
		outcomes []string
		want     []string // template and amount of each mail
	}{
		{"Completed", completed, []string{"order_completed 209.97"}},
		{"Failed", []string{authorize + "!", reserve + "!", quote + "!"}, []string{"order_failed 209.97"}},
		{
			"Cancelled",
			[]string{"cancel", authorize + "!", reserve + "!", quote},
			[]string{"order_cancelled 209.97"},
		},
		{
			"ShipmentRefused",
			[]string{
				authorize, reserve, quote, "capture_payment", "book_shipment!", "refund_payment", "void_payment",
				"release_inventory",
			},
			[]string{"order_refunded 209.97"},
		},
		{
			"RefundedInParts",
			after("refund 9.97", "refund_payment", "refund 200", "refund_payment#2"),
			[]string{"order_completed 209.97", "order_refunded 9.97", "order_refunded 200.00"},
		},
		{"RefundRefused", after("refund 9.97", "refund_payment!"), []string{"order_completed 209.97"}},
		{
			"RefundedBesideOneThatNeedsAttention",
			after("refund 9.97", "refund 100", "refund_payment?", "refund_payment#2"),
			[]string{"order_completed 209.97", "order_refunded 100.00"},
		},
		{"NeedsAttention", []string{authorize + "!", reserve, quote, "release_inventory!"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := placement()
			p.CustomerEmail = "ada@example.com"
			o := orders.Place(p, orders.NewID(), epoch).Order
			for _, outcome := range tt.outcomes {
				d, err := orders.Decide(o, parse(o.ID, outcome))
				require.NoError(t, err, outcome)
				o = d.Order
			}
			var got []string
			for _, s := range o.Steps {
				if s.Name != orders.SendEmail {
					continue
				}
				var body struct {
					Template, To string
					Amount       json.Number
				}
				require.NoError(t, json.Unmarshal(s.Request, &body))
				require.Equal(t, p.CustomerEmail, body.To)
				require.Contains(t, orders.Templates(), body.Template)
				got = append(got, body.Template+" "+body.Amount.String())
			}
			require.Equal(t, tt.want, got)
		})
	}
}

// An e-mail's outcome, whichever it is, leaves the order as it ended.
func TestEmailsNeverMatter(t *testing.T) {
	t.Parallel()
	for _, ended := range [][]string{
		{"authorize_payment", "reserve_inventory", "quote_shipping", "capture_payment", "book_shipment"},
		{"authorize_payment!", "reserve_inventory!", "quote_shipping!"},
		{"cancel", "authorize_payment!", "reserve_inventory!", "quote_shipping"},
	} {
		before := run(t, ended...)
		for _, outcome := range []string{"send_email", "send_email!", "send_email?"} {
			o := run(t, append(slices.Clone(ended), outcome)...)
			require.Equal(t, before.Status, o.Status)
			require.Equal(t, before.Reason, o.Reason)
			require.Empty(t, pending(o))
		}
	}
}

func TestStepKey(t *testing.T) {
	t.Parallel()
	id := orders.NewID()
	job, err := orders.ParseStepKey(orders.StepKey(id, orders.SendEmail, 12))
	require.NoError(t, err)
	require.Equal(t, orders.StepJob{OrderID: id, Step: orders.SendEmail, Generation: 12}, job)
	for _, key := range []string{"", "a:b", "a:b:1", id.String() + ":send_email:x", id.String() + ":send_email:1:2"} {
		_, err := orders.ParseStepKey(key)
		require.Error(t, err, key)
	}
}

func TestNotificationState(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		state  orders.StepState
		reason string
		want   orders.NotificationState
	}{
		{orders.StatePending, "", orders.NotificationPending},
		{orders.StateSucceeded, "", orders.NotificationSent},
		{orders.StateRefused, "recipient_550", orders.NotificationRefused},
		{orders.StateRefused, orders.NoAddress, orders.NotificationSkipped},
		{orders.StateUnknown, "deadline", orders.NotificationUnknown},
	} {
		require.Equal(t, tt.want, orders.NotificationStateOf(tt.state, tt.reason))
	}
}
