package orders

import (
	"fmt"
	"time"
)

// Effect is something that happened at a provider, as the provider itself lists it.
type Effect struct {
	Provider  Provider
	Key       string // the idempotency key under which it happened
	OrderID   string
	Reference string   // the provider's own id
	Amount    Money    // meaningful only with a currency
	Currency  Currency // empty if no money was moved, or the provider does not say
	At        time.Time
}

// Drift is a way in which a provider's records and ours disagree.
type Drift string

// The drifts.
const (
	DriftUnknownOrder Drift = "unknown_order" // an effect of an order that is not ours
	DriftNoIntent     Drift = "no_intent"     // an effect that the order never meant to have
	DriftAmount       Drift = "amount"        // another amount or currency
	DriftNotUndone    Drift = "not_undone"    // an effect that should be none, or be undone, of an order at rest
	DriftLate         Drift = "late"          // an effect after the step's deadline
	DriftMissing      Drift = "missing"       // no effect, of a step that succeeded
)

// Drifts lists all drifts.
func Drifts() []Drift {
	return []Drift{DriftUnknownOrder, DriftNoIntent, DriftAmount, DriftNotUndone, DriftLate, DriftMissing}
}

// Compare says how an effect disagrees with the order, and in what way; empty if it does not. A step that has no
// outcome yet agrees with everything but another amount. An order that is not at rest may still undo the rest.
func (o *Order) Compare(e Effect) (Drift, string) {
	key, err := ParseStepKey(e.Key)
	if err != nil {
		return DriftNoIntent, "the key is none of Millrace's"
	}
	name, generation := key.Step, key.Generation
	s := o.sentUnder(name, generation)
	if s == nil {
		return DriftNoIntent, fmt.Sprintf("the order has no %s:%d", name, generation)
	}
	if name.movesMoney() && e.Currency != "" && (e.Currency != o.Currency || e.Amount != s.Amount) {
		return DriftAmount, fmt.Sprintf("%s %s, meant was %s %s", e.Currency.Format(e.Amount), e.Currency,
			o.Currency.Format(s.Amount), o.Currency)
	}
	if o.Status.AtRest() && o.isLeft(s, e) {
		return DriftNotUndone, fmt.Sprintf("%s:%d is %s, and the order is %s", name, generation, s.State, o.Status)
	}
	if late := e.At.Sub(s.DeadlineAt); late > clockSlack {
		return DriftLate, fmt.Sprintf("%s after the deadline", late.Round(time.Second))
	}
	return "", ""
}

// Unsettled reports whether an effect may come to disagree with the order by itself: its step is pending and may yet be
// refused or given up, or it was, and what undoes it may yet not come.
func (o *Order) Unsettled(e Effect) bool {
	key, err := ParseStepKey(e.Key)
	if err != nil {
		return false
	}
	s := o.sentUnder(key.Step, key.Generation)
	return s != nil && (s.State == StatePending || !o.Status.AtRest() && o.isLeft(s, e))
}

// isLeft reports whether an effect should be none, and nothing has undone it.
func (o *Order) isLeft(s *Step, e Effect) bool {
	return (s.State == StateRefused || s.State == StateUnknown) && !o.undoneAfter(s.Name, e.At)
}

// sentUnder returns the latest try of a step that was sent under the key of a generation; nil if there is none.
func (o *Order) sentUnder(name StepName, keyGeneration int) (latest *Step) {
	for i := range o.Steps {
		s := &o.Steps[i]
		if s.Name == name && s.KeyGeneration == keyGeneration && (latest == nil || s.Generation > latest.Generation) {
			latest = s
		}
	}
	return latest
}

// undoneAfter says that an effect of the step at that time is of no more consequence.
func (o *Order) undoneAfter(name StepName, at time.Time) bool {
	spec, _ := name.Spec()
	if spec.Undo == "" {
		return spec.Role != Compensation // a quote binds nobody, and an e-mail cannot be taken back
	}
	undo := o.Latest(spec.Undo)
	return undo != nil && undo.State == StateSucceeded && !undo.SettledAt.Add(clockSlack).Before(at)
}
