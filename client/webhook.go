package client

import (
	"context"
	"iter"
	"time"

	"github.com/google/uuid"

	"github.com/millrace-orders/millrace/client/oas"
)

// NewWebhook is a webhook to be created.
type NewWebhook struct {
	URL         string        // https, port 443 or 8443, a public address
	EventTypes  []MessageType // which messages; empty means all
	CustomerID  string        // the customer whose orders it hears of; empty means all that the caller may see
	Description string
}

// Webhook is an address that the server sends events to.
type Webhook struct {
	ID                  string
	URL                 string
	EventTypes          []MessageType // empty means all
	CustomerID          string        // the customer whose orders it hears of; empty means all
	Description         string
	Principal           string // the principal that created it
	Enabled             bool
	DisabledReason      WebhookDisabledReason
	Failures            int       // failed attempts in a row
	FailingSince        time.Time // zero while it works
	PreviousSecretUntil time.Time // messages have two signatures until then; zero: one
	CreatedAt           time.Time
	UpdatedAt           time.Time

	// Secret signs the messages. Only CreateWebhook and RotateWebhookSecret return it.
	Secret string
}

// WebhookDisabledReason is why a webhook was disabled, for example gone.
type WebhookDisabledReason = oas.WebhookDisabledReason

// The reasons for which a webhook is disabled.
const (
	DisabledOwner    = oas.WebhookDisabledReasonOwner
	DisabledGone     = oas.WebhookDisabledReasonGone
	DisabledFailing  = oas.WebhookDisabledReasonFailing
	DisabledKeyEnded = oas.WebhookDisabledReasonKeyEnded
)

// WebhookChange is a change of a webhook; nil fields stay unchanged.
type WebhookChange struct {
	URL         *string
	EventTypes  *[]MessageType // which messages, at least one
	Description *string
	Enabled     *bool
}

// Delivery is a message to a webhook, with the result of sending it.
type Delivery struct {
	ID            string // the webhook-id header
	Type          MessageType
	OrderID       string // empty if the message is not about an order
	Version       int64  // of the order
	State         DeliveryState
	Attempts      int
	NextAttemptAt time.Time // zero unless the delivery is pending
	CreatedAt     time.Time
	FinishedAt    time.Time         // zero while the delivery is pending
	Payload       string            // the body; empty in a list
	Log           []DeliveryAttempt // newest first; in a list only the last attempt
}

// DeliveryState is the state of a delivery.
type DeliveryState = oas.DeliveryState

// The states of deliveries.
const (
	DeliveryPending   = oas.DeliveryStatePending
	DeliveryDelivered = oas.DeliveryStateDelivered
	DeliveryFailed    = oas.DeliveryStateFailed  // given up
	DeliveryBlocked   = oas.DeliveryStateBlocked // the address is not public
)

// DeliveryAttempt is one attempt to send a message.
type DeliveryAttempt struct {
	Attempt  int
	At       time.Time
	Duration time.Duration
	Status   int    // of the answer; 0 if there was no answer
	Error    string // empty if the message was delivered
	Response string // the beginning of the answer
}

// CreateWebhook creates a webhook, and returns it with its secret.
func (c *Client) CreateWebhook(ctx context.Context, w NewWebhook, opts ...CallOption) (*Webhook, error) {
	made, err := c.api.CreateWebhook(ctx, &oas.NewWebhook{
		URL: w.URL, EventTypes: w.EventTypes, CustomerID: optional(w.CustomerID), Description: optional(w.Description),
	}, oas.CreateWebhookParams{}, newCall(opts).options()...)
	return withSecret(made, err)
}

// Webhooks lists the caller's webhooks, oldest first, and for an admin all webhooks.
func (c *Client) Webhooks(ctx context.Context) iter.Seq2[*Webhook, error] {
	return func(yield func(*Webhook, error) bool) {
		for params := (oas.ListWebhooksParams{}); ; {
			page, err := c.api.ListWebhooks(ctx, params)
			if err != nil {
				yield(nil, unwrapped(err))
				return
			}
			for _, w := range page.Response.Webhooks {
				if !yield(newWebhook(&w), nil) {
					return
				}
			}
			if params.Cursor = page.Response.NextCursor; params.Cursor.Value == "" {
				return
			}
		}
	}
}

// Webhook gets a webhook.
func (c *Client) Webhook(ctx context.Context, id string) (*Webhook, error) {
	parsed, err := parseID(id)
	if err != nil {
		return nil, err
	}
	w, err := c.api.GetWebhook(ctx, oas.GetWebhookParams{WebhookID: parsed})
	if err != nil {
		return nil, unwrapped(err)
	}
	return newWebhook(w), nil
}

// UpdateWebhook changes a webhook.
func (c *Client) UpdateWebhook(
	ctx context.Context, id string, change WebhookChange, opts ...CallOption,
) (*Webhook, error) {
	parsed, err := parseID(id)
	if err != nil {
		return nil, err
	}
	body := new(oas.WebhookChange)
	if change.URL != nil {
		body.URL.SetTo(*change.URL)
	}
	if change.EventTypes != nil {
		body.EventTypes = append([]MessageType{}, *change.EventTypes...)
	}
	if change.Description != nil {
		body.Description.SetTo(*change.Description)
	}
	if change.Enabled != nil {
		body.Enabled.SetTo(*change.Enabled)
	}
	w, err := c.api.UpdateWebhook(ctx, body, oas.UpdateWebhookParams{WebhookID: parsed}, newCall(opts).options()...)
	if err != nil {
		return nil, unwrapped(err)
	}
	return newWebhook(w), nil
}

// DeleteWebhook deletes a webhook with its deliveries. The error [IsNotFound] if the answer was lost and the request
// repeated.
func (c *Client) DeleteWebhook(ctx context.Context, id string, opts ...CallOption) error {
	parsed, err := parseID(id)
	if err != nil {
		return err
	}
	params := oas.DeleteWebhookParams{WebhookID: parsed}
	return unwrapped(c.api.DeleteWebhook(ctx, params, newCall(opts).options()...))
}

// RotateWebhookSecret makes a new secret and returns the webhook with it. For the time previousValid, in whole seconds,
// messages are also signed with the previous secret; 0 ends that at once. A second rotation during that time is a
// conflict ([IsConflict]), unless previousValid is 0.
func (c *Client) RotateWebhookSecret(
	ctx context.Context, id string, previousValid time.Duration, opts ...CallOption,
) (*Webhook, error) {
	parsed, err := parseID(id)
	if err != nil {
		return nil, err
	}
	rotation := oas.SecretRotation{PreviousValidSeconds: oas.NewOptInt64(int64(previousValid / time.Second))}
	params := oas.RotateWebhookSecretParams{WebhookID: parsed}
	body := oas.NewOptSecretRotation(rotation)
	return withSecret(c.api.RotateWebhookSecret(ctx, body, params, newCall(opts).options()...))
}

// PingWebhook sends a test message. Read the delivery again to see the result.
func (c *Client) PingWebhook(ctx context.Context, id string, opts ...CallOption) (*Delivery, error) {
	parsed, err := parseID(id)
	if err != nil {
		return nil, err
	}
	d, err := c.api.PingWebhook(ctx, oas.PingWebhookParams{WebhookID: parsed}, newCall(opts).options()...)
	return delivery(d, err)
}

// Deliveries lists a webhook's deliveries, newest first: those in a state, or all if the state is empty.
func (c *Client) Deliveries(ctx context.Context, webhookID string, state DeliveryState) iter.Seq2[*Delivery, error] {
	return func(yield func(*Delivery, error) bool) {
		parsed, err := parseID(webhookID)
		if err != nil {
			yield(nil, err)
			return
		}
		params := oas.ListWebhookDeliveriesParams{WebhookID: parsed}
		if state != "" {
			params.State.SetTo(state)
		}
		for {
			page, err := c.api.ListWebhookDeliveries(ctx, params)
			if err != nil {
				yield(nil, unwrapped(err))
				return
			}
			for _, d := range page.Response.Deliveries {
				if !yield(newDelivery(&d), nil) {
					return
				}
			}
			if params.Cursor = page.Response.NextCursor; params.Cursor.Value == "" {
				return
			}
		}
	}
}

// Delivery gets a delivery with its body and its attempts.
func (c *Client) Delivery(ctx context.Context, webhookID, id string) (*Delivery, error) {
	webhook, parsed, err := parseIDs(webhookID, id)
	if err != nil {
		return nil, err
	}
	return delivery(c.api.GetWebhookDelivery(ctx, oas.GetWebhookDeliveryParams{WebhookID: webhook, DeliveryID: parsed}))
}

// Redeliver sends a delivery again, whatever its state.
func (c *Client) Redeliver(ctx context.Context, webhookID, id string, opts ...CallOption) (*Delivery, error) {
	webhook, parsed, err := parseIDs(webhookID, id)
	if err != nil {
		return nil, err
	}
	params := oas.RedeliverWebhookDeliveryParams{WebhookID: webhook, DeliveryID: parsed}
	return delivery(c.api.RedeliverWebhookDelivery(ctx, params, newCall(opts).options()...))
}

// RedeliverSince sends deliveries again that were made at a moment or later and were given up or blocked, and on
// request also delivered ones. It returns how many.
func (c *Client) RedeliverSince(
	ctx context.Context, webhookID string, since time.Time, includeDelivered bool, opts ...CallOption,
) (int, error) {
	parsed, err := parseID(webhookID)
	if err != nil {
		return 0, err
	}
	body := &oas.Redelivery{Since: since, IncludeDelivered: oas.NewOptBool(includeDelivered)}
	params := oas.RedeliverWebhookDeliveriesParams{WebhookID: parsed}
	n, err := c.api.RedeliverWebhookDeliveries(ctx, body, params, newCall(opts).options()...)
	if err != nil {
		return 0, unwrapped(err)
	}
	return int(n.Deliveries), nil
}

func parseIDs(webhook, delivery string) (w, d uuid.UUID, err error) {
	if w, err = parseID(webhook); err == nil {
		d, err = parseID(delivery)
	}
	return w, d, err
}

func withSecret(w *oas.WebhookWithSecret, err error) (*Webhook, error) {
	if err != nil {
		return nil, unwrapped(err)
	}
	out := newWebhook(&oas.Webhook{
		CreatedAt: w.CreatedAt, CustomerID: w.CustomerID, Description: w.Description, DisabledReason: w.DisabledReason,
		Enabled: w.Enabled, EventTypes: w.EventTypes, FailingSince: w.FailingSince, Failures: w.Failures,
		PreviousSecretUntil: w.PreviousSecretUntil, Principal: w.Principal, UpdatedAt: w.UpdatedAt, URL: w.URL,
		WebhookID: w.WebhookID,
	})
	out.Secret = w.Secret
	return out, nil
}

func newWebhook(w *oas.Webhook) *Webhook {
	return &Webhook{
		ID: w.WebhookID.String(), URL: w.URL, EventTypes: w.EventTypes, CustomerID: w.CustomerID.Value,
		Description: w.Description.Value, Principal: w.Principal, Enabled: w.Enabled,
		DisabledReason: w.DisabledReason.Value, Failures: int(w.Failures), FailingSince: w.FailingSince.Value,
		PreviousSecretUntil: w.PreviousSecretUntil.Value, CreatedAt: w.CreatedAt, UpdatedAt: w.UpdatedAt,
	}
}

func delivery(d *oas.WebhookDelivery, err error) (*Delivery, error) {
	if err != nil {
		return nil, unwrapped(err)
	}
	return newDelivery(d), nil
}

func newDelivery(d *oas.WebhookDelivery) *Delivery {
	out := &Delivery{
		ID: d.DeliveryID.String(), Type: d.Type, Version: d.Version.Value, State: d.State, Attempts: int(d.Attempts),
		NextAttemptAt: d.NextAttemptAt.Value, CreatedAt: d.CreatedAt, FinishedAt: d.FinishedAt.Value,
		Payload: d.Payload.Value,
	}
	if id, ok := d.OrderID.Get(); ok {
		out.OrderID = id.String()
	}
	for _, a := range d.Log {
		out.Log = append(out.Log, DeliveryAttempt{
			Attempt: int(a.Attempt), At: a.At, Duration: time.Duration(a.DurationSeconds * float64(time.Second)),
			Status: int(a.Status.Value), Error: a.Error.Value, Response: a.Response.Value,
		})
	}
	return out
}
