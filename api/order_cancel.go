package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/millrace-orders/millrace/api/problems"
	"github.com/millrace-orders/millrace/orders"
)

var errNotCancellable = problems.New(problems.Conflict, "order_not_cancellable",
	"The order is %s and can no longer be cancelled.")

type cancelInput struct {
	ID orderID `path:"id" doc:"The order's id"`
	CommandHeaders
}

func (o orderOperations) cancelOperation() operation {
	return declare(operation{
		Operation: huma.Operation{
			OperationID: "cancelOrder", Method: http.MethodPost, Path: "/api/orders/{id}/cancel", Tags: []string{tagOrders},
			Summary: "Cancel an order",
			Description: "Undoes the steps that were carried out. The order ends as cancelled, or as refunded if the money " +
				"had already been taken. An order that is at rest cannot be cancelled (409). Cancelling twice is harmless.",
			DefaultStatus: http.StatusAccepted,
		},
		permission: permitChange, action: "cancel",
		errors: commandErrors(errNotCancellable),
		answer: showExample(exampleEvent(
			exampleOrder(orders.AuthorizePayment), orders.Event{Kind: orders.CancelRequested})),
	}, o.cancel)
}

func (o orderOperations) cancel(ctx context.Context, in *cancelInput) (*outcome[Order], error) {
	id, err := in.ID.parse()
	if err != nil {
		return nil, err
	}
	e, err := in.request(ctx, orders.Event{OrderID: id, Kind: orders.CancelRequested, At: o.now()})
	if err != nil {
		return nil, err
	}
	applied, err := o.command(ctx, e,
		"The order may or may not be cancelled. Cancelling it again is safe.", errNotCancellable)
	if err != nil {
		return nil, err
	}
	return newOutcome(applied, newOrder(&applied.Order, exchangeOf(ctx).principal)), nil
}
