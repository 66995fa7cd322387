package jobs

import (
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

const (
	maintenanceQueue = "maintenance"
	// maintenanceWorkers lets the sweep run while another periodic job takes its time.
	maintenanceWorkers = 4
)

// job is all that River has to know of one kind of work, or of several that one worker carries out. Each file of this
// package declares its own, and NewClient collects them.
type job struct {
	register func(*river.Workers)
	// queues are those that the job brings along, and how many of each run at a time in one process.
	queues map[string]int
	// every is how often the leader enqueues a periodic job. 0: never.
	every   time.Duration
	insert  river.PeriodicJobConstructor
	onStart bool // it is enqueued at once, too, when a process becomes the leader
}

// periodic is a job that the leader enqueues. It has its worker also where it is never enqueued: a process that is
// configured otherwise may do that.
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

// oneAtATime keeps a periodic job from being enqueued again before it has run.
func oneAtATime() river.UniqueOpts {
	return river.UniqueOpts{ByState: []rivertype.JobState{
		rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable, rivertype.JobStateRunning,
		rivertype.JobStateScheduled,
	}}
}
