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
// is no outbox table with a relay, which would only be a queue in front of a queue.

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

// Priorities in the queue of carrying jobs: orders that have begun are finished before new ones are begun.
const (
	priorityBegun = 1
	priorityNew   = 2
)

// enqueue inserts jobs that carry orders. A failure must fail the transaction.
func (s *database) enqueue(ctx context.Context, tx pgx.Tx, jobs []orders.CarryJob, priority int) error {
	params := make([]river.InsertManyParams, len(jobs))
	for i, job := range jobs {
		params[i] = river.InsertManyParams{Args: job, InsertOpts: &river.InsertOpts{
			Queue: orders.CarryQueue, Priority: priority, MaxAttempts: maxAttempts,
		}}
	}
	return s.insert(ctx, tx, params)
}

func (s *database) insert(ctx context.Context, tx pgx.Tx, params []river.InsertManyParams) error {
	if len(params) == 0 {
		return nil
	}
	failpoint.Hit("enqueue.begin")
	if _, err := s.jobs.InsertManyFastTx(ctx, tx, params); err != nil {
		return fmt.Errorf("enqueue jobs: %w", err)
	}
	failpoint.Hit("enqueue.inserted")
	return nil
}

// carrying returns the jobs that carry out started steps: one for each order, which names the steps.
func carrying(started []orders.StepJob) (jobs []orders.CarryJob) {
	place := make(map[orders.ID]int, len(started))
	for _, step := range started {
		i, ok := place[step.OrderID]
		if !ok {
			i = len(jobs)
			place[step.OrderID], jobs = i, append(jobs, orders.CarryJob{OrderID: step.OrderID})
		}
		jobs[i].Steps = append(jobs[i].Steps, step.Name())
	}
	return jobs
}

// queuesOf returns the queue of carrying jobs, if there are any.
func queuesOf(jobs []orders.CarryJob) []string {
	if len(jobs) == 0 {
		return nil
	}
	return []string{orders.CarryQueue}
}

func appendJobs(jobs []orders.StepJob, d orders.Decision) []orders.StepJob {
	for i := range d.Started {
		jobs = append(jobs, orders.JobOf(d.Order.ID, &d.Started[i]))
	}
	return jobs
}
