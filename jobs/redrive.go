package jobs

import (
	"context"
	"time"

	"github.com/riverqueue/river"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

const (
	redriveBatch = 100
	// redriveRun leaves the rest of jobTimeout to the last order. A longer redrive continues in another run.
	redriveRun = 15 * time.Second
)

func (s *shared) redrive() job {
	return job{
		register: func(workers *river.Workers) { river.AddWorker(workers, &redriveWorker{shared: s}) },
		queues:   map[string]int{store.RedriveQueue: 1},
	}
}

type redriveWorker struct {
	river.WorkerDefaults[orders.RedriveJob]
	*shared
}

// Work requests a retry of one order after the other. The orders themselves show its progress: an order that it has
// retried no longer needs attention, or has needed attention only since the retry.
func (w *redriveWorker) Work(ctx context.Context, job *river.Job[orders.RedriveJob]) error {
	tick := time.NewTicker(time.Second / time.Duration(max(job.Args.PerSecond, 1)))
	defer tick.Stop()
	end := time.Now().Add(redriveRun)
	redriven := 0
	for after := (orders.ID{}); ; {
		ids, err := w.Store.DeadLetters.List(ctx, job.Args, after, redriveBatch)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if time.Now().After(end) {
				return river.JobSnooze(0)
			}
			applied, err := w.Store.Orders.Apply(ctx, []orders.Event{job.Args.Event(id, w.Now())})
			if err != nil {
				return err
			}
			if !applied[0].Changed {
				continue // an operator has settled it, or an earlier run of this job has retried it
			}
			redriven++
			select {
			case <-tick.C:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if len(ids) < redriveBatch {
			w.Logger.InfoContext(ctx, "redrive ended", "redrive_id", job.Args.ID, "last_orders", redriven)
			return nil
		}
		after = ids[len(ids)-1]
	}
}
