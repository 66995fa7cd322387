package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/millrace-orders/millrace/webhook"
)

func (o webhookOperations) pingOperation() operation {
	return declare(operation{
		Operation: huma.Operation{
			OperationID: "pingWebhook", Method: http.MethodPost, Path: webhookPath + "/ping", Tags: []string{tagWebhooks},
			Summary:       "Send a test message",
			Description:   "Sends a message of the type Ping. Read the delivery to see its outcome.",
			DefaultStatus: http.StatusAccepted,
		},
		permission: permitWebhookChange, errors: webhookErrors(),
	}, o.pingWebhook)
}

func (o webhookOperations) pingWebhook(ctx context.Context, in *WebhookInput) (*deliveryOutput, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	body := webhook.BodyAboutWebhook(webhook.Ping, id, "", o.now())
	made, err := o.deliveries.Notify(ctx, exchangeOf(ctx).principal.owner(), id, webhook.Ping, body)
	if err != nil {
		return nil, err
	}
	return &deliveryOutput{newDelivery(made)}, nil
}
