package orders_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
)

// TestDifferences changes what is stored, one thing at a time: a program that decides otherwise sees the same.
func TestDifferences(t *testing.T) {
	t.Parallel()
	completed := []string{
		"authorize_payment", "reserve_inventory", "quote_shipping", "capture_payment", "book_shipment", "send_email",
	}
	tests := []struct {
		name   string
		change func(*orders.Order, *[]orders.Event)
		want   []orders.Difference
	}{
		{"Same", func(*orders.Order, *[]orders.Event) {}, nil},
		{"Status", func(o *orders.Order, _ *[]orders.Event) { o.Status = orders.Processing }, []orders.Difference{
			{What: "status", Stored: "processing", Made: "completed"},
		}},
		{"Progress", func(_ *orders.Order, log *[]orders.Event) { (*log)[1].Progress = 7 }, []orders.Difference{
			{What: "version 2", Stored: "processing at 7 %", Made: "processing at 20 %"},
		}},
		{"StepWouldStart", func(o *orders.Order, _ *[]orders.Event) {
			o.Steps = slices.DeleteFunc(o.Steps, func(s orders.Step) bool { return s.Name == orders.SendEmail })
		}, []orders.Difference{{What: "send_email:1", Stored: "not there", Made: "started"}}},
		{"StepWouldNotStart", func(o *orders.Order, _ *[]orders.Event) {
			o.Steps = append(o.Steps, orders.Step{Name: "wrap_gift", Generation: 1, State: orders.StatePending})
		}, []orders.Difference{{What: "wrap_gift:1", Stored: "pending", Made: "not started"}}},
		{
			"Amount", func(o *orders.Order, _ *[]orders.Event) { o.Latest(orders.CapturePayment).Amount = 1 },
			[]orders.Difference{{
				What: "capture_payment:1", Stored: `succeeded, amount 1, key 1, reference "", reason ""`,
				Made: `succeeded, amount 20997, key 1, reference "", reason ""`,
			}},
		},
		{
			"UnknownEvent", func(_ *orders.Order, log *[]orders.Event) { (*log)[3].Kind = "order_wrapped" },
			[]orders.Difference{{
				What: "version 4", Stored: "order_wrapped quote_shipping:1", Made: "refused: " + orders.ErrNoChange.Error(),
			}},
		},
		{
			"Sequence", func(o *orders.Order, _ *[]orders.Event) { o.Steps[0], o.Steps[1] = o.Steps[1], o.Steps[0] },
			[]orders.Difference{{
				What: "steps",
				Stored: "[reserve_inventory:1 authorize_payment:1 quote_shipping:1 capture_payment:1 book_shipment:1 " +
					"send_email:1]",
				Made: "[authorize_payment:1 reserve_inventory:1 quote_shipping:1 capture_payment:1 book_shipment:1 " +
					"send_email:1]",
			}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o, log := logged(t, completed...)
			o.Steps = slices.Clone(o.Steps)
			tt.change(&o, &log)
			require.Equal(t, tt.want, orders.Differences(o, log))
		})
	}
}
