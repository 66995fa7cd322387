package jobs

import (
	"context"
	"time"

	"github.com/millrace-orders/millrace/orders"
)

const (
	// reconcileSettle is for how long, of its share, effects of a provider are looked at again that could not be decided
	// about. The rest is looked at the next time, first.
	reconcileSettle = 3 * time.Second
	settlePage      = 500 // effects
	// unsettledEvery is how often such an effect is looked at.
	unsettledEvery = 5 * time.Minute
)

// settle looks again at effects of a provider that could not be decided about when they were compared.
func (w *reconcileWorker) settle(ctx context.Context, p orders.Provider) error {
	begun := w.now()
	for start := time.Now(); time.Since(start) < reconcileSettle; {
		page, err := w.store.UnsettledEffects(ctx, p, begun, settlePage)
		if err != nil || len(page) == 0 {
			return err
		}
		found, err := w.store.Compare(ctx, page)
		if err != nil {
			return err
		}
		fresh, err := w.store.Settle(ctx, p, page, found, begun.Add(unsettledEvery))
		if err != nil {
			return err
		}
		w.reportFindings(ctx, p, fresh)
		if len(page) < settlePage {
			return nil
		}
	}
	return nil
}
