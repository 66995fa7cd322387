package jobs

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/riverqueue/river"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/upstream"
)

// inventoryTimeout is enough for a hundred thousand products, and below rescueAfter.
const inventoryTimeout = 60 * time.Second

// SyncInventoryJob copies what the inventory provider says of its stock. It is enqueued by whichever process leads.
type SyncInventoryJob struct{}

// Kind names the job.
func (SyncInventoryJob) Kind() string { return "sync_inventory" }

// syncInventory puts the job in the provider's own queue, behind all steps: it may take longer than the sweep can wait.
// There is one at a time, however long the queue is held up.
func (s *shared) syncInventory() job {
	j := periodic(s.SyncInventoryEvery, &inventoryWorker{shared: s}, func() (river.JobArgs, *river.InsertOpts) {
		return SyncInventoryJob{}, &river.InsertOpts{
			Queue: string(orders.Inventory), Priority: 4, MaxAttempts: 1, UniqueOpts: oneAtATime(),
		}
	})
	j.onStart = true
	return j
}

type inventoryWorker struct {
	river.WorkerDefaults[SyncInventoryJob]
	*shared

	mu   sync.Mutex
	last string // what went wrong the last time; empty if nothing did
}

// Timeout is longer than that of a step: it is many calls.
func (w *inventoryWorker) Timeout(*river.Job[SyncInventoryJob]) time.Duration {
	return inventoryTimeout
}

// Work reads the whole stock, then writes it. It fails only if that is our own database's fault: that a provider does
// not answer makes the snapshot older, which everybody who reads it can see.
func (w *inventoryWorker) Work(ctx context.Context, _ *river.Job[SyncInventoryJob]) error {
	asOf := w.Now()
	products, err := w.Providers.Stock(ctx)
	if err != nil && ctx.Err() != nil {
		return err
	}
	switch news := w.isNews(err); {
	case err == nil && news:
		w.Logger.InfoContext(ctx, "inventory is synchronised again")
	case errors.Is(err, upstream.ErrNoStock) && news:
		w.Logger.InfoContext(ctx, "inventory provider lists no stock, so there is none to show")
	case err != nil && news:
		w.Logger.WarnContext(ctx, "inventory is not synchronised", "error", err)
	}
	if err != nil {
		return nil //nolint:nilerr // said above
	}
	return w.Store.ReplaceInventory(ctx, products, asOf)
}

// isNews says that this is not how it went the last time. The job runs for ever, and so may its provider be without
// a list.
func (w *inventoryWorker) isNews(err error) bool {
	text := ""
	if err != nil {
		text = err.Error()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	news := text != w.last
	w.last = text
	return news
}
