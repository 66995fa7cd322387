package reconcile

import (
	"context"
	"fmt"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

// rule is a rule that allows a repair; docs/reconciliation.md explains why each is safe. There are no others.
type rule string

const (
	ruleUndo   rule = "undo"   // a step that took effect after its order was undone is undone
	ruleAccept rule = "accept" // an unanswered compensation turns out to be done
)

func rules() []rule { return []rule{ruleUndo, ruleAccept} }

// undo undoes a step that took effect after all, if its order has ended without undoing it.
func (r *Reconciler) undo(
	ctx context.Context, p orders.Provider, o *orders.Order, step orders.StepJob, b *budget,
) error {
	e, ok := o.Undo(step)
	if !ok || !r.Repair {
		return nil
	}
	return r.repair(ctx, p, ruleUndo, e, orders.StepKey(step.OrderID, step.Step, step.Generation), b)
}

// repair applies a rule's event. It leaves an order alone that has changed since it was read. It also leaves an order
// alone whose key moved a different amount than intended: an operator must look, whatever else is known about it.
func (r *Reconciler) repair(
	ctx context.Context, p orders.Provider, by rule, e orders.Event, key string, b *budget,
) error {
	if b.repairs == 0 {
		return nil
	}
	differs, err := r.Store.Findings.AmountDiffers(ctx, p, key)
	if err != nil || differs {
		return err
	}
	e.At = r.Now()
	applied, err := r.Store.Findings.Repair(ctx, e, store.AuditEntry{
		Actor: store.Actor{Name: orders.Reconciliation}, Action: "reconcile." + string(by), Target: e.OrderID.String(),
		Detail: map[string]any{
			"provider": p, "key": key, "step": fmt.Sprintf("%s:%d", e.Step, e.Generation), "reason": e.Reason,
		},
	})
	if err != nil || !applied.Changed {
		return err
	}
	b.repairs--
	r.repaired.WithLabelValues(string(p), string(by)).Inc()
	r.Logger.WarnContext(ctx, "reconciliation repaired an order", "order_id", e.OrderID, "provider", p, "rule", string(by),
		"key", key)
	return nil
}
