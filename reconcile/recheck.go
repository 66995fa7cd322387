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
	// recheckShare is for how long findings are looked at again. The rest is looked at the next time, first.
	recheckShare = 8 * time.Second
	recheckPage  = 200 // findings
)

// recheck looks again at open findings, those first that have waited longest. What was put right is resolved, what a
// rule may repair is repaired, and the others stay until somebody accepts them.
func (r *Reconciler) recheck(ctx context.Context, b *budget) error {
	turn, cancel := context.WithTimeout(ctx, recheckShare)
	defer cancel()
	begun := r.Now()
	var after store.Finding
	var failed []error
	for {
		page, err := r.Store.StaleFindings(ctx, begun, after, recheckPage)
		if err != nil {
			return err
		}
		var looked, resolved []store.Finding
		for _, f := range page {
			if f.Kind == orders.DriftMissing && b.isSpent(f.Provider) {
				continue // it is among the first the next time
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
			looked = append(looked, f) // also one that nobody answers for: it must not hold up the others
			if turn.Err() != nil {
				break
			}
		}
		if err := r.Store.Rechecked(ctx, looked, resolved); err != nil {
			return err
		}
		if turn.Err() != nil || len(page) < recheckPage {
			return errors.Join(failed...)
		}
		after = page[len(page)-1]
	}
}

// agrees says that a finding has been put right. What nothing has undone is undone, if a rule allows it, and agrees
// when that is done.
func (r *Reconciler) agrees(ctx context.Context, f store.Finding, b *budget) (bool, error) {
	effect := orders.Effect{Provider: f.Provider, Key: f.Key, OrderID: f.OrderID, At: f.FirstSeenAt}
	switch f.Kind {
	case orders.DriftMissing:
		step, err := orders.ParseStepKey(f.Key)
		if err != nil {
			return false, err
		}
		answer, err := r.Providers.Ask(ctx, step.Step, f.Key, nil)
		if !b.note(f.Provider, err) {
			return false, errNotAsked
		}
		return answer.State == orders.StateSucceeded, err
	case orders.DriftUnknownOrder, orders.DriftNoIntent:
		c, err := r.Store.Compare(ctx, []orders.Effect{effect})
		return len(c.Unsettled) == 0 && !slices.ContainsFunc(c.Findings, func(left store.Finding) bool {
			return left.Kind != orders.DriftLate // of which it cannot tell: when it took effect was not kept
		}), err
	case orders.DriftNotUndone:
		step, err := orders.ParseStepKey(f.Key)
		if err != nil {
			return false, err
		}
		order, err := r.Store.Order(ctx, step.OrderID)
		switch {
		case errors.Is(err, orders.ErrNotFound):
			return true, nil // it is found as an effect without an order
		case err != nil || order.Undone(effect):
			return err == nil, err
		}
		return false, r.undo(ctx, f.Provider, &order, step, b)
	case orders.DriftAmount, orders.DriftLate: // what has happened stays so
	}
	return false, nil
}
