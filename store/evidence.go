package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/dbsqlc"
)

const (
	// mostJobs bounds the jobs of one order. It mostly has one, and at most one for each step that is pending.
	mostJobs = 100
	// mostWorking bounds the processes with workers that are looked at.
	mostWorking = 200
)

// What explanations go by.
const (
	// SilentAfter is for how long a process may say nothing and count as alive.
	SilentAfter = silence
	// SweptAfter is how old a step must be before the sweep looks for its job.
	SweptAfter = strandedAfter
)

// Evidence is what shows why an order stands where it stands: the order, and all that its open steps may wait for. The
// order and its jobs are of one moment.
type Evidence struct {
	Order     orders.Order
	Jobs      []LiveJob            // unfinished, newest first
	Workers   []Worker             // processes with workers, also those that fell silent within the last hour
	Queues    map[string]Waiting   // by name
	Holds     map[string]Hold      // lanes that operators pause, by name
	LastError map[string]LaneError // by lane: of the calls of all processes
	At        time.Time            // of the evidence, by the database's clock
}

// LiveJob is an unfinished job of an order.
type LiveJob struct {
	Kind        string          `json:"kind"`
	Queue       string          `json:"queue"`
	State       string          `json:"state"` // River's
	Attempt     int             `json:"attempt"`
	ScheduledAt time.Time       `json:"scheduled_at"`
	AttemptedAt time.Time       `json:"attempted_at"` // of the latest run; zero before the first
	Worker      string          `json:"worker"`       // the process of the latest run
	Generation  string          `json:"generation"`   // of a step's own job
	Tries       string          `json:"tries"`        // of a step, before its own job
	Steps       json.RawMessage `json:"steps"`        // with which a carrying job begins; none stands for all
	Error       string          `json:"error"`        // of the latest run that failed
	ErrorAt     time.Time       `json:"error_at"`
}

// Carries reports whether the job carries the order, whatever its pending steps.
func (j LiveJob) Carries() bool { return j.Kind == orders.CarryJob{}.Kind() }

// Is reports whether the job is a step's own.
func (j LiveJob) Is(s orders.Step) bool {
	return j.Kind == string(s.Name) && j.Generation == strconv.Itoa(s.Generation)
}

// Tried is how often the step of a job was tried, with a run under way.
func (j LiveJob) Tried() int {
	before, _ := strconv.Atoi(j.Tries) // a carrying job has none
	return before + j.Attempt
}

// Worker is a process with workers.
type Worker struct {
	ID          string
	HeartbeatAt time.Time
	LiveSince   time.Time // heartbeats without a gap
	Shut        []string  // the queues that it does not work, because a breaker is open
	Live        bool
	SweepEvery  time.Duration // when it leads; 0: unknown
}

// Waiting is what keeps the jobs of a queue waiting.
type Waiting struct {
	PausedAt time.Time // in River UI; zero: it is not paused
	OldestAt time.Time // when the oldest job that could run became ready; zero: there is none
}

// LaneError is the latest error that a process reports of a lane.
type LaneError struct {
	Text string
	At   time.Time
}

// Evidence reads an order and what its open steps may wait for. Errors: orders.ErrNotFound,
// *orders.ArchivedError.
func (s *Orders) Evidence(ctx context.Context, id orders.ID) (Evidence, error) {
	row, err := s.queries.EvidenceOrder(ctx, s.db, &dbsqlc.EvidenceOrderParams{ID: id, MostJobs: mostJobs})
	if errors.Is(err, pgx.ErrNoRows) {
		return Evidence{}, s.missing(ctx, s.db, id)
	}
	if err != nil {
		return Evidence{}, fmt.Errorf("read order and jobs: %w", err)
	}
	e := Evidence{
		At: row.Now.UTC(), Queues: map[string]Waiting{}, Holds: map[string]Hold{}, LastError: map[string]LaneError{},
	}
	if e.Order, err = decodeOrder(row.OrderDocument); err != nil {
		return Evidence{}, err
	}
	if err := json.Unmarshal(row.Jobs, &e.Jobs); err != nil {
		return Evidence{}, fmt.Errorf("decode jobs of order %s: %w", id, err)
	}
	pending := func(step orders.Step) bool { return step.State == orders.StatePending }
	if !slices.ContainsFunc(e.Order.Steps, pending) {
		return e, nil // it waits for nothing
	}
	if s.standby {
		return Evidence{}, errBehind // River's leader is in a table that is not replicated
	}
	if err := s.circumstances(ctx, &e); err != nil {
		return Evidence{}, fmt.Errorf("read what the order waits for: %w", err)
	}
	return e, nil
}

// circumstances reads what any order may wait for.
func (s *Orders) circumstances(ctx context.Context, e *Evidence) error {
	working, err := s.queries.EvidenceInstances(ctx, s.db, &dbsqlc.EvidenceInstancesParams{
		Silence: interval(silence), Most: mostWorking,
	})
	if err != nil {
		return err
	}
	for _, w := range working {
		e.Workers = append(e.Workers, Worker{
			ID: w.ID, HeartbeatAt: w.HeartbeatAt.UTC(), LiveSince: w.LiveSince.UTC(), Shut: w.ShutQueues, Live: w.Live,
			SweepEvery: time.Duration(w.SweepSeconds * float64(time.Second)),
		})
	}
	names := []string{orders.CarryQueue}
	for _, p := range orders.Providers() {
		names = append(names, string(p))
	}
	queues, err := s.queries.EvidenceQueues(ctx, s.db, names)
	if err != nil {
		return err
	}
	for _, q := range queues {
		e.Queues[q.Name] = Waiting{unlessEpoch(q.PausedAt), unlessEpoch(q.OldestAt)}
	}
	held, err := (&Levers{s.database}).Read(ctx)
	if err != nil {
		return err
	}
	for lane, hold := range held.Lanes {
		e.Holds[string(lane)] = hold
	}
	processes, _, err := (&Processes{s.database}).List(ctx)
	if err != nil {
		return err
	}
	for _, p := range processes {
		for lane, view := range p.Lanes {
			if view.LastError != "" && view.LastErrorAt.After(e.LastError[string(lane)].At) {
				e.LastError[string(lane)] = LaneError{view.LastError, view.LastErrorAt}
			}
		}
	}
	return nil
}

// unlessEpoch returns the zero time for a moment that is missing.
func unlessEpoch(t time.Time) time.Time {
	if t.Unix() == 0 {
		return time.Time{}
	}
	return t.UTC()
}
