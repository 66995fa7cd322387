package orders

import (
	"slices"
	"time"
)

// Stuck lists the steps that keep an order which needs attention from its end: compensations that were refused or got
// no answer, and have not been done again since.
func (o *Order) Stuck() (stuck []Step) {
	for _, s := range o.Steps {
		spec, _ := s.Name.Spec()
		switch {
		case spec.Role != Compensation, s.State == StatePending, s.State == StateSucceeded, o.doneAgain(s):
		case o.Goal == GoalComplete && s.State == StateRefused: // of a refund that was asked for, that is the end
		default:
			stuck = append(stuck, s)
		}
	}
	return stuck
}

// doneAgain says that a later generation has taken the step's place. What was refused is done again under a new key;
// what got no answer goes out again under its own, and of several refunds each has one.
func (o *Order) doneAgain(s Step) bool {
	return slices.ContainsFunc(o.Steps, func(later Step) bool {
		return later.Name == s.Name && later.Generation > s.Generation &&
			(s.State == StateRefused || later.KeyGeneration == s.KeyGeneration)
	})
}

// chosen lists the stuck steps that a settlement is about: all of them if it names none.
func (o *Order) chosen(e Event) []Step {
	return slices.DeleteFunc(o.Stuck(), func(s Step) bool {
		return e.Step != "" && e.Step != s.Name || e.Generation != 0 && e.Generation != s.Generation
	})
}

// named is the step that an event names: of no generation, the latest.
func (o *Order) named(e Event) *Step {
	if e.Generation == 0 {
		return o.Latest(e.Step)
	}
	return o.Step(e.Step, e.Generation)
}

// attend does what a person asks of an order that needs attention. A step that took effect after all may be declared
// after the order has ended, too.
func (o Order) attend(e Event) (Decision, error) {
	if s := o.named(e); s != nil && e.Kind == SuccessDeclared && o.reopens(s) {
		return o.declare(e, s)
	}
	chosen := o.chosen(e)
	switch {
	case o.Status != NeedsAttention:
		return Decision{}, &StateError{o.Status}
	case e.Kind == UndoRequested && o.Goal == GoalComplete && o.Latest(RefundPayment) != nil:
		return Decision{}, invalid("action", "must be retry or accept: some of the money may have gone back already")
	case e.Kind == UndoRequested && o.Goal == GoalComplete:
		o.Goal = GoalCancel
	case e.Kind == UndoRequested:
	case len(chosen) == 0:
		return Decision{}, invalid("step", "must be one that keeps the order from its end")
	case e.Kind == RetryRequested:
	case len(chosen) > 1:
		return Decision{}, invalid("step", "must say which: more than one keeps the order from its end")
	default:
		return o.declare(e, o.Step(chosen[0].Name, chosen[0].Generation))
	}
	return o.conclude(e, nil), nil
}

// declare records how a stuck step really was. One that was refused before, and still is, leaves the order where it
// is, unless nothing was undone at all: such as goods that are on their way, which the customer is to keep.
func (o Order) declare(e Event, s *Step) (Decision, error) {
	before := s.State
	s.State, s.Reference, s.Reason, s.SettledAt = StateSucceeded, e.Reference, e.Reason, e.At
	if e.Kind == RefusalDeclared {
		s.State = StateRefused
		switch {
		case o.Goal != GoalComplete && o.whole():
			o.Goal = GoalComplete
		case before == StateRefused:
			return Decision{}, invalid("outcome", "must be succeeded: it was refused already")
		}
	}
	return o.conclude(e, s), nil
}

// whole says that everything was done and nothing of it undone.
func (o *Order) whole() bool {
	for _, spec := range saga {
		s := o.Latest(spec.Name)
		switch {
		case spec.Role == Forward && !o.leavesOut(spec) && (s == nil || s.State != StateSucceeded):
			return false
		case spec.Role == Compensation && s != nil && s.State != StateRefused:
			return false
		}
	}
	return true
}

// resume takes an order on that a person has settled.
func (o *Order) resume(e Event, settled *Step) {
	if settled != nil && settled.Name.forward() { // the order had ended; why it was undone stays as it is
		o.reopen(e, settled)
		return
	}
	if e.Kind == RetryRequested || e.Kind == UndoRequested {
		for _, s := range o.chosen(e) {
			o.again(s, e.At)
		}
	}
	if o.Goal == GoalComplete && o.Latest(SendEmail) != nil { // it has ended before: this is about refunds
		o.settleRefund(e.At, settled)
		o.Status = o.end()
	} else {
		o.proceed(e)
	}
	o.Reason = o.cause()
}

// again starts another try of a stuck step. The provider has answered for good under the key of what it refused.
func (o *Order) again(s Step, at time.Time) {
	if s.State == StateRefused {
		o.begin(s.Name, s.Amount, at)
		return
	}
	o.start(Step{
		Name: s.Name, Generation: o.Latest(s.Name).Generation + 1, KeyGeneration: s.KeyGeneration, Amount: s.Amount,
		Request: []byte{},
	}, at)
}

// cause is the reason of an order that was settled: what is still wrong, or else why it is being undone, or was.
func (o *Order) cause() string {
	if stuck := o.Stuck(); len(stuck) > 0 && o.Status == NeedsAttention {
		return stuck[0].problem()
	}
	switch {
	case o.Goal == GoalComplete && o.Status == Refunded:
		return "refunded on request"
	case o.Goal == GoalComplete:
		return ""
	case o.Goal == GoalCancel:
		return "cancelled on request"
	}
	var first *Step
	for i := range o.Steps {
		s := &o.Steps[i]
		// One that was declared to have taken effect after all has a reason, too.
		failed := s.Name.forward() && (s.State == StateRefused || s.State == StateUnknown || s.Reason != "")
		if failed && (first == nil || s.SettledAt.Before(first.SettledAt)) {
			first = s
		}
	}
	switch {
	case first == nil:
		return o.Reason
	case first.State == StateSucceeded:
		return string(first.Name) + " took effect after all"
	}
	return first.problem()
}

func invalid(field, message string) error {
	return &InvalidError{[]FieldError{{Field: field, Message: message}}}
}
