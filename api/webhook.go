package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/millrace-orders/millrace/api/problems"
	"github.com/millrace-orders/millrace/auth/roles"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/webhook"
)

const (
	webhooksPath = "/api/webhooks"
	webhookPath  = webhooksPath + "/{webhookId}"
)

// Errors of webhooks.
var (
	errWebhookNotFound = problems.New(problems.NotFound, "webhook_not_found", "The webhook does not exist.").
				For(store.ErrWebhookNotFound)
	errTooManyWebhooks = problems.New(problems.Conflict, "too_many_webhooks", "The owner has too many webhooks.").
				Detailed("The owner has %d webhooks already. Delete one first.", store.MaxWebhooks).For(store.ErrTooManyWebhooks)
	errWebhookDisabled = problems.New(problems.Conflict, "webhook_disabled",
		"The webhook is disabled. Enable it first.").For(store.ErrWebhookDisabled)
	errRotating = problems.New(problems.Conflict, "secret_rotating",
		"The previous secret is still valid. Wait, or end it with previousValidSeconds 0.").
		For(store.ErrRotating)
)

// webhookErrors returns the errors of all operations on webhooks and those of one operation.
func webhookErrors(own ...*problems.Error) []*problems.Error {
	return append(own, errWebhookNotFound, errTooManyWebhooks, errWebhookDisabled, errRotating, errKeyReused)
}

// tagWebhooks is the operations' group in the document.
const tagWebhooks = "Webhooks"

// webhookOperations are the operations on webhooks.
type webhookOperations struct {
	webhooks   *store.Webhooks
	deliveries *store.Deliveries
	policy     webhook.Policy
	now        func() time.Time
}

func (o webhookOperations) all() []operation {
	return []operation{
		o.createOperation(), o.listOperation(), o.getOperation(), o.changeOperation(),
		o.deleteOperation(), o.rotateOperation(), o.pingOperation(),
	}
}

// owner returns the owner whose webhooks the principal may see and change.
func (p Principal) owner() store.Owner {
	o := store.Owner{
		Principal: p.Name, All: p.Role == roles.Admin, Operator: p.Role == roles.Admin || p.Role == roles.Operator,
	}
	if p.Role == roles.Customer {
		o.CustomerID = p.CustomerID
	}
	return o
}

// idOf returns the id in a position; zero for the first page.
func idOf(position []byte) (id orders.ID) {
	copy(id[:], position)
	return id
}

// WebhookInput is the input of all operations on one webhook. It is exported because Huma ignores embedded structs that
// are not.
type WebhookInput struct {
	WebhookID orderID `path:"webhookId" doc:"The webhook's id"`
}

func (in WebhookInput) id() (orders.ID, error) { return in.WebhookID.parseAt("path.webhookId") }

type webhookOutput struct{ Body Webhook }

func (o webhookOperations) getOperation() operation {
	return declare(operation{
		Operation: huma.Operation{
			OperationID: "getWebhook", Method: http.MethodGet, Path: webhookPath, Tags: []string{tagWebhooks},
			Summary: "Get a webhook", Description: "The webhook's settings and its current state.",
		},
		permission: permitWebhooks, errors: webhookErrors(),
	}, o.getWebhook)
}

func (o webhookOperations) getWebhook(ctx context.Context, in *WebhookInput) (*webhookOutput, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	found, err := o.webhooks.Get(ctx, exchangeOf(ctx).principal.owner(), id)
	if err != nil {
		return nil, err
	}
	return &webhookOutput{newWebhook(found)}, nil
}

func (o webhookOperations) deleteOperation() operation {
	return declare(operation{
		Operation: huma.Operation{
			OperationID: "deleteWebhook", Method: http.MethodDelete, Path: webhookPath, Tags: []string{tagWebhooks},
			Summary:       "Delete a webhook",
			Description:   "Deletes the webhook and its deliveries. A message that is being sent still arrives.",
			DefaultStatus: http.StatusNoContent,
		},
		permission: permitWebhookChange, errors: webhookErrors(),
	}, o.deleteWebhook)
}

func (o webhookOperations) deleteWebhook(ctx context.Context, in *WebhookInput) (*struct{}, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	return nil, o.webhooks.Delete(ctx, exchangeOf(ctx).principal.owner(), id)
}
