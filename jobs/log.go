package jobs

import (
	"context"
	"log/slog"
	"time"

	"github.com/riverqueue/river"

	"github.com/millrace-orders/millrace/store"
)

// MaintainLogJob makes the log's next partition and drops those that are too old.
type MaintainLogJob struct{}

// Kind names the job.
func (MaintainLogJob) Kind() string { return store.LogUpkeep }

type logWorker struct {
	river.WorkerDefaults[MaintainLogJob]
	store  *store.Store
	keep   time.Duration
	logger *slog.Logger
}

// Timeout is River's word for how long the job may take.
func (w *logWorker) Timeout(*river.Job[MaintainLogJob]) time.Duration { return store.LogUpkeepTimeout }

func (w *logWorker) Work(ctx context.Context, _ *river.Job[MaintainLogJob]) error {
	dropped, err := w.store.MaintainLog(ctx, w.keep)
	if dropped > 0 {
		w.logger.InfoContext(ctx, "old events are gone", "partitions", dropped)
	}
	return err
}

func maintainLogHourly() *river.PeriodicJob {
	return river.NewPeriodicJob(river.PeriodicInterval(time.Hour), func() (river.JobArgs, *river.InsertOpts) {
		return MaintainLogJob{}, &river.InsertOpts{Queue: maintenanceQueue}
	}, &river.PeriodicJobOpts{RunOnStart: true})
}
