package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// Webhooks are the addresses to which messages are sent.
type Webhooks struct {
	*database

	log *Log
}

// MaxWebhooks is how many webhooks an owner may have.
const MaxWebhooks = 20

// Errors about webhooks.
var (
	// ErrWebhookNotFound reports that there is no such webhook, or that it has a different owner.
	ErrWebhookNotFound = errors.New("webhook not found")
	// ErrDeliveryNotFound reports that a webhook has no such delivery, or has it no longer.
	ErrDeliveryNotFound = errors.New("delivery not found")
	// ErrTooManyWebhooks reports that the owner has MaxWebhooks.
	ErrTooManyWebhooks = errors.New("too many webhooks")
	// ErrWebhookDisabled reports that no messages are sent to a webhook.
	ErrWebhookDisabled = errors.New("webhook is disabled")
	// ErrRotating reports that the secret before the current one is still valid. A third secret would break receivers that
	// still use the first.
	ErrRotating = errors.New("secret is being rotated")
)

// WebhookState is whether messages are sent to a webhook.
type WebhookState string

// A deleted webhook is not in these states: callers never see it.
const (
	WebhookEnabled  WebhookState = "enabled"
	WebhookDisabled WebhookState = "disabled"
)

// DisabledReason is why a webhook is disabled.
type DisabledReason string

// The reasons why a webhook is disabled.
const (
	DisabledByOwner  DisabledReason = "owner"
	DisabledGone     DisabledReason = "gone"      // its receiver answered 410
	DisabledFailing  DisabledReason = "failing"   // its receiver has failed for days
	DisabledKeyEnded DisabledReason = "key_ended" // the key that made it was revoked or has expired
)

// DisabledReasons lists all reasons.
func DisabledReasons() []DisabledReason {
	return []DisabledReason{DisabledByOwner, DisabledGone, DisabledFailing, DisabledKeyEnded}
}

// Owner is a caller that uses webhooks. A customer's webhooks belong to the customer, whichever of the customer's keys
// made them; other webhooks belong to the principal.
type Owner struct {
	Principal  string
	CustomerID string // of a customer
	Everybody  bool   // sees all webhooks
}

// Webhook is an address that events are sent to.
type Webhook struct {
	ID             orders.ID
	Principal      string // the principal that made it
	CustomerID     string // the customer whose orders it hears of; empty: all customers
	URL            string
	EventTypes     []string // empty: all
	Description    string
	Secret         []byte
	PreviousSecret []byte // during a rotation
	PreviousUntil  time.Time
	State          WebhookState
	DisabledReason DisabledReason
	Failures       int       // in a row
	FailingSince   time.Time // zero: it is not failing
	CreatedAt      time.Time
	UpdatedAt      time.Time
}

// Secrets returns the secrets that sign messages at a moment.
func (w Webhook) Secrets(now time.Time) [][]byte {
	if w.PreviousSecret != nil && now.Before(w.PreviousUntil) {
		return [][]byte{w.Secret, w.PreviousSecret}
	}
	return [][]byte{w.Secret}
}

// NewWebhook is a request to make a webhook. It must be valid.
type NewWebhook struct {
	Owner
	IdempotencyKey string
	Fingerprint    []byte // of the request; needed with an idempotency key
	CustomerID     string // the customer whose orders; for a customer, its own id
	URL            string
	EventTypes     []string
	Description    string
	Secret         []byte
}

// Make makes a webhook, which hears of events from then on. A repeat under the same idempotency key returns the webhook
// that the first request made.
//
// Errors: ErrTooManyWebhooks, orders.ErrIdempotencyMismatch.
func (s *Webhooks) Make(ctx context.Context, n NewWebhook) (Webhook, error) {
	if err := s.startCursor(ctx); err != nil {
		return Webhook{}, err
	}
	var row dbsqlc.WebhookEndpoint
	err := s.inTx(ctx, func(ctx context.Context, tx pgx.Tx) (err error) {
		if err = s.queries.WebhookLock(ctx, tx, n.Principal+"\n"+n.Owner.CustomerID); err != nil {
			return err
		}
		if n.IdempotencyKey != "" {
			row, err = s.queries.WebhookByKey(ctx, tx, &dbsqlc.WebhookByKeyParams{
				Principal: n.Principal, IdempotencyKey: n.IdempotencyKey,
			})
			switch {
			case err == nil && string(row.Fingerprint) != string(n.Fingerprint):
				return orders.ErrIdempotencyMismatch
			case err == nil || !errors.Is(err, pgx.ErrNoRows):
				return err
			}
		}
		count, err := s.queries.WebhookCount(ctx, tx, &dbsqlc.WebhookCountParams{
			Principal: n.Principal, OwnerCustomerID: n.Owner.CustomerID,
		})
		switch {
		case err != nil:
			return err
		case count >= MaxWebhooks:
			return ErrTooManyWebhooks
		}
		row, err = s.queries.WebhookInsert(ctx, tx, &dbsqlc.WebhookInsertParams{
			ID: orders.NewID(), Principal: n.Principal, IdempotencyKey: n.IdempotencyKey, Fingerprint: n.Fingerprint,
			CustomerID: n.CustomerID, OwnerCustomerID: n.Owner.CustomerID, Url: n.URL, EventTypes: texts(n.EventTypes),
			Description: n.Description, Secret: n.Secret, At: timestamp(s.now()),
		})
		return err
	})
	if err != nil {
		return Webhook{}, fmt.Errorf("make webhook: %w", err)
	}
	return decodeWebhook(row), nil
}

// Get reads a webhook. Error: ErrWebhookNotFound.
func (s *Webhooks) Get(ctx context.Context, owner Owner, id orders.ID) (Webhook, error) {
	row, err := s.get(ctx, s.db, owner, id)
	if err != nil {
		return Webhook{}, fmt.Errorf("read webhook: %w", err)
	}
	return decodeWebhook(row), nil
}

func (s *Webhooks) get(ctx context.Context, db dbsqlc.DBTX, o Owner, id orders.ID) (dbsqlc.WebhookEndpoint, error) {
	row, err := s.queries.WebhookRead(ctx, db, &dbsqlc.WebhookReadParams{
		ID: id, AllOwners: o.Everybody, Principal: o.Principal, OwnerCustomerID: o.CustomerID,
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return row, ErrWebhookNotFound
	}
	return row, err
}

// List lists webhooks after an id, oldest first.
func (s *Webhooks) List(ctx context.Context, o Owner, after orders.ID, limit int) ([]Webhook, error) {
	var rows []dbsqlc.WebhookEndpoint
	var err error
	switch {
	case o.Everybody:
		rows, err = s.queries.WebhooksListAll(ctx, s.db, &dbsqlc.WebhooksListAllParams{After: after, PageSize: int32(limit)})
	case o.CustomerID != "":
		rows, err = s.queries.WebhooksListByCustomer(ctx, s.db, &dbsqlc.WebhooksListByCustomerParams{
			OwnerCustomerID: o.CustomerID, After: after, PageSize: int32(limit),
		})
	default:
		rows, err = s.queries.WebhooksListByPrincipal(ctx, s.db, &dbsqlc.WebhooksListByPrincipalParams{
			Principal: o.Principal, After: after, PageSize: int32(limit),
		})
	}
	if err != nil {
		return nil, fmt.Errorf("list webhooks: %w", err)
	}
	list := make([]Webhook, len(rows))
	for i, row := range rows {
		list[i] = decodeWebhook(row)
	}
	return list, nil
}

// WebhookChange has the new values of a webhook; nil leaves a value.
type WebhookChange struct {
	URL         *string
	EventTypes  *[]string
	Description *string
	Enabled     *bool
}

// Change changes a webhook. A caller that enables a webhook whose key has ended becomes its owner. Error:
// ErrWebhookNotFound.
func (s *Webhooks) Change(ctx context.Context, o Owner, id orders.ID, c WebhookChange) (Webhook, error) {
	var row dbsqlc.WebhookEndpoint
	err := s.changing(ctx, o, id, func(ctx context.Context, tx pgx.Tx, was dbsqlc.WebhookEndpoint) (err error) {
		p := &dbsqlc.WebhookUpdateParams{
			ID: id, Principal: was.Principal, Url: was.Url, EventTypes: was.EventTypes, Description: was.Description,
			State: was.State, DisabledReason: was.DisabledReason, At: timestamp(s.now()),
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
				p.Principal = o.Principal
			}
		case c.Enabled != nil && was.State == string(WebhookEnabled):
			p.State, p.DisabledReason = string(WebhookDisabled), string(DisabledByOwner)
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
	err := s.changing(ctx, o, id, func(ctx context.Context, tx pgx.Tx, _ dbsqlc.WebhookEndpoint) error {
		_, err := s.queries.WebhookDelete(ctx, tx, &dbsqlc.WebhookDeleteParams{ID: id, At: timestamp(s.now())})
		return err
	})
	if err != nil {
		return fmt.Errorf("delete webhook: %w", err)
	}
	return nil
}

// Rotate gives a webhook a new secret. The secret before stays valid during overlap, and messages are signed with both;
// an overlap of 0 ends it at once. A repeat with the idempotency key of the last rotation changes nothing.
//
// Errors: ErrWebhookNotFound; ErrRotating, unless overlap is 0.
func (s *Webhooks) Rotate(
	ctx context.Context, o Owner, id orders.ID, secret []byte, key string, overlap time.Duration,
) (Webhook, error) {
	var row dbsqlc.WebhookEndpoint
	err := s.changing(ctx, o, id, func(ctx context.Context, tx pgx.Tx, was dbsqlc.WebhookEndpoint) (err error) {
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

// changing runs fn in a transaction that has locked the webhook.
func (s *Webhooks) changing(
	ctx context.Context, o Owner, id orders.ID, fn func(context.Context, pgx.Tx, dbsqlc.WebhookEndpoint) error,
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

func decodeWebhook(row dbsqlc.WebhookEndpoint) Webhook {
	return Webhook{
		ID: row.ID, Principal: row.Principal, CustomerID: row.CustomerID, URL: row.Url, EventTypes: row.EventTypes,
		Description: row.Description, Secret: row.Secret, PreviousSecret: row.PreviousSecret,
		PreviousUntil: row.PreviousExpiresAt.Time.UTC(), State: WebhookState(row.State),
		DisabledReason: DisabledReason(row.DisabledReason), Failures: int(row.Failures),
		FailingSince: row.FailingSince.Time.UTC(), CreatedAt: row.CreatedAt.UTC(), UpdatedAt: row.UpdatedAt.UTC(),
	}
}

// texts returns an empty array in place of null.
func texts(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// lastID is the highest possible id.
func lastID() (id orders.ID) {
	for i := range id {
		id[i] = math.MaxUint8
	}
	return id
}
