package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// DeadLetters are the orders that need attention.
type DeadLetters struct {
	*database
}

// RedriveQueue is the River queue of redrives: one at a time per process, so that their rates do not add up to more.
const RedriveQueue = "redrive"

// DeadLetterGroup is the orders that need attention for one cause.
type DeadLetterGroup struct {
	Cause           orders.Cause
	Orders          int64
	FirstAt, LastAt time.Time // when the longest waiting and the latest of them came to need it
}

// Groups counts the orders that need attention by cause, most first.
func (s *DeadLetters) Groups(ctx context.Context, limit int) ([]DeadLetterGroup, error) {
	rows, err := s.queries.DeadLetterGroups(ctx, s.db, int32(limit))
	if err != nil {
		return nil, fmt.Errorf("group dead letters: %w", err)
	}
	groups := make([]DeadLetterGroup, len(rows))
	for i, row := range rows {
		cause := orders.Cause{
			Step: orders.StepName(row.CauseStep), State: orders.StepState(row.CauseState), Code: row.CauseCode,
		}
		groups[i] = DeadLetterGroup{cause, row.Orders, row.FirstAt.UTC(), row.LastAt.UTC()}
	}
	return groups, nil
}

// List lists the orders that a redrive is about, by id, above the given one.
func (s *DeadLetters) List(
	ctx context.Context, job orders.RedriveJob, after orders.ID, limit int,
) ([]orders.ID, error) {
	ids, err := s.queries.DeadLetters(ctx, s.db, &dbsqlc.DeadLettersParams{
		Since: job.At, CauseStep: string(job.Cause.Step), CauseState: string(job.Cause.State), CauseCode: job.Cause.Code,
		Ids: job.OrderIDs, After: after, PageSize: int32(limit),
	})
	if err != nil {
		return nil, fmt.Errorf("list dead letters: %w", err)
	}
	return ids, nil
}

// Count counts the orders that a redrive is about.
func (s *DeadLetters) Count(ctx context.Context, job orders.RedriveJob) (int64, error) {
	n, err := s.queries.DeadLettersCount(ctx, s.db, &dbsqlc.DeadLettersCountParams{
		Since: job.At, CauseStep: string(job.Cause.Step), CauseState: string(job.Cause.State), CauseCode: job.Cause.Code,
		Ids: job.OrderIDs,
	})
	if err != nil {
		return 0, fmt.Errorf("count dead letters: %w", err)
	}
	return n, nil
}

// Redrive has the job done by some process with workers.
func (s *DeadLetters) Redrive(ctx context.Context, job orders.RedriveJob) error {
	err := s.inTx(ctx, func(ctx context.Context, tx pgx.Tx) error {
		_, err := s.jobs.InsertManyFastTx(ctx, tx, []river.InsertManyParams{
			{Args: job, InsertOpts: &river.InsertOpts{Queue: RedriveQueue, MaxAttempts: maxAttempts}},
		})
		return err
	})
	if err != nil {
		return fmt.Errorf("enqueue redrive: %w", err)
	}
	return nil
}
