package reconcile

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/upstream"
)

const (
	// askShare is how long one provider is asked again in one run. The next run continues there.
	askShare = 4 * time.Second
	askPage  = 100 // orders
)

// askAgain asks all providers about the compensations that they did not answer.
func (r *Reconciler) askAgain(ctx context.Context, b *budget) error {
	if !r.Repair {
		return nil
	}
	list, err := r.Store.Findings.Progress(ctx)
	if err != nil {
		return err
	}
	var failed []error
	for _, p := range list {
		if !compensates(p.Provider) {
			continue
		}
		before, err := r.askDown(ctx, p.Provider, p.AskedBefore, b)
		if before != p.AskedBefore {
			err = errors.Join(err, r.Store.Findings.Asked(ctx, p.Provider, before))
		}
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

// compensates reports whether any of the provider's steps is a compensation, which a provider can be asked about.
func compensates(p orders.Provider) bool {
	return slices.ContainsFunc(orders.Specs(), func(s orders.Spec) bool {
		return s.Provider == p && s.Role == orders.Compensation
	})
}

// askDown walks the orders that need attention, from the newest or from where the last run stopped. It returns how far
// it got; the zero id is the end. It skips an order that its provider does not answer about, so that order delays no
// other.
func (r *Reconciler) askDown(
	ctx context.Context, p orders.Provider, before orders.ID, b *budget,
) (orders.ID, error) {
	turn, cancel := context.WithTimeout(ctx, askShare)
	defer cancel()
	for {
		page, err := r.Store.Orders.List(ctx, store.Filter{Status: orders.NeedsAttention, Before: before, Limit: askPage})
		if err != nil {
			return before, err
		}
		for i := range page {
			err := r.ask(turn, p, &page[i], b)
			if errors.Is(err, errNotAsked) {
				return before, nil
			}
			before = page[i].ID
			switch {
			case ctx.Err() != nil:
				return before, ctx.Err()
			case turn.Err() != nil, b.isSpent(p):
				return before, nil
			case err != nil && !upstream.IsFailure(err):
				return before, err
			}
		}
		if len(page) < askPage {
			return orders.ID{}, nil
		}
	}
}

// ask asks a provider about the order's unanswered compensations, and accepts those that the provider reports as done.
// The sequence is random: otherwise steps that the provider never answers about might always come first.
func (r *Reconciler) ask(ctx context.Context, p orders.Provider, o *orders.Order, b *budget) (err error) {
	unanswered := o.Unanswered(p)
	rand.Shuffle(len(unanswered), func(i, j int) {
		unanswered[i], unanswered[j] = unanswered[j], unanswered[i]
	})
	for _, s := range unanswered {
		if b.isSpent(p) {
			return err
		}
		key := orders.StepKey(o.ID, s.Name, s.KeyGeneration)
		answer, failure := r.Providers.Ask(ctx, s.Name, key, nil)
		switch asked := b.note(p, failure); {
		case !asked:
			return errNotAsked
		case failure != nil:
			err = failure // the order's other steps are still asked about
		case isDone(answer, o.Latest(s.Name.Undoes())):
			// The repair changed the order's version. Its other unanswered steps have their turn in the next run.
			return r.repair(ctx, p, ruleAccept, o.Accept(s, answer.Reference), key, b)
		}
	}
	return err
}

// isDone reports whether a compensation has succeeded. An operator must look at one that was refused or is unknown, or
// that found nothing to undo although there was something.
func isDone(answer upstream.Answer, undone *orders.Step) bool {
	var state orders.StepState
	if undone != nil {
		state = undone.State
	}
	return answer.State == orders.StateSucceeded && !answer.UndidNothing(state)
}
