package orders

import (
	"cmp"
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
	o.Steps = slices.Clone(o.Steps)
	e.At = o.notBefore(e.At)
	return o.decide(e)
}

// notBefore returns at, or a moment just after the order's latest event if at is earlier. The database's clock may have
// been set back, and an order whose step was settled before it was started has no history that makes sense. The
// microseconds stay: with the version, they tell a remembered order from one whose events a failover has lost.
func (o *Order) notBefore(at time.Time) time.Time {
	if !at.Before(o.UpdatedAt) {
		return at
	}
	micros := time.Duration(at.Nanosecond()/int(time.Microsecond)%1000) * time.Microsecond
	return o.UpdatedAt.Truncate(time.Millisecond).Add(time.Millisecond + micros)
}

// decide is Decide for an order that nobody else uses any more: it changes the order's steps where they are.
func (o Order) decide(e Event) (Decision, error) {
	if len(e.IfVersions) > 0 && !slices.Contains(e.IfVersions, o.Version) {
		return Decision{}, ErrVersionConflict
	}
	switch e.Kind {
	case CancelRequested:
		return o.cancel(e)
	case RefundRequested:
		return o.refund(e)
	case RetryRequested, UndoRequested, SuccessDeclared, RefusalDeclared:
		return o.attend(e)
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
	if s.Name.forward() && o.Goal == GoalComplete {
		o.Goal, o.Reason = GoalFail, s.problem()
	}
	return s
}

// conclude moves the order on after an event: it starts what can start now, or puts the order to rest.
func (o *Order) conclude(e Event, settled *Step) Decision {
	before := o.Status
	if settled != nil {
		settled = new(*settled) // starting steps may move o.Steps
	}
	started := o.advance(e, settled)
	o.Version++
	o.UpdatedAt = e.At
	e.Version, e.Status, e.Progress, e.StatusChanged = o.Version, o.Status, o.Progress(), o.Status != before
	ended := !before.AtRest() && o.Status.AtRest()
	return Decision{Order: *o, Event: e, Ended: ended, Settled: settled, Started: started}
}

// advance starts every step that the event and the order's goal ask for and that nothing holds up any more.
func (o *Order) advance(e Event, settled *Step) (started []Step) {
	before := len(o.Steps)
	switch {
	case e.Kind.settlement():
		o.resume(e, settled)
	case e.Kind == RefundRequested:
		o.begin(RefundPayment, cmp.Or(e.Amount, o.Refundable()), e.At)
	case o.Status.AtRest():
		o.settleRefund(e.At, settled)
	default:
		o.proceed(e)
	}
	started = slices.Clone(o.Steps[before:])
	// As they are read: the clocks of those who tell of events differ, and so may the moments of steps.
	place(o.Steps, before)
	return started
}

// proceed starts what can start now, or puts the order to rest.
func (o *Order) proceed(e Event) {
	if e.Kind != OrderPlaced {
		o.Status = Processing
	}
	for _, name := range o.due() {
		o.begin(name, o.Total, e.At)
	}
	if o.waiting() {
		return
	}
	switch o.Status = o.end(); o.Status {
	case NeedsAttention:
		o.Reason = o.cause()
		return
	case Refunded:
		o.Refunded = o.Total
	case Pending, Processing, Completed, Failed, Cancelled:
	}
	if !o.told() {
		o.begin(SendEmail, o.Total, e.At)
	}
}

// settleRefund counts a refund that was asked for when its outcome is known, and tells the customer. A refused refund
// leaves everything as it was; one without a known outcome is for a person to look at. What went back is counted
// whatever the status: another refund may be the one that needs attention.
func (o *Order) settleRefund(at time.Time, refund *Step) {
	if refund == nil || refund.Name != RefundPayment || o.Goal != GoalComplete {
		return
	}
	switch refund.State {
	case StateSucceeded:
		o.Refunded += refund.Amount
		if o.Refunded == o.Total {
			o.Status, o.Reason = Refunded, "refunded on request"
		}
		o.begin(SendEmail, refund.Amount, at)
	case StateUnknown:
		o.Status, o.Reason = NeedsAttention, refund.problem()
	case StatePending, StateRefused:
	}
}

// due lists the steps that can start now.
func (o *Order) due() (names []StepName) {
	for _, spec := range saga {
		if spec.Role != Forward {
			continue
		}
		if o.Goal == GoalComplete {
			if o.Latest(spec.Name) == nil && !o.leavesOut(spec) && o.succeeded(spec.After) {
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

// leavesOut reports whether the order goes without a step: a free order is not paid for. Providers refuse to charge 0.
func (o *Order) leavesOut(spec Spec) bool { return spec.Charges && o.Total == 0 }

// succeeded reports whether all of the steps have succeeded. In place of a step that the order leaves out stand those
// that it would have waited for.
func (o *Order) succeeded(names []StepName) bool {
	return !slices.ContainsFunc(names, func(n StepName) bool {
		if spec, _ := n.Spec(); o.leavesOut(spec) {
			return !o.succeeded(spec.After)
		}
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
		if s == nil && o.followersUndone(spec.Name) || s != nil && s.State == StateRefused {
			continue // of one that the order leaves out, the followers build on this step
		}
		undo := o.Latest(spec.Undo)
		if s == nil || undo == nil || undo.State != StateSucceeded {
			return false
		}
	}
	return true
}

// waiting says that a step which decides how the order ends has no outcome yet. A refund that was asked for is none.
func (o *Order) waiting() bool {
	return slices.ContainsFunc(o.Steps, func(s Step) bool {
		spec, _ := s.Name.Spec()
		return s.State == StatePending && (spec.Role == Forward || spec.Role == Compensation && o.Goal != GoalComplete)
	})
}

// end is the status of an order that has nothing left to do.
func (o *Order) end() Status {
	switch {
	case o.Goal == GoalComplete && len(o.Stuck()) > 0:
		return NeedsAttention
	case o.Goal == GoalComplete && o.Refunded > 0 && o.Refunded == o.Total:
		return Refunded
	case o.Goal == GoalComplete:
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

// begin starts a step: it makes the key, the bytes and the deadline that every send of it will have.
func (o *Order) begin(name StepName, amount Money, at time.Time) {
	step := Step{Name: name, Generation: 1, Amount: amount}
	if last := o.Latest(name); last != nil {
		step.Generation = last.Generation + 1
	}
	step.KeyGeneration = step.Generation
	step.Request = o.request(step)
	o.start(step, at)
}

func (o *Order) start(step Step, at time.Time) {
	spec, _ := step.Name.Spec()
	step.State, step.StartedAt, step.DeadlineAt = StatePending, at, at.Add(spec.Within)
	o.Steps = append(o.Steps, step)
}
