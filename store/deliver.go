package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// claimFor is how long a worker owns the deliveries that it took, and their webhook. A worker that still has them
// afterwards has died or is frozen, and another worker sends them again.
const claimFor = time.Minute

// hastenBatch bounds how many deliveries are tried at once when their webhook has recovered.
const hastenBatch = 1000

// Take takes deliveries that are due, at most one of each order, and their webhook with them: no other worker takes any
// of these for a minute. ok is false if the webhook is disabled, or if nothing is due; then the webhook is free again.
func (s *Deliveries) Take(
	ctx context.Context, webhook orders.ID, limit int,
) (w Webhook, list []Delivery, ok bool, err error) {
	err = s.inTx(ctx, func(ctx context.Context, tx pgx.Tx) error {
		list = list[:0]
		now := timestamp(s.now())
		row, err := s.queries.WebhookTake(ctx, tx, &dbsqlc.WebhookTakeParams{ID: webhook, BusyUntil: now.Add(claimFor)})
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		w = decodeWebhook(row)
		rows, err := s.queries.DeliveriesClaim(ctx, tx, &dbsqlc.DeliveriesClaimParams{
			WebhookID: webhook, At: now, ClaimedUntil: now.Add(claimFor), BatchSize: int32(limit),
		})
		if err != nil {
			return err
		}
		for _, row := range rows {
			d := decodeDelivery(row.WebhookDelivery)
			d.Origin = orders.Origin{RequestID: row.RequestID, Traceparent: row.Traceparent}
			list = append(list, d)
		}
		if len(list) == 0 {
			return s.queries.WebhooksBusy(ctx, tx, &dbsqlc.WebhooksBusyParams{Ids: []orders.ID{webhook}, BusyUntil: now})
		}
		return nil
	})
	if err != nil {
		return Webhook{}, nil, false, fmt.Errorf("take deliveries: %w", err)
	}
	return w, list, len(list) > 0, nil
}

// Attempted is the outcome of a delivery that was taken.
type Attempted struct {
	ID            orders.ID
	State         DeliveryState
	NextAttemptAt time.Time // of a delivery that is still pending
	Attempt                 // Number 0: no attempt was made
}

// Health is the state of a webhook.
type Health struct {
	Failures       int            // in a row
	FailingSince   time.Time      // zero: it is not failing
	BusyUntil      time.Time      // no message is sent before then
	DisabledReason DisabledReason // empty: it stays enabled
	Recovered      bool           // it had been down: waiting deliveries are tried at once
}

// Record stores the outcomes of a webhook's deliveries, and the webhook's health. If the health disables the webhook,
// body is the body of a message to its owner's other webhooks that want messages of messageType.
func (s *Deliveries) Record(
	ctx context.Context, webhook orders.ID, made []Attempted, h Health, messageType, body string,
) error {
	p := &dbsqlc.DeliveriesRecordParams{WebhookID: webhook}
	for _, m := range made {
		p.Ids = append(p.Ids, m.ID)
		p.States = append(p.States, string(m.State))
		p.Attempts = append(p.Attempts, int32(m.Number))
		p.NextAttemptAt = append(p.NextAttemptAt, timestamp(m.NextAttemptAt))
		p.At = append(p.At, timestamp(m.At))
		p.DurationsMs = append(p.DurationsMs, int32(m.Took.Milliseconds()))
		p.Statuses = append(p.Statuses, int32(m.Status))
		p.Errors = append(p.Errors, m.Error)
		p.Responses = append(p.Responses, m.Response)
	}
	err := s.inTx(ctx, func(ctx context.Context, tx pgx.Tx) error {
		// The webhook first: every transaction locks it before its deliveries.
		if err := s.queries.WebhookHealth(ctx, tx, &dbsqlc.WebhookHealthParams{
			ID: webhook, Failures: int32(h.Failures), FailingSince: timestamp(h.FailingSince),
			BusyUntil: timestamp(h.BusyUntil), DisabledReason: string(h.DisabledReason),
		}); err != nil {
			return err
		}
		if err := s.queries.DeliveriesRecord(ctx, tx, p); err != nil {
			return err
		}
		if h.Recovered {
			if _, err := s.queries.DeliveriesHasten(ctx, tx, &dbsqlc.DeliveriesHastenParams{
				WebhookID: webhook, At: timestamp(s.now()), BatchSize: hastenBatch,
			}); err != nil {
				return err
			}
		}
		if h.DisabledReason == "" {
			return nil
		}
		return s.tellSiblings(ctx, tx, webhook, messageType, body)
	})
	if err != nil {
		return fmt.Errorf("record deliveries: %w", err)
	}
	return nil
}

func (s *Deliveries) tellSiblings(ctx context.Context, tx pgx.Tx, webhook orders.ID, eventType, body string) error {
	siblings, err := s.queries.WebhookSiblings(ctx, tx, webhook)
	if err != nil {
		return err
	}
	var list []newDelivery
	for _, sibling := range siblings {
		if wants(sibling.EventTypes, eventType) {
			list = append(list, newDelivery{webhook: sibling.ID, id: orders.NewID(), eventType: eventType, body: body})
		}
	}
	_, err = s.insert(ctx, tx, list)
	return err
}

// OldestDue returns when the delivery that has waited longest became due; the present if no delivery is due.
func (s *Deliveries) OldestDue(ctx context.Context) (time.Time, error) {
	at, err := s.queries.DeliveriesOldestDue(ctx, s.db, timestamp(s.now()))
	if err != nil {
		return time.Time{}, fmt.Errorf("look for the oldest delivery: %w", err)
	}
	return at, nil
}
