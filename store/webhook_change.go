package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// WebhookChange has the new values of a webhook; nil leaves a value.
type WebhookChange struct {
	URL         *string
	EventTypes  *[]string
	Description *string
	Enabled     *bool
}

// Change changes a webhook. A caller that enables a webhook whose key has ended becomes its owner. Errors:
// ErrWebhookNotFound, *orders.InvalidError for types that it may not hear of.
func (s *Webhooks) Change(ctx context.Context, o Owner, id orders.ID, c WebhookChange) (Webhook, error) {
	var row dbsqlc.Webhook
	err := s.changing(ctx, o, id, func(ctx context.Context, tx pgx.Tx, was dbsqlc.Webhook) (err error) {
		p := &dbsqlc.WebhookUpdateParams{
			ID: id, Principal: was.Principal, Url: was.Url, EventTypes: was.EventTypes, Description: was.Description,
			State: was.State, DisabledReason: was.DisabledReason, At: timestamp(s.now()),
			ForOperators: was.ForOperators,
		}
		if o.Principal == was.Principal {
			// An older release did not know the role of every owner.
			p.ForOperators = o.Operator && was.CustomerID == ""
		}
		if c.URL != nil {
			p.Url = *c.URL
		}
		if c.EventTypes != nil {
			p.EventTypes = texts(*c.EventTypes)
		}
		if c.Description != nil {
			p.Description = *c.Description
		}
		switch {
		case c.Enabled != nil && *c.Enabled:
			p.State, p.DisabledReason = string(WebhookEnabled), ""
			if was.DisabledReason == string(DisabledKeyEnded) {
				p.Principal, p.ForOperators = o.Principal, o.Operator && was.CustomerID == ""
			}
		case c.Enabled != nil && was.State == string(WebhookEnabled):
			p.State, p.DisabledReason = string(WebhookDisabled), string(DisabledByOwner)
		}
		if c.EventTypes != nil {
			if err := mayHear(p.EventTypes, p.ForOperators); err != nil {
				return err
			}
		}
		row, err = s.queries.WebhookUpdate(ctx, tx, p)
		return err
	})
	if err != nil {
		return Webhook{}, fmt.Errorf("change webhook: %w", err)
	}
	return decodeWebhook(row), nil
}

// Delete deletes a webhook: no further send to it begins. Error: ErrWebhookNotFound.
func (s *Webhooks) Delete(ctx context.Context, o Owner, id orders.ID) error {
	err := s.changing(ctx, o, id, func(ctx context.Context, tx pgx.Tx, _ dbsqlc.Webhook) error {
		_, err := s.queries.WebhookDelete(ctx, tx, &dbsqlc.WebhookDeleteParams{ID: id, At: timestamp(s.now())})
		return err
	})
	if err != nil {
		return fmt.Errorf("delete webhook: %w", err)
	}
	return nil
}

// changing runs fn in a transaction that has locked the webhook.
func (s *Webhooks) changing(
	ctx context.Context, o Owner, id orders.ID, fn func(context.Context, pgx.Tx, dbsqlc.Webhook) error,
) error {
	return s.inTx(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := s.get(ctx, tx, o, id); err != nil {
			return err
		}
		row, err := s.queries.WebhookLockRow(ctx, tx, id)
		switch {
		case err != nil:
			return err
		case row.State == "deleted":
			return ErrWebhookNotFound
		}
		return fn(ctx, tx, row)
	})
}
