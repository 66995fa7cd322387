package jobs

import (
	"context"
	"time"

	"github.com/riverqueue/river"
)

const (
	archiveEvery = time.Hour
	// archiveTimeout ends a run with many orders, before verification takes the job for one that hangs. The job runs again
	// after archivePause.
	archiveTimeout = time.Minute
	archivePause   = time.Second
	// archiveElsewhere is how long a job waits that a process without a directory has fetched.
	archiveElsewhere = 30 * time.Second
)

// ArchiveOrdersJob moves orders that have rested for long into files. The leader enqueues it.
type ArchiveOrdersJob struct{}

// Kind names the job.
func (ArchiveOrdersJob) Kind() string { return "archive_orders" }

func (s *shared) archiving() job {
	every := archiveEvery
	if s.Archive == nil {
		every = 0
	}
	j := periodic(every, &archiveWorker{shared: s}, func() (river.JobArgs, *river.InsertOpts) {
		return ArchiveOrdersJob{}, &river.InsertOpts{
			Queue: maintenanceQueue, Priority: 4, MaxAttempts: 1, UniqueOpts: oneAtATime(),
		}
	})
	j.onStart = true
	return j
}

type archiveWorker struct {
	river.WorkerDefaults[ArchiveOrdersJob]
	*shared
}

// Timeout implements river.Worker.
func (w *archiveWorker) Timeout(*river.Job[ArchiveOrdersJob]) time.Duration {
	return archiveTimeout + jobTimeout
}

func (w *archiveWorker) Work(ctx context.Context, _ *river.Job[ArchiveOrdersJob]) error {
	if w.Archive == nil {
		return river.JobSnooze(archiveElsewhere)
	}
	limited, cancel := context.WithTimeout(ctx, archiveTimeout)
	defer cancel()
	_, err := w.Archive.Run(limited)
	if limited.Err() != nil && ctx.Err() == nil {
		return river.JobSnooze(archivePause)
	}
	return err
}
