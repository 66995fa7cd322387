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

// SyncInventoryJob copies the inventory provider's stock list. The leader enqueues it.
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
	last string // the last run's error; empty if it succeeded
}

// Timeout is longer than a step's: the job makes many calls.
func (w *inventoryWorker) Timeout(*river.Job[SyncInventoryJob]) time.Duration {
	return inventoryTimeout
}

// Work reads the whole stock, then writes it. It fails only on an error of our own database. A provider that does not
// answer makes the snapshot older, and every reader of the snapshot can see its age.
func (w *inventoryWorker) Work(ctx context.Context, _ *river.Job[SyncInventoryJob]) error {
	asOf := w.Now()
	products, err := w.Providers.Stock(ctx)
	if err != nil && ctx.Err() != nil {
		return err
	}
	switch news := w.isNews(err); {
	case err == nil && news:
		w.Logger.InfoContext(ctx, "inventory synchronisation recovered")
	case errors.Is(err, upstream.ErrNoStock) && news:
		w.Logger.InfoContext(ctx, "inventory provider has no stock list")
	case err != nil && news:
		w.Logger.WarnContext(ctx, "inventory synchronisation failed", "error", err)
	}
	if err != nil {
		return nil //nolint:nilerr // logged above
	}
	return w.Store.Inventory.Replace(ctx, products, asOf)
}

// isNews reports whether the result differs from the last run's. The job runs for ever, and its provider may be without
// a stock list for as long.
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
