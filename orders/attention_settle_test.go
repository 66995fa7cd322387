package orders_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/millrace-orders/millrace/orders"
)

// bank is what the providers know of one order, by the contract of docs/providers.md: each key has one outcome, an undo
// bars what it undoes, and no more is refunded than was captured.
type bank struct {
	outcomes map[string]bool // by key: it took effect, or was refused
	done     map[orders.StepName]bool
	barred   map[orders.StepName]bool
	refunded orders.Money
}

func keyOf(s orders.Step) string { return orders.StepKey(orders.ID{}, s.Name, s.KeyGeneration) }

// send is the effect of a send of a step, from any worker and at any time.
func (b *bank) send(s orders.Step, total orders.Money, refuse bool) (ok bool) {
	if ok, known := b.outcomes[keyOf(s)]; known {
		return ok
	}
	undone := s.Name.Undoes()
	switch {
	case refuse, b.barred[s.Name], s.Name == orders.RefundPayment && b.done[undone] && b.refunded+s.Amount > total:
		b.outcomes[keyOf(s)] = false
		return false
	case s.Name == orders.RefundPayment && b.done[undone]:
		b.refunded += s.Amount
	case undone != "":
		b.barred[undone] = true
		delete(b.done, undone)
	default:
		b.done[s.Name] = true
	}
	b.outcomes[keyOf(s)] = true
	return true
}

// defy lets a step take effect although it was refused, or undone before, which no provider should.
func (b *bank) defy(s orders.Step) {
	b.outcomes[keyOf(s)] = true
	b.done[s.Name] = true
}

// found lists the steps that took effect, whose order has ended undone and does not know of it.
func (b *bank) found(o orders.Order) (list []orders.Event) {
	for _, s := range o.Steps {
		if s.State == orders.StateRefused || s.State == orders.StateUnknown {
			e, ok := o.Undo(orders.StepJob{OrderID: o.ID, Step: s.Name, Generation: s.KeyGeneration})
			if s.Name == orders.CapturePayment && o.Latest(orders.RefundPayment) == nil && ended(o) { // a person does
				e, ok = orders.Event{Kind: orders.SuccessDeclared, Step: s.Name, Generation: s.Generation, Reason: "found"}, true
			}
			if ok && b.done[s.Name] {
				list = append(list, e)
			}
		}
	}
	return list
}

func ended(o orders.Order) bool {
	return o.Status == orders.Failed || o.Status == orders.Cancelled || o.Status == orders.Refunded
}

// TestSettledOrders runs orders against providers that refuse and lose anything, compensations too, and against
// persons who settle what needs attention in every way there is, and who say the truth. Zombies send whatever got no
// answer once more, at any moment. Some steps take effect although they were refused, or after they were undone, which
// reconciliation finds once the order has ended. In the end money and goods agree with the status, and no mail about an
// end came twice.
func TestSettledOrders(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := &bank{map[string]bool{}, map[orders.StepName]bool{}, map[orders.StepName]bool{}, 0}
		placed := orders.Place(placement(), orders.NewID(), epoch)
		o, log := placed.Order, []orders.Event{placed.Event}
		mails := map[orders.Status]int{}
		apply := func(e orders.Event) (ok bool) {
			e.OrderID, e.At = o.ID, epoch.Add(time.Duration(o.Version)*time.Second)
			d, err := orders.Decide(o, e)
			if err != nil {
				return false
			}
			o, log = d.Order, append(log, d.Event)
			require.Empty(t, orders.Verify(o, log, time.Time{}))
			for _, s := range d.Started {
				if s.Name == orders.SendEmail {
					mails[o.Status]++
				}
			}
			return true
		}
		outcome := func(s orders.Step, kind orders.EventKind) {
			apply(orders.Event{Kind: kind, Step: s.Name, Generation: s.Generation, Reason: "r"})
		}
		// work carries out one pending step.
		work := func(s orders.Step, luck string) {
			spec, _ := s.Name.Spec()
			switch ok := luck == "refuse"; {
			case luck == "lie" && spec.Undo != "":
				b.defy(s)
				outcome(s, orders.StepRefused)
			case luck == "lose":
				b.send(s, o.Total, false)
				outcome(s, orders.StepUnknown)
			case luck == "silence":
				outcome(s, orders.StepUnknown)
			case b.send(s, o.Total, ok):
				outcome(s, orders.StepSucceeded)
			default:
				outcome(s, orders.StepRefused)
			}
		}
		// declare declares the true outcome of a step, or first carries the step out by hand.
		declare := func(s orders.Step, byHand bool) {
			done := b.outcomes[keyOf(s)]
			if !done && byHand {
				hand := s
				hand.KeyGeneration += 1000
				done = b.send(hand, o.Total, false)
			}
			kind := orders.RefusalDeclared
			if done {
				kind = orders.SuccessDeclared
			}
			apply(orders.Event{Kind: kind, Step: s.Name, Generation: s.Generation, Reason: "r"})
		}
		undeclared := func() (list []orders.Step) { // whose sends may still be on their way
			for _, s := range o.Steps {
				declared := slices.ContainsFunc(log, func(e orders.Event) bool {
					return (e.Kind == orders.SuccessDeclared || e.Kind == orders.RefusalDeclared) &&
						e.Step == s.Name && e.Generation >= s.Generation
				})
				if s.State == orders.StateUnknown && !declared {
					list = append(list, s)
				}
			}
			return list
		}
		open := func() []orders.Step {
			return slices.DeleteFunc(slices.Clone(o.Steps), func(s orders.Step) bool { return s.State != orders.StatePending })
		}

		lucks := []string{"succeed", "succeed", "succeed", "refuse", "lie", "lose", "silence"}
		for range rapid.IntRange(1, 40).Draw(t, "turns") {
			switch rapid.SampledFrom([]string{
				"work", "work", "work", "work", "cancel", "refund", "zombie", "defy", "reconcile",
			}).Draw(t, "turn") {
			case "work":
				if steps := open(); len(steps) > 0 {
					work(rapid.SampledFrom(steps).Draw(t, "step"), rapid.SampledFrom(lucks).Draw(t, "luck"))
				}
			case "cancel":
				apply(orders.Event{Kind: orders.CancelRequested})
			case "refund":
				apply(orders.Event{Kind: orders.RefundRequested, Amount: orders.Money(rapid.IntRange(1, 20997).Draw(t, "amount"))})
			case "zombie":
				if steps := undeclared(); len(steps) > 0 {
					b.send(rapid.SampledFrom(steps).Draw(t, "zombie"), o.Total, false)
				}
			case "defy": // a capture needs an operator, and its end is unknown
				for _, s := range undeclared() {
					if spec, _ := s.Name.Spec(); spec.Undo != "" && s.Name != orders.CapturePayment && b.barred[s.Name] {
						b.defy(s)
					}
				}
			case "reconcile":
				if found := b.found(o); len(found) > 0 {
					require.True(t, apply(found[0]))
				}
			}
			if o.Status != orders.NeedsAttention {
				continue
			}
			stuck := o.Stuck()
			require.NotEmpty(t, stuck, "needs attention for no step")
			cause := o.Cause()
			require.Equal(t, string(cause.Step)+" "+string(cause.State)+": r", o.Reason, "the cause is what the reason says")
			s := rapid.SampledFrom(stuck).Draw(t, "stuck")
			switch rapid.SampledFrom([]string{"retry", "retry all", "undo", "by hand", "as it is"}).Draw(t, "settlement") {
			case "retry":
				apply(orders.Event{Kind: orders.RetryRequested, Step: s.Name, Generation: s.Generation})
			case "retry all":
				apply(orders.Event{Kind: orders.RetryRequested})
			case "undo":
				apply(orders.Event{Kind: orders.UndoRequested})
			case "by hand":
				declare(s, true)
			case "as it is":
				declare(s, false)
			}
			require.LessOrEqual(t, o.Refunded, o.Total)
		}

		for turn := 0; len(open()) > 0 || o.Status == orders.NeedsAttention || len(b.found(o)) > 0; turn++ {
			require.Less(t, turn, 100, "does not come to its end: %s", o.Reason)
			if found := b.found(o); len(found) > 0 {
				require.True(t, apply(found[0]))
			}
			for _, s := range open() {
				work(s, "succeed")
			}
			for _, s := range o.Stuck() {
				declare(s, true)
			}
		}

		effects := func() (names []orders.StepName) {
			for _, spec := range orders.Specs() {
				if spec.Undo != "" && b.done[spec.Name] {
					names = append(names, spec.Name)
				}
			}
			return names
		}()
		all := []orders.StepName{
			orders.AuthorizePayment, orders.ReserveInventory, orders.CapturePayment, orders.BookShipment,
		}
		switch o.Goal {
		case orders.GoalComplete:
			require.Contains(t, []orders.Status{orders.Completed, orders.Refunded}, o.Status)
			require.Equal(t, all, effects)
			require.Equal(t, o.Refunded, b.refunded, "what the order says has gone back")
			require.Equal(t, o.Status == orders.Refunded, o.Refunded == o.Total)
		case orders.GoalCancel, orders.GoalFail:
			effects = slices.DeleteFunc(effects, func(n orders.StepName) bool {
				return n == orders.CapturePayment && b.refunded == o.Total
			})
			require.Empty(t, effects, "%s with effects left", o.Status)
			for status, n := range mails {
				require.Equal(t, 1, n, "mails that the order is %s", status)
			}
			require.Positive(t, mails[o.Status], "there is no mail that the order is %s", o.Status)
		}
		folded, err := orders.Fold(o, log)
		require.NoError(t, err)
		require.Equal(t, o, folded, "the fold of the events is the state")
	})
}
