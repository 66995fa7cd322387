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

// Overdue lists steps that are pending although their deadline was before a moment: of each kind at most so many, those
// that should have ended first.
func (s *Store) Overdue(ctx context.Context, before time.Time, most int) ([]orders.StepJob, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := s.queries.StepsOverdue(ctx, s.db, &dbsqlc.StepsOverdueParams{
		Steps: stepNames(), Before: before, MostEach: int32(most),
	})
	if err != nil {
		return nil, fmt.Errorf("list overdue steps: %w", classify(err))
	}
	jobs := make([]orders.StepJob, len(rows))
	for i, row := range rows {
		jobs[i] = orders.StepJob{OrderID: row.OrderID, Step: orders.StepName(row.Step), Generation: int(row.Generation)}
	}
	return jobs, nil
}

// Unwanted lists pending steps whose orders are to be undone, in the queues from which every live process keeps away
// because the provider's breaker is open: no job will find out soon. It looks at as many steps as Sweep, and at the
// same ones if it is called before it.
func (s *Store) Unwanted(ctx context.Context) (unwanted []orders.StepJob, err error) {
	shut, progress, err := s.shutQueues(ctx)
	if err != nil || len(shut) == 0 {
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

func (s *Store) shutQueues(ctx context.Context) ([]string, map[orders.StepName]place, error) {
	reading, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	shut, err := s.queries.QueuesShut(reading, s.db, interval(silence))
	if err != nil {
		return nil, nil, fmt.Errorf("list shut queues: %w", classify(err))
	}
	if len(shut) == 0 {
		return nil, nil, nil
	}
	progress, err := s.sweepProgress(ctx)
	return shut, progress, err
}

func (s *Store) unwantedPage(
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
