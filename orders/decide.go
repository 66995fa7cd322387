package orders

import (
	"fmt"
	"slices"
	"time"
)

// Decision is what an event does to an order.
type Decision struct {
	Order   Order  // after the event
	Event   Event  // as it goes into the log
	Settled *Step  // the step whose outcome the event is, if it is one
	Started []Step // steps to store, each with the job that carries it out
}

// Place is the first decision: the order as it is accepted, its first event, and the steps that may start at once.
// The placement must be valid.
func Place(p Placement, id ID, at time.Time) Decision {
	o := Order{
		ID: id, CustomerID: p.CustomerID, Currency: p.Currency, Items: p.Items, Total: p.Sum(),
		PaymentMethod: p.PaymentMethod, ShippingAddress: p.ShippingAddress,
		Status: Pending, Goal: GoalComplete, PlacedAt: at,
	}
	return o.conclude(Event{OrderID: id, Kind: OrderPlaced, At: at}, nil)
}

// Decide says what an event does to an order. It is total: ok is false for an event that changes nothing, such as
// the outcome of a step that already has one, or a cancellation of an order that is at rest or being undone already.
// So a result that is delivered twice, or late, is harmless.
//
// The input order is not changed.
func Decide(o Order, e Event) (d Decision, ok bool) {
	o.Steps = slices.Clone(o.Steps)
	switch e.Kind {
	case CancelRequested:
		if o.Status.AtRest() || o.Goal != GoalComplete {
			return Decision{}, false
		}
		o.Goal, o.Reason = GoalCancel, "cancelled by the customer"
		return o.conclude(e, nil), true

	case StepSucceeded, StepRefused, StepUnknown:
		step := o.settle(e)
		if step == nil {
			return Decision{}, false
		}
		return o.conclude(e, step), true

	case OrderPlaced:
		// Only Place makes this event, and it makes it once.
	}
	return Decision{}, false
}

//nolint:gochecknoglobals // a constant; Go has none of this type
var outcomeState = map[EventKind]StepState{
	StepSucceeded: StateSucceeded, StepRefused: StateRefused, StepUnknown: StateUnknown,
}

// settle records the outcome of a pending step; nil if the event is not one.
func (o *Order) settle(e Event) *Step {
	s := o.Step(e.Step)
	if s == nil || s.Generation != e.Generation || s.State != StatePending {
		return nil
	}
	s.Reference, s.Reason, s.SettledAt = e.Reference, e.Reason, e.At
	s.State = outcomeState[e.Kind]
	if s.State == StateSucceeded {
		return s
	}
	why := fmt.Sprintf("%s %s: %s", s.Name, s.State, s.Reason)
	switch spec, _ := s.Name.Spec(); spec.Role {
	case Forward:
		if o.Goal == GoalComplete {
			o.Goal, o.Reason = GoalFail, why
		}
	case Compensation:
		o.Reason = why
	case Notice:
	}
	return s
}

// conclude moves the order on after an event: it starts what can start now, or puts the order to rest.
func (o *Order) conclude(e Event, settled *Step) Decision {
	before := o.Status
	if settled != nil {
		settled = new(*settled) // starting steps may move o.Steps
	}
	started := o.advance(e.At, e.Kind == OrderPlaced)
	o.Version++
	o.UpdatedAt = e.At
	e.Version, e.Status, e.Progress, e.StatusChanged = o.Version, o.Status, o.Progress(), o.Status != before
	return Decision{Order: *o, Event: e, Settled: settled, Started: started}
}

// advance starts every step that the goal asks for and that nothing holds up any more.
func (o *Order) advance(at time.Time, placing bool) []Step {
	if o.Status.AtRest() {
		return nil // a notice was settled
	}
	if !placing {
		o.Status = Processing
	}
	due := o.due()
	if len(due) == 0 && !o.waiting() {
		o.Status = o.end()
		if o.Status != NeedsAttention {
			due = []StepName{SendEmail}
		}
	}
	started := make([]Step, len(due))
	for i, name := range due {
		started[i] = o.start(name, at)
	}
	o.Steps = append(o.Steps, started...)
	return started
}

// due lists the steps that can start now.
func (o *Order) due() (names []StepName) {
	for _, spec := range saga {
		if spec.Role != Forward {
			continue
		}
		if o.Goal == GoalComplete {
			if o.Step(spec.Name) == nil && o.allSucceeded(spec.After) {
				names = append(names, spec.Name)
			}
			continue
		}
		s := o.Step(spec.Name)
		if s != nil && s.mayHaveTakenEffect() && spec.Undo != "" && o.Step(spec.Undo) == nil && o.followersUndone(spec.Name) {
			names = append(names, spec.Undo)
		}
	}
	return names
}

func (o *Order) allSucceeded(names []StepName) bool {
	return !slices.ContainsFunc(names, func(n StepName) bool {
		s := o.Step(n)
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
		s := o.Step(spec.Name)
		if s == nil || s.State == StateRefused {
			continue
		}
		undo := o.Step(spec.Undo)
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
		s := o.Step(spec.Name)
		if s == nil {
			continue
		}
		if spec.Role == Forward && spec.Undo != "" && s.mayHaveTakenEffect() {
			if undo := o.Step(spec.Undo); undo == nil || undo.State != StateSucceeded {
				return NeedsAttention
			}
		}
		captured = captured || spec.Pivot && s.State == StateSucceeded
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
func (o *Order) start(name StepName, at time.Time) Step {
	spec, _ := name.Spec()
	return Step{
		Name: name, Generation: 1, State: StatePending,
		Request:   o.request(name),
		StartedAt: at, DeadlineAt: at.Add(spec.Within),
	}
}
