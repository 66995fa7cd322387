package explain

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

// Cause is why a step has no outcome yet.
type Cause string

// The causes, and what each means.
const (
	Running      Cause = "running"       // a process carries it out now
	Carrier      Cause = "carrier"       // it waits for a process that carries the order
	Queued       Cause = "queued"        // it waits for room in its provider's lane
	Backoff      Cause = "backoff"       // a try failed, and the next one comes later
	BreakerOpen  Cause = "breaker_open"  // the provider fails, so no process calls it
	LanePaused   Cause = "lane_paused"   // an operator pauses the lane, until a moment
	QueuePaused  Cause = "queue_paused"  // an operator paused the queue in River UI
	NoWorker     Cause = "no_worker"     // no process with workers is alive
	JobLost      Cause = "job_lost"      // it has no live job: the sweep gives its order one
	ProcessLost  Cause = "process_lost"  // the process that carried it out fell silent
	ProcessStuck Cause = "process_stuck" // it has been running for longer than a job may
)

// Causes lists all causes.
func Causes() []Cause {
	return []Cause{
		Running, Carrier, Queued, Backoff, BreakerOpen, LanePaused, QueuePaused, NoWorker, JobLost, ProcessLost,
		ProcessStuck,
	}
}

// Event is what happens next to a step.
type Event string

// The events.
const (
	Outcome Event = "outcome"  // the try under way ends, with an outcome or with another wait
	Attempt Event = "attempt"  // a process tries the step
	NewJob  Event = "new_job"  // its order gets a new job
	GivenUp Event = "given_up" // it is settled as unknown, unless the provider answers before
)

// Events lists all events.
func Events() []Event { return []Event{Outcome, Attempt, NewJob, GivenUp} }

// What the workers promise. A test of package jobs compares these with what workers do.
const (
	// CarryTimeout is the longest run of a job that carries an order or a step.
	CarryTimeout = 45 * time.Second
	// LongestRun is for how long a running job is taken to be alive.
	LongestRun = 60 * time.Second
	// AskFor is how long after its deadline a step's provider is still asked.
	AskFor = 15 * time.Minute
	// SweepEvery is how often workers look for lost jobs and overdue steps, if they do not say it.
	SweepEvery = 15 * time.Second
	// Trust is how long a process must have sent heartbeats before it takes over another's jobs.
	Trust = 12 * time.Second
	// slack is for what has no exact time: polling, River's scheduler, and the election of another leader.
	slack = 30 * time.Second
)

// Wait is an open step, and why it has no outcome yet.
type Wait struct {
	Step      orders.Step
	Provider  orders.Provider
	Cause     Cause
	Since     time.Time // zero: unknown
	Until     time.Time // of a pause or a backoff; zero: unknown
	Attempts  int       // runs of its job
	LastError string    // its class; empty: none is known
	Error     string    // its text
	Worker    string    // the process of the run under way
	Queue     string    // in which its job waits
	Hold      *store.Hold

	Next Event
	By   time.Time // when Next has happened, at the latest; zero: not unless a person acts
}

func waitOf(e store.Evidence, s orders.Step) Wait {
	spec, _ := s.Name.Spec()
	w := Wait{Step: s, Provider: spec.Provider, Queue: string(spec.Provider)}
	j, found := jobOf(e, s)
	if found {
		w.Queue = j.Queue
		if j.Is(s) {
			w.Attempts, w.Error = j.Tried(), j.Error
		} else if j.State == "running" {
			w.Attempts = 1
		}
	}
	if last := e.LastError[string(spec.Provider)]; w.Error == "" && last.At.After(s.StartedAt) {
		w.Error = last.Text
	}
	w.LastError = classOf(w.Error)
	switch {
	case found && j.State == "running" && alive(e, j.Worker):
		w.runs(e, j)
	case !slices.ContainsFunc(e.Workers, func(w store.Worker) bool { return w.Live }):
		w.Cause, w.Next = NoWorker, Attempt
	case found && j.State == "running":
		w.lost(e, j)
	case !found:
		w.Cause, w.Since, w.Next = JobLost, s.StartedAt, NewJob
		w.By = later(e.At, s.StartedAt.Add(store.SweptAfter)).Add(sweepEvery(e) + slack)
	default:
		w.waits(e, j)
	}
	return w
}

// runs is about a step that a living process carries out.
func (w *Wait) runs(e store.Evidence, j store.LiveJob) {
	w.Cause, w.Worker, w.Since, w.Next = Running, j.Worker, j.AttemptedAt, Outcome
	if w.By = j.AttemptedAt.Add(CarryTimeout + slack); !w.By.After(e.At) {
		w.Cause, w.Next = ProcessStuck, NewJob
		w.By = later(e.At, j.AttemptedAt.Add(LongestRun)).Add(sweepEvery(e) + slack)
	}
}

// lost is about a step whose process fell silent. Another one takes it over once it trusts itself to judge.
func (w *Wait) lost(e store.Evidence, j store.LiveJob) {
	w.Cause, w.Worker, w.Since, w.Next = ProcessLost, j.Worker, j.AttemptedAt, NewJob
	due, judge := j.AttemptedAt.Add(store.SilentAfter), time.Time{}
	for _, other := range e.Workers {
		switch {
		case other.ID == j.Worker:
			due = later(due, other.HeartbeatAt.Add(store.SilentAfter))
		case other.Live && (judge.IsZero() || other.LiveSince.Before(judge)):
			judge = other.LiveSince
		}
	}
	w.By = later(e.At, later(due, judge.Add(Trust))).Add(slack)
}

// waits is about a step whose job no process has taken. Of several reasons the one that ends last is named.
func (w *Wait) waits(e store.Evidence, j store.LiveJob) {
	ready := later(e.At, j.ScheduledAt)
	hold, held := e.Holds[string(w.Provider)]
	lane := string(w.Provider)
	for _, queue := range []string{w.Queue, lane} {
		if at := e.Queues[queue].PausedAt; !at.IsZero() {
			w.Cause, w.Queue, w.Since, w.Next = QueuePaused, queue, at, Attempt
			return
		}
	}
	w.Next = Attempt
	switch {
	case held && hold.Until.After(e.At):
		w.Cause, w.Since, w.Until, w.Hold = LanePaused, hold.Since, hold.Until, &hold
		w.By = later(ready, hold.Until).Add(w.ahead(e) + slack)
	case shut(e, lane) && !j.Carries():
		w.Cause, w.Next = BreakerOpen, GivenUp
		w.By = later(e.At, w.Step.DeadlineAt.Add(AskFor+CarryTimeout)).Add(sweepEvery(e) + slack)
		if spec, _ := w.Step.Name.Spec(); spec.Role == orders.Forward && e.Order.Goal != orders.GoalComplete {
			w.By = e.At.Add(sweepEvery(e) + slack) // the order does not want it any more
		}
	case j.State != "available" && j.ScheduledAt.After(e.At):
		w.Cause, w.Until = Backoff, j.ScheduledAt
		w.By = j.ScheduledAt.Add(w.ahead(e) + slack)
	default:
		w.Cause, w.Since = Queued, j.ScheduledAt
		if j.Carries() {
			w.Cause = Carrier
		}
		w.By = later(e.At, j.ScheduledAt.Add(w.ahead(e))).Add(slack)
	}
}

// ahead is for how long the jobs of the queue wait at present.
func (w *Wait) ahead(e store.Evidence) time.Duration {
	if oldest := e.Queues[w.Queue].OldestAt; !oldest.IsZero() {
		return max(0, e.At.Sub(oldest))
	}
	return 0
}

// jobOf returns the job that is to carry out a step. There may be several: a run whose process died and a job that
// replaces it, or a step's own job beside one that carries the rest of the order.
func jobOf(e store.Evidence, s orders.Step) (best store.LiveJob, found bool) {
	rank := func(j store.LiveJob) int {
		running := j.State == "running"
		living := running && alive(e, j.Worker)
		switch {
		case j.Is(s) && living:
			return 6
		case j.Carries() && living:
			return 5
		case j.Is(s) && !running:
			return 4
		case j.Carries() && !running:
			return 3
		case living && !s.StartedAt.Before(j.AttemptedAt):
			return 2 // the run of another step goes on with what its outcome starts
		case j.Is(s) || j.Carries():
			return 1
		}
		return 0
	}
	if len(e.Jobs) == 0 {
		return best, false
	}
	best = slices.MaxFunc(e.Jobs, func(a, b store.LiveJob) int { return cmp.Compare(rank(a), rank(b)) })
	return best, rank(best) > 0
}

func alive(e store.Evidence, id string) bool {
	return slices.ContainsFunc(e.Workers, func(w store.Worker) bool { return w.ID == id && w.Live })
}

// shut reports whether every living process keeps away from a queue.
func shut(e store.Evidence, queue string) bool {
	return !slices.ContainsFunc(e.Workers, func(w store.Worker) bool { return w.Live && !slices.Contains(w.Shut, queue) })
}

// sweepEvery is how often the sweep runs at least. Any of the living processes may lead, and the leader sweeps.
func sweepEvery(e store.Evidence) (longest time.Duration) {
	for _, w := range e.Workers {
		if w.Live {
			longest = max(longest, w.SweepEvery)
		}
	}
	return cmp.Or(longest, SweepEvery)
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// text says why the step has no outcome, within a sentence.
func (w Wait) text(detailed bool) string {
	by, at := func(text string) string { return text + " by " + moment(w.By) }, " at "+string(w.Provider)
	if !detailed {
		switch {
		case w.Cause == Running:
			return "it is being carried out"
		case w.By.IsZero():
			return "its turn has not come, and its time is not known"
		}
		return by("its turn has not come; the next try or decision comes")
	}
	switch w.Cause {
	case Running:
		return fmt.Sprintf("process %s has carried it out since %s", w.Worker, moment(w.Since))
	case ProcessStuck:
		return by(fmt.Sprintf("process %s has been at it since %s, which is too long; a new job comes", w.Worker,
			moment(w.Since)))
	case ProcessLost:
		return by(fmt.Sprintf("process %s began it at %s and fell silent; another process takes it over", w.Worker,
			moment(w.Since)))
	case Carrier:
		return by("it waits for a process that carries the order, which comes")
	case Queued:
		return by("it waits for room in the lane" + at + ", which comes")
	case Backoff:
		text := fmt.Sprintf("try %d comes at %s", w.Attempts+1, moment(w.Until))
		if w.LastError != "" {
			text += ", after " + plain(w.LastError) + at
		}
		return text
	case BreakerOpen:
		return by("the breaker" + at + " is open; it is tried when the provider answers again, and given up")
	case LanePaused:
		return fmt.Sprintf("an operator pauses the lane%s until %s", at, moment(w.Until))
	case QueuePaused:
		return "the queue " + w.Queue + " is paused in River UI, and stays so until an operator resumes it"
	case NoWorker:
		return "no process with workers is alive"
	case JobLost:
		return by("its job is lost; the sweep gives the order a new one")
	}
	return string(w.Cause)
}
