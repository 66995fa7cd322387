package api

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/millrace-orders/millrace/auth/roles"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/webhook"
)

type createWebhookInput struct {
	IdempotencyKey string `header:"Idempotency-Key" example:"8e03978e-40d5-43e8-bc93-6894a57f9324" doc:"Makes it safe to repeat the request: the same request under the same key gets the same webhook again, as long as the webhook exists. 1 to 255 visible ASCII characters"`
	Body           NewWebhook
}

func (o webhookOperations) createOperation() operation {
	return declare(operation{
		Operation: huma.Operation{
			OperationID: "createWebhook", Method: http.MethodPost, Path: webhooksPath, Tags: []string{tagWebhooks},
			Summary: "Create a webhook",
			Description: "Sends events of orders to an address from now on, signed as Standard Webhooks defines it. Only " +
				"this answer contains the secret. A customer can have 20 webhooks, and so can each other principal.",
			DefaultStatus: http.StatusCreated,
		},
		permission: permitWebhookChange, errors: webhookErrors(),
	}, o.createWebhook)
}

func (o webhookOperations) createWebhook(ctx context.Context, in *createWebhookInput) (*secretOutput, error) {
	who := exchangeOf(ctx).principal
	if in.Body.CustomerID != "" {
		if err := in.Body.CustomerID.check("body.customerId"); err != nil {
			return nil, err
		}
	} else if who.Role == roles.Customer {
		in.Body.CustomerID = customerID(who.CustomerID)
	}
	if !who.Owns(string(in.Body.CustomerID)) {
		return nil, errForbidden.Detailed("A customer can only receive events of its own orders: customerId must be its own.")
	}
	if wrong := line("description", in.Body.Description); wrong != nil {
		return nil, &orders.InvalidError{Fields: wrong}
	}
	if err := o.checkURL(in.Body.URL); err != nil {
		return nil, err
	}
	n := store.NewWebhook{
		Owner: who.owner(), CustomerID: string(in.Body.CustomerID), URL: in.Body.URL, EventTypes: plain(in.Body.EventTypes),
		Description: in.Body.Description, Secret: webhook.NewSecret(),
	}
	if in.IdempotencyKey != "" {
		var err error
		if n.IdempotencyKey, err = parseIdempotencyKey(in.IdempotencyKey); err != nil {
			return nil, err
		}
		request, err := json.Marshal(in.Body)
		if err != nil {
			return nil, fmt.Errorf("encode request: %w", err)
		}
		sum := sha256.Sum256(request)
		n.Fingerprint = sum[:]
	}
	made, err := o.webhooks.Make(ctx, n)
	if err != nil {
		return nil, err
	}
	return newSecretOutput(made), nil
}

func (o webhookOperations) checkURL(url string) error {
	if err := o.policy.Check(url); err != nil {
		return &orders.InvalidError{Fields: []orders.FieldError{{Field: "url", Message: err.Error()}}}
	}
	return nil
}
