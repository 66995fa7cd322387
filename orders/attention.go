package orders

import "slices"

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

// why is the reason of an order that was settled: what is still wrong, or else why it is being undone, or was.
func (o *Order) why() string {
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
