package reconcile

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/upstream"
)

const (
	// recheckShare is how long one run looks at findings again. The next run begins with the rest.
	recheckShare = 8 * time.Second
	recheckPage  = 200 // findings
)

// recheck checks open findings again, and begins with the one that was checked longest ago. It resolves findings that
// were put right, and repairs findings that a rule allows. The others stay until an operator accepts them.
func (r *Reconciler) recheck(ctx context.Context, b *budget) error {
	turn, cancel := context.WithTimeout(ctx, recheckShare)
	defer cancel()
	begun := r.Now()
	var after store.Finding
	var failed []error
	for {
		page, err := r.Store.Findings.Stale(ctx, begun, after, recheckPage)
		if err != nil {
			return err
		}
		var looked, resolved []store.Finding
		for _, f := range page {
			if f.Kind == orders.FindingMissing && b.isSpent(f.Provider) {
				continue // it is among the first in the next run
			}
			agrees, err := r.agrees(turn, f, b)
			if errors.Is(err, errNotAsked) {
				continue
			}
			f.RecheckedAt = r.Now()
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case err == nil && agrees:
				resolved = append(resolved, f)
			case err == nil:
				f.LastSeenAt = f.RecheckedAt
			case turn.Err() == nil && !upstream.IsFailure(err):
				failed = append(failed, err)
			}
			looked = append(looked, f) // even if the provider gave no answer: it must not delay the others
			if turn.Err() != nil {
				break
			}
		}
		if err := r.Store.Findings.Rechecked(ctx, looked, resolved); err != nil {
			return err
		}
		if turn.Err() != nil || len(page) < recheckPage {
			return errors.Join(failed...)
		}
		after = page[len(page)-1]
	}
}

// agrees reports whether a finding has been put right. An effect that was not undone is undone now, if a rule allows
// it. The finding agrees once that compensation is done.
func (r *Reconciler) agrees(ctx context.Context, f store.Finding, b *budget) (bool, error) {
	effect := orders.Effect{Provider: f.Provider, Key: f.Key, OrderID: f.OrderID, At: f.FirstSeenAt}
	switch f.Kind {
	case orders.FindingMissing:
		step, err := orders.ParseStepKey(f.Key)
		if err != nil {
			return false, err
		}
		answer, err := r.Providers.Ask(ctx, step.Step, f.Key, nil)
		if !b.note(f.Provider, err) {
			return false, errNotAsked
		}
		return answer.State == orders.StateSucceeded, err
	case orders.FindingUnknownOrder, orders.FindingNoIntent:
		c, err := r.Store.Findings.Compare(ctx, []orders.Effect{effect})
		return len(c.Unsettled) == 0 && !slices.ContainsFunc(c.Findings, func(left store.Finding) bool {
			return left.Kind != orders.FindingLate // not decidable here: the effect's time was not kept
		}), err
	case orders.FindingNotUndone:
		step, err := orders.ParseStepKey(f.Key)
		if err != nil {
			return false, err
		}
		order, err := r.Store.Orders.Get(ctx, step.OrderID)
		switch {
		case errors.Is(err, orders.ErrNotFound):
			return true, nil // there is a finding for it as an effect without an order
		case err != nil || order.Undone(effect):
			return err == nil, err
		}
		return false, r.undo(ctx, f.Provider, &order, step, b)
	case orders.FindingAmount, orders.FindingLate: // the past does not change
	}
	return false, nil
}
