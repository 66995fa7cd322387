package jobs

import (
	"context"
	"time"

	"github.com/riverqueue/river"

	"github.com/millrace-orders/millrace/store"
)

// MaintainLogJob makes the log's next partition and drops partitions that are too old.
type MaintainLogJob struct{}

// Kind names the job.
func (MaintainLogJob) Kind() string { return store.LogUpkeep }

func (s *shared) logUpkeep() job {
	j := periodic(time.Hour, &logWorker{shared: s}, func() (river.JobArgs, *river.InsertOpts) {
		return MaintainLogJob{}, &river.InsertOpts{Queue: maintenanceQueue}
	})
	j.onStart = true
	return j
}

type logWorker struct {
	river.WorkerDefaults[MaintainLogJob]
	*shared
}

// Timeout implements river.Worker.
func (w *logWorker) Timeout(*river.Job[MaintainLogJob]) time.Duration { return store.LogUpkeepTimeout }

func (w *logWorker) Work(ctx context.Context, _ *river.Job[MaintainLogJob]) error {
	dropped, err := w.Store.Log.Maintain(ctx, w.KeepEvents)
	if dropped > 0 {
		w.Logger.InfoContext(ctx, "old events dropped", "partitions", dropped)
	}
	return err
}
