package store

import (
	"context"
	"fmt"
	"time"

	"github.com/millrace-orders/millrace/orders"
)

// laneOrders is how many open orders a snapshot looks at. One is taken every few seconds.
const laneOrders = 10_000

// LaneState is how one provider's steps are doing, over all processes.
type LaneState struct {
	Provider orders.Provider
	// Backlog counts the steps of the oldest 10,000 open orders that have begun and have no outcome.
	Backlog int64
	// OldestAt is since when the oldest of them has been pending; zero if there is none.
	OldestAt time.Time
	LaneView
	Open    int // processes whose breaker is open or half open
	Workers int // live processes that call the provider
}

// Snapshot is the state of the deployment at one moment.
type Snapshot struct {
	At        time.Time // by the database's clock
	Orders    map[orders.Status]int64
	Lanes     []LaneState // in the order of orders.Providers
	Processes []Process
}

// Snapshot reads the state of the deployment.
func (s *Processes) Snapshot(ctx context.Context) (snapshot Snapshot, err error) {
	queues := &Queues{s.database}
	if snapshot.Orders, err = queues.UnfinishedOrders(ctx); err != nil {
		return snapshot, err
	}
	if snapshot.Processes, snapshot.At, err = s.List(ctx); err != nil {
		return snapshot, err
	}
	if snapshot.At.IsZero() { // no process has reported
		snapshot.At = s.now()
	}
	steps, err := s.queries.LaneSteps(ctx, s.db, laneOrders)
	if err != nil {
		return snapshot, fmt.Errorf("count pending steps: %w", err)
	}
	for _, provider := range orders.Providers() {
		lane := laneOf(provider, snapshot.Processes)
		for _, row := range steps {
			spec, _ := orders.StepName(row.Step).Spec()
			if spec.Provider != provider {
				continue
			}
			lane.Backlog += row.Steps
			if lane.OldestAt.IsZero() || row.StartedAt.Before(lane.OldestAt) {
				lane.OldestAt = row.StartedAt.UTC()
			}
		}
		snapshot.Lanes = append(snapshot.Lanes, lane)
	}
	return snapshot, nil
}

// laneOf sums up what the live processes have seen of a provider. The p95 is that of the slowest process, and the
// breaker that of the process that is worst off.
func laneOf(provider orders.Provider, processes []Process) LaneState {
	lane := LaneState{Provider: provider}
	worse := map[string]int{"": 0, "closed": 1, "half_open": 2, "open": 3}
	for _, p := range processes {
		view, calls := p.Lanes[provider]
		if !p.Live || !calls {
			continue
		}
		lane.Workers++
		lane.InFlight += view.InFlight
		lane.Calls += view.Calls
		lane.P95 = max(lane.P95, view.P95)
		if worse[view.Breaker] > 1 {
			lane.Open++
		}
		if worse[view.Breaker] > worse[lane.Breaker] {
			lane.Breaker = view.Breaker
		}
		if view.LastErrorAt.After(lane.LastErrorAt) {
			lane.LastError, lane.LastErrorAt = view.LastError, view.LastErrorAt
		}
	}
	return lane
}
