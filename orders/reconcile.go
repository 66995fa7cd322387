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
	Currency  Currency // empty if no money moved, or the provider gives none
	Units     int64    // of goods; 0 if none moved, or the provider gives none
	At        time.Time
}

// FindingKind is a kind of difference between a provider's records and the orders.
type FindingKind string

// FindingMissing is found from the order, all others from the provider's list.
const (
	FindingUnknownOrder FindingKind = "unknown_order" // the effect of an unknown order
	FindingNoIntent     FindingKind = "no_intent"     // the order has no such step
	FindingAmount       FindingKind = "amount"        // a different amount or currency
	FindingNotUndone    FindingKind = "not_undone"    // an effect that an order at rest should not have, or have undone
	FindingLate         FindingKind = "late"          // an effect after the step's deadline
	FindingMissing      FindingKind = "missing"       // a step that succeeded has no effect
)

// FindingKinds lists all kinds.
func FindingKinds() []FindingKind {
	return []FindingKind{
		FindingUnknownOrder, FindingNoIntent, FindingAmount, FindingNotUndone, FindingLate, FindingMissing,
	}
}

// Compare returns how an effect disagrees with the order, and the detail; empty if they agree. A step without an
// outcome disagrees only about its amount. An order that is not at rest may still undo its effects.
func (o *Order) Compare(e Effect) (FindingKind, string) {
	key, err := ParseStepKey(e.Key)
	if err != nil {
		return FindingNoIntent, "the key is not one of Millrace's"
	}
	name, generation := key.Step, key.Generation
	s := o.sentUnder(name, generation)
	if s == nil {
		return FindingNoIntent, fmt.Sprintf("the order has no %s:%d", name, generation)
	}
	if name.movesMoney() && e.Currency != "" && (e.Currency != o.Currency || e.Amount != s.Amount) {
		return FindingAmount, fmt.Sprintf("%s %s, meant was %s %s", e.Currency.Format(e.Amount), e.Currency,
			o.Currency.Format(s.Amount), o.Currency)
	}
	if o.Status.AtRest() && o.isLeft(s, e) {
		return FindingNotUndone, fmt.Sprintf("%s:%d is %s, and the order is %s", name, generation, s.State, o.Status)
	}
	if late := e.At.Sub(s.DeadlineAt); late > clockSlack {
		return FindingLate, fmt.Sprintf("%s after the deadline", late.Round(time.Second))
	}
	return "", ""
}

// Unsettled reports whether an effect that agrees now may disagree later, without a new effect. Its step may be
// pending, and end as refused or unknown. Or the step ended so already, and its compensation may never happen.
func (o *Order) Unsettled(e Effect) bool {
	key, err := ParseStepKey(e.Key)
	if err != nil {
		return false
	}
	s := o.sentUnder(key.Step, key.Generation)
	return s != nil && (s.State == StatePending || !o.Status.AtRest() && o.isLeft(s, e))
}

// isLeft reports whether an effect is one that the order should not have, and no step has undone it.
func (o *Order) isLeft(s *Step, e Effect) bool {
	return (s.State == StateRefused || s.State == StateUnknown) && !o.undoneAfter(s.Name, e.At)
}

// sentUnder returns the latest generation of a step that was sent under the key of keyGeneration; nil if missing.
func (o *Order) sentUnder(name StepName, keyGeneration int) (latest *Step) {
	for i := range o.Steps {
		s := &o.Steps[i]
		if s.Name == name && s.KeyGeneration == keyGeneration && (latest == nil || s.Generation > latest.Generation) {
			latest = s
		}
	}
	return latest
}

// undoneAfter reports whether an effect of the step at that time no longer matters.
func (o *Order) undoneAfter(name StepName, at time.Time) bool {
	spec, _ := name.Spec()
	if spec.Undo == "" {
		return spec.Role != Compensation // a quote is not binding, and an e-mail cannot be undone
	}
	undo := o.Latest(spec.Undo)
	return undo != nil && undo.State == StateSucceeded && !undo.SettledAt.Add(clockSlack).Before(at)
}
