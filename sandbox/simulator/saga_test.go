package simulator_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/sandbox/simulator"
)

// TestMillraceBodies sends what orders really makes: all steps of an order, forward and back.
func TestMillraceBodies(t *testing.T) {
	t.Parallel()
	sim := start(t, simulator.Config{})
	paths := map[orders.StepName]string{
		orders.AuthorizePayment: "/payments/authorizations", orders.CapturePayment: "/payments/captures",
		orders.VoidPayment: "/payments/voids", orders.RefundPayment: "/payments/refunds",
		orders.ReserveInventory: "/inventory/reservations", orders.ReleaseInventory: "/inventory/releases",
		orders.QuoteShipping: "/shipping/quotes", orders.BookShipment: "/shipping/shipments",
		orders.CancelShipment: "/shipping/cancellations", orders.SendEmail: "/email/messages",
	}
	for _, cancel := range []bool{false, true} {
		d := orders.Place(orders.Placement{
			CustomerID: "alice", Currency: orders.USD, Items: []orders.Item{{ProductID: 1, Quantity: 2, Price: 2999}},
		}, orders.NewID(), time.Now())
		for queue := d.Started; len(queue) > 0; queue = queue[1:] {
			step := queue[0]
			if cancel && step.Name == orders.BookShipment {
				later, err := orders.Decide(d.Order, orders.Event{OrderID: d.Order.ID, Kind: orders.CancelRequested})
				require.NoError(t, err)
				d, queue = later, append(queue, later.Started...)
			}
			key := orders.StepKey(d.Order.ID, step.Name, step.Generation)
			got := sim.send(send{paths[step.Name], key, string(step.Request)})
			require.Equal(t, "200", got.said(), fmt.Sprint(step.Name, got.Detail))
			next, err := orders.Decide(d.Order, orders.Event{
				OrderID: d.Order.ID, Kind: orders.StepSucceeded, Step: step.Name, Generation: step.Generation, Reference: got.ID,
			})
			require.NoError(t, err)
			d, queue = next, append(queue, next.Started...)
		}
		require.Equal(t, map[bool]orders.Status{false: orders.Completed, true: orders.Refunded}[cancel], d.Order.Status)
	}
	require.Empty(t, sim.Summary().Violations)
}
