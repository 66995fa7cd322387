package jobs

import (
	"context"
	"time"

	"github.com/riverqueue/river"

	"github.com/millrace-orders/millrace/reconcile"
)

// behindPause frees the worker between one run that is behind and the next.
const behindPause = time.Second

// ReconcileJob compares the providers' own records with the orders. The leader enqueues it.
type ReconcileJob struct{}

// Kind names the job.
func (ReconcileJob) Kind() string { return "reconcile" }

func (s *shared) reconciliation() job {
	worker := &reconcileWorker{shared: s, reconciler: reconcile.New(reconcile.Config{
		Store: s.Store, Providers: s.Providers, Now: s.Now, Grace: s.ReconcileGrace, Repair: s.ReconcileRepair,
		Logger: s.Logger, Registerer: s.Registerer,
	})}
	j := periodic(s.ReconcileEvery, worker, func() (river.JobArgs, *river.InsertOpts) {
		return ReconcileJob{}, &river.InsertOpts{
			Queue: maintenanceQueue, Priority: 4, MaxAttempts: 1, UniqueOpts: oneAtATime(),
		}
	})
	j.onStart = true
	return j
}

type reconcileWorker struct {
	river.WorkerDefaults[ReconcileJob]
	*shared

	reconciler *reconcile.Reconciler
}

// Timeout is longer than a step's: the job makes many calls.
func (w *reconcileWorker) Timeout(*river.Job[ReconcileJob]) time.Duration { return reconcile.Timeout }

// Work runs again at once while it is behind, but not past the time of the next periodic run. Only the periodic run
// asks providers again and repairs.
func (w *reconcileWorker) Work(ctx context.Context, job *river.Job[ReconcileJob]) error {
	behind, err := w.reconciler.Run(ctx, snoozes(job.JobRow) > 0)
	if err != nil {
		return err
	}
	if next := job.CreatedAt.Add(w.ReconcileEvery); behind && w.Now().Add(reconcile.Timeout).Before(next) {
		return river.JobSnooze(behindPause)
	}
	return nil
}
