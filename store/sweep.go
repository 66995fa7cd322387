package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-orders/millrace/failpoint"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/dbsqlc"
)

const (
	sweepLock     = 0x6d696c6c73776565 // "millswee"
	strandedBatch = 500
	// strandedAfter leaves a step that was just started alone.
	strandedAfter = 10 * time.Second
)

// Sweep gives a new job to every pending step that has none which could still carry it out, and returns how many
// there were. River is the trigger and our tables are the truth: whatever becomes of River's rows, an unfinished
// order goes on. A job that turns out to be a duplicate finds its step settled and does nothing.
//
// A job that has been running for longer than longest counts as dead: its process was killed. Recover finds that out
// sooner.
func (s *Store) Sweep(ctx context.Context, longest time.Duration) (swept int, err error) {
	return s.sweep(ctx, longest, []int64{})
}

func (s *Store) sweep(ctx context.Context, longest time.Duration, lost []int64) (swept int, err error) {
	for {
		n, err := s.sweepBatch(ctx, longest, lost)
		swept += n
		if err != nil || n < strandedBatch {
			return swept, err
		}
	}
}

func (s *Store) sweepBatch(ctx context.Context, longest time.Duration, lost []int64) (int, error) {
	var jobs []orders.StepJob
	err := s.inTx(ctx, func(ctx context.Context, tx pgx.Tx) error {
		jobs = jobs[:0]
		// Two sweeps at a time would both find the same steps.
		if mine, err := s.queries.TakeTurn(ctx, tx, sweepLock); err != nil || !mine {
			return err
		}
		if err := s.queries.SweepPlan(ctx, tx); err != nil {
			return err
		}
		rows, err := s.queries.StepsStranded(ctx, tx, &dbsqlc.StepsStrandedParams{
			StartedBefore: s.now().Add(-strandedAfter), BatchSize: strandedBatch,
			LongestRun: interval(longest), Lost: lost,
		})
		if err != nil {
			return err
		}
		failpoint.Hit("sweep.found")
		for _, row := range rows {
			jobs = append(jobs, orders.StepJob{
				OrderID: row.OrderID, Step: orders.StepName(row.Step), Generation: int(row.Generation),
			})
		}
		if err := s.enqueue(ctx, tx, jobs); err != nil {
			return err
		}
		failpoint.Hit("sweep.before_commit")
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("sweep: %w", err)
	}
	failpoint.Hit("sweep.committed")
	if len(jobs) > 0 {
		s.bell.Ring(jobs)
	}
	return len(jobs), nil
}
