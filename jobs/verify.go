package jobs

import (
	"context"

	"github.com/riverqueue/river"

	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/webhook"
)

// VerifyJob checks the invariants, and stores the result for all processes to show. The leader enqueues it.
type VerifyJob struct{}

// Kind names the job.
func (VerifyJob) Kind() string { return "verify" }

func (s *shared) verification() job {
	// Not at the start: after a crash the sweep goes first.
	return periodic(s.VerifyEvery, &verifyWorker{shared: s}, func() (river.JobArgs, *river.InsertOpts) {
		return VerifyJob{}, &river.InsertOpts{
			Queue: maintenanceQueue, Priority: 4, MaxAttempts: 1, UniqueOpts: oneAtATime(),
		}
	})
}

type verifyWorker struct {
	river.WorkerDefaults[VerifyJob]
	*shared
}

// Work fails if a check could not be made. A violation is not a failure of the job.
func (w *verifyWorker) Work(ctx context.Context, _ *river.Job[VerifyJob]) error {
	v, err := w.Store.Verifier.Verify(ctx, store.VerifyOptions{Periodic: true, Limits: store.Limits{Job: rescueAfter}})
	if err != nil {
		return err
	}
	for _, violation := range v.Violations {
		w.Logger.ErrorContext(ctx, "invariant violated", "check", violation.Check, "count", violation.Count,
			"details", violation.Details)
	}
	return w.Store.Verifier.Save(ctx, v, webhook.OperatorBody)
}
