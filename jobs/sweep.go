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
	// settleMost is how many steps one sweep settles without their jobs. The next one goes on.
	settleMost = 10_000
)

// SweepJob looks for stranded steps, settles those that no job will carry out, and forgets old idempotency keys and
// deliveries.
// It is enqueued by whichever process leads.
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
	swept, err := w.Store.Sweep(ctx, longestRun)
	if swept > 0 {
		w.metrics.swept.Add(float64(swept))
		w.Logger.WarnContext(ctx, "stranded steps have new jobs", "steps", swept)
	}
	return errors.Join(settled, err, w.Store.PurgeCommands(ctx),
		w.Store.PurgeDeliveries(ctx, w.Now().Add(-w.Webhooks.keep())))
}

// expire settles steps whose job should have given them up: while a provider's breaker is open its jobs do not run.
func (w *sweepWorker) expire(ctx context.Context) error {
	overdue, err := w.Store.Overdue(ctx, w.Now().Add(-askFor-jobTimeout), settleMost)
	if err != nil {
		return err
	}
	return w.settle(ctx, overdue, "deadline")
}

// abandon settles steps that their orders do not want any more, and whose jobs no process fetches. What builds on them
// is undone meanwhile, and the customer who has cancelled does not wait for the provider.
func (w *sweepWorker) abandon(ctx context.Context) error {
	unwanted, err := w.Store.Unwanted(ctx)
	if err != nil {
		return err
	}
	return w.settle(ctx, unwanted[:min(len(unwanted), settleMost)], "abandoned")
}

// settle gives steps up without an answer.
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
		applied, err := w.Store.Apply(ctx, events)
		if err != nil {
			return err
		}
		for _, a := range applied {
			w.report(ctx, a)
		}
	}
	return nil
}
