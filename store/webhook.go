package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
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
	All        bool   // sees all webhooks
	Operator   bool   // may be told of the whole system
}

// Webhook is an address that events are sent to.
type Webhook struct {
	ID             orders.ID
	Principal      string // the principal that made it
	CustomerID     string // the customer whose orders it hears of; empty: all customers
	ForOperators   bool   // it is told of the whole system, too
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
// Errors: ErrTooManyWebhooks, orders.ErrIdempotencyMismatch, *orders.InvalidError for types that it may not hear of.
func (s *Webhooks) Make(ctx context.Context, n NewWebhook) (Webhook, error) {
	forOperators := n.Operator && n.CustomerID == ""
	if err := mayHear(n.EventTypes, forOperators); err != nil {
		return Webhook{}, err
	}
	if err := s.startCursor(ctx); err != nil {
		return Webhook{}, err
	}
	var row dbsqlc.Webhook
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
			Description: n.Description, Secret: n.Secret, At: timestamp(s.now()), ForOperators: forOperators,
		})
		return err
	})
	if err != nil {
		return Webhook{}, fmt.Errorf("make webhook: %w", err)
	}
	return decodeWebhook(row), nil
}

// mayHear reports a type that only webhooks for operators may ask for. They would wait for it in vain.
func mayHear(types []string, forOperators bool) error {
	for _, t := range orders.NoticeTypes() {
		if !forOperators && slices.Contains(types, string(t)) {
			return &orders.InvalidError{Fields: []orders.FieldError{{
				Field: "eventTypes", Message: string(t) + " is only for webhooks of operators for all customers",
			}}}
		}
	}
	return nil
}

// Get reads a webhook. Error: ErrWebhookNotFound.
func (s *Webhooks) Get(ctx context.Context, owner Owner, id orders.ID) (Webhook, error) {
	row, err := s.get(ctx, s.db, owner, id)
	if err != nil {
		return Webhook{}, fmt.Errorf("read webhook: %w", err)
	}
	return decodeWebhook(row), nil
}

func (s *Webhooks) get(ctx context.Context, db dbsqlc.DBTX, o Owner, id orders.ID) (dbsqlc.Webhook, error) {
	row, err := s.queries.WebhookRead(ctx, db, &dbsqlc.WebhookReadParams{
		ID: id, AllOwners: o.All, Principal: o.Principal, OwnerCustomerID: o.CustomerID,
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return row, ErrWebhookNotFound
	}
	return row, err
}

// List lists webhooks after an id, oldest first.
func (s *Webhooks) List(ctx context.Context, o Owner, after orders.ID, limit int) ([]Webhook, error) {
	var rows []dbsqlc.Webhook
	var err error
	switch {
	case o.All:
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

func decodeWebhook(row dbsqlc.Webhook) Webhook {
	return Webhook{
		ID: row.ID, Principal: row.Principal, CustomerID: row.CustomerID, ForOperators: row.ForOperators, URL: row.Url,
		EventTypes: row.EventTypes, Description: row.Description, Secret: row.Secret, PreviousSecret: row.PreviousSecret,
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
