package simulator

import (
	"encoding/json"
	"errors"

	"github.com/millrace-orders/millrace/orders"
)

const (
	reserve = "reserve"
	release = "release"
)

func inventoryOperations() []operation {
	return []operation{
		{orders.Inventory, "/reservations", reserve, false, func() body { return new(reservation) }},
		{orders.Inventory, "/releases", release, true, func() body { return new(releaseBody) }},
	}
}

// soldOut is a product that is always out of stock.
const soldOut = 9999

type reservation struct {
	party
	goods
}

func (r *reservation) check() error { return errors.Join(r.party.check(), r.goods.check()) }

// decide reserves all items or none.
func (r *reservation) decide(b *books) verdict {
	wanted := map[int64]int64{}
	for _, l := range r.Items {
		wanted[l.ProductID] += l.Quantity // a product may be on several lines
		if !b.shelves[l.ProductID].sellsAt(l.price, r.Currency) {
			return refused("price_mismatch")
		}
	}
	for product, quantity := range wanted {
		if product == soldOut || !b.shelves[product].has(quantity) {
			return refused("out_of_stock")
		}
	}
	return done(Entry{Items: r.entries(), Currency: r.Currency})
}

func (g *goods) entries() []Item {
	items := make([]Item, len(g.Items))
	for i, l := range g.Items {
		items[i] = Item{l.ProductID, l.Quantity, json.Number(g.Currency.Format(l.price))}
	}
	return items
}

type releaseBody struct {
	party
	ReservationKey string `json:"reservationKey"`
}

func (r *releaseBody) check() error {
	return errors.Join(r.party.check(), required("reservationKey", r.ReservationKey))
}

func (r *releaseBody) decide(b *books) verdict {
	reserved := b.find(orders.Inventory, reserve, r.ReservationKey)
	switch {
	case reserved == nil:
		return neverSeen(r.ReservationKey)
	case reserved.OrderID != r.OrderID:
		return refused("order_mismatch")
	case b.undone[slot{orders.Inventory, r.ReservationKey}]:
		return nothingToUndo(r.ReservationKey)
	}
	return done(Entry{RefersTo: r.ReservationKey, Items: reserved.Items, Currency: reserved.Currency})
}

// shelf is the state of a product. A nil shelf, or one without a quantity, has plenty. A shelf without a price sells at
// any price.
type shelf struct {
	quantity *int64 // that can still be reserved
	reserved int64
	price    *orders.Money
	currency orders.Currency // of the price
}

func (s *shelf) has(quantity int64) bool {
	return s == nil || s.quantity == nil || *s.quantity >= quantity
}

func (s *shelf) sellsAt(price orders.Money, c orders.Currency) bool {
	return s == nil || s.price == nil || *s.price == price && s.currency == c
}

func (b *books) shelf(product int64) *shelf {
	if b.shelves[product] == nil {
		b.shelves[product] = &shelf{}
	}
	return b.shelves[product]
}

// take moves items from the shelves to the reserved items; sign -1 moves them back.
func (b *books) take(items []Item, sign int64) {
	for _, item := range items {
		s := b.shelf(item.ProductID)
		s.reserved += sign * item.Quantity
		if s.quantity != nil {
			*s.quantity -= sign * item.Quantity
		}
	}
}
