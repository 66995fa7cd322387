package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// Secrets returns the secrets that sign messages at a moment.
func (w Webhook) Secrets(now time.Time) [][]byte {
	if w.PreviousSecret != nil && now.Before(w.PreviousUntil) {
		return [][]byte{w.Secret, w.PreviousSecret}
	}
	return [][]byte{w.Secret}
}

// Rotate gives a webhook a new secret. The secret before stays valid during overlap, and messages are signed with both;
// an overlap of 0 ends it at once. A repeat with the idempotency key of the last rotation changes nothing.
//
// Errors: ErrWebhookNotFound; ErrRotating, unless overlap is 0.
func (s *Webhooks) Rotate(
	ctx context.Context, o Owner, id orders.ID, secret []byte, key string, overlap time.Duration,
) (Webhook, error) {
	var row dbsqlc.Webhook
	err := s.changing(ctx, o, id, func(ctx context.Context, tx pgx.Tx, was dbsqlc.Webhook) (err error) {
		now := timestamp(s.now())
		switch {
		case key != "" && key == was.RotationKey:
			row = was
			return nil
		case overlap > 0 && was.PreviousExpiresAt.Valid && was.PreviousExpiresAt.Time.After(now):
			return ErrRotating
		}
		row, err = s.queries.WebhookRotate(ctx, tx, &dbsqlc.WebhookRotateParams{
			ID: id, Secret: secret, RotationKey: key, PreviousExpiresAt: now.Add(overlap), At: now,
		})
		return err
	})
	if err != nil {
		return Webhook{}, fmt.Errorf("rotate webhook's secret: %w", err)
	}
	return decodeWebhook(row), nil
}
