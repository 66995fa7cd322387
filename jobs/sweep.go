package jobs

import (
	"context"
	"errors"
	"slices"

	"github.com/riverqueue/river"

	"github.com/millrace-orders/millrace/failpoint"
	"github.com/millrace-orders/millrace/orders"
)

const (
	settleBatch = 100 // steps
	// settleMost is how many steps one sweep settles without their jobs. The next sweep settles the rest.
	settleMost = 10_000
)

// SweepJob gives stranded steps new jobs, and settles steps that no job will carry out. It also deletes old idempotency
// keys and deliveries. The leader enqueues it.
type SweepJob struct{}

// Kind names the job.
func (SweepJob) Kind() string { return "sweep" }

func (s *shared) sweep() job {
	j := periodic(s.SweepEvery, &sweepWorker{shared: s}, func() (river.JobArgs, *river.InsertOpts) {
		// A sweep that fails is not worth repeating: the next one is near.
		return SweepJob{}, &river.InsertOpts{Queue: maintenanceQueue, MaxAttempts: 1}
	})
	j.onStart = true
	return j
}

type sweepWorker struct {
	river.WorkerDefaults[SweepJob]
	*shared
}

func (w *sweepWorker) Work(ctx context.Context, _ *river.Job[SweepJob]) error {
	failpoint.Hit("sweep.begin")
	settled := errors.Join(w.expire(ctx), w.abandon(ctx))
	swept, err := w.Store.Steps.Sweep(ctx, longestRun)
	if swept > 0 {
		w.metrics.swept.Add(float64(swept))
		w.Logger.WarnContext(ctx, "stranded steps rescheduled", "steps", swept)
	}
	return errors.Join(settled, err, w.Store.Orders.PurgeCommands(ctx),
		w.Store.Deliveries.Purge(ctx, w.Now().Add(-w.Webhooks.keep())))
}

// expire settles steps past their deadline whose jobs do not run, because the provider's breaker is open.
func (w *sweepWorker) expire(ctx context.Context) error {
	overdue, err := w.Store.Steps.Overdue(ctx, w.Now().Add(-askFor-jobTimeout), settleMost)
	if err != nil {
		return err
	}
	return w.settle(ctx, overdue, "deadline")
}

// abandon settles steps that their orders no longer need and whose jobs no process fetches. Their orders can then be
// undone, and the customer does not wait for the provider.
func (w *sweepWorker) abandon(ctx context.Context) error {
	unwanted, err := w.Store.Steps.Unwanted(ctx)
	if err != nil {
		return err
	}
	return w.settle(ctx, unwanted[:min(len(unwanted), settleMost)], "abandoned")
}

// settle gives up steps without an answer.
func (w *sweepWorker) settle(ctx context.Context, steps []orders.StepJob, reason string) error {
	for batch := range slices.Chunk(steps, settleBatch) {
		if err := ctx.Err(); err != nil {
			return err
		}
		events := make([]orders.Event, len(batch))
		for i, step := range batch {
			events[i] = orders.Event{
				OrderID: step.OrderID, Step: step.Step, Generation: step.Generation, Kind: orders.StepUnknown,
				Reason: reason, At: w.Now(),
			}
		}
		applied, err := w.Store.Orders.Apply(ctx, events)
		if err != nil {
			return err
		}
		for _, a := range applied {
			w.report(ctx, a)
		}
	}
	return nil
}
