package reconcile

import (
	"context"
	"time"

	"github.com/millrace-orders/millrace/orders"
)

const (
	// settleShare is the part of a provider's share for effects that could not be decided before. The next run begins
	// with the rest.
	settleShare = 3 * time.Second
	settlePage  = 500 // effects
	// unsettledEvery is how often such an effect is looked at.
	unsettledEvery = 5 * time.Minute
)

// settle looks again at a provider's effects that could not be decided when they were compared.
func (r *Reconciler) settle(ctx context.Context, p orders.Provider) error {
	begun := r.Now()
	for start := time.Now(); time.Since(start) < settleShare; {
		page, err := r.Store.Findings.Unsettled(ctx, p, begun, settlePage)
		if err != nil || len(page) == 0 {
			return err
		}
		found, err := r.Store.Findings.Compare(ctx, page)
		if err != nil {
			return err
		}
		fresh, err := r.Store.Findings.Settle(ctx, p, page, found, begun.Add(unsettledEvery))
		if err != nil {
			return err
		}
		r.reportFindings(ctx, p, fresh)
		if len(page) < settlePage {
			return nil
		}
	}
	return nil
}
