package orders

import (
	"fmt"
	"time"
)

// Rule names an invariant that every order satisfies at every moment. docs/verify.md explains each.
type Rule string

// Verification reports a rule's name as its check.
const (
	RuleItems      Rule = "items"      // the items add up to the total
	RuleLog        Rule = "log"        // the versions are 1, 2, 3 … up to the order's own
	RuleFold       Rule = "fold"       // replaying the log gives the state
	RuleTransition Rule = "transition" // the saga allows each event at its place
	RuleSteps      Rule = "steps"      // each step's preconditions held when it started
	RuleMoney      Rule = "money"      // captured is at most authorised, refunded at most captured
	RuleRest       Rule = "rest"       // at rest, the steps agree with the status
	RuleStuck      Rule = "stuck"      // an unfinished order waits for something
)

// Rules lists all rules.
func Rules() []Rule {
	return []Rule{RuleItems, RuleLog, RuleFold, RuleTransition, RuleSteps, RuleMoney, RuleRest, RuleStuck}
}

// Breach is a broken rule of an order, with the detail. The detail names no customer.
type Breach struct {
	Rule   Rule
	Detail string
}

// clockSlack exceeds any difference between the clocks that date orders and log entries.
const clockSlack = time.Minute

// Verify checks an order against its log and against the saga. The events are the order's whole log, by version;
// events written before prunedTo may be missing. It returns the broken rules; none if the order is correct.
//
// It shares as little as possible with Decide: it must notice mistakes there. Request bodies and deadlines are not
// compared, since a later version of the program may make different ones.
func Verify(o Order, events []Event, prunedTo time.Time) []Breach {
	v := &verifier{o: o, events: events, horizon: prunedTo.Add(clockSlack)}
	v.items()
	v.steps()
	v.money()
	v.rest()
	v.log()
	return v.breaches
}

type verifier struct {
	o        Order
	events   []Event
	horizon  time.Time
	breaches []Breach
}

func (v *verifier) expect(holds bool, rule Rule, format string, args ...any) {
	if !holds {
		v.breaches = append(v.breaches, Breach{rule, fmt.Sprintf(format, args...)})
	}
}

func (v *verifier) items() {
	sum := (&Placement{Items: v.o.Items}).Sum()
	v.expect(len(v.o.Items) > 0 && sum == v.o.Total, RuleItems, "%d items add up to %s, the total is %s",
		len(v.o.Items), v.o.Currency.Format(sum), v.o.Currency.Format(v.o.Total))
}

// log checks that the log is whole. A log that is whole from the beginning is replayed.
func (v *verifier) log() {
	if len(v.events) == 0 {
		v.expect(v.o.UpdatedAt.Before(v.horizon), RuleLog, "version %d has no events", v.o.Version)
		return
	}
	first, last := v.events[0], v.events[len(v.events)-1]
	whole := first.Version == 1
	v.expect(whole || v.o.PlacedAt.Before(v.horizon), RuleLog, "it begins with version %d", first.Version)
	v.expect(whole == (first.Kind == OrderPlaced), RuleLog, "version %d is %s", first.Version, first.Kind)
	for i, e := range v.events[1:] {
		before := v.events[i].Version
		v.expect(e.Version == before+1, RuleLog, "version %d comes after version %d", e.Version, before)
		whole = whole && e.Version == before+1
	}
	v.expect(last.Version == v.o.Version, RuleLog, "it ends with version %d, the order has %d", last.Version, v.o.Version)
	if whole && last.Version == v.o.Version && (&Placement{Items: v.o.Items}).Sum() == v.o.Total {
		v.fold()
		return
	}
	for i, e := range v.events[1:] {
		before := v.events[i].Status
		v.expect(before.mayBecome(e.Status), RuleTransition, "version %d: %s became %s", e.Version, before, e.Status)
	}
	if last.Version == v.o.Version {
		v.expect(last.Status == v.o.Status, RuleFold, "status is %s, the log says %s", v.o.Status, last.Status)
	}
}

// fold replays the whole log. It stops at an event that Decide refuses: later events then have no meaning.
func (v *verifier) fold() {
	folded, _ := Fold(v.o, v.events[:1])
	v.recorded(folded, v.events[0])
	for _, e := range v.events[1:] {
		d, err := folded.decide(e)
		if err != nil {
			v.expect(false, RuleTransition, "version %d: %s %s: %v", e.Version, e.Kind, e.Step, err)
			return
		}
		folded = d.Order
		v.recorded(folded, e)
	}
	v.same("goal", folded.Goal, v.o.Goal)
	v.same("reason", folded.Reason, v.o.Reason)
	v.same("refunded", folded.Refunded, v.o.Refunded)
	v.same("status", folded.Status, v.o.Status)
	v.same("time of change", folded.UpdatedAt, v.o.UpdatedAt)
	v.same("number of steps", len(folded.Steps), len(v.o.Steps))
	for _, want := range folded.Steps {
		key := fmt.Sprintf("%s:%d", want.Name, want.Generation)
		s := v.o.Step(want.Name, want.Generation)
		if s == nil {
			v.expect(false, RuleFold, "%s is missing", key)
			continue
		}
		v.same(key+" state", want.State, s.State)
		v.same(key+" amount", want.Amount, s.Amount)
		v.same(key+" reference", want.Reference, s.Reference)
		v.same(key+" reason", want.Reason, s.Reason)
		v.same(key+" start", want.StartedAt, s.StartedAt)
		v.same(key+" end", want.SettledAt, s.SettledAt)
	}
}

// recorded compares the order's state that an event recorded with the state that replaying gives.
func (v *verifier) recorded(after Order, e Event) {
	v.expect(e.Status == after.Status && e.Progress == after.Progress(), RuleFold,
		"version %d is logged as %s at %d %%, the saga says %s at %d %%",
		e.Version, e.Status, e.Progress, after.Status, after.Progress())
}

func (v *verifier) same(what string, log, state any) {
	v.expect(log == state, RuleFold, "%s is %v, the log says %v", what, state, log)
}

// steps checks each step by itself and against the steps that it needs.
func (v *verifier) steps() {
	generations := map[StepName]int{}
	for _, s := range v.o.Steps {
		generations[s.Name]++
	}
	for _, s := range v.o.Steps {
		spec, known := s.Name.Spec()
		v.expect(known, RuleSteps, "%s is not a step of the saga", s.Name)
		v.expect(s.Generation >= 1 && s.Generation <= generations[s.Name], RuleSteps,
			"%s has generation %d of %d", s.Name, s.Generation, generations[s.Name])
		// Each moment is by the clock of a different process.
		v.expect(!s.StartedAt.Add(clockSlack).Before(v.o.PlacedAt) && s.DeadlineAt.After(s.StartedAt), RuleSteps,
			"%s was started before the order, or ends before it starts", s.Name)
		v.expect(s.State == StatePending || !s.SettledAt.Add(clockSlack).Before(s.StartedAt), RuleSteps,
			"%s was settled before it was started", s.Name)
		v.expect(v.o.Total > 0 || !spec.Charges, RuleMoney, "%s was started for a free order", s.Name)
		for _, name := range v.preconditions(spec) {
			before := v.o.Latest(name)
			v.expect(before != nil && before.State == StateSucceeded, RuleSteps,
				"%s was started, but %s has not succeeded", s.Name, name)
		}
		if undone := s.Name.Undoes(); undone != "" {
			original := v.o.Latest(undone)
			v.expect(original != nil && original.State != StatePending, RuleSteps,
				"%s undoes %s, which has no outcome", s.Name, undone)
		}
	}
}

// preconditions lists the steps that must have succeeded before a step is started. A free order leaves out the steps
// that take money: their own preconditions replace them.
func (v *verifier) preconditions(spec Spec) (names []StepName) {
	for _, name := range spec.After {
		before, _ := name.Spec()
		if v.o.Total == 0 && before.Charges {
			names = append(names, v.preconditions(before)...)
			continue
		}
		names = append(names, name)
	}
	return names
}

// total adds up the amounts of all generations of a step that are in one of the states.
func (v *verifier) total(name StepName, states ...StepState) (sum Money) {
	for _, s := range v.o.Steps {
		for _, state := range states {
			if s.Name == name && s.State == state {
				sum += s.Amount
			}
		}
	}
	return sum
}

func (v *verifier) money() {
	format := v.o.Currency.Format
	authorized := v.total(AuthorizePayment, StateSucceeded)
	captured := v.total(CapturePayment, StateSucceeded)
	mayBeCaptured := captured + v.total(CapturePayment, StateUnknown)
	refunded := v.total(RefundPayment, StateSucceeded)
	refunding := refunded + v.total(RefundPayment, StatePending)
	v.expect(captured <= authorized, RuleMoney, "captured %s of %s", format(captured), format(authorized))
	v.expect(captured <= v.o.Total, RuleMoney, "captured %s, the total is %s", format(captured), format(v.o.Total))
	v.expect(refunding <= mayBeCaptured, RuleMoney, "refunded %s of %s", format(refunding), format(mayBeCaptured))
	if v.o.Goal == GoalComplete {
		v.expect(v.o.Refunded == refunded, RuleMoney, "the order says %s went back, its refunds %s",
			format(v.o.Refunded), format(refunded))
	}
}

// rest checks the status against the steps: money and goods must be where the status says, and nothing may be pending.
func (v *verifier) rest() {
	waits := v.o.waiting()
	switch v.o.Status {
	case Pending, Processing:
		v.expect(waits, RuleStuck, "%s, and waits for no step", v.o.Status)
		return
	case Completed:
		for _, spec := range saga {
			if s := v.o.Latest(spec.Name); spec.Role == Forward && (v.o.Total > 0 || !spec.Charges) {
				v.expect(s != nil && s.State == StateSucceeded, RuleRest, "completed without %s", spec.Name)
			}
		}
		captured := v.total(CapturePayment, StateSucceeded)
		v.expect(captured == v.o.Total, RuleRest, "completed with %s captured", v.o.Currency.Format(captured))
	case Failed, Cancelled, Refunded:
		for _, spec := range saga {
			if s := v.o.Latest(spec.Name); spec.Role == Forward && spec.Undo != "" && s != nil && v.o.Goal != GoalComplete {
				undo := v.o.Latest(spec.Undo)
				v.expect(s.State == StateRefused || undo != nil && undo.State == StateSucceeded, RuleRest,
					"%s, but %s is not undone", v.o.Status, spec.Name)
			}
		}
		if v.o.Status == Refunded {
			v.expect(v.o.Refunded == v.o.Total, RuleRest, "refunded, but only %s", v.o.Currency.Format(v.o.Refunded))
		}
	case NeedsAttention:
		v.expect(v.o.Reason != "", RuleRest, "needs attention for no reason")
	}
	for _, s := range v.o.Steps {
		spec, _ := s.Name.Spec()
		asked := s.Name == RefundPayment && v.o.Goal == GoalComplete
		v.expect(s.State != StatePending || spec.Role == Notice || asked, RuleRest, "%s with %s pending",
			v.o.Status, s.Name)
	}
}

// mayBecome reports whether an event can lead from one status to another. It serves when the beginning of a log is
// missing, so that no event can be replayed.
func (s Status) mayBecome(next Status) bool {
	switch s {
	case Pending, Processing, NeedsAttention: // an operator may continue an order
		return next != Pending
	case Completed:
		return next == Completed || next == Refunded || next == NeedsAttention
	case Failed, Cancelled, Refunded: // an effect that shows up late is undone
		return next == s || next == Processing
	}
	return false
}
