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
	PaymentMethod   string // sent to the payment provider
	ShippingAddress *Address
	CustomerEmail   string  // for e-mails about the order: a bare address
	Total           *Amount // if set, the order is refused unless it is the sum of the items
}

// Place places an order. It returns as soon as the order is stored, before the server calls any provider: follow the
// order with [Client.Events] or [Client.Wait].
//
// After a lost answer or a temporary failure, Place repeats the request under the same idempotency key, so at most one
// order is stored. If Place fails all the same and the error is not a [*Problem] below 500, it is unknown whether the
// order was stored: call Place again with the same [WithIdempotencyKey]. If that key has placed the order before, Place
// returns the order as it was then, with Replayed set.
func (c *Client) Place(ctx context.Context, order NewOrder, opts ...CallOption) (*Order, error) {
	call := newCall(opts)
	answer, err := c.api.PlaceOrder(ctx, order.placement(), oas.PlaceOrderParams{}, call.options()...)
	if err != nil {
		return nil, unwrapped(err)
	}
	if ended, ok := answer.(*oas.PlaceOrderOK); ok { // the call had the header Prefer: wait
		return call.order((*oas.OrderHeaders)(ended)), nil
	}
	accepted, _ := answer.(*oas.PlaceOrderAccepted) // the only other type
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

// optional is a text that is left out if it is empty.
func optional(s string) oas.OptString { return oas.OptString{Value: s, Set: s != ""} }
