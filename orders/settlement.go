package orders

import (
	"slices"
	"time"
)

// retry repeats the stuck steps that an operator chose.
func (o *Order) retry(e Event) error {
	chosen := o.chosen(e)
	switch {
	case o.Status != NeedsAttention:
		return &StateError{o.Status}
	case len(chosen) == 0:
		return errNotStuck()
	}
	o.tryAgain(chosen, e.At)
	o.resume(nil, e.At)
	return nil
}

// compensate undoes everything that happened or may have happened. For an order that is being undone it is a retry.
func (o *Order) compensate(e Event) error {
	switch {
	case o.Status != NeedsAttention:
		return &StateError{o.Status}
	case o.Goal == GoalComplete && o.Latest(RefundPayment) != nil:
		return invalid("action", "must be retry or accept: some of the money may have gone back already")
	case o.Goal == GoalComplete:
		o.Goal = GoalCancel
	}
	o.tryAgain(o.chosen(e), e.At)
	o.resume(nil, e.At)
	return nil
}

// declareSuccess records that a step took effect: either a stuck step, or, after the order's end, a refused or unknown
// step. The reason why the order was undone stays.
func (o *Order) declareSuccess(e Event) (*Step, error) {
	if s := o.named(e); s != nil && o.reopens(s) {
		settled := s.record(StateSucceeded, e)
		o.reopen(settled, e.At)
		return settled, nil
	}
	s, err := o.onlyChosen(e)
	if err != nil {
		return nil, err
	}
	settled := s.record(StateSucceeded, e)
	o.resume(settled, e.At)
	return settled, nil
}

// declareRefusal records that a stuck step did not take effect. If the step was refused already, the order stays where
// it is. The exception is an order of which nothing was undone. For example the goods are on their way, and the
// customer keeps them: the order then completes.
func (o *Order) declareRefusal(e Event) (*Step, error) {
	s, err := o.onlyChosen(e)
	if err != nil {
		return nil, err
	}
	kept := o.Goal != GoalComplete && o.wholeWithout(s)
	if s.State == StateRefused && !kept {
		return nil, invalid("outcome", "must be succeeded: it was refused already")
	}
	if kept {
		o.Goal = GoalComplete
	}
	settled := s.record(StateRefused, e)
	o.resume(settled, e.At)
	return settled, nil
}

// named returns the step that an event names; without a generation, the latest one.
func (o *Order) named(e Event) *Step {
	if e.Generation == 0 {
		return o.Latest(e.Step)
	}
	return o.Step(e.Step, e.Generation)
}

// chosen lists the stuck steps that a settlement names; all of them if it names none.
func (o *Order) chosen(e Event) []Step {
	return slices.DeleteFunc(o.Stuck(), func(s Step) bool {
		return e.Step != "" && e.Step != s.Name || e.Generation != 0 && e.Generation != s.Generation
	})
}

// onlyChosen returns the one stuck step that a declaration names.
func (o *Order) onlyChosen(e Event) (*Step, error) {
	chosen := o.chosen(e)
	switch {
	case o.Status != NeedsAttention:
		return nil, &StateError{o.Status}
	case len(chosen) == 0:
		return nil, errNotStuck()
	case len(chosen) > 1:
		return nil, invalid("step", "must say which: more than one keeps the order from its end")
	}
	return o.Step(chosen[0].Name, chosen[0].Generation), nil
}

func errNotStuck() error { return invalid("step", "must be one that keeps the order from its end") }

// wholeWithout reports whether everything is done and nothing is undone, apart from the compensation undo.
func (o *Order) wholeWithout(undo *Step) bool {
	for _, spec := range saga {
		s := o.Latest(spec.Name)
		switch {
		case spec.Role == Forward && !o.leavesOut(spec) && (s == nil || s.State != StateSucceeded):
			return false
		case spec.Role == Compensation && s != nil && s != undo && s.State != StateRefused:
			return false
		}
	}
	return true
}

// tryAgain starts a new generation of each of the stuck steps. A refused step gets a new key, because the provider's
// answer under the old key is final. A step without an answer keeps its key, so it happens once.
func (o *Order) tryAgain(stuck []Step, at time.Time) {
	for _, s := range stuck {
		if s.State == StateRefused {
			o.begin(s.Name, s.Amount, at)
			continue
		}
		o.start(Step{
			Name: s.Name, Generation: o.Latest(s.Name).Generation + 1, KeyGeneration: s.KeyGeneration, Amount: s.Amount,
			Request: []byte{},
		}, at)
	}
}

// resume continues an order that an operator has settled.
func (o *Order) resume(settled *Step, at time.Time) {
	if o.Goal == GoalComplete && o.Latest(SendEmail) != nil { // it has ended before, so the step is a refund
		o.countRefund(settled, at)
		o.Status = o.end()
	} else {
		o.proceed(at)
	}
	o.Reason = o.why()
}
