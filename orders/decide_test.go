package orders_test

import (
	"fmt"
	"slices"
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
