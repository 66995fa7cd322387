package simulator

import (
	"errors"

	"github.com/millrace-orders/millrace/orders"
)

const (
	quote          = "quote"
	ship           = "ship"
	cancelShipment = "cancel_shipment"
)

func shippingOperations() []operation {
	return []operation{
		{orders.Shipping, "/quotes", quote, false, func() body { return new(quoteBody) }},
		{orders.Shipping, "/shipments", ship, false, func() body { return new(shipment) }},
		{orders.Shipping, "/cancellations", cancelShipment, true, func() body { return new(cancellation) }},
	}
}

type quoteBody struct {
	party
	goods
	Address *orders.Address `json:"address"`
}

func (q *quoteBody) check() error { return errors.Join(q.party.check(), q.goods.check()) }

func (q *quoteBody) decide(*books) verdict { return done(Entry{}) }

type shipment struct {
	party
	QuoteKey string          `json:"quoteKey"`
	Address  *orders.Address `json:"address"`
}

func (s *shipment) check() error {
	return errors.Join(s.party.check(), required("quoteKey", s.QuoteKey))
}

func (s *shipment) decide(b *books) verdict {
	quoted := b.find(orders.Shipping, quote, s.QuoteKey)
	switch {
	case quoted == nil:
		return refused("quote_missing")
	case quoted.OrderID != s.OrderID:
		return refused("order_mismatch")
	}
	return done(Entry{RefersTo: s.QuoteKey})
}

type cancellation struct {
	party
	ShipmentKey string `json:"shipmentKey"`
}

func (c *cancellation) check() error {
	return errors.Join(c.party.check(), required("shipmentKey", c.ShipmentKey))
}

func (c *cancellation) decide(b *books) verdict {
	booked := b.find(orders.Shipping, ship, c.ShipmentKey)
	switch {
	case booked == nil:
		return neverSeen(c.ShipmentKey)
	case booked.OrderID != c.OrderID:
		return refused("order_mismatch")
	case b.undone[slot{orders.Shipping, c.ShipmentKey}]:
		return nothingToUndo(c.ShipmentKey)
	}
	return done(Entry{RefersTo: c.ShipmentKey})
}
