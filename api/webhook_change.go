package api

import (
	"context"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

type updateWebhookInput struct {
	WebhookInput
	Body WebhookChange
}

func (o webhookOperations) changeOperation() operation {
	return declare(operation{
		Operation: huma.Operation{
			OperationID: "updateWebhook", Method: http.MethodPatch, Path: webhookPath, Tags: []string{tagWebhooks},
			Summary: "Change a webhook",
			Description: "Changes the webhook's settings. While a webhook is disabled, new events are not sent to it, and " +
				"not later either. Deliveries that were already waiting go on when it is enabled, unless they have expired.",
		},
		permission: permitWebhookChange, errors: webhookErrors(),
	}, o.updateWebhook)
}

func (o webhookOperations) updateWebhook(ctx context.Context, in *updateWebhookInput) (*webhookOutput, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	change := store.WebhookChange{URL: in.Body.URL, Description: in.Body.Description, Enabled: in.Body.Enabled}
	if in.Body.Description != nil {
		if wrong := line("description", *in.Body.Description); wrong != nil {
			return nil, &orders.InvalidError{Fields: wrong}
		}
	}
	if in.Body.URL != nil {
		if err := o.checkURL(*in.Body.URL); err != nil {
			return nil, err
		}
	}
	if in.Body.EventTypes != nil {
		change.EventTypes = new(plain(*in.Body.EventTypes))
	}
	changed, err := o.webhooks.Change(ctx, exchangeOf(ctx).principal.owner(), id, change)
	if err != nil {
		return nil, err
	}
	return &webhookOutput{newWebhook(changed)}, nil
}

// plain sorts the types and removes duplicates, so that equal sets are equal lists.
func plain(types []WebhookEventType) []string {
	list := make([]string, len(types))
	for i, t := range types {
		list[i] = string(t)
	}
	slices.Sort(list)
	return slices.Compact(list)
}
