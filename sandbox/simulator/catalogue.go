package simulator

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"

	"github.com/millrace-orders/millrace/orders"
)

const plenty = 1_000_000 // the shown quantity of a product whose stock was not set

// Product is a row of GET /inventory/stock.
type Product struct {
	ProductID int64           `json:"productId"`
	Quantity  int64           `json:"quantity"` // that can still be reserved
	Reserved  int64           `json:"reserved"`
	Price     json.Number     `json:"price,omitempty"`
	Currency  orders.Currency `json:"currency,omitempty"`
}

// stockUp applies a stockSet or priceSet.
func (b *books) stockUp(r *record) {
	for _, item := range r.Items {
		s := b.shelf(item.ProductID)
		if r.Kind == stockSet {
			s.quantity = new(item.Quantity)
			continue
		}
		price, _ := r.Currency.Parse(string(item.Price)) // putPrice has checked it
		s.price, s.currency = &price, r.Currency
	}
}

// putStock sets how many pieces of a product can be reserved from then on.
func (s *Simulator) putStock(r *http.Request) answer {
	var body struct {
		ProductID int64  `json:"productId"`
		Quantity  *int64 `json:"quantity"`
	}
	if err := decodeRequest(r, &body); err != nil {
		return badRequest(err)
	}
	if body.ProductID < 1 {
		return badRequest(errors.New("productId must be at least 1"))
	}
	if body.Quantity == nil || *body.Quantity < 0 || *body.Quantity > maxQuantity {
		return badRequest(fmt.Errorf("quantity must be 0 to %d", maxQuantity))
	}
	return s.stockUp(body.ProductID, &record{
		Kind:  stockSet,
		Entry: Entry{Items: []Item{{ProductID: body.ProductID, Quantity: *body.Quantity}}},
	})
}

// putPrice sets a product's price. From then on a reservation at a different price is refused.
func (s *Simulator) putPrice(r *http.Request) answer {
	var body struct {
		ProductID int64           `json:"productId"`
		Price     decimal         `json:"price"`
		Currency  orders.Currency `json:"currency"`
	}
	body.Currency = orders.USD
	if err := decodeRequest(r, &body); err != nil {
		return badRequest(err)
	}
	l := line{ProductID: body.ProductID, Quantity: 1, Price: body.Price}
	if err := errors.Join(checkCurrency(body.Currency), l.check(body.Currency)); err != nil {
		return badRequest(err)
	}
	price := json.Number(body.Currency.Format(l.price))
	return s.stockUp(body.ProductID, &record{
		Kind:  priceSet,
		Entry: Entry{Items: []Item{{ProductID: body.ProductID, Price: price}}, Currency: body.Currency},
	})
}

func (s *Simulator) stockUp(product int64, r *record) answer {
	s.mu.Lock()
	r.At = s.now().UTC()
	err := s.enter(r)
	row := s.books.shelves[product].row(product)
	s.mu.Unlock()
	if err != nil {
		return s.ledgerFailed(err)
	}
	return s.durably(row)
}

// getStock lists the stock: all of it, or a page with up to a number of products above an id.
func (s *Simulator) getStock(r *http.Request) answer {
	if a, struck := s.strike(r.Context(), s.dice.roll(orders.Inventory, "")); struck {
		return a
	}
	after, limit := int64(0), int64(math.MaxInt64)
	for name, value := range map[string]*int64{"after": &after, "limit": &limit} {
		text := r.URL.Query().Get(name)
		if text == "" {
			continue
		}
		var err error
		if *value, err = strconv.ParseInt(text, 10, 64); err != nil || *value < 0 {
			return badRequest(fmt.Errorf("%s must be a number of 0 or more", name))
		}
	}
	page := slices.DeleteFunc(s.Stock(), func(p Product) bool { return p.ProductID <= after })
	page = page[:min(int64(len(page)), limit)]
	return s.durably(map[string][]Product{"products": page})
}

// Stock lists the known products by id. Until a stock or a price is set, it lists a sample of 20 products, so that
// readers get some data. The sample's prices are not enforced. The products of the README's order have the README's
// prices.
func (s *Simulator) Stock() []Product {
	s.mu.Lock()
	defer s.mu.Unlock()
	products := map[int64]Product{}
	sample := true
	for id, shelf := range s.books.shelves {
		products[id] = shelf.row(id)
		sample = sample && shelf.quantity == nil && shelf.price == nil
	}
	for id := int64(1); sample && id <= 20; id++ {
		p := s.books.shelves[id].row(id)
		price := orders.Money(1000*id - 1)
		switch id {
		case 1:
			price = 2999
		case 2:
			price = 14999
		}
		p.Price, p.Currency = json.Number(orders.USD.Format(price)), orders.USD
		products[id] = p
	}
	byID := func(a, b Product) int { return cmp.Compare(a.ProductID, b.ProductID) }
	return slices.SortedFunc(maps.Values(products), byID)
}

func (s *shelf) row(product int64) Product {
	if s == nil {
		s = &shelf{}
	}
	p := Product{ProductID: product, Quantity: plenty, Reserved: s.reserved}
	if s.quantity != nil {
		p.Quantity = *s.quantity
	}
	if product == soldOut {
		p.Quantity = 0
	}
	if s.price != nil {
		p.Price, p.Currency = json.Number(s.currency.Format(*s.price)), s.currency
	}
	return p
}
