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
	swept, err := w.Store.Steps.Sweep(ctx, longestRun, w.Now().Add(-askFor-carryTimeout))
	if swept.Stranded > 0 {
		w.metrics.swept.Add(float64(swept.Stranded))
		w.Logger.WarnContext(ctx, "stranded steps rescheduled", "steps", swept.Stranded)
	}
	// No job would settle these: their provider's breaker is open, so no process fetches their jobs. Unwanted steps are
	// given up so that their orders can be undone, and the customer does not wait for the provider.
	return errors.Join(err, w.settle(ctx, swept.Overdue, "deadline"), w.settle(ctx, swept.Unwanted, "abandoned"),
		w.Store.Orders.PurgeCommands(ctx), w.Store.Deliveries.Purge(ctx, w.Now().Add(-w.Webhooks.keep())))
}

// settle gives up steps without an answer.
func (w *sweepWorker) settle(ctx context.Context, steps []orders.StepJob, reason string) error {
	for batch := range slices.Chunk(steps[:min(len(steps), settleMost)], settleBatch) {
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
