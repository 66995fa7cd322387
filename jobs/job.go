package jobs

import (
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/millrace-orders/millrace/store"
)

const (
	maintenanceQueue = store.MaintenanceQueue
	// maintenanceWorkers lets the sweep run while another periodic job takes long.
	maintenanceWorkers = 4
)

// job describes one kind of work to River, or several kinds that share a worker. Each file of this package declares its
// own job, and NewClient collects them.
type job struct {
	register func(*river.Workers)
	// queues are the job's queues, and how many jobs of each run at a time in one process.
	queues map[string]int
	// every is how often the leader enqueues a periodic job. 0: never.
	every   time.Duration
	insert  river.PeriodicJobConstructor
	onStart bool // also enqueued at once when a process becomes the leader
}

// periodic makes a job that the leader enqueues. The process has the job's worker even if it never enqueues the job: a
// process with a different configuration may.
func periodic[T river.JobArgs](every time.Duration, worker river.Worker[T], insert river.PeriodicJobConstructor) job {
	return job{
		register: func(workers *river.Workers) { river.AddWorker(workers, worker) },
		queues:   map[string]int{maintenanceQueue: maintenanceWorkers},
		every:    every, insert: insert,
	}
}

func (j job) addTo(config *river.Config) {
	if j.register != nil {
		j.register(config.Workers)
	}
	for queue, workers := range j.queues {
		config.Queues[queue] = river.QueueConfig{MaxWorkers: workers}
	}
	if j.every > 0 {
		config.PeriodicJobs = append(config.PeriodicJobs, river.NewPeriodicJob(
			river.PeriodicInterval(j.every), j.insert, &river.PeriodicJobOpts{RunOnStart: j.onStart}))
	}
}

// oneAtATime prevents a periodic job from being enqueued again before it has run.
func oneAtATime() river.UniqueOpts {
	return river.UniqueOpts{ByState: []rivertype.JobState{
		rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable, rivertype.JobStateRunning,
		rivertype.JobStateScheduled,
	}}
}
