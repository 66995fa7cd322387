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

// Queues are those of River, as far as operators ask about them.
type Queues struct {
	*database
}

// Leader is the id of the River client that enqueues the periodic jobs; empty if no process leads.
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

// Queue is how much work waits in a queue.
type Queue struct {
	Name   string
	Paused bool // by an operator: nothing of it is worked
	Shut   bool // by every live process, because its provider's breaker is open
	// Available jobs wait for a worker, scheduled and retryable ones for their time, running ones are being worked.
	// Each is counted up to 100,000.
	Available, Scheduled, Retryable, Running int64
	// ReadyAt is since when the oldest available job could have run; zero if there is none.
	ReadyAt time.Time
	// OldestAt is since when the oldest unfinished work waits, whatever it waits for: since its step was started, or,
	// of what is no step, since its job could have run. Zero if there is none.
	OldestAt time.Time
}

// List lists the queues that somebody works or that have unfinished jobs, by name.
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
		at(q.Name).Paused, at(q.Name).Shut = q.Paused, q.Shut
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
	oldest, err := s.queries.StepsOldest(ctx, s.db, stepNames())
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

// stepNames are the names of all steps of the saga.
func stepNames() (names []string) {
	for _, spec := range orders.Specs() {
		names = append(names, string(spec.Name))
	}
	return names
}
