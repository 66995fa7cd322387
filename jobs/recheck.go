package jobs

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
	// patience is for how many failures in a row a provider is asked, once about orders and once about findings: both
	// together are fewer than open its breaker, which steps need.
	patience = 2
	// repairsMost is how many orders one run repairs: more at a time is an adapter gone wrong, for somebody to stop.
	repairsMost = 50
)

// errNotAsked says that a breaker was open. What was not asked about is the first to be asked about the next time.
var errNotAsked = errors.New("the provider was not asked")

// budget is what is left of a run's patience with the providers, and of its repairs.
type budget struct {
	failures map[orders.Provider]int // in a row
	repairs  int
}

// note counts the outcome of one question, and says whether it was asked at all: an open breaker lets none through, and
// so no other in this run.
func (b *budget) note(p orders.Provider, err error) (asked bool) {
	_, open := errors.AsType[*upstream.OpenError](err)
	switch {
	case open:
		b.failures[p] = patience
	case upstream.IsFailure(err):
		b.failures[p]++
	default:
		b.failures[p] = 0
	}
	return !open
}

func (b *budget) isSpent(p orders.Provider) bool { return b.failures[p] >= patience }

// recheck looks again at open findings, those first that have waited longest. What was put right is resolved, what a
// rule may repair is repaired, and the others stay until somebody accepts them.
func (w *reconcileWorker) recheck(ctx context.Context, b *budget) error {
	share, cancel := context.WithTimeout(ctx, recheckShare)
	defer cancel()
	begun := w.now()
	var after store.Finding
	var failed []error
	for {
		page, err := w.store.StaleFindings(ctx, begun, after, recheckPage)
		if err != nil {
			return err
		}
		var looked, resolved []store.Finding
		for _, f := range page {
			if f.Kind == orders.DriftMissing && b.isSpent(f.Provider) {
				continue // it is among the first the next time
			}
			agrees, err := w.agrees(share, f, b)
			if errors.Is(err, errNotAsked) {
				continue
			}
			f.RecheckedAt = w.now()
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case err == nil && agrees:
				resolved = append(resolved, f)
			case err == nil:
				f.LastSeenAt = f.RecheckedAt
			case share.Err() == nil && !upstream.IsFailure(err):
				failed = append(failed, err)
			}
			looked = append(looked, f) // also one that nobody answers for: it must not hold up the others
			if share.Err() != nil {
				break
			}
		}
		if err := w.store.Rechecked(ctx, looked, resolved); err != nil {
			return err
		}
		if share.Err() != nil || len(page) < recheckPage {
			return errors.Join(failed...)
		}
		after = page[len(page)-1]
	}
}

// agrees says that a finding has been put right. What nothing has undone is undone, if a rule allows it, and agrees
// when that is done.
func (w *reconcileWorker) agrees(ctx context.Context, f store.Finding, b *budget) (bool, error) {
	effect := orders.Effect{Provider: f.Provider, Key: f.Key, OrderID: f.OrderID, At: f.FirstSeenAt}
	switch f.Kind {
	case orders.DriftMissing:
		step, err := orders.ParseStepKey(f.Key)
		if err != nil {
			return false, err
		}
		answer, err := w.providers.Ask(ctx, step.Step, f.Key, nil)
		if !b.note(f.Provider, err) {
			return false, errNotAsked
		}
		return answer.State == orders.StateSucceeded, err
	case orders.DriftUnknownOrder, orders.DriftNoIntent:
		c, err := w.store.Compare(ctx, []orders.Effect{effect})
		return len(c.Unsettled) == 0 && !slices.ContainsFunc(c.Findings, func(left store.Finding) bool {
			return left.Kind != orders.DriftLate // of which it cannot tell: when it took effect was not kept
		}), err
	case orders.DriftNotUndone:
		step, err := orders.ParseStepKey(f.Key)
		if err != nil {
			return false, err
		}
		order, err := w.store.Order(ctx, step.OrderID)
		switch {
		case errors.Is(err, orders.ErrNotFound):
			return true, nil // it is found as an effect without an order
		case err != nil || order.Undone(effect):
			return err == nil, err
		}
		return false, w.undo(ctx, f.Provider, &order, step, b)
	case orders.DriftAmount, orders.DriftLate: // what has happened stays so
	}
	return false, nil
}
