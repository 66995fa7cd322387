package jobs

import (
	"context"
	"errors"
	"fmt"
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

// rule is by what reconciliation repairs; docs/reconciliation.md says why each is safe. There are no others.
type rule string

const (
	ruleUndo   rule = "undo"   // a step took effect after its order was undone: it is undone, too
	ruleAccept rule = "accept" // a compensation without an answer has one by now: it is done
)

func rules() []rule { return []rule{ruleUndo, ruleAccept} }

// undo undoes a step that took effect after all, if its order has ended without undoing it.
func (w *reconcileWorker) undo(
	ctx context.Context, p orders.Provider, o *orders.Order, step orders.StepJob, b *budget,
) error {
	e, ok := o.Undo(step)
	if !ok || !w.repairs {
		return nil
	}
	return w.repair(ctx, p, ruleUndo, e, orders.StepKey(step.OrderID, step.Step, step.Generation), b)
}

// askAgain asks all providers about the compensations to which they gave no answer.
func (w *reconcileWorker) askAgain(ctx context.Context, b *budget) error {
	if !w.repairs {
		return nil
	}
	list, err := w.store.Reconciliations(ctx)
	if err != nil {
		return err
	}
	var failed []error
	for _, r := range list {
		if !compensates(r.Provider) {
			continue
		}
		before, err := w.askDown(ctx, r.Provider, r.AskedBefore, b)
		if before != r.AskedBefore {
			err = errors.Join(err, w.store.Asked(ctx, r.Provider, before))
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
func (w *reconcileWorker) askDown(
	ctx context.Context, p orders.Provider, before orders.ID, b *budget,
) (orders.ID, error) {
	share, cancel := context.WithTimeout(ctx, askShare)
	defer cancel()
	for {
		page, err := w.store.Orders(ctx, store.Filter{Status: orders.NeedsAttention, Before: before, Limit: askPage})
		if err != nil {
			return before, err
		}
		for i := range page {
			err := w.ask(share, p, &page[i], b)
			if errors.Is(err, errNotAsked) {
				return before, nil
			}
			before = page[i].ID
			switch {
			case ctx.Err() != nil:
				return before, ctx.Err()
			case share.Err() != nil, b.isSpent(p):
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
func (w *reconcileWorker) ask(ctx context.Context, p orders.Provider, o *orders.Order, b *budget) (err error) {
	unanswered := o.Unanswered(p)
	rand.Shuffle(len(unanswered), func(i, j int) {
		unanswered[i], unanswered[j] = unanswered[j], unanswered[i]
	})
	for _, s := range unanswered {
		if b.isSpent(p) {
			return err
		}
		key := orders.StepKey(o.ID, s.Name, s.KeyGeneration)
		answer, failure := w.providers.Ask(ctx, s.Name, key, nil)
		switch asked := b.note(p, failure); {
		case !asked:
			return errNotAsked
		case failure != nil:
			err = failure // it holds up no other of the order's steps
		case isDone(answer, o.Latest(s.Name.Undoes())):
			// The order has another version then. If more of it is unanswered, that has its turn the next time.
			return w.repair(ctx, p, ruleAccept, o.Accept(s, answer.Reference), key, b)
		}
	}
	return err
}

// isDone says that a compensation has succeeded. What was refused, is not known, or found nothing to undo although
// there was something, is for a person.
func isDone(answer upstream.Answer, undone *orders.Step) bool {
	intent := store.Intent{}
	if undone != nil {
		intent.Undone = undone.State
	}
	return answer.State == orders.StateSucceeded && outcomeOf(answer, intent).Kind == orders.StepSucceeded
}

// repair makes the event of a rule happen. An order that was changed since it was read is left as it is, and so is one
// whose key moved another amount than was meant: whatever else is known of it, a person must look.
func (w *reconcileWorker) repair(
	ctx context.Context, p orders.Provider, r rule, e orders.Event, key string, b *budget,
) error {
	if b.repairs == 0 {
		return nil
	}
	drifted, err := w.store.Drifted(ctx, p, key)
	if err != nil || drifted {
		return err
	}
	e.At = w.now()
	applied, err := w.store.Repair(ctx, e, store.AuditEntry{
		Actor: store.Actor{Name: orders.Reconciliation}, Action: "reconcile." + string(r), Target: e.OrderID.String(),
		Detail: map[string]any{
			"provider": p, "key": key, "step": fmt.Sprintf("%s:%d", e.Step, e.Generation), "reason": e.Reason,
		},
	})
	if err != nil || !applied.Changed {
		return err
	}
	b.repairs--
	w.metrics.repaired.WithLabelValues(string(p), string(r)).Inc()
	w.logger.WarnContext(ctx, "reconciliation repaired an order", "order_id", e.OrderID, "provider", p, "rule", string(r),
		"key", key)
	return nil
}
