package orders

import (
	"cmp"
	"slices"
	"strings"
)

// lostCustomer is the customer in the body of an undo of an order that is lost. Providers do not list customers.
const lostCustomer = "unknown"

// undoSuffix ends the key of such an undo. No step has such a key, so the order's own compensations are different.
const undoSuffix = ":undo"

// UndoKey returns the idempotency key under which an effect is undone whose order is lost.
func UndoKey(key string) string { return key + undoSuffix }

// UndoneKey returns the key of the effect that is undone under a key; ok is false if the key is not from UndoKey.
func UndoneKey(undo string) (key string, ok bool) { return strings.CutSuffix(undo, undoSuffix) }

// Undo is what is to be done about an effect whose order is lost.
type Undo struct {
	Effect Effect
	Step   StepName // the compensation to send; empty if the effect needs none
	Amount Money    // that goes back to the customer, in the effect's currency
	Units  int64    // that go back to the shelves
}

// Key returns the key under which the compensation is sent; empty if there is none.
func (u Undo) Key() string {
	if u.Step == "" {
		return ""
	}
	return UndoKey(u.Effect.Key)
}

// Request returns the body of the compensation; nil if there is none. It is the body that the order itself would have
// sent, but for the customer.
func (u Undo) Request() []byte {
	key, err := ParseStepKey(u.Effect.Key)
	if u.Step == "" || err != nil {
		return nil
	}
	o := &Order{
		ID: key.OrderID, CustomerID: lostCustomer, Currency: u.Effect.Currency,
		Steps: []Step{{Name: key.Step, Generation: key.Generation, KeyGeneration: key.Generation}},
	}
	return o.body(Step{Name: u.Step, Amount: u.Amount})
}

// UndoLost returns what is to be done about all effects of an order that is lost, in the order in which it must be
// done: an effect comes after everything that builds on it. held has the reason if an operator must look instead.
func UndoLost(effects []Effect) (undos []Undo, held string) {
	l := lost{undone: map[string]bool{}, compensated: map[StepName]Money{}}
	var order string
	for _, e := range effects {
		if held = l.add(e); held != "" {
			return nil, held
		}
		if order = cmp.Or(order, e.OrderID); order != e.OrderID {
			return nil, "its effects are of different orders"
		}
	}
	for _, e := range l.effects {
		u := Undo{Effect: e.Effect}
		if e.spec.Role == Forward && e.spec.Undo != "" {
			if held = l.undo(e, &u); held != "" {
				return nil, held
			}
		}
		undos = append(undos, u)
	}
	slices.SortStableFunc(undos, func(a, b Undo) int { return cmp.Compare(position(b.Step), position(a.Step)) })
	return undos, ""
}

// position is the place in the saga of the step that a compensation undoes; -1 without a compensation.
func position(compensation StepName) int {
	return slices.IndexFunc(saga, func(s Spec) bool { return s.Undo != "" && s.Undo == compensation })
}

// lost is what is known of an order that is lost: what took effect at the providers.
type lost struct {
	effects     []lostEffect
	undone      map[string]bool    // keys of effects that were undone under their UndoKey
	compensated map[StepName]Money // forward steps that were compensated, and how much went back
	currencies  []Currency         // of what was taken and given back; empty if a provider does not say
}

type lostEffect struct {
	Effect

	spec Spec // of the step; zero for an undo
}

// add adds an effect. held has the reason if it is not one of Millrace's.
func (l *lost) add(e Effect) (held string) {
	original, isUndo := UndoneKey(e.Key)
	key, err := ParseStepKey(original)
	spec, known := key.Step.Spec()
	switch {
	case err != nil, !known, StepKey(key.OrderID, key.Step, key.Generation) != original:
		return "a key is not one of Millrace's"
	case spec.Provider != e.Provider, key.OrderID.String() != e.OrderID:
		return "a key is of another provider or order"
	}
	moves := spec.Undo.movesMoney() || spec.Role == Compensation && spec.MovesMoney
	if moves && !slices.Contains(l.currencies, e.Currency) {
		l.currencies = append(l.currencies, e.Currency)
	}
	if isUndo {
		l.undone[original] = true
		l.compensated[key.Step] += e.Amount
		spec = Spec{}
	} else if spec.Role == Compensation {
		l.compensated[key.Step.Undoes()] += e.Amount
	}
	l.effects = append(l.effects, lostEffect{e, spec})
	return ""
}

// undo decides on the compensation of a forward step.
func (l *lost) undo(e lostEffect, u *Undo) (held string) {
	back, compensated := l.compensated[e.spec.Name]
	u.Step, u.Units = e.spec.Undo, e.Units
	if !e.spec.Undo.movesMoney() {
		if l.undone[e.Key] || compensated {
			u.Step, u.Units = "", 0
		} else if e.spec.Name.movesMoney() {
			u.Amount = max(0, e.Amount-l.sum(CapturePayment)) // what is still held
		}
		return ""
	}
	switch {
	case l.undone[e.Key]:
		u.Step = ""
	case slices.Contains(l.currencies, ""):
		return "its provider lists no amount"
	case len(l.currencies) > 1:
		return "it was taken and given back in different currencies"
	case compensated && l.count(e.spec.Name) > 1:
		return "it was taken several times and given back in part"
	case back > e.Amount:
		return "more was given back than was taken"
	case back == e.Amount && compensated:
		u.Step = ""
	default:
		u.Amount = e.Amount - back
	}
	return ""
}

func (l *lost) sum(name StepName) (sum Money) {
	for _, e := range l.effects {
		if e.spec.Name == name {
			sum += e.Amount
		}
	}
	return sum
}

func (l *lost) count(name StepName) (n int) {
	for _, e := range l.effects {
		if e.spec.Name == name {
			n++
		}
	}
	return n
}
