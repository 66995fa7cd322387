package orders

import (
	"cmp"
	"slices"
	"time"
)

// Decision is the result of applying an event to an order.
type Decision struct {
	Order   Order  // after the event
	Event   Event  // as it is written to the log
	Ended   bool   // the order has come to rest with this event
	Settled *Step  // the step that the event settles, if any
	Started []Step // steps to store, each with its job
}

// Place makes the first decision: the accepted order, its first event, and the steps that may start at once.
// The placement must be valid.
func Place(p Placement, id ID, at time.Time) Decision {
	placed := Order{
		ID: id, CustomerID: p.CustomerID, Currency: p.Currency, Items: p.Items, Total: p.Sum(),
		PaymentMethod: p.PaymentMethod, ShippingAddress: p.ShippingAddress, CustomerEmail: p.CustomerEmail,
		Origin: p.Origin, Status: Pending, Goal: GoalComplete, PlacedAt: at,
	}
	after := placed
	after.advance(at)
	return placed.conclude(&after, Event{OrderID: id, Kind: OrderPlaced, At: at}, nil)
}

// Decide applies an event to an order. It is total: it rejects an event that changes nothing with an error that gives
// the reason, and it never panics. So a result that is delivered twice, or late, is harmless.
//
// The input order is not changed. Errors: ErrNoChange, ErrVersionConflict, *StateError, *InvalidError.
func Decide(o Order, e Event) (Decision, error) {
	o.Steps = slices.Clone(o.Steps)
	e.At = o.notBefore(e.At)
	return o.decide(e)
}

// notBefore returns at, or a moment just after the order's latest event if at is earlier. The database's clock may have
// been set back, and a step that is settled before its start would make the history meaningless. The microseconds stay:
// with the version, they tell a remembered order from an order whose events a failover has lost.
func (o *Order) notBefore(at time.Time) time.Time {
	if !at.Before(o.UpdatedAt) {
		return at
	}
	micros := time.Duration(at.Nanosecond()/int(time.Microsecond)%1000) * time.Microsecond
	return o.UpdatedAt.Truncate(time.Millisecond).Add(time.Millisecond + micros)
}

// decide is Decide without the copy: it changes the order's steps in place, so the caller must not use o afterwards.
func (o Order) decide(e Event) (Decision, error) {
	if len(e.IfVersions) > 0 && !slices.Contains(e.IfVersions, o.Version) {
		return Decision{}, ErrVersionConflict
	}
	after := o
	settled, err := after.change(e)
	if err != nil {
		return Decision{}, err
	}
	return o.conclude(&after, e, settled), nil
}

// change applies an event to the order, and returns the step that the event settles, if any. Each kind of event has a
// method that either refuses the event or changes the order. The conclusion is the same for all kinds.
func (o *Order) change(e Event) (settled *Step, err error) {
	switch e.Kind {
	case CancelRequested:
		return nil, o.cancel(e)
	case RefundRequested:
		return nil, o.refund(e)
	case RetryRequested:
		return nil, o.retry(e)
	case UndoRequested:
		return nil, o.compensate(e)
	case SuccessDeclared:
		return o.declareSuccess(e)
	case RefusalDeclared:
		return o.declareRefusal(e)
	case StepSucceeded:
		return o.record(e, StateSucceeded)
	case StepRefused:
		return o.record(e, StateRefused)
	case StepUnknown:
		return o.record(e, StateUnknown)
	case OrderPlaced:
		return nil, ErrNoChange // only Place makes this event, once
	}
	return nil, ErrNoChange
}

// cancel makes an unfinished order undo its steps. A finished order is too late to cancel; a refund may be possible.
func (o *Order) cancel(e Event) error {
	switch {
	case o.Goal == GoalCancel && o.Status != NeedsAttention:
		return ErrNoChange // already cancelled, or being cancelled
	case o.Status.AtRest():
		return &StateError{o.Status}
	case o.Goal != GoalComplete:
		return ErrNoChange // the order is being undone for another reason
	}
	o.Goal, o.Reason = GoalCancel, "cancelled on request"
	o.proceed(e.At)
	return nil
}

// refund starts to return some or all of the money of a completed order.
func (o *Order) refund(e Event) error {
	if o.Status != Completed {
		return &StateError{o.Status}
	}
	left := o.Refundable()
	if left == 0 || e.Amount < 0 || e.Amount > left {
		return invalid("amount", "must be above 0 and at most "+o.Currency.Format(left)+", the amount left")
	}
	o.begin(RefundPayment, cmp.Or(e.Amount, left), e.At)
	return nil
}

// record records the outcome of a pending step.
func (o *Order) record(e Event, outcome StepState) (*Step, error) {
	s := o.Step(e.Step, e.Generation)
	if s == nil || s.State != StatePending {
		return nil, ErrNoChange
	}
	settled := s.record(outcome, e)
	if outcome != StateSucceeded && s.Name.forward() && o.Goal == GoalComplete {
		o.Goal, o.Reason = GoalFail, s.problem()
	}
	if o.Status.AtRest() {
		o.countRefund(settled, e.At)
	} else {
		o.proceed(e.At)
	}
	return settled, nil
}

// conclude builds the decision from the order after an event.
func (o *Order) conclude(after *Order, e Event, settled *Step) Decision {
	n := len(o.Steps)
	started := slices.Clone(after.Steps[n:])
	// The same sequence as in the database. Processes' clocks differ, so a new step may belong before an existing one.
	place(after.Steps, n)
	after.Version++
	after.UpdatedAt = e.At
	e.Version, e.Status, e.Progress = after.Version, after.Status, after.Progress()
	e.StatusChanged = after.Status != o.Status
	ended := !o.Status.AtRest() && after.Status.AtRest()
	return Decision{Order: *after, Event: e, Ended: ended, Settled: settled, Started: started}
}

func invalid(field, message string) error {
	return &InvalidError{[]FieldError{{Field: field, Message: message}}}
}
