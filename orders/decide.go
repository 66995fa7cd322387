package orders

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Decision is what an event does to an order.
type Decision struct {
	Order   Order  // after the event
	Event   Event  // as it goes into the log
	Ended   bool   // the order has come to rest with this event
	Settled *Step  // the step whose outcome the event is, if it is one
	Started []Step // steps to store, each with the job that carries it out
}

// Place is the first decision: the order as it is accepted, its first event, and the steps that may start at once.
// The placement must be valid.
func Place(p Placement, id ID, at time.Time) Decision {
	o := Order{
		ID: id, CustomerID: p.CustomerID, Currency: p.Currency, Items: p.Items, Total: p.Sum(),
		PaymentMethod: p.PaymentMethod, ShippingAddress: p.ShippingAddress, CustomerEmail: p.CustomerEmail,
		Status: Pending, Goal: GoalComplete, PlacedAt: at,
	}
	return o.conclude(Event{OrderID: id, Kind: OrderPlaced, At: at}, nil)
}

// Decide says what an event does to an order. It is total: an event that changes nothing is answered with an error
// that says why, and never with a panic. So a result that is delivered twice, or late, is harmless.
//
// The input order is not changed. Errors: ErrNoChange, ErrVersionConflict, *StateError, *InvalidError.
func Decide(o Order, e Event) (Decision, error) {
	if e.IfVersion != 0 && e.IfVersion != o.Version {
		return Decision{}, ErrVersionConflict
	}
	o.Steps = slices.Clone(o.Steps)
	switch e.Kind {
	case CancelRequested:
		return o.cancel(e)
	case RefundRequested:
		return o.refund(e)
	case StepSucceeded, StepRefused, StepUnknown:
		if step := o.settle(e); step != nil {
			return o.conclude(e, step), nil
		}
	case OrderPlaced:
		// Only Place makes this event, and it makes it once.
	}
	return Decision{}, ErrNoChange
}

// cancel turns an order that has not ended towards undoing. After the end it is too late; a refund may do.
func (o Order) cancel(e Event) (Decision, error) {
	switch {
	case o.Goal == GoalCancel && o.Status != NeedsAttention:
		return Decision{}, ErrNoChange // it is being cancelled, or was
	case o.Status.AtRest():
		return Decision{}, &StateError{o.Status}
	case o.Goal != GoalComplete:
		return Decision{}, ErrNoChange // it is being undone for another reason
	}
	o.Goal, o.Reason = GoalCancel, "cancelled on request"
	return o.conclude(e, nil), nil
}

// refund starts giving back some of the money of a completed order.
func (o Order) refund(e Event) (Decision, error) {
	if o.Status != Completed {
		return Decision{}, &StateError{o.Status}
	}
	if left := o.Refundable(); left == 0 || e.Amount < 0 || e.Amount > left {
		return Decision{}, &InvalidError{[]FieldError{{
			Field: "amount", Message: "must be above 0 and at most " + o.Currency.Format(left) + ", what is left",
		}}}
	}
	return o.conclude(e, nil), nil
}

//nolint:gochecknoglobals // a constant; Go has none of this type
var outcomeState = map[EventKind]StepState{
	StepSucceeded: StateSucceeded, StepRefused: StateRefused, StepUnknown: StateUnknown,
}

// settle records the outcome of a pending step; nil if the event is not one.
func (o *Order) settle(e Event) *Step {
	s := o.Step(e.Step, e.Generation)
	if s == nil || s.State != StatePending {
		return nil
	}
	s.Reference, s.Reason, s.SettledAt = e.Reference, e.Reason, e.At
	s.State = outcomeState[e.Kind]
	if s.State == StateSucceeded {
		return s
	}
	why := fmt.Sprintf("%s %s: %s", s.Name, s.State, s.Reason)
	switch spec, _ := s.Name.Spec(); {
	case o.Status.AtRest(): // a refund that was asked for, or a notice: see settleRefund
	case spec.Role == Forward && o.Goal == GoalComplete:
		o.Goal, o.Reason = GoalFail, why
	case spec.Role == Compensation:
		o.Reason = why
	}
	return s
}

// conclude moves the order on after an event: it starts what can start now, or puts the order to rest.
func (o *Order) conclude(e Event, settled *Step) Decision {
	before := o.Status
	if settled != nil {
		settled = new(*settled) // starting steps may move o.Steps
	}
	started := o.advance(e)
	o.Version++
	o.UpdatedAt = e.At
	e.Version, e.Status, e.Progress, e.StatusChanged = o.Version, o.Status, o.Progress(), o.Status != before
	ended := !before.AtRest() && o.Status.AtRest()
	return Decision{Order: *o, Event: e, Ended: ended, Settled: settled, Started: started}
}

// advance starts every step that the event and the order's goal ask for and that nothing holds up any more.
func (o *Order) advance(e Event) (started []Step) {
	begin := func(name StepName, amount Money) {
		step := o.start(name, amount, e.At)
		o.Steps = append(o.Steps, step)
		started = append(started, step)
	}
	if o.Status.AtRest() {
		if e.Kind == RefundRequested {
			begin(RefundPayment, cmp.Or(e.Amount, o.Refundable()))
		} else if amount := o.settleRefund(e); amount > 0 {
			begin(SendEmail, amount)
		}
		return started
	}
	if e.Kind != OrderPlaced {
		o.Status = Processing
	}
	for _, name := range o.due() {
		begin(name, o.Total)
	}
	if len(started) == 0 && !o.waiting() {
		if o.Status = o.end(); o.Status == Refunded {
			o.Refunded = o.Total
		}
		if o.Status != NeedsAttention {
			begin(SendEmail, o.Total)
		}
	}
	return started
}

// settleRefund counts a refund that was asked for when its outcome is known, and returns how much went back. A refused
// refund leaves everything as it was; one without a known outcome is for a person to look at. What went back is
// counted whatever the status: another refund may be the one that needs attention.
func (o *Order) settleRefund(e Event) Money {
	if e.Step != RefundPayment || o.Goal != GoalComplete {
		return 0
	}
	switch e.Kind {
	case StepSucceeded:
		amount := o.Step(RefundPayment, e.Generation).Amount
		o.Refunded += amount
		if o.Refunded == o.Total {
			o.Status, o.Reason = Refunded, "refunded on request"
		}
		return amount
	case StepUnknown:
		o.Status, o.Reason = NeedsAttention, fmt.Sprintf("%s %s: %s", e.Step, StateUnknown, e.Reason)
	case OrderPlaced, CancelRequested, RefundRequested, StepRefused:
	}
	return 0
}

// due lists the steps that can start now.
func (o *Order) due() (names []StepName) {
	for _, spec := range saga {
		if spec.Role != Forward {
			continue
		}
		if o.Goal == GoalComplete {
			if o.Latest(spec.Name) == nil && o.allSucceeded(spec.After) {
				names = append(names, spec.Name)
			}
			continue
		}
		s := o.Latest(spec.Name)
		if s != nil && s.mayHaveTakenEffect() && spec.Undo != "" && o.Latest(spec.Undo) == nil &&
			o.followersUndone(spec.Name) {
			names = append(names, spec.Undo)
		}
	}
	return names
}

func (o *Order) allSucceeded(names []StepName) bool {
	return !slices.ContainsFunc(names, func(n StepName) bool {
		s := o.Latest(n)
		return s == nil || s.State != StateSucceeded
	})
}

// followersUndone says that no step that builds on this one can still take, or have, effect. Undoing in the reverse
// order matters: refunding before the shipment is surely cancelled would give the goods away.
func (o *Order) followersUndone(name StepName) bool {
	for _, spec := range saga {
		if !slices.Contains(spec.After, name) {
			continue
		}
		s := o.Latest(spec.Name)
		if s == nil || s.State == StateRefused {
			continue
		}
		undo := o.Latest(spec.Undo)
		if undo == nil || undo.State != StateSucceeded {
			return false
		}
	}
	return true
}

// waiting says that a step which decides how the order ends has no outcome yet.
func (o *Order) waiting() bool {
	return slices.ContainsFunc(o.Steps, func(s Step) bool {
		spec, _ := s.Name.Spec()
		return s.State == StatePending && spec.Role != Notice
	})
}

// end is the status of an order that has nothing left to do.
func (o *Order) end() Status {
	if o.Goal == GoalComplete {
		return Completed
	}
	captured := false
	for _, spec := range saga {
		s := o.Latest(spec.Name)
		if s == nil {
			continue
		}
		if spec.Role == Forward && spec.Undo != "" && s.mayHaveTakenEffect() {
			if undo := o.Latest(spec.Undo); undo == nil || undo.State != StateSucceeded {
				return NeedsAttention
			}
		}
		captured = captured || spec.Pivot && s.mayHaveTakenEffect()
	}
	switch {
	case captured:
		return Refunded
	case o.Goal == GoalCancel:
		return Cancelled
	default:
		return Failed
	}
}

// start makes the intent: the key, the bytes and the deadline that every send of the step will have.
func (o *Order) start(name StepName, amount Money, at time.Time) Step {
	spec, _ := name.Spec()
	step := Step{
		Name: name, Generation: 1, State: StatePending, Amount: amount,
		StartedAt: at, DeadlineAt: at.Add(spec.Within),
	}
	if last := o.Latest(name); last != nil {
		step.Generation = last.Generation + 1
	}
	step.Request = o.request(step)
	return step
}
