package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/millrace-orders/millrace/webhook"
)

type secretOutput struct{ Body WebhookWithSecret }

type rotateWebhookInput struct {
	WebhookInput
	IdempotencyKey string `header:"Idempotency-Key" example:"8e03978e-40d5-43e8-bc93-6894a57f9324" doc:"Makes it safe to repeat the request: the key of the last rotation gets its secret again. 1 to 255 visible ASCII characters"`
	Body           *SecretRotation
}

func (o webhookOperations) rotateOperation() operation {
	return declare(operation{
		Operation: huma.Operation{
			OperationID: "rotateWebhookSecret", Method: http.MethodPost, Path: webhookPath + "/secret",
			Tags:    []string{tagWebhooks},
			Summary: "Rotate a webhook's secret",
			Description: "Makes a new secret, which only this answer contains. For a while, messages are signed with both " +
				"the new and the previous secret. During that time, another rotation is refused (409), unless it ends the " +
				"previous secret at once.",
		},
		permission: permitWebhookChange, errors: webhookErrors(),
	}, o.rotateWebhook)
}

func (o webhookOperations) rotateWebhook(ctx context.Context, in *rotateWebhookInput) (*secretOutput, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	key := ""
	if in.IdempotencyKey != "" {
		if key, err = parseIdempotencyKey(in.IdempotencyKey); err != nil {
			return nil, err
		}
	}
	overlap := defaultOverlap
	if in.Body != nil && in.Body.PreviousValidSeconds != nil {
		overlap = time.Duration(*in.Body.PreviousValidSeconds) * time.Second
	}
	owner := exchangeOf(ctx).principal.owner()
	rotated, err := o.webhooks.Rotate(ctx, owner, id, webhook.NewSecret(), key, overlap)
	if err != nil {
		return nil, err
	}
	return newSecretOutput(rotated), nil
}
