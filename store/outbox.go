package store

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/millrace-orders/millrace/failpoint"
	"github.com/millrace-orders/millrace/orders"
)

// River's job table is the outbox: a job inserted in the order's transaction exists exactly if the order does. There
// is no table and no relay in between, which would only be a queue in front of a queue.

// maxAttempts is out of reach on purpose: a step ends by its deadline, with an event, and a redrive when it has gone
// through its orders. Neither may end because River counted to some number while the database was away, and gave up in
// silence.
const maxAttempts = 10_000

// newJobInserter makes a River client that inserts jobs and does nothing else.
func newJobInserter() (*river.Client[pgx.Tx], error) {
	return river.NewClient(silentDriver{riverpgxv5.New(nil)}, &river.Config{
		Schema: Schema, Logger: slog.New(slog.DiscardHandler),
	})
}

// silentDriver keeps River from sending NOTIFY in the order's transaction: Postgres holds a database-wide lock from
// there to the end of the commit. The Doorbell does it after the commit.
type silentDriver struct{ *riverpgxv5.Driver }

func (silentDriver) SupportsListener() bool     { return false }
func (silentDriver) SupportsListenNotify() bool { return false }

// enqueue inserts the jobs of started steps. A failure must fail the transaction.
func (s *database) enqueue(ctx context.Context, tx pgx.Tx, jobs []orders.StepJob) error {
	if len(jobs) == 0 {
		return nil
	}
	failpoint.Hit("enqueue.begin")
	params := make([]river.InsertManyParams, len(jobs))
	for i, job := range jobs {
		spec, _ := job.Step.Spec()
		priority := 1
		if spec.Role == orders.Forward && len(spec.After) == 0 {
			priority = 2 // orders that have begun are finished before new ones are begun
		}
		params[i] = river.InsertManyParams{Args: job, InsertOpts: &river.InsertOpts{
			Queue: string(spec.Provider), Priority: priority, MaxAttempts: maxAttempts,
		}}
	}
	if _, err := s.jobs.InsertManyFastTx(ctx, tx, params); err != nil {
		return fmt.Errorf("enqueue jobs: %w", err)
	}
	failpoint.Hit("enqueue.inserted")
	return nil
}

func appendJobs(jobs []orders.StepJob, d orders.Decision) []orders.StepJob {
	for _, step := range d.Started {
		jobs = append(jobs, orders.StepJob{OrderID: d.Order.ID, Step: step.Name, Generation: step.Generation})
	}
	return jobs
}
