package reconcile

import (
	"context"
	"time"

	"github.com/millrace-orders/millrace/orders"
)

const (
	// unsettledShare is the part of a provider's share for effects that could not be decided before. The next run begins
	// with the rest.
	unsettledShare = 3 * time.Second
	unsettledPage  = 500 // effects
	// unsettledEvery is how often such an effect is looked at.
	unsettledEvery = 5 * time.Minute
)

// judgeUnsettled looks again at a provider's effects that could not be judged when they were compared.
func (r *Reconciler) judgeUnsettled(ctx context.Context, p orders.Provider) error {
	begun := r.Now()
	for start := time.Now(); time.Since(start) < unsettledShare; {
		page, err := r.Store.Findings.Unsettled(ctx, p, begun, unsettledPage)
		if err != nil || len(page) == 0 {
			return err
		}
		found, err := r.Store.Findings.Compare(ctx, page)
		if err != nil {
			return err
		}
		fresh, err := r.Store.Findings.SaveUnsettled(ctx, p, page, found, begun.Add(unsettledEvery))
		if err != nil {
			return err
		}
		r.reportFindings(ctx, p, fresh)
		if len(page) < unsettledPage {
			return nil
		}
	}
	return nil
}
