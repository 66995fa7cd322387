package orders

import "time"

// Reconciliation is the principal of an event that a rule of reconciliation decided on, instead of a person.
const Reconciliation = "reconciliation"

// Undo returns the event that undoes a step of an order that has ended, because the step took effect after all. ok is
// false if no rule allows it: an operator must look.
func (o *Order) Undo(key StepJob) (e Event, ok bool) {
	s := o.sentUnder(key.Step, key.Generation)
	if s == nil || !o.reopens(s) {
		return Event{}, false
	}
	if spec, _ := s.Name.Spec(); spec.Undo.movesMoney() {
		return Event{}, false // the money may have gone back by hand: an operator must declare it
	}
	return Event{
		OrderID: o.ID, Kind: SuccessDeclared, Principal: Reconciliation, IfVersions: []int64{o.Version},
		Step: s.Name, Generation: s.Generation, Reason: "the provider has it",
	}, true
}

// reopens reports whether an ended order may undo a step that took effect after all. The order must have been undone:
// an order that reached its goal has no refused or unknown step. Undoing is by key, so it is safe whatever the state of
// the step. The exception is a second refund, which could give money back twice.
func (o *Order) reopens(s *Step) bool {
	spec, _ := s.Name.Spec()
	switch {
	case o.Status != Failed && o.Status != Cancelled && o.Status != Refunded:
		return false
	case spec.Role != Forward || spec.Undo == "":
		return false
	case s.State != StateRefused && s.State != StateUnknown:
		return false
	}
	return o.Latest(spec.Undo) == nil || !spec.Undo.movesMoney()
}

// reopen continues an order that had ended without undoing a step. An earlier compensation, if there was one, came too
// early for the effect, so the step is undone again.
func (o *Order) reopen(s *Step, at time.Time) {
	if spec, _ := s.Name.Spec(); o.Latest(spec.Undo) != nil {
		o.begin(spec.Undo, o.Total, at)
	}
	o.proceed(at)
}

// told reports whether the customer was already told about this end of an undone order. An order that ended as failed,
// and turns out to have had a capture, now ends as refunded: the customer is told again.
func (o *Order) told() bool {
	mail, capture := o.Latest(SendEmail), o.Latest(CapturePayment)
	if mail == nil {
		return false
	}
	return o.Status != Refunded || !capture.SettledAt.After(mail.StartedAt)
}

// Undone reports whether an effect that was not undone has been undone since, or settled in another way. While the
// order is still processing, the answer is no.
func (o *Order) Undone(e Effect) bool {
	key, err := ParseStepKey(e.Key)
	if finding, _ := o.Compare(e); err != nil || finding == FindingNotUndone || !o.Status.AtRest() {
		return false
	}
	spec, _ := key.Step.Spec()
	return spec.Role != Forward || o.Goal == GoalComplete || o.undoneAfter(key.Step, e.At)
}

// Unanswered lists the stuck steps of an order that needs attention because the provider gave no answer. A late answer
// settles them.
func (o *Order) Unanswered(p Provider) (list []Step) {
	if o.Status != NeedsAttention {
		return nil
	}
	for _, s := range o.Stuck() {
		if spec, _ := s.Name.Spec(); spec.Provider == p && s.State == StateUnknown {
			list = append(list, s)
		}
	}
	return list
}

// Accept returns the event that accepts a provider's late answer: the step has succeeded.
func (o *Order) Accept(s Step, reference string) Event {
	return Event{
		OrderID: o.ID, Kind: SuccessDeclared, Principal: Reconciliation, IfVersions: []int64{o.Version},
		Step: s.Name, Generation: s.Generation, Reference: reference, Reason: "the provider says so",
	}
}
