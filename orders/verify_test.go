package orders_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
)

// logged runs outcomes as run does, and returns the log as well.
func logged(t *testing.T, outcomes ...string) (orders.Order, []orders.Event) {
	t.Helper()
	d := orders.Place(placement(), orders.NewID(), epoch)
	log := []orders.Event{d.Event}
	for _, outcome := range outcomes {
		var err error
		d, err = orders.Decide(d.Order, parse(d.Order.ID, outcome))
		require.NoError(t, err, outcome)
		log = append(log, d.Event)
	}
	return d.Order, log
}

// TestVerify breaks one thing at a time. TestSaga shows that orders in which nothing is broken breach nothing.
func TestVerify(t *testing.T) {
	t.Parallel()
	completed := []string{
		"authorize_payment", "reserve_inventory", "quote_shipping", "capture_payment", "book_shipment", "send_email",
	}
	failed := []string{
		"authorize_payment", "reserve_inventory!", "quote_shipping", "void_payment", "send_email",
	}
	refunded := append(slices.Clone(completed), "refund 9.97", "refund_payment")
	tests := []struct {
		name     string
		outcomes []string
		change   func(*orders.Order, *[]orders.Event)
		rules    []orders.Rule
	}{
		{"Completed", completed, func(*orders.Order, *[]orders.Event) {}, nil},
		{"PartlyRefunded", refunded, func(*orders.Order, *[]orders.Event) {}, nil},
		{"ClockOfAnotherProcess", completed, func(o *orders.Order, _ *[]orders.Event) {
			o.Steps[0].SettledAt = o.Steps[0].StartedAt.Add(-50 * time.Millisecond)
		}, []orders.Rule{"fold"}}, // and not steps
		{"Total", completed, func(o *orders.Order, _ *[]orders.Event) { o.Items[0].Quantity = 3 }, []orders.Rule{"items"}},
		{"NoEvents", failed, func(_ *orders.Order, log *[]orders.Event) { *log = nil }, []orders.Rule{"log"}},
		{"FirstEventGone", failed, func(_ *orders.Order, log *[]orders.Event) { *log = (*log)[1:] }, []orders.Rule{"log"}},
		{"LastEventGone", failed, func(_ *orders.Order, log *[]orders.Event) { *log = (*log)[:5] }, []orders.Rule{"log"}},
		{"Gap", failed, func(_ *orders.Order, log *[]orders.Event) {
			*log = slices.Delete(*log, 2, 3)
		}, []orders.Rule{"log"}},
		{"Twice", failed, func(_ *orders.Order, log *[]orders.Event) {
			*log = slices.Insert(*log, 2, (*log)[2])
		}, []orders.Rule{"log"}},
		{"OtherReason", failed, func(o *orders.Order, _ *[]orders.Event) { o.Reason = "" }, []orders.Rule{"fold"}},
		{"OtherReference", failed, func(o *orders.Order, _ *[]orders.Event) {
			o.Steps[0].Reference = "x"
		}, []orders.Rule{"fold"}},
		{"LoggedOtherwise", failed, func(_ *orders.Order, log *[]orders.Event) {
			(*log)[2].Progress = 99
		}, []orders.Rule{"fold"}},
		{"StepGone", failed, func(o *orders.Order, _ *[]orders.Event) {
			o.Steps = slices.DeleteFunc(o.Steps, func(s orders.Step) bool { return s.Name == orders.SendEmail })
		}, []orders.Rule{"fold", "fold"}},
		{"EventOfASettledStep", failed, func(_ *orders.Order, log *[]orders.Event) {
			(*log)[2].Step = (*log)[1].Step
		}, []orders.Rule{"transition"}},
		{"IllegalStatusAfterPruning", completed, func(o *orders.Order, log *[]orders.Event) {
			(*log)[4].Status = orders.Failed
			o.PlacedAt, *log = epoch.Add(-time.Hour), (*log)[3:]
		}, []orders.Rule{"transition"}},
		{"FailedCompletesAfterPruning", failed, func(o *orders.Order, log *[]orders.Event) {
			(*log)[3].Status, (*log)[4].Status = orders.Failed, orders.Completed
			o.PlacedAt, *log = epoch.Add(-time.Hour), (*log)[3:]
		}, []orders.Rule{"transition", "transition"}},
		{"FailedIsUndoneFurtherAfterPruning", failed, func(o *orders.Order, log *[]orders.Event) {
			(*log)[3].Status, (*log)[4].Status = orders.Failed, orders.Processing
			o.PlacedAt, *log = epoch.Add(-time.Hour), (*log)[3:]
		}, nil},
		{"OtherStatusAfterPruning", completed, func(o *orders.Order, log *[]orders.Event) {
			(*log)[6].Status = orders.Refunded
			o.PlacedAt, *log = epoch.Add(-time.Hour), (*log)[3:]
		}, []orders.Rule{"fold"}},
		{"PrunedByAClockThatIsBehind", completed, func(o *orders.Order, log *[]orders.Event) {
			o.PlacedAt, *log = epoch.Add(-90*time.Second), (*log)[3:]
		}, nil},
		{"UnknownStep", failed, func(o *orders.Order, log *[]orders.Event) {
			o.Steps[len(o.Steps)-1].Name, *log = "send_fax", nil
			o.PlacedAt, o.UpdatedAt = epoch.Add(-time.Hour), epoch.Add(-time.Hour)
		}, []orders.Rule{"steps"}},
		{"CaptureTooEarly", []string{"authorize_payment", "reserve_inventory"}, func(o *orders.Order, _ *[]orders.Event) {
			o.Steps = append(o.Steps, orders.Step{
				Name: "capture_payment", Generation: 1, State: orders.StatePending,
				StartedAt: epoch, DeadlineAt: epoch.Add(time.Hour),
			})
		}, []orders.Rule{"steps", "fold"}},
		{"CapturedMoreThanAuthorized", completed, func(o *orders.Order, _ *[]orders.Event) {
			o.Step("authorize_payment", 1).Amount = 1
		}, []orders.Rule{"money", "fold"}},
		{"RefundedMoreThanCaptured", refunded, func(o *orders.Order, _ *[]orders.Event) {
			o.Step("refund_payment", 1).Amount = 20998
		}, []orders.Rule{"money", "money", "fold"}},
		{"CompletedWithoutShipment", completed, func(o *orders.Order, _ *[]orders.Event) {
			o.Step("book_shipment", 1).State = orders.StateUnknown
		}, []orders.Rule{"rest", "fold"}},
		{"FailedWithMoneyHeld", failed, func(o *orders.Order, _ *[]orders.Event) {
			o.Step("void_payment", 1).State = orders.StateRefused
		}, []orders.Rule{"rest", "fold"}},
		{"FailedWithWorkLeft", failed, func(o *orders.Order, _ *[]orders.Event) {
			o.Step("quote_shipping", 1).State = orders.StatePending
		}, []orders.Rule{"rest", "fold"}},
		{
			"Stuck",
			[]string{"authorize_payment", "reserve_inventory", "quote_shipping"},
			func(o *orders.Order, _ *[]orders.Event) {
				o.Step("capture_payment", 1).State, o.Step("capture_payment", 1).SettledAt = orders.StateUnknown, o.UpdatedAt
			},
			[]orders.Rule{"stuck", "fold", "fold"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o, log := logged(t, tt.outcomes...)
			tt.change(&o, &log)
			var rules []orders.Rule
			breaches := orders.Verify(o, log, epoch.Add(-2*time.Minute))
			for _, b := range breaches {
				rules = append(rules, b.Rule)
			}
			require.Equal(t, tt.rules, rules, breaches)
		})
	}
}
