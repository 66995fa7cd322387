package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/millrace-orders/millrace/orders"
)

const opCancel = "cancelOrder"

type cancelInput struct {
	ID orderID `path:"id" doc:"The order's id"`
}

type cancelOutput struct {
	ETag string `header:"ETag" doc:"The order's version"`
	Body Order
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
	request := orders.Event{OrderID: id, Kind: orders.CancelRequested, At: s.config.Now()}
	applied, err := s.config.Store.Apply(ctx, []orders.Event{request})
	s.config.Cache.Forget(id) // after an error too: it may have been written
	if err != nil {
		return nil, &uncertainError{"The order may or may not be cancelled. Cancelling it again is safe.", err}
	}
	if applied[0].Err != nil {
		return nil, applied[0].Err
	}
	order := applied[0].Order
	if !beingUndone(&order) {
		return nil, &orders.StateError{Status: order.Status}
	}
	return &cancelOutput{ETag: etag(order.Version), Body: newOrder(&order)}, nil
}

// beingUndone says that the customer has, or will have, what a cancellation is for.
func beingUndone(o *orders.Order) bool {
	if !o.Status.AtRest() {
		return o.Goal != orders.GoalComplete
	}
	return o.Goal == orders.GoalCancel && o.Status != orders.NeedsAttention
}
