package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/millrace-orders/millrace/failpoint"
	"github.com/millrace-orders/millrace/orders"
)

// Left is a step that the job which carries its order cannot carry out now.
type Left struct {
	orders.StepJob

	RunAt time.Time // when the step's own job runs; zero: at once
}

// HandOver gives steps jobs of their own, in their providers' queues. complete ends the job that had them, in the same
// transaction: at no moment has a step no live job, or two.
func (s *Orders) HandOver(ctx context.Context, left []Left, complete func(context.Context, pgx.Tx) error) error {
	params := make([]river.InsertManyParams, len(left))
	queues := make([]string, len(left))
	for i, step := range left {
		spec, _ := step.Step.Spec()
		priority := priorityBegun
		if spec.Begins() {
			priority = priorityNew
		}
		params[i] = river.InsertManyParams{Args: step.StepJob, InsertOpts: &river.InsertOpts{
			Queue: string(spec.Provider), Priority: priority, MaxAttempts: maxAttempts,
		}}
		if !step.RunAt.IsZero() {
			params[i].InsertOpts.ScheduledAt = step.RunAt
		} else {
			queues[i] = string(spec.Provider)
		}
	}
	failpoint.Hit("hand_over.begin")
	err := s.inTx(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if err := s.insert(ctx, tx, params); err != nil {
			return err
		}
		failpoint.Hit("hand_over.inserted")
		return complete(ctx, tx)
	})
	if err != nil {
		return fmt.Errorf("hand steps over: %w", err)
	}
	failpoint.Hit("hand_over.committed")
	s.bell.RingQueues(queues)
	return nil
}
