package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// Redeliver sends a delivery again, whatever its state. Errors: ErrWebhookNotFound, ErrDeliveryNotFound.
func (s *Deliveries) Redeliver(ctx context.Context, o Owner, webhook, id orders.ID) (Delivery, error) {
	var row dbsqlc.WebhookDelivery
	err := s.inTx(ctx, func(ctx context.Context, tx pgx.Tx) (err error) {
		if _, err = s.webhooks.get(ctx, tx, o, webhook); err != nil {
			return err
		}
		row, err = s.queries.DeliveryRepeat(ctx, tx, &dbsqlc.DeliveryRepeatParams{
			WebhookID: webhook, ID: id, At: timestamp(s.now()), More: orders.WebhookAttempts,
		})
		if errors.Is(err, pgx.ErrNoRows) {
			return ErrDeliveryNotFound
		}
		return err
	})
	if err != nil {
		return Delivery{}, fmt.Errorf("redeliver: %w", err)
	}
	return decodeDelivery(row), nil
}

const redeliverBatch = 1000

// RedeliverSince sends again all deliveries that were made at a moment or later and are in one of the states. The state
// pending selects nothing. It returns how many deliveries it enqueued, even if it fails after some.
//
// Error: ErrWebhookNotFound.
func (s *Deliveries) RedeliverSince(
	ctx context.Context, o Owner, webhook orders.ID, since time.Time, states []DeliveryState,
) (n int, err error) {
	if _, err := s.webhooks.Get(ctx, o, webhook); err != nil {
		return 0, err
	}
	now := timestamp(s.now())
	p := &dbsqlc.DeliveriesRepeatParams{
		WebhookID: webhook, Since: since, Until: now, After: firstID(since.Add(-idSlack)), At: now,
		More: orders.WebhookAttempts, BatchSize: redeliverBatch,
	}
	for _, state := range states {
		if state != DeliveryPending {
			p.States = append(p.States, string(state))
		}
	}
	for {
		var ids []orders.ID
		err := s.inTx(ctx, func(ctx context.Context, tx pgx.Tx) (err error) {
			ids, err = s.queries.DeliveriesRepeat(ctx, tx, p)
			return err
		})
		if err != nil {
			return n, fmt.Errorf("redeliver: %w", err)
		}
		if n += len(ids); len(ids) < redeliverBatch {
			return n, nil
		}
		for _, id := range ids {
			if slices.Compare(id[:], p.After[:]) > 0 {
				p.After = id
			}
		}
	}
}
