package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/millrace-orders/millrace/orders"
)

const opCancel = "cancelOrder"

type cancelInput struct {
	ID orderID `path:"id" doc:"The order's id"`
	CommandHeaders
}

type cancelOutput struct {
	ETag     string `header:"ETag" doc:"The order's version"`
	Replayed string `header:"Idempotency-Replayed" doc:"true if the same was asked before under this key"`
	Body     Order
}

func (s *Server) registerCancel(api huma.API) {
	register(api, huma.Operation{
		OperationID: opCancel, Method: http.MethodPost, Path: "/api/orders/{id}/cancel", Tags: []string{tagOrders},
		Summary: "Cancel an order",
		Description: "Undoes what has been done of the order: it ends as cancelled, or as refunded if the money had " +
			"already been taken. An order that is at rest cannot be cancelled (409). Doing it twice is harmless.",
		Security: bearer(), DefaultStatus: http.StatusAccepted,
	}, s.cancel)
}

func (s *Server) cancel(ctx context.Context, in *cancelInput) (*cancelOutput, error) {
	id, err := in.ID.parse()
	if err != nil {
		return nil, err
	}
	e, err := in.request(ctx, orders.Event{OrderID: id, Kind: orders.CancelRequested, At: s.config.Now()})
	if err != nil {
		return nil, err
	}
	order, replayed, err := s.command(ctx, e, "The order may or may not be cancelled. Cancelling it again is safe.")
	if state, ok := errors.AsType[*orders.StateError](err); ok {
		return nil, &conflictError{
			"order_not_cancellable", fmt.Sprintf("The order is %s and can no longer be cancelled.", state.Status),
		}
	}
	if err != nil {
		return nil, err
	}
	return &cancelOutput{
		ETag: etag(order.Version), Replayed: replayHeader(replayed),
		Body: newOrder(&order, exchangeOf(ctx).principal),
	}, nil
}
