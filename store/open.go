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

// openStep is a pending step of an open order.
type openStep struct {
	orders.StepJob

	deadlineAt time.Time
	goal       orders.Goal // of the order
}

// stepPage is a page of the open orders.
type stepPage struct {
	pending  []openStep
	stranded []orders.StepJob // those that no job can carry out any more
	idle     []orders.ID      // orders without a pending step
	next     orders.ID        // the last order; zero if there is no further page
}

// steps reads a page of the open orders, after a given order. It must run with the plan of SweepPlan.
func (s *Steps) steps(
	ctx context.Context, tx pgx.Tx, after orders.ID, longest, strandedAfter time.Duration,
) (page stepPage, err error) {
	rows, err := s.queries.OpenSteps(ctx, tx, &dbsqlc.OpenStepsParams{
		After: after, StartedBefore: s.now().Add(-strandedAfter), LongestRun: interval(longest), PageSize: sweepPage,
	})
	if err != nil {
		return stepPage{}, fmt.Errorf("read open orders: %w", err)
	}
	n := 0
	for _, row := range rows {
		if row.OrderID != page.next {
			n++
		}
		page.next = row.OrderID
		if row.Step == "" {
			page.idle = append(page.idle, row.OrderID)
			continue
		}
		job := orders.StepJob{OrderID: row.OrderID, Step: orders.StepName(row.Step), Generation: int(row.Generation)}
		page.pending = append(page.pending, openStep{job, row.DeadlineAt, orders.Goal(row.Goal)})
		if row.Stranded {
			page.stranded = append(page.stranded, job)
		}
	}
	if n < sweepPage {
		page.next = orders.ID{}
	}
	return page, nil
}

// openPage adds the orders of a page that are missing from the open orders. Programs of an earlier version place
// orders without adding them.
func (s *Steps) openPage(ctx context.Context, tx pgx.Tx, after orders.ID) (page stepPage, err error) {
	rows, err := s.queries.OrdersUnopened(ctx, tx, &dbsqlc.OrdersUnopenedParams{After: after, PageSize: sweepPage})
	if err != nil {
		return stepPage{}, fmt.Errorf("read orders under way: %w", err)
	}
	var missing []orders.ID
	for _, row := range rows {
		if row.Missing {
			missing = append(missing, row.ID)
		}
		page.next = row.ID
	}
	if len(rows) < sweepPage {
		page.next = orders.ID{}
	}
	return page, s.tidy(ctx, tx, missing)
}

// tidy sees to it that orders are among the open orders exactly if they are open. Programs of an earlier version leave
// orders there that have become idle.
func (s *Steps) tidy(ctx context.Context, tx pgx.Tx, ids []orders.ID) error {
	if len(ids) == 0 {
		return nil
	}
	slices.SortFunc(ids, func(a, b orders.ID) int { return slices.Compare(a[:], b[:]) })
	if _, err := s.queries.OrdersLock(ctx, tx, ids); err != nil {
		return fmt.Errorf("lock orders: %w", err)
	}
	if err := s.queries.OrdersOpen(ctx, tx, ids); err != nil {
		return fmt.Errorf("tidy open orders: %w", err)
	}
	return nil
}
