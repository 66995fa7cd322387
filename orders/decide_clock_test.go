package orders_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
)

// The database's clock may be set back by any time. An order's events follow each other all the same.
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	o := orders.Place(placement(), orders.NewID(), epoch).Order
	at := epoch
	for _, outcome := range []string{"authorize_payment", "reserve_inventory", "quote_shipping!", "release_inventory"} {
		e := parse(o.ID, outcome)
		e.At = epoch.Add(-time.Hour + 345*time.Microsecond)
		d, err := orders.Decide(o, e)
		require.NoError(t, err)
		o = d.Order
		require.True(t, o.UpdatedAt.After(at), "version %d is of %s, after %s", o.Version, o.UpdatedAt, at)
		require.Equal(t, o.UpdatedAt, d.Event.At)
		require.Equal(t, 345, o.UpdatedAt.Nanosecond()/1000%1000, "the microseconds stay")
		for _, s := range d.Started {
			require.Equal(t, o.UpdatedAt, s.StartedAt)
			require.True(t, s.DeadlineAt.After(s.StartedAt))
		}
		at = o.UpdatedAt
	}
}

// Events come from machines whose clocks differ. Whether an order was read back or folded from its log must make no
// difference to what becomes of it, such as to which of several causes it names.
func TestClocksThatDiffer(t *testing.T) {
	t.Parallel()
	o := orders.Place(placement(), orders.NewID(), epoch).Order
	for _, e := range []struct {
		step  orders.StepName
		kind  orders.EventKind
		after time.Duration
	}{
		{orders.AuthorizePayment, orders.StepUnknown, 9 * time.Millisecond},
		{orders.ReserveInventory, orders.StepSucceeded, 5 * time.Millisecond},
		{orders.QuoteShipping, orders.StepRefused, 2 * time.Millisecond},
		{orders.ReleaseInventory, orders.StepRefused, 7 * time.Millisecond},
		{orders.VoidPayment, orders.StepRefused, 6 * time.Millisecond},
	} {
		d, err := orders.Decide(o, orders.Event{
			OrderID: o.ID, Kind: e.kind, Step: e.step, Generation: 1, At: epoch.Add(e.after),
		})
		require.NoError(t, err)
		read := slices.Clone(d.Order.Steps)
		orders.SortSteps(read)
		require.Equal(t, read, d.Order.Steps)
		o = d.Order
	}
	require.Equal(t, orders.NeedsAttention, o.Status)
}
