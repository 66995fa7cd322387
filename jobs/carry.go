package jobs

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/millrace-orders/millrace/failpoint"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

// carriersPerLane is how many orders a process carries at a time, in multiples of a lane: enough that the orders which
// wait for a provider that hangs leave room for the others.
const carriersPerLane = 4

// carry declares the job that carries an order.
func (s *shared) carry(c *carrier) job {
	return job{
		register: func(workers *river.Workers) { river.AddWorker(workers, &carryWorker{carrier: c}) },
		queues:   map[string]int{orders.CarryQueue: carriersPerLane * s.Workers},
	}
}

type carryWorker struct {
	river.WorkerDefaults[orders.CarryJob]

	carrier *carrier
}

// Timeout implements river.Worker.
func (w *carryWorker) Timeout(*river.Job[orders.CarryJob]) time.Duration { return carryTimeout }

// Work implements river.Worker.
func (w *carryWorker) Work(ctx context.Context, job *river.Job[orders.CarryJob]) error {
	failpoint.Hit("carry.begin")
	tasks, err := w.tasks(ctx, job)
	if err != nil {
		return err
	}
	left, err := w.carrier.carry(ctx, tasks)
	if err != nil {
		return err
	}
	return handOver(ctx, w.carrier, job, left)
}

// tasks returns the steps that the job begins with. Only a first run may go by its arguments and the process's memory.
// Afterwards these may be stale, whatever ended the run before.
func (w *carryWorker) tasks(ctx context.Context, job *river.Job[orders.CarryJob]) (tasks []task, err error) {
	id := job.Args.OrderID
	first := job.Attempt+snoozes(job.JobRow) == 1
	if first && len(job.Args.Steps) > 0 {
		for _, name := range job.Args.Steps {
			step, generation, _ := strings.Cut(name, ":")
			n, err := strconv.Atoi(generation)
			if err != nil {
				return nil, river.JobCancel(err) // the sweep gives the order a job with other arguments
			}
			tasks = append(tasks, task{StepJob: orders.StepJob{OrderID: id, Step: orders.StepName(step), Generation: n}})
		}
		return tasks, nil
	}
	pending, known := w.carrier.Store.Orders.First(id)
	if !first || !known {
		if pending, err = w.carrier.Store.Orders.Pending(ctx, id, job.ID); err != nil {
			return nil, err
		}
	}
	for _, p := range pending {
		tasks = append(tasks, task{StepJob: p.StepJob, intent: p.Intent, known: true, tries: job.Attempt - 1})
	}
	return tasks, nil
}

// handOver gives the tasks that are left jobs of their own, and completes the job that had them.
func handOver[T river.JobArgs](ctx context.Context, c *carrier, job *river.Job[T], tasks []task) error {
	if len(tasks) == 0 {
		return nil
	}
	left := make([]store.Left, len(tasks))
	for i, t := range tasks {
		left[i] = store.Left{StepJob: t.StepJob}
		left[i].Tries = t.tries
		if wait := c.handOverWait(ctx, t); wait > 0 {
			left[i].RunAt = c.Clock.Now().Add(wait)
		}
		c.metrics.handedOver(t)
	}
	failpoint.Hit("carry.before_hand_over")
	return c.Store.Orders.HandOver(ctx, left, func(ctx context.Context, tx pgx.Tx) error {
		_, err := river.JobCompleteTx[*riverpgxv5.Driver](ctx, tx, job)
		return err
	})
}
