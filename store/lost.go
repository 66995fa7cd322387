package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-orders/millrace/failpoint"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// Recover gives new jobs to the orders whose jobs run on instances that have been silent for 10 s, and to the orders
// whose jobs run on self according to River only. It costs in proportion to those jobs, and not to the open orders.
// The instance must have sent heartbeats for as long itself: after an outage of the database all instances have been
// silent. It returns how many steps got a new job.
//
// An instance that was only frozen, or cut off, does no harm when it comes back: its steps are settled then, or settled
// by whichever is first, and the provider has seen one key.
func (s *Steps) Recover(ctx context.Context, self Instance) (recovered int, err error) {
	lost, err := s.lost(ctx, self)
	if err != nil || len(lost) == 0 {
		return 0, err
	}
	failpoint.Hit("recovery.found")
	recovered, err = s.replace(ctx, lost)
	if errors.Is(err, errTurnTaken) { // the next try comes with the next heartbeat
		err = nil
	}
	if err != nil {
		return recovered, fmt.Errorf("recover: %w", err)
	}
	return recovered, nil
}

func (s *Steps) lost(ctx context.Context, self Instance) ([]int64, error) {
	active := self.Active
	if active == nil {
		active = []int64{}
	}
	lost, err := s.queries.JobsLost(ctx, s.db, &dbsqlc.JobsLostParams{
		Self: self.ID, Active: active, Silence: interval(silence),
	})
	if err != nil {
		return nil, fmt.Errorf("find lost jobs: %w", err)
	}
	return lost, nil
}

// replace gives new jobs to the steps of jobs that run according to River only.
func (s *Steps) replace(ctx context.Context, lost []int64) (replaced int, err error) {
	for ids := range slices.Chunk(lost, lostPage) {
		if err := ctx.Err(); err != nil {
			return replaced, err
		}
		n, err := s.giveJobs(ctx, func(ctx context.Context, tx pgx.Tx) ([]orders.StepJob, error) {
			return s.unreplaced(ctx, tx, ids)
		})
		replaced += n
		if err != nil {
			return replaced, err
		}
	}
	return replaced, nil
}

// unreplaced returns the pending steps of running jobs that have no other job.
func (s *Steps) unreplaced(ctx context.Context, tx pgx.Tx, ids []int64) ([]orders.StepJob, error) {
	running, err := s.queries.JobsRunning(ctx, tx, ids)
	if err != nil {
		return nil, fmt.Errorf("read jobs: %w", err)
	}
	params := new(dbsqlc.StepsLostParams)
	for _, row := range running {
		var job orders.StepJob // of a carrying job's args, the order alone
		err := json.Unmarshal(row.Args, &job)
		if err != nil || row.Kind != (orders.CarryJob{}).Kind() && row.Kind != string(job.Step) {
			continue // the job of no step
		}
		params.JobIds, params.OrderIds = append(params.JobIds, row.ID), append(params.OrderIds, job.OrderID)
		params.Steps = append(params.Steps, string(job.Step))
		params.Generations = append(params.Generations, int32(job.Generation))
	}
	rows, err := s.queries.StepsLost(ctx, tx, params)
	if err != nil {
		return nil, fmt.Errorf("read steps: %w", err)
	}
	steps := make([]orders.StepJob, len(rows))
	for i, row := range rows {
		steps[i] = orders.StepJob{OrderID: row.OrderID, Step: orders.StepName(row.Step), Generation: int(row.Generation)}
	}
	return steps, nil
}
