package orders

import "time"

// Reconciliation is who an event is from that a rule of reconciliation decided on, and no person.
const Reconciliation = "reconciliation"

// Undo is the event with which an order that has ended is undone further, because a step of it took effect after all.
// ok is false if no rule allows it: then a person must look.
func (o *Order) Undo(key StepJob) (e Event, ok bool) {
	s := o.sentUnder(key.Step, key.Generation)
	if s == nil || !o.reopens(s) {
		return Event{}, false
	}
	if spec, _ := s.Name.Spec(); spec.Undo.movesMoney() {
		return Event{}, false // somebody may have given it back by hand; a person knows, and can declare the step
	}
	return Event{
		OrderID: o.ID, Kind: SuccessDeclared, Principal: Reconciliation, IfVersions: []int64{o.Version},
		Step: s.Name, Generation: s.Generation, Reason: "the provider has it",
	}, true
}

// reopens says that an order which was undone, and has ended, may be undone further if the step took effect after all:
// of one that got to its goal none was refused or unknown. Undoing is by key, so it is safe whatever became of the
// step, with one exception: a second refund could give money back twice.
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

// reopen sets an order going again that had ended without undoing a step. What undid the step before, if anything did,
// came too early for it, so it is undone once more.
func (o *Order) reopen(s *Step, at time.Time) {
	if spec, _ := s.Name.Spec(); o.Latest(spec.Undo) != nil {
		o.begin(spec.Undo, o.Total, at)
	}
	o.proceed(at)
}

// told says that the customer has been written to about this end of an order that was undone. One that failed without
// a capture, as far as anybody knew, and turns out to have had one, ends again as another: refunded.
func (o *Order) told() bool {
	mail, capture := o.Latest(SendEmail), o.Latest(CapturePayment)
	if mail == nil {
		return false
	}
	return o.Status != Refunded || !capture.SettledAt.After(mail.StartedAt)
}

// Undone says that an effect which nothing had undone is undone by now, or that its order has settled it otherwise. It
// may take a while: an order that is being worked on has not.
func (o *Order) Undone(e Effect) bool {
	key, err := ParseStepKey(e.Key)
	if drift, _ := o.Compare(e); err != nil || drift == DriftNotUndone || !o.Status.AtRest() {
		return false
	}
	spec, _ := key.Step.Spec()
	return spec.Role != Forward || o.Goal == GoalComplete || o.undoneAfter(key.Step, e.At)
}

// Unanswered lists the steps that keep an order which needs attention from its end because a provider gave no answer:
// one that answers by now settles them.
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

// Accept is the event that takes a provider's late answer for true: the step has succeeded.
func (o *Order) Accept(s Step, reference string) Event {
	return Event{
		OrderID: o.ID, Kind: SuccessDeclared, Principal: Reconciliation, IfVersions: []int64{o.Version},
		Step: s.Name, Generation: s.Generation, Reference: reference, Reason: "the provider says so",
	}
}
