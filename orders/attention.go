package orders

import "slices"

// Stuck lists the steps that keep an order in needs_attention: compensations that were refused or got no answer, and
// that no later generation has repeated.
func (o *Order) Stuck() (stuck []Step) {
	for _, s := range o.Steps {
		spec, _ := s.Name.Spec()
		switch {
		case spec.Role != Compensation, s.State == StatePending, s.State == StateSucceeded, o.doneAgain(s):
		case o.Goal == GoalComplete && s.State == StateRefused: // a refused refund on request is final
		default:
			stuck = append(stuck, s)
		}
	}
	return stuck
}

// doneAgain reports whether a later generation has taken the step's place. A refused step is repeated under a new key,
// and an unanswered step under its own key. Several refunds have a key each.
func (o *Order) doneAgain(s Step) bool {
	return slices.ContainsFunc(o.Steps, func(later Step) bool {
		return later.Name == s.Name && later.Generation > s.Generation &&
			(s.State == StateRefused || later.KeyGeneration == s.KeyGeneration)
	})
}

// why returns the reason of an order that was settled: what is still wrong, or else why the order is or was undone.
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
		// A step that was declared to have succeeded has a reason, too.
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
