package api

import (
	"encoding/json"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// The examples of the document's schemas whose fields' examples do not fit together.
const (
	exampleWebhook = `"webhookId": "0199c8a5-0d2e-7a44-8b1f-6c3d9e2f7a10", ` +
		`"url": "https://shop.example.com/hooks/orders", ` +
		`"eventTypes": ["OrderStatusUpdated"], "customerId": "1", "description": "Warehouse", ` +
		`"principal": "7kq2mxw5a3fd", "enabled": true, "failures": 0, ` +
		`"createdAt": "2026-11-22T11:00:00Z", "updatedAt": "2026-11-22T11:00:00Z"`
	exampleSecret   = `"secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"` //nolint:gosec // an example
	exampleDelivery = `{"deliveryId": "0199c8a5-2b7c-7e19-9a4d-1f8e5b6c3d20", "type": "OrderStatusUpdated", ` +
		`"orderId": "0199c8a4-3f5b-7c31-9d5e-2f6a8b1c4d7e", "version": 2, "state": "delivered", "attempts": 1, ` +
		`"createdAt": "2026-11-22T12:00:01Z", "finishedAt": "2026-11-22T12:00:02Z", ` +
		`"log": [{"attempt": 1, "at": "2026-11-22T12:00:01Z", "durationSeconds": 0.12, "status": 200, "response": "ok"}]}`
)

// TransformSchema gives the document an example whose fields fit together.
func (Webhook) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	s.Examples = []any{json.RawMessage("{" + exampleWebhook + "}")}
	return s
}

// TransformSchema gives the document an example with a secret.
func (WebhookWithSecret) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	s.Examples = []any{json.RawMessage("{" + exampleWebhook + ", " + exampleSecret + "}")}
	return s
}

// TransformSchema gives the document an example whose fields fit together.
func (WebhookDelivery) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	s.Examples = []any{json.RawMessage(exampleDelivery)}
	return s
}

// TransformSchema gives the document an example whose fields fit together.
func (DeliveryAttempt) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	at := time.Date(2026, 11, 22, 12, 0, 1, 0, time.UTC)
	s.Examples = []any{DeliveryAttempt{Attempt: 1, At: at, DurationSeconds: 0.12, Status: 200, Response: "ok"}}
	return s
}
