package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// Overdue lists pending steps whose deadline was before a moment, in the queues from which every live process keeps
// away because the provider's breaker is open: of each kind at most so many, those that should have ended first. In
// other queues the job of a step asks its provider what became of it.
func (s *Steps) Overdue(ctx context.Context, before time.Time, most int) ([]orders.StepJob, error) {
	shut, err := s.shutQueues(ctx)
	if err != nil || len(shut) == 0 {
		return nil, err
	}
	params := &dbsqlc.StepsOverdueParams{Before: before, MostEach: int32(most)}
	for _, spec := range orders.Specs() {
		if slices.Contains(shut, string(spec.Provider)) {
			params.Steps = append(params.Steps, string(spec.Name))
		}
	}
	rows, err := s.queries.StepsOverdue(ctx, s.db, params)
	if err != nil {
		return nil, fmt.Errorf("list overdue steps: %w", err)
	}
	jobs := make([]orders.StepJob, len(rows))
	for i, row := range rows {
		jobs[i] = orders.StepJob{OrderID: row.OrderID, Step: orders.StepName(row.Step), Generation: int(row.Generation)}
	}
	return jobs, nil
}

// Unwanted lists pending steps whose orders are to be undone, in the same queues: no job will find out soon. It looks
// at as many steps as Sweep, and at the same ones if it is called before it.
func (s *Steps) Unwanted(ctx context.Context) (unwanted []orders.StepJob, err error) {
	shut, err := s.shutQueues(ctx)
	if err != nil || len(shut) == 0 {
		return nil, err
	}
	progress, err := s.sweepProgress(ctx)
	if err != nil {
		return nil, err
	}
	for _, spec := range orders.Specs() {
		if spec.Role != orders.Forward || !slices.Contains(shut, string(spec.Provider)) {
			continue
		}
		at := progress[spec.Name]
		for range sweepPages {
			if at, err = s.unwantedPage(ctx, spec.Name, at, &unwanted); err != nil {
				return nil, fmt.Errorf("list unwanted steps: %w", err)
			}
			if at == (place{}) {
				break
			}
		}
	}
	return unwanted, nil
}

func (s *Steps) shutQueues(ctx context.Context) ([]string, error) {
	shut, err := s.queries.QueuesShut(ctx, s.db, interval(silence))
	if err != nil {
		return nil, fmt.Errorf("list shut queues: %w", err)
	}
	return shut, nil
}

func (s *Steps) unwantedPage(
	ctx context.Context, step orders.StepName, after place, unwanted *[]orders.StepJob,
) (next place, err error) {
	var rows []dbsqlc.StepsUnwantedRow
	err = s.inTx(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if err := s.queries.SweepPlan(ctx, tx); err != nil {
			return err
		}
		rows, err = s.queries.StepsUnwanted(ctx, tx, &dbsqlc.StepsUnwantedParams{
			Step: string(step), AfterDeadlineAt: after.deadlineAt, AfterOrderID: after.orderID,
			AfterGeneration: after.generation, PageSize: sweepPage,
		})
		return err
	})
	if err != nil {
		return place{}, err
	}
	for _, row := range rows {
		if row.Unwanted {
			*unwanted = append(*unwanted, orders.StepJob{OrderID: row.OrderID, Step: step, Generation: int(row.Generation)})
		}
		next = place{row.DeadlineAt, row.OrderID, row.Generation}
	}
	if len(rows) < sweepPage {
		next = place{}
	}
	return next, nil
}
