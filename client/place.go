package client

import (
	"context"

	"github.com/millrace-orders/millrace/client/oas"
)

// NewOrder is an order to be placed. CustomerID and Items are required.
type NewOrder struct {
	CustomerID      string
	Items           []Item
	Currency        string // ISO 4217; USD if empty
	PaymentMethod   string // passed on to the payment provider
	ShippingAddress *Address
	CustomerEmail   string  // where the customer is written to: a bare address
	Total           *Amount // if set, the order is refused unless it is the sum of the items
}

// Place places an order. It returns as soon as the order is stored, before any provider is asked: follow it with
// [Client.Events] or [Client.Wait].
//
// After a lost answer, or a failure that may pass, it tries again under the same idempotency key, so there is one order
// at most. If Place fails all the same and the error is no [*Problem] below 500, there may be an order or not: call it
// again with the same [WithIdempotencyKey]. If that key has placed the order before, it is returned as it was then,
// with Replayed set.
func (c *Client) Place(ctx context.Context, order NewOrder, opts ...CallOption) (*Order, error) {
	call := newCall(opts)
	answer, err := c.api.PlaceOrder(ctx, order.placement(), oas.PlaceOrderParams{}, call.options()...)
	if err != nil {
		return nil, unwrapped(err)
	}
	if ended, ok := answer.(*oas.PlaceOrderOK); ok { // the call had the header Prefer: wait
		return call.order((*oas.OrderHeaders)(ended)), nil
	}
	accepted, _ := answer.(*oas.PlaceOrderAccepted) // there is no other
	return call.order((*oas.OrderHeaders)(accepted)), nil
}

func (o NewOrder) placement() *oas.Placement {
	p := &oas.Placement{
		CustomerID: o.CustomerID, Items: make([]oas.PlacementItem, len(o.Items)),
		Currency: optional(o.Currency), PaymentMethod: optional(o.PaymentMethod), CustomerEmail: optional(o.CustomerEmail),
	}
	for i, item := range o.Items {
		p.Items[i] = oas.PlacementItem{ProductID: item.ProductID, Quantity: item.Quantity, Price: item.Price.Decimal}
	}
	if a := o.ShippingAddress; a != nil {
		p.ShippingAddress.SetTo(oas.Address{
			Name: optional(a.Name), Line1: a.Line1, Line2: optional(a.Line2), City: a.City,
			PostalCode: optional(a.PostalCode), Country: a.Country,
		})
	}
	if o.Total != nil {
		p.Total.SetTo(o.Total.Decimal)
	}
	return p
}

// optional is a text that is not sent if it is empty.
func optional(s string) oas.OptString { return oas.OptString{Value: s, Set: s != ""} }
