package simulator_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/sandbox/simulator"
)

// pathOf is where a step goes. The simulator has paths of its own: a wrong one is not found.
func pathOf(spec orders.Spec) string {
	bases := map[orders.Provider]string{
		orders.Payment: "/payments/", orders.Inventory: "/inventory/", orders.Shipping: "/shipping/", orders.Email: "/email/",
	}
	return bases[spec.Provider] + spec.Path
}

// TestMillraceBodies sends what orders really makes: all steps of an order, forward and back.
func TestMillraceBodies(t *testing.T) {
	t.Parallel()
	sim := start(t, simulator.Config{})
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
			spec, _ := step.Name.Spec()
			got := sim.send(send{pathOf(spec), key, string(step.Request)})
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

// TestUndoComesFirst: whatever the saga undoes, the simulator knows by its own rules that it is undone, even if the
// undo comes before what it undoes (docs/providers.md, rule 4).
func TestUndoComesFirst(t *testing.T) {
	t.Parallel()
	sim := start(t, simulator.Config{})
	d := orders.Place(orders.Placement{
		CustomerID: "alice", Currency: orders.USD, Items: []orders.Item{{ProductID: 1, Quantity: 2, Price: 2999}},
	}, orders.NewID(), time.Now())
	post := func(name orders.StepName) reply {
		spec, _ := name.Spec()
		body, err := json.Marshal(spec.Body(&d.Order, orders.Step{Name: name, Generation: 1, Amount: d.Order.Total}))
		require.NoError(t, err)
		return sim.send(send{pathOf(spec), orders.StepKey(d.Order.ID, name, 1), string(body)})
	}
	for _, spec := range orders.Specs() {
		if spec.Undo != "" {
			require.Equal(t, "200", post(spec.Undo).said(), spec.Undo)
			require.Equal(t, "422 undone", post(spec.Name).said(), spec.Name)
		}
	}
}
