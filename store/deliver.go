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

// claimFor is for how long messages, and their endpoint, belong to whoever took them. Whoever is still at it then has
// died or is frozen, and somebody else sends them again.
const claimFor = time.Minute

// hastenBatch bounds how many messages are tried at once when their endpoint has come back.
const hastenBatch = 1000

// Take takes messages that are due, at most one of each order, and with them the endpoint: nobody else takes
// any of it for a minute. ok is false if the endpoint is not sent to, or nothing is due, in which case it is free.
func (s *Deliveries) Take(
	ctx context.Context, endpoint orders.ID, limit int,
) (w Webhook, list []Delivery, ok bool, err error) {
	err = s.inTx(ctx, func(ctx context.Context, tx pgx.Tx) error {
		list = list[:0]
		now := timestamp(s.now())
		row, err := s.queries.WebhookTake(ctx, tx, &dbsqlc.WebhookTakeParams{ID: endpoint, BusyUntil: now.Add(claimFor)})
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		w = decodeWebhook(row)
		rows, err := s.queries.DeliveriesClaim(ctx, tx, &dbsqlc.DeliveriesClaimParams{
			EndpointID: endpoint, At: now, ClaimedUntil: now.Add(claimFor), BatchSize: int32(limit),
		})
		if err != nil {
			return err
		}
		for _, row := range rows {
			list = append(list, decodeDelivery(row))
		}
		if len(list) == 0 {
			return s.queries.WebhooksBusy(ctx, tx, &dbsqlc.WebhooksBusyParams{Ids: []orders.ID{endpoint}, BusyUntil: now})
		}
		return nil
	})
	if err != nil {
		return Webhook{}, nil, false, fmt.Errorf("take deliveries: %w", err)
	}
	return w, list, len(list) > 0, nil
}

// Attempted is what became of a message that was taken.
type Attempted struct {
	ID            orders.ID
	State         DeliveryState
	NextAttemptAt time.Time // of one that is still pending
	Attempt                 // Number 0: it was not tried
}

// Health is how an endpoint is doing.
type Health struct {
	Failures       int            // in a row
	FailingSince   time.Time      // zero: it is not
	BusyUntil      time.Time      // no message is sent before
	DisabledReason DisabledReason // empty: it stays enabled
	Recovered      bool           // it had been down: what waits is tried at once
}

// Settle writes down what became of an endpoint's messages, and how the endpoint is doing. If that disables
// it, notice is the body of a message to its owner's other endpoints that want one of that type.
func (s *Deliveries) Settle(
	ctx context.Context, endpoint orders.ID, made []Attempted, h Health, noticeType, notice string,
) error {
	p := &dbsqlc.DeliveriesSettleParams{EndpointID: endpoint}
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
		// The endpoint first, as everybody does.
		if err := s.queries.WebhookHealth(ctx, tx, &dbsqlc.WebhookHealthParams{
			ID: endpoint, Failures: int32(h.Failures), FailingSince: timestamp(h.FailingSince),
			BusyUntil: timestamp(h.BusyUntil), DisabledReason: string(h.DisabledReason),
		}); err != nil {
			return err
		}
		if err := s.queries.DeliveriesSettle(ctx, tx, p); err != nil {
			return err
		}
		if h.Recovered {
			if _, err := s.queries.DeliveriesHasten(ctx, tx, &dbsqlc.DeliveriesHastenParams{
				EndpointID: endpoint, At: timestamp(s.now()), BatchSize: hastenBatch,
			}); err != nil {
				return err
			}
		}
		if h.DisabledReason == "" {
			return nil
		}
		return s.noticeSiblings(ctx, tx, endpoint, noticeType, notice)
	})
	if err != nil {
		return fmt.Errorf("settle deliveries: %w", err)
	}
	return nil
}

func (s *Deliveries) noticeSiblings(ctx context.Context, tx pgx.Tx, endpoint orders.ID, eventType, body string) error {
	siblings, err := s.queries.WebhookSiblings(ctx, tx, endpoint)
	if err != nil {
		return err
	}
	var list []newDelivery
	for _, sibling := range siblings {
		if wants(sibling.EventTypes, eventType) {
			list = append(list, newDelivery{endpoint: sibling.ID, id: orders.NewID(), eventType: eventType, body: body})
		}
	}
	_, err = s.insert(ctx, tx, list)
	return err
}

// OldestDue says since when the message that has waited longest could have been sent; now if none is.
func (s *Deliveries) OldestDue(ctx context.Context) (time.Time, error) {
	at, err := s.queries.DeliveriesOldestDue(ctx, s.db, timestamp(s.now()))
	if err != nil {
		return time.Time{}, fmt.Errorf("look for the oldest delivery: %w", err)
	}
	return at, nil
}
