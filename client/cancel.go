package client

import (
	"context"

	"github.com/millrace-orders/millrace/client/oas"
)

// Cancel undoes an order. It returns as soon as the server has decided to; [Client.Wait] waits for the end. The order
// ends as cancelled, or as refunded if the money had already been taken. An order that is at rest cannot be cancelled
// ([IsConflict]). Cancelling twice is harmless.
func (c *Client) Cancel(ctx context.Context, id string, opts ...CallOption) (*Order, error) {
	parsed, err := parseID(id)
	if err != nil {
		return nil, err
	}
	call := newCall(opts)
	answer, err := c.api.CancelOrder(ctx, oas.CancelOrderParams{ID: parsed}, call.options()...)
	if err != nil {
		return nil, unwrapped(err)
	}
	return call.order(answer), nil
}
