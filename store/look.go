package store

import (
	"context"
	"fmt"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// What an operator looks at again and again: each of these reads is bounded, however many orders there are.

// LatestDeadLetters is how many orders that need attention Latest counts.
const LatestDeadLetters = 20_000

// Latest counts the latest 20,000 orders that need attention by cause, most first.
func (s *DeadLetters) Latest(ctx context.Context, limit int) ([]DeadLetterGroup, error) {
	rows, err := s.queries.DeadLetterGroupsLatest(ctx, s.db, &dbsqlc.DeadLetterGroupsLatestParams{
		Latest: LatestDeadLetters, Most: int32(limit),
	})
	if err != nil {
		return nil, fmt.Errorf("group latest dead letters: %w", err)
	}
	groups := make([]DeadLetterGroup, len(rows))
	for i, row := range rows {
		groups[i] = decodeGroup(dbsqlc.DeadLetterGroupsRow(row))
	}
	return groups, nil
}

// Failing lists the webhooks that fail, and those that Millrace disabled because they failed, longest first.
func (s *Webhooks) Failing(ctx context.Context, limit int) ([]Webhook, error) {
	rows, err := s.queries.WebhooksFailing(ctx, s.db, int32(limit))
	if err != nil {
		return nil, fmt.Errorf("list failing webhooks: %w", err)
	}
	list := make([]Webhook, len(rows))
	for i, row := range rows {
		list[i] = decodeWebhook(row)
	}
	return list, nil
}

// ByReference finds the orders with a payment or shipment that its provider knows by a reference.
func (s *Orders) ByReference(ctx context.Context, reference string, limit int) ([]orders.ID, error) {
	ids, err := s.queries.OrdersByReference(ctx, s.db, &dbsqlc.OrdersByReferenceParams{
		Reference: reference, Most: int32(limit),
	})
	if err != nil {
		return nil, fmt.Errorf("find reference: %w", err)
	}
	return ids, nil
}

// Paused reports of each queue that is worked whether an operator has paused it in River UI.
func (s *Queues) Paused(ctx context.Context) (map[string]bool, error) {
	rows, err := s.queries.QueuesPaused(ctx, s.db, interval(silence))
	if err != nil {
		return nil, fmt.Errorf("read queues: %w", err)
	}
	paused := map[string]bool{}
	for _, row := range rows {
		paused[row.Name] = row.Paused
	}
	return paused, nil
}
