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

// RedriveQueue is the River queue of redrives. Each process runs one at a time, so that their rates do not add up.
const RedriveQueue = "redrive"

// DeadLetterGroup is the orders that need attention for one cause.
type DeadLetterGroup struct {
	Cause           orders.Cause
	Orders          int64
	FirstAt, LastAt time.Time // when the first and the latest of these orders came to need attention
}

// Groups counts the orders that need attention by cause, the most frequent cause first.
func (s *DeadLetters) Groups(ctx context.Context, limit int) ([]DeadLetterGroup, error) {
	rows, err := s.queries.DeadLetterGroups(ctx, s.db, int32(limit))
	if err != nil {
		return nil, fmt.Errorf("group dead letters: %w", err)
	}
	groups := make([]DeadLetterGroup, len(rows))
	for i, row := range rows {
		groups[i] = decodeGroup(row)
	}
	return groups, nil
}

func decodeGroup(row dbsqlc.DeadLetterGroupsRow) DeadLetterGroup {
	cause := orders.Cause{
		Step: orders.StepName(row.CauseStep), State: orders.StepState(row.CauseState), Code: row.CauseCode,
	}
	return DeadLetterGroup{cause, row.Orders, row.FirstAt.UTC(), row.LastAt.UTC()}
}

// List lists the orders of a redrive by id, above the given one.
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

// Count counts the orders of a redrive.
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

// Redrive enqueues a redrive, which a process with workers carries out.
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
