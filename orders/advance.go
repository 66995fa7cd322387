package orders

import (
	"slices"
	"time"
)

// proceed continues an order that was at rest, or that an event has just changed.
func (o *Order) proceed(at time.Time) {
	o.Status = Processing
	o.advance(at)
}

// advance starts every step that the goal needs and that waits for no other step. If none is left, the order ends.
func (o *Order) advance(at time.Time) {
	for _, name := range o.due() {
		o.begin(name, o.Total, at)
	}
	if o.waiting() {
		return
	}
	o.Status = o.end()
	if o.Status == NeedsAttention {
		o.Reason = o.why()
		return
	}
	if o.Status == Refunded {
		o.Refunded = o.Total
	}
	if !o.told() {
		o.begin(SendEmail, o.Total, at)
	}
}

// countRefund counts a requested refund when its outcome is known, and tells the customer. A refused refund leaves
// everything as it was. A refund with an unknown outcome needs an operator. Money that went back is counted whatever
// the status: a different refund may be the one that needs attention. Any other step changes nothing.
func (o *Order) countRefund(s *Step, at time.Time) {
	if s == nil || s.Name != RefundPayment || o.Goal != GoalComplete {
		return
	}
	if s.State == StateUnknown {
		o.Status, o.Reason = NeedsAttention, s.problem()
	}
	if s.State != StateSucceeded {
		return
	}
	o.Refunded += s.Amount
	if o.Refunded == o.Total {
		o.Status, o.Reason = Refunded, "refunded on request"
	}
	o.begin(SendEmail, s.Amount, at)
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

// leavesOut reports whether the order skips a step: a free order is not paid for. Providers refuse to charge 0.
func (o *Order) leavesOut(spec Spec) bool { return spec.Charges && o.Total == 0 }

// succeeded reports whether all of the steps have succeeded. A step that the order leaves out is replaced by the steps
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

// followersUndone reports whether no step that builds on this one has an effect, or can still have one. Undoing in the
// reverse order matters: a refund before the shipment is surely cancelled would give the goods away.
func (o *Order) followersUndone(name StepName) bool {
	for _, spec := range saga {
		if !slices.Contains(spec.After, name) {
			continue
		}
		s := o.Latest(spec.Name)
		if s == nil && o.followersUndone(spec.Name) || s != nil && s.State == StateRefused {
			continue // the followers of a step that is left out build on this step
		}
		undo := o.Latest(spec.Undo)
		if s == nil || undo == nil || undo.State != StateSucceeded {
			return false
		}
	}
	return true
}

// waiting reports whether a step that decides the order's end has no outcome yet. A requested refund does not count.
func (o *Order) waiting() bool {
	return slices.ContainsFunc(o.Steps, func(s Step) bool {
		spec, _ := s.Name.Spec()
		return s.State == StatePending && (spec.Role == Forward || spec.Role == Compensation && o.Goal != GoalComplete)
	})
}

// end returns the status of an order that has nothing left to do.
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

// begin starts a step: it makes the key, the bytes and the deadline that all sends of the step share.
func (o *Order) begin(name StepName, amount Money, at time.Time) {
	step := Step{Name: name, Generation: 1, Amount: amount}
	if last := o.Latest(name); last != nil {
		step.Generation = last.Generation + 1
	}
	step.KeyGeneration = step.Generation
	step.Request = o.body(step)
	o.start(step, at)
}

func (o *Order) start(step Step, at time.Time) {
	spec, _ := step.Name.Spec()
	step.State, step.StartedAt, step.DeadlineAt = StatePending, at, at.Add(spec.Within)
	o.Steps = append(o.Steps, step)
}
