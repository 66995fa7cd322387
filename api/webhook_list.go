package api

import (
	"context"
	"net/http"
	"net/url"

	"github.com/danielgtaylor/huma/v2"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

type listWebhooksInput struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"20" doc:"Webhooks per page"`
	Cursor string `query:"cursor" maxLength:"100" doc:"The nextCursor of the previous page"`
}

type listWebhooksOutput struct {
	Link string `header:"Link" doc:"The next page, as rel=\"next\" (RFC 8288)"`
	Body WebhookPage
}

func (o webhookOperations) listOperation() operation {
	return declare(operation{
		Operation: huma.Operation{
			OperationID: "listWebhooks", Method: http.MethodGet, Path: webhooksPath, Tags: []string{tagWebhooks},
			Summary: "List webhooks", Description: "The caller's webhooks, oldest first. An admin sees all webhooks.",
		},
		permission: permitWebhooks, errors: webhookErrors(),
	}, o.listWebhooks)
}

func (o webhookOperations) listWebhooks(ctx context.Context, in *listWebhooksInput) (*listWebhooksOutput, error) {
	found, err := list[store.Webhook]{
		path: webhooksPath, filter: url.Values{}, scope: "webhooks", width: len(orders.ID{}),
		read: func(after []byte, limit int) ([]store.Webhook, error) {
			return o.webhooks.List(ctx, exchangeOf(ctx).principal.owner(), idOf(after), limit)
		},
		position: func(w store.Webhook) []byte { return w.ID[:] },
	}.page(in.Limit, in.Cursor)
	if err != nil {
		return nil, err
	}
	return &listWebhooksOutput{Link: found.link, Body: WebhookPage{
		Webhooks: show(found, newWebhook), NextCursor: found.next,
	}}, nil
}
