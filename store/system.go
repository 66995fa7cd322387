package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-orders/millrace/orders"
)

// Queues are River's queues, as operators see them.
type Queues struct {
	*database
}

// Leader returns the id of the River client that enqueues the periodic jobs; empty if no process leads.
func (s *Queues) Leader(ctx context.Context) (string, error) {
	leader, err := s.queries.Leader(ctx, s.db)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return "", fmt.Errorf("read leader: %w", err)
	}
	return leader, nil
}

// OwnsJobs reports whether this role owns River's tables, and so may rebuild their indexes.
func (s *Queues) OwnsJobs(ctx context.Context) (bool, error) {
	owns, err := s.queries.OwnsJobs(ctx, s.db)
	if err != nil {
		return false, fmt.Errorf("look for owner of jobs: %w", err)
	}
	return owns, nil
}

// oldestOrders is how many open orders are checked for the oldest work of each provider. In an outage of a provider,
// the oldest open orders wait for it.
const oldestOrders = 2000

// Queue is the work that waits in a queue.
type Queue struct {
	Name   string
	Paused bool // by an operator, in River: none of its jobs are worked
	Held   bool // by an operator, with a lever: likewise
	Shut   bool // by every live process, because its provider's breaker is open
	// Available jobs wait for a worker, scheduled and retryable jobs for their time, and running jobs are being worked.
	// Each is counted up to 100,000.
	Available, Scheduled, Retryable, Running int64
	// ReadyAt is when the oldest available job became ready; zero if there is none.
	ReadyAt time.Time
	// OldestAt is when the oldest unfinished work began to wait, for any reason. For a step that is its start, and for any
	// other job the time from which it could run. Zero if there is none. Only the steps of the oldest 2,000 open orders
	// count.
	OldestAt time.Time
}

// List lists by name the queues that a process works or that have unfinished jobs.
func (s *Queues) List(ctx context.Context) ([]Queue, error) {
	depths, err := s.Depths(ctx)
	if err != nil {
		return nil, err
	}
	known, err := s.queries.QueuesPaused(ctx, s.db, interval(silence))
	if err != nil {
		return nil, fmt.Errorf("read queues: %w", err)
	}
	var queues []Queue
	place := map[string]int{}
	at := func(name string) *Queue {
		i, ok := place[name]
		if !ok {
			i = len(queues)
			place[name], queues = i, append(queues, Queue{Name: name})
		}
		return &queues[i]
	}
	for _, q := range known {
		at(q.Name).Paused, at(q.Name).Held, at(q.Name).Shut = q.Paused, q.Held, q.Shut
	}
	for _, d := range depths {
		q := at(d.Queue)
		switch d.State {
		case "available":
			q.Available, q.ReadyAt, q.OldestAt = d.Jobs, d.OldestAt, d.OldestAt
		case "running":
			q.Running = d.Jobs
		case "retryable":
			q.Retryable = d.Jobs
		default: // scheduled and pending
			q.Scheduled += d.Jobs
		}
	}
	oldest, err := s.queries.LaneSteps(ctx, s.db, oldestOrders)
	if err != nil {
		return nil, fmt.Errorf("read oldest steps: %w", err)
	}
	for _, o := range oldest {
		spec, _ := orders.StepName(o.Step).Spec()
		if q := at(string(spec.Provider)); q.OldestAt.IsZero() || o.StartedAt.Before(q.OldestAt) {
			q.OldestAt = o.StartedAt.UTC()
		}
	}
	slices.SortFunc(queues, func(a, b Queue) int { return cmp.Compare(a.Name, b.Name) })
	return queues, nil
}
