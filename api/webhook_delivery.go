package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/millrace-orders/millrace/api/problems"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

const (
	deliveriesPath = webhookPath + "/deliveries"
	deliveryPath   = deliveriesPath + "/{deliveryId}"
)

var errDeliveryNotFound = problems.New(problems.NotFound, "delivery_not_found",
	"The delivery does not exist, or has expired.").For(store.ErrDeliveryNotFound)

// deliveryOperations are the operations on the deliveries of webhooks.
type deliveryOperations struct{ deliveries *store.Deliveries }

func (o deliveryOperations) all() []operation {
	return []operation{
		declare(operation{
			Operation: huma.Operation{
				OperationID: "listWebhookDeliveries", Method: http.MethodGet, Path: deliveriesPath, Tags: []string{tagWebhooks},
				Summary: "List a webhook's deliveries",
				Description: "Newest first, in pages. Deliveries are kept for a month after they were delivered or given up, " +
					"unless the server is configured otherwise.",
			},
			permission: permitWebhooks, errors: webhookErrors(errDeliveryNotFound),
		}, o.listDeliveries),
		declare(operation{
			Operation: huma.Operation{
				OperationID: "getWebhookDelivery", Method: http.MethodGet, Path: deliveryPath, Tags: []string{tagWebhooks},
				Summary: "Get a delivery", Description: "The delivery with its body, its attempts, and the answers to them.",
			},
			permission: permitWebhooks, errors: webhookErrors(errDeliveryNotFound),
		}, o.getDelivery),
		declare(operation{
			Operation: huma.Operation{
				OperationID: "redeliverWebhookDelivery", Method: http.MethodPost, Path: deliveryPath + "/redeliver",
				Tags:    []string{tagWebhooks},
				Summary: "Send a delivery again",
				Description: "Sends the delivery again under the same webhook-id, whatever its outcome was. A pending delivery " +
					"is sent at once. Repeating the request is harmless.",
				DefaultStatus: http.StatusAccepted,
			},
			permission: permitWebhookChange, errors: webhookErrors(errDeliveryNotFound),
		}, o.redeliver),
		declare(operation{
			Operation: huma.Operation{
				OperationID: "redeliverWebhookDeliveries", Method: http.MethodPost, Path: webhookPath + "/redeliver",
				Tags:    []string{tagWebhooks},
				Summary: "Send all deliveries since a given time again",
				Description: "Sends again the deliveries that were given up or blocked and, if requested, those that were " +
					"delivered. The messages of each order are sent in sequence.",
				DefaultStatus: http.StatusAccepted,
			},
			permission: permitWebhookChange, errors: webhookErrors(errDeliveryNotFound),
		}, o.redeliverSince),
	}
}

type listDeliveriesInput struct {
	WebhookInput
	State  DeliveryState `query:"state" example:"failed" doc:"Only deliveries in this state"`
	Limit  int           `query:"limit" minimum:"1" maximum:"100" default:"20" doc:"Deliveries per page"`
	Cursor string        `query:"cursor" maxLength:"100" doc:"The nextCursor of the previous page, with the same filter"`
}

type listDeliveriesOutput struct {
	Link string `header:"Link" doc:"The next page, as rel=\"next\" (RFC 8288)"`
	Body WebhookDeliveryPage
}

func (o deliveryOperations) listDeliveries(
	ctx context.Context, in *listDeliveriesInput,
) (*listDeliveriesOutput, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	filter := store.DeliveryFilter{State: store.DeliveryState(in.State)}
	found, err := list[store.Delivery]{
		path: webhooksPath + "/" + id.String() + "/deliveries", filter: filterOf("state", string(in.State)),
		scope: "deliveries " + id.String() + string(in.State), width: len(id),
		read: func(after []byte, limit int) ([]store.Delivery, error) {
			filter.Before, filter.Limit = idOf(after), limit
			return o.deliveries.List(ctx, exchangeOf(ctx).principal.owner(), id, filter)
		},
		position: func(d store.Delivery) []byte { return d.ID[:] },
	}.page(in.Limit, in.Cursor)
	if err != nil {
		return nil, err
	}
	return &listDeliveriesOutput{Link: found.link, Body: WebhookDeliveryPage{
		Deliveries: show(found, newDelivery), NextCursor: found.next,
	}}, nil
}

type deliveryInput struct {
	WebhookInput
	DeliveryID orderID `path:"deliveryId" doc:"The delivery's id"`
}

func (in deliveryInput) ids() (webhook, delivery orders.ID, err error) {
	if webhook, err = in.id(); err != nil {
		return webhook, delivery, err
	}
	delivery, err = in.DeliveryID.parseAt("path.deliveryId")
	return webhook, delivery, err
}

type deliveryOutput struct{ Body WebhookDelivery }

func (o deliveryOperations) getDelivery(ctx context.Context, in *deliveryInput) (*deliveryOutput, error) {
	webhook, id, err := in.ids()
	if err != nil {
		return nil, err
	}
	found, err := o.deliveries.Get(ctx, exchangeOf(ctx).principal.owner(), webhook, id)
	if err != nil {
		return nil, err
	}
	out := &deliveryOutput{newDelivery(found)}
	out.Body.Payload = found.Body
	return out, nil
}

func (o deliveryOperations) redeliver(ctx context.Context, in *deliveryInput) (*deliveryOutput, error) {
	webhook, id, err := in.ids()
	if err != nil {
		return nil, err
	}
	repeated, err := o.deliveries.Redeliver(ctx, exchangeOf(ctx).principal.owner(), webhook, id)
	if err != nil {
		return nil, err
	}
	return &deliveryOutput{newDelivery(repeated)}, nil
}

type redeliverSinceInput struct {
	WebhookInput
	Body Redelivery
}

type redeliveredOutput struct{ Body Redelivered }

func (o deliveryOperations) redeliverSince(ctx context.Context, in *redeliverSinceInput) (*redeliveredOutput, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	states := []store.DeliveryState{store.DeliveryFailed, store.DeliveryBlocked}
	if in.Body.IncludeDelivered {
		states = append(states, store.DeliveryDelivered)
	}
	n, err := o.deliveries.RedeliverSince(ctx, exchangeOf(ctx).principal.owner(), id, in.Body.Since, states)
	if err != nil {
		return nil, err
	}
	return &redeliveredOutput{Redelivered{n}}, nil
}
