package orders_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/millrace-orders/millrace/orders"
)

var epoch = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func placement() orders.Placement {
	return orders.Placement{
		Principal: "p", CustomerID: "1", Currency: orders.USD,
		Items: []orders.Item{{ProductID: 1, Quantity: 2, Price: 2999}, {ProductID: 2, Quantity: 1, Price: 14999}},
	}
}

// run applies outcomes written as "step", "step!" (refused) or "step?" (unknown), or "cancel", and returns the order.
func run(t *testing.T, outcomes ...string) orders.Order {
	t.Helper()
	o := orders.Place(placement(), orders.NewID(), epoch).Order
	for _, outcome := range outcomes {
		d, err := orders.Decide(o, parse(o.ID, outcome))
		require.NoError(t, err, outcome)
		o = d.Order
	}
	return o
}

func parse(id orders.ID, outcome string) orders.Event {
	e := orders.Event{OrderID: id, Kind: orders.StepSucceeded, Generation: 1, At: epoch.Add(time.Second)}
	if step, generation, ok := strings.Cut(outcome, "#"); ok { // such as refund_payment#2
		outcome, e.Generation = step, int(generation[0]-'0')
	}
	switch last := len(outcome) - 1; {
	case outcome == "cancel":
		return orders.Event{OrderID: id, Kind: orders.CancelRequested, At: e.At}
	case strings.HasPrefix(outcome, "refund "):
		amount, _ := orders.USD.Parse(strings.TrimPrefix(outcome, "refund "))
		return orders.Event{OrderID: id, Kind: orders.RefundRequested, Amount: amount, At: e.At}
	case outcome[last] == '!':
		e.Kind, e.Reason, outcome = orders.StepRefused, "no", outcome[:last]
	case outcome[last] == '?':
		e.Kind, e.Reason, outcome = orders.StepUnknown, "deadline", outcome[:last]
	}
	e.Step = orders.StepName(outcome)
	return e
}

func pending(o orders.Order) (names []string) {
	for _, s := range o.Steps {
		if s.State == orders.StatePending {
			names = append(names, string(s.Name))
		}
	}
	return names
}

// A free order is shipped without being paid for, and undone in the same sequence as any other.
func TestFreeOrder(t *testing.T) {
	t.Parallel()
	const reserve, quote, ship = "reserve_inventory", "quote_shipping", "book_shipment"
	for name, tt := range map[string]struct {
		outcomes []string
		status   orders.Status
		pending  []string
	}{
		"Placed":          {nil, orders.Pending, []string{reserve, quote}},
		"WaitsForBoth":    {[]string{reserve}, orders.Processing, []string{quote}},
		"Ships":           {[]string{reserve, quote}, orders.Processing, []string{ship}},
		"Completes":       {[]string{reserve, quote, ship}, orders.Completed, []string{"send_email"}},
		"NothingToUndo":   {[]string{reserve + "!", quote}, orders.Failed, []string{"send_email"}},
		"NoCarrier":       {[]string{reserve, quote, ship + "!"}, orders.Processing, []string{"release_inventory"}},
		"CancelsInTurn":   {[]string{reserve, quote, "cancel", ship}, orders.Processing, []string{"cancel_shipment"}},
		"UnknownShipment": {[]string{reserve, quote, ship + "?"}, orders.Processing, []string{"cancel_shipment"}},
		"StuckShipment": {
			[]string{reserve, quote, ship + "?", "cancel_shipment!"}, orders.NeedsAttention, nil,
		},
		"Undone": {
			[]string{reserve, quote, "cancel", ship, "cancel_shipment", "release_inventory"},
			orders.Cancelled,
			[]string{"send_email"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := placement()
			p.Items = []orders.Item{{ProductID: 1, Quantity: 3}}
			o := orders.Place(p, orders.NewID(), epoch).Order
			for _, outcome := range tt.outcomes {
				d, err := orders.Decide(o, parse(o.ID, outcome))
				require.NoError(t, err, outcome)
				o = d.Order
			}
			require.Equal(t, tt.status, o.Status)
			require.Equal(t, tt.pending, pending(o))
			_, err := orders.Decide(o, parse(o.ID, "refund 1.00"))
			require.Error(t, err, "nothing was paid")
		})
	}
}

func TestDecide(t *testing.T) {
	t.Parallel()
	const authorize, reserve, quote = "authorize_payment", "reserve_inventory", "quote_shipping"
	tests := []struct {
		name     string
		outcomes []string
		status   orders.Status
		pending  []string
	}{
		{"Placed", nil, orders.Pending, []string{authorize, reserve, quote}},
		{"WaitsForAllThree", []string{authorize, reserve}, orders.Processing, []string{quote}},
		{"Captures", []string{authorize, reserve, quote}, orders.Processing, []string{"capture_payment"}},
		{"Ships", []string{authorize, reserve, quote, "capture_payment"}, orders.Processing, []string{"book_shipment"}},
		{
			"Completes",
			[]string{authorize, reserve, quote, "capture_payment", "book_shipment"},
			orders.Completed,
			[]string{"send_email"},
		},
		{
			"EmailNeverMatters",
			[]string{authorize, reserve, quote, "capture_payment", "book_shipment", "send_email!"},
			orders.Completed, nil,
		},
		{"DeclinedWaitsForTheOthers", []string{authorize + "!"}, orders.Processing, []string{reserve, quote}},
		{
			"DeclinedReleases",
			[]string{authorize + "!", reserve, quote},
			orders.Processing,
			[]string{"release_inventory"},
		},
		{
			"DeclinedFails",
			[]string{authorize + "!", reserve, quote, "release_inventory"},
			orders.Failed,
			[]string{"send_email"},
		},
		{"AllRefused", []string{authorize + "!", reserve + "!", quote + "!"}, orders.Failed, []string{"send_email"}},
		{
			"UnknownIsUndone",
			[]string{authorize + "?", reserve + "!", quote},
			orders.Processing,
			[]string{"void_payment"},
		},
		{
			"CancelledBeforeCapture",
			[]string{"cancel", authorize, reserve, quote, "void_payment", "release_inventory"},
			orders.Cancelled,
			[]string{"send_email"},
		},
		{
			"CancelledDuringCapture",
			[]string{authorize, reserve, quote, "cancel", "capture_payment"},
			orders.Processing,
			[]string{"refund_payment"},
		},
		{
			"CancelledAfterCapture",
			[]string{
				authorize, reserve, quote, "capture_payment", "cancel", "book_shipment", "cancel_shipment",
				"refund_payment", "void_payment", "release_inventory",
			},
			orders.Refunded,
			[]string{"send_email"},
		},
		{
			"CaptureRefused",
			[]string{
				authorize, reserve, quote, "capture_payment!", "void_payment", "release_inventory",
			},
			orders.Failed,
			[]string{"send_email"},
		},
		{
			"CaptureUnknownIsRefundedFirst",
			[]string{authorize, reserve, quote, "capture_payment?"},
			orders.Processing,
			[]string{"refund_payment"},
		},
		{
			"ShipmentRefused",
			[]string{
				authorize, reserve, quote, "capture_payment", "book_shipment!", "refund_payment", "void_payment",
				"release_inventory",
			},
			orders.Refunded,
			[]string{"send_email"},
		},
		{
			"CompensationRefused",
			[]string{authorize + "!", reserve, quote, "release_inventory!"},
			orders.NeedsAttention, nil,
		},
		{
			"ShipmentCannotBeCancelled",
			[]string{
				authorize, reserve, quote, "capture_payment", "cancel", "book_shipment", "cancel_shipment!",
			},
			orders.NeedsAttention, nil, // and nothing was refunded: the goods are on their way
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := run(t, tt.outcomes...)
			require.Equal(t, tt.status, o.Status)
			require.Equal(t, tt.pending, pending(o))
			require.Equal(t, int64(len(tt.outcomes))+1, o.Version)
		})
	}
}

func TestIfVersion(t *testing.T) {
	t.Parallel()
	o := run(t, "authorize_payment")
	cancel := parse(o.ID, "cancel")
	cancel.IfVersions = []int64{1}
	_, err := orders.Decide(o, cancel)
	require.ErrorIs(t, err, orders.ErrVersionConflict)
	cancel.IfVersions = []int64{2}
	_, err = orders.Decide(o, cancel)
	require.NoError(t, err)
}

func TestDecideIgnores(t *testing.T) {
	t.Parallel()
	completed := []string{"authorize_payment", "reserve_inventory", "quote_shipping", "capture_payment", "book_shipment"}
	tests := []struct {
		name     string
		outcomes []string
		event    string
	}{
		{"OutcomeTwice", []string{"authorize_payment"}, "authorize_payment"},
		{"OtherOutcomeLater", []string{"authorize_payment?"}, "authorize_payment"},
		{"StepNeverStarted", nil, "capture_payment"},
		{"NoSuchStep", nil, "make_coffee"},
		{"CancelTwice", []string{"cancel"}, "cancel"},
		{"CancelWhileFailing", []string{"authorize_payment!"}, "cancel"},
		{"CancelCompleted", completed, "cancel"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := run(t, tt.outcomes...)
			_, err := orders.Decide(o, parse(o.ID, tt.event))
			require.Error(t, err)
		})
	}

	t.Run("OtherGeneration", func(t *testing.T) {
		t.Parallel()
		o := run(t)
		e := parse(o.ID, "authorize_payment")
		e.Generation = 2
		_, err := orders.Decide(o, e)
		require.Error(t, err)
	})
}

// TestDecideIsTotal puts every event to every state that can be reached: none may panic, and none may change the
// order it was given.
func TestDecideIsTotal(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		o := orders.Place(placement(), orders.NewID(), epoch).Order
		for range rapid.IntRange(0, 20).Draw(t, "events") {
			before := fmt.Sprintf("%+v", o)
			for _, kind := range orders.EventKinds() {
				for _, spec := range orders.Specs() {
					_, _ = orders.Decide(o, orders.Event{OrderID: o.ID, Kind: kind, Step: spec.Name, Generation: 1, At: epoch})
				}
			}
			require.Equal(t, before, fmt.Sprintf("%+v", o))
			e := orders.Event{
				OrderID: o.ID, Generation: 1, At: epoch,
				Kind: rapid.SampledFrom(orders.EventKinds()).Draw(t, "kind"),
				Step: rapid.SampledFrom(orders.Specs()).Draw(t, "step").Name,
			}
			if d, err := orders.Decide(o, e); err == nil {
				o = d.Order
			}
		}
	})
}
