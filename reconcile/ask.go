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
	// askShare is for how long one provider is asked again. It goes on there the next time.
	askShare = 4 * time.Second
	askPage  = 100 // orders
)

// askAgain asks all providers about the compensations to which they gave no answer.
func (r *Reconciler) askAgain(ctx context.Context, b *budget) error {
	if !r.Repair {
		return nil
	}
	list, err := r.Store.Reconciliations(ctx)
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
			err = errors.Join(err, r.Store.Asked(ctx, p.Provider, before))
		}
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

// compensates says that there is something to ask a provider about.
func compensates(p orders.Provider) bool {
	return slices.ContainsFunc(orders.Specs(), func(s orders.Spec) bool {
		return s.Provider == p && s.Role == orders.Compensation
	})
}

// askDown goes down the orders that need attention from the newest, or from where it stopped the last time, and returns
// how far it got; the zero id is the end. One order that its provider is silent about is passed, and holds up nobody.
func (r *Reconciler) askDown(
	ctx context.Context, p orders.Provider, before orders.ID, b *budget,
) (orders.ID, error) {
	turn, cancel := context.WithTimeout(ctx, askShare)
	defer cancel()
	for {
		page, err := r.Store.Orders(ctx, store.Filter{Status: orders.NeedsAttention, Before: before, Limit: askPage})
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

// ask asks a provider about the order's compensations without an answer, and takes for done what it says is done. It
// does so in no fixed sequence: those that the provider is always silent about must not always come first.
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
			err = failure // it holds up no other of the order's steps
		case isDone(answer, o.Latest(s.Name.Undoes())):
			// The order has another version then. If more of it is unanswered, that has its turn the next time.
			return r.repair(ctx, p, ruleAccept, o.Accept(s, answer.Reference), key, b)
		}
	}
	return err
}

// isDone reports whether a compensation has succeeded. What was refused, is unknown, or found nothing to undo although
// there was something, is for a person.
func isDone(answer upstream.Answer, undone *orders.Step) bool {
	var state orders.StepState
	if undone != nil {
		state = undone.State
	}
	return answer.State == orders.StateSucceeded && !answer.UndidNothing(state)
}
