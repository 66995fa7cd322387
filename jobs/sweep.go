package jobs

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/riverqueue/river"

	"github.com/millrace-orders/millrace/failpoint"
	"github.com/millrace-orders/millrace/store"
)

const (
	maintenanceQueue = "maintenance"
	// maintenanceWorkers lets the sweep run while another periodic job takes its time.
	maintenanceWorkers = 4
)

// SweepJob looks for stranded steps, and forgets old idempotency keys and deliveries.
// It is enqueued by whichever process leads.
type SweepJob struct{}

// Kind names the job.
func (SweepJob) Kind() string { return "sweep" }

type sweepWorker struct {
	river.WorkerDefaults[SweepJob]
	store   *store.Store
	now     func() time.Time
	logger  *slog.Logger
	metrics *metrics

	keepDeliveries time.Duration
}

func (w *sweepWorker) Work(ctx context.Context, _ *river.Job[SweepJob]) error {
	failpoint.Hit("sweep.begin")
	swept, err := w.store.Sweep(ctx, longestRun)
	if swept > 0 {
		w.metrics.swept.Add(float64(swept))
		w.logger.WarnContext(ctx, "stranded steps have new jobs", "steps", swept)
	}
	return errors.Join(err, w.store.PurgeCommands(ctx),
		w.store.PurgeDeliveries(ctx, w.now().Add(-w.keepDeliveries)))
}

func sweepEvery(period time.Duration) *river.PeriodicJob {
	return river.NewPeriodicJob(river.PeriodicInterval(period), func() (river.JobArgs, *river.InsertOpts) {
		// A sweep that fails is not worth repeating: the next one is near.
		return SweepJob{}, &river.InsertOpts{Queue: maintenanceQueue, MaxAttempts: 1}
	}, &river.PeriodicJobOpts{RunOnStart: true})
}
