package api

import (
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/webhook"
)

// defaultOverlap is how long the previous secret stays valid.
const defaultOverlap = 24 * time.Hour

// WebhookEventType is the type of a message.
type WebhookEventType string

// Schema describes it to Huma.
func (WebhookEventType) Schema(r huma.Registry) *huma.Schema {
	return enum(r, "WebhookEventType",
		"The type of a message: an EventType, Ping for a test, or WebhookDisabled if a different webhook of the same "+
			"owner was disabled. The other types tell operators of the system: only webhooks of an operator or an admin for "+
			"all customers get them", webhook.Types())
}

// WebhookDisabledReason is why a webhook is disabled.
type WebhookDisabledReason string

// Schema describes it to Huma.
func (WebhookDisabledReason) Schema(r huma.Registry) *huma.Schema {
	return enum(r, "WebhookDisabledReason", "Why the webhook is disabled: its owner disabled it, its receiver answered "+
		"410 (gone) or failed for five days, or the key that made it was revoked or has expired", store.DisabledReasons())
}

// DeliveryState is the state of a delivery.
type DeliveryState string

// Schema describes it to Huma.
func (DeliveryState) Schema(r huma.Registry) *huma.Schema {
	return enum(r, "DeliveryState", "The state of a delivery: waiting to be sent, delivered, given up, or not sent "+
		"because the address is not public", store.DeliveryStates())
}

// NewWebhook is a webhook to be created.
type NewWebhook struct {
	URL         string             `json:"url" minLength:"1" maxLength:"2000" example:"https://shop.example.com/hooks/orders" doc:"The address to send to: https, port 443 or 8443, public, without user or fragment"`
	EventTypes  []WebhookEventType `json:"eventTypes,omitempty" minItems:"1" maxItems:"20" doc:"The types of messages to send. Default: all"`
	CustomerID  customerID         `json:"customerId,omitempty" example:"1" doc:"Only events of this customer's orders. Default: all orders; for a customer, its own"`
	Description string             `json:"description,omitempty" maxLength:"200" example:"Warehouse" doc:"A note on what the webhook is for"`
}

// WebhookChange is a change to a webhook. Absent fields keep their values.
type WebhookChange struct {
	URL         *string             `json:"url,omitempty" minLength:"1" maxLength:"2000" example:"https://shop.example.com/hooks/orders" doc:"The address to send to"`
	EventTypes  *[]WebhookEventType `json:"eventTypes,omitempty" minItems:"1" maxItems:"20" doc:"The types of messages to send"`
	Description *string             `json:"description,omitempty" maxLength:"200" example:"Warehouse" doc:"A note on what the webhook is for"`
	Enabled     *bool               `json:"enabled,omitempty" example:"true" doc:"True if messages are sent to the webhook"`
}

// Webhook is an address that Millrace sends events to.
type Webhook struct {
	WebhookID      orders.ID             `json:"webhookId" format:"uuid" example:"0199c8a4-3f5b-7c31-9d5e-2f6a8b1c4d7e" doc:"The webhook's id"`
	URL            string                `json:"url" example:"https://shop.example.com/hooks/orders" doc:"The address to send to"`
	EventTypes     []WebhookEventType    `json:"eventTypes" doc:"The types of messages to send; empty for all"`
	CustomerID     string                `json:"customerId,omitempty" example:"1" doc:"Only events of this customer's orders; absent for all orders"`
	Description    string                `json:"description,omitempty" example:"Warehouse" doc:"A note on what the webhook is for"`
	Principal      string                `json:"principal" example:"7kq2mxw5a3fd" doc:"The principal that made the webhook"`
	Enabled        bool                  `json:"enabled" example:"true" doc:"True if messages are sent to the webhook"`
	DisabledReason WebhookDisabledReason `json:"disabledReason,omitempty" example:"gone"`
	Failures       int                   `json:"failures" minimum:"0" example:"0" doc:"The number of failed attempts since the last success"`
	FailingSince   *time.Time            `json:"failingSince,omitempty" example:"2026-11-22T12:00:00Z" doc:"When the current series of failures began; absent if the last attempt succeeded"`
	RotatedUntil   *time.Time            `json:"previousSecretUntil,omitempty" example:"2026-11-23T12:00:00Z" doc:"Until when messages are also signed with the previous secret; absent if they are not"`
	CreatedAt      time.Time             `json:"createdAt" example:"2026-11-22T12:00:00Z"`
	UpdatedAt      time.Time             `json:"updatedAt" example:"2026-11-22T12:00:00Z"`
}

// WebhookWithSecret is a webhook with the secret that its messages are signed with.
type WebhookWithSecret struct {
	Webhook
	Secret string `json:"secret" example:"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" doc:"The secret that signs the messages. Keep it: it is not shown again"`
}

// WebhookPage is one page of webhooks.
type WebhookPage struct {
	Webhooks   []Webhook `json:"webhooks" doc:"Oldest first"`
	NextCursor string    `json:"nextCursor,omitempty" doc:"The cursor of the next page; absent on the last page"`
}

// SecretRotation is a request to rotate a secret.
type SecretRotation struct {
	PreviousValidSeconds *int64 `json:"previousValidSeconds,omitempty" minimum:"0" maximum:"604800" example:"86400" doc:"How long messages are also signed with the previous secret. Default: a day; 0 ends it at once"`
}

// WebhookDelivery is a message and its outcome.
type WebhookDelivery struct {
	DeliveryID    orders.ID         `json:"deliveryId" format:"uuid" example:"0199c8a4-3f5b-7c31-9d5e-2f6a8b1c4d7e" doc:"The delivery's id, which the receiver sees as webhook-id"`
	Type          WebhookEventType  `json:"type" example:"OrderStatusUpdated"`
	OrderID       *orders.ID        `json:"orderId,omitempty" format:"uuid" doc:"The order that the message is about"`
	Version       int64             `json:"version,omitempty" minimum:"0" example:"2" doc:"The order's version"`
	State         DeliveryState     `json:"state" example:"delivered"`
	Attempts      int               `json:"attempts" minimum:"0" example:"1" doc:"The number of attempts"`
	NextAttemptAt *time.Time        `json:"nextAttemptAt,omitempty" example:"2026-11-22T12:05:00Z" doc:"The earliest time of the next attempt; absent if there is none"`
	CreatedAt     time.Time         `json:"createdAt" example:"2026-11-22T12:00:00Z"`
	FinishedAt    *time.Time        `json:"finishedAt,omitempty" example:"2026-11-22T12:00:01Z" doc:"When it was delivered or given up; absent while it is pending"`
	Payload       string            `json:"payload,omitempty" doc:"The body that was signed, byte for byte; absent in a list"`
	Log           []DeliveryAttempt `json:"log" doc:"The attempts, newest first, at most a hundred; only the last attempt in a list"`
}

// DeliveryAttempt is one attempt to send a message.
type DeliveryAttempt struct {
	Attempt         int       `json:"attempt" minimum:"1" example:"1" doc:"1, 2, 3 and so on"`
	At              time.Time `json:"at" example:"2026-11-22T12:00:01Z"`
	DurationSeconds float64   `json:"durationSeconds" minimum:"0" example:"0.12"`
	Status          int       `json:"status,omitempty" minimum:"0" maximum:"999" example:"200" doc:"The status of the answer; absent if there was no answer"`
	Error           string    `json:"error,omitempty" example:"status 500" doc:"Why the attempt failed"`
	Response        string    `json:"response,omitempty" example:"ok" doc:"The beginning of the answer, at most 1 KiB"`
}

// WebhookDeliveryPage is one page of deliveries.
type WebhookDeliveryPage struct {
	Deliveries []WebhookDelivery `json:"deliveries" doc:"Newest first"`
	NextCursor string            `json:"nextCursor,omitempty" doc:"The cursor of the next page; absent on the last page"`
}

// Redelivery selects the deliveries to send again.
type Redelivery struct {
	Since            time.Time `json:"since" example:"2026-11-22T12:00:00Z" doc:"Deliveries made at this moment or later"`
	IncludeDelivered bool      `json:"includeDelivered,omitempty" example:"false" doc:"Also send deliveries again that were delivered"`
}

// Redelivered counts the deliveries that are sent again.
type Redelivered struct {
	Deliveries int `json:"deliveries" minimum:"0" example:"12" doc:"The number of deliveries that are sent again"`
}

func newWebhook(w store.Webhook) Webhook {
	out := Webhook{
		WebhookID: w.ID, URL: w.URL, EventTypes: make([]WebhookEventType, len(w.EventTypes)), CustomerID: w.CustomerID,
		Description: w.Description, Principal: w.Principal, Enabled: w.State == store.WebhookEnabled,
		DisabledReason: WebhookDisabledReason(w.DisabledReason), Failures: w.Failures,
		FailingSince: unlessZero(w.FailingSince), CreatedAt: w.CreatedAt, UpdatedAt: w.UpdatedAt,
	}
	for i, t := range w.EventTypes {
		out.EventTypes[i] = WebhookEventType(t)
	}
	if w.PreviousSecret != nil {
		out.RotatedUntil = unlessZero(w.PreviousUntil)
	}
	return out
}

func newSecretOutput(w store.Webhook) *secretOutput {
	return &secretOutput{WebhookWithSecret{newWebhook(w), webhook.Secret(w.Secret).Text()}}
}

func newDelivery(d store.Delivery) WebhookDelivery {
	out := WebhookDelivery{
		DeliveryID: d.ID, Type: WebhookEventType(d.EventType), Version: d.Version, State: DeliveryState(d.State),
		Attempts: d.Attempts, CreatedAt: d.CreatedAt, FinishedAt: unlessZero(d.FinishedAt),
		Log: make([]DeliveryAttempt, len(d.Log)),
	}
	if d.OrderID != (orders.ID{}) {
		out.OrderID = &d.OrderID
	}
	if d.State == store.DeliveryPending {
		out.NextAttemptAt = unlessZero(d.NextAttemptAt)
	}
	for i, a := range d.Log {
		out.Log[i] = DeliveryAttempt{
			Attempt: a.Number, At: a.At, DurationSeconds: a.Took.Seconds(), Status: a.Status, Error: a.Error,
			Response: a.Response,
		}
	}
	return out
}

// unlessZero returns nil for the zero time.
func unlessZero(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
