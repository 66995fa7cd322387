package store

import (
	"context"
	"fmt"
	"math"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// Notifications are the e-mails about orders.
type Notifications struct {
	*database
}

// NotificationFilter selects notifications. Empty fields select all.
type NotificationFilter struct {
	CustomerID string
	OrderID    orders.ID
	// Before and BeforeGeneration name the last notification of the page before.
	Before           orders.ID
	BeforeGeneration int
	Limit            int
}

// List lists the e-mails of orders, the newest order's first, and within an order the newest first.
func (s *Notifications) List(ctx context.Context, f NotificationFilter) ([]orders.Notification, error) {
	before, generation := f.Before, int32(f.BeforeGeneration)
	if before == (orders.ID{}) {
		for i := range before {
			before[i] = 0xff
		}
		generation = math.MaxInt32
	}
	var rows []dbsqlc.Notification
	var err error
	switch {
	case f.OrderID != (orders.ID{}):
		rows, err = s.queries.NotificationsListByOrder(ctx, s.db, &dbsqlc.NotificationsListByOrderParams{
			OrderID: f.OrderID, CustomerID: f.CustomerID, BeforeGeneration: generation, PageSize: int32(f.Limit),
		})
	case f.CustomerID != "":
		rows, err = s.queries.NotificationsListByCustomer(ctx, s.db, &dbsqlc.NotificationsListByCustomerParams{
			CustomerID: f.CustomerID, BeforeOrder: before, BeforeGeneration: generation, PageSize: int32(f.Limit),
		})
	default:
		rows, err = s.queries.NotificationsList(ctx, s.db, &dbsqlc.NotificationsListParams{
			BeforeOrder: before, BeforeGeneration: generation, PageSize: int32(f.Limit),
		})
	}
	if err != nil {
		return nil, fmt.Errorf("list notifications: %w", err)
	}
	list := make([]orders.Notification, len(rows))
	for i, row := range rows {
		list[i] = orders.Notification{
			OrderID: row.OrderID, Generation: int(row.Generation), CustomerID: row.CustomerID, Template: row.Template,
			Recipient: row.Recipient, State: orders.NotificationStateOf(orders.StepState(row.State), row.Reason),
			Reason: row.Reason, Reference: row.Reference, CreatedAt: row.StartedAt.UTC(), SettledAt: row.SettledAt.Time.UTC(),
		}
	}
	return list, nil
}

// HandOver notes that the step with a key is about to be handed to a provider that knows no keys. first is false if
// that was noted before, or if the step has an outcome: then the step must not be handed over.
func (s *Notifications) HandOver(ctx context.Context, key string) (first bool, err error) {
	job, err := orders.ParseStepKey(key)
	if err != nil {
		return false, err
	}
	err = s.inTx(ctx, func(ctx context.Context, tx pgx.Tx) error {
		n, err := s.queries.StepHandOver(ctx, tx, &dbsqlc.StepHandOverParams{
			At:      pgtype.Timestamptz{Time: timestamp(s.now()), Valid: true},
			OrderID: job.OrderID, Step: string(job.Step), Generation: int32(job.Generation),
		})
		first = n == 1
		return err
	})
	if err != nil {
		return false, fmt.Errorf("note hand-over: %w", err)
	}
	return first, nil
}

// TakeBack notes that the provider did not take the step that HandOver was called for, so the step may be tried again.
func (s *Notifications) TakeBack(ctx context.Context, key string) error {
	job, err := orders.ParseStepKey(key)
	if err != nil {
		return err
	}
	err = s.inTx(ctx, func(ctx context.Context, tx pgx.Tx) error {
		return s.queries.StepTakeBack(ctx, tx, &dbsqlc.StepTakeBackParams{
			OrderID: job.OrderID, Step: string(job.Step), Generation: int32(job.Generation),
		})
	})
	if err != nil {
		return fmt.Errorf("note that a hand-over failed: %w", err)
	}
	return nil
}
