package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/millrace-orders/millrace/orders"
)

// stockPage is how many products are requested at a time: with numbers of any length they fit into maxPage. If a
// provider's page still does not fit, the next request asks for half as many, and so on.
const stockPage = 250

// ErrNoStock means that the inventory provider does not list its stock (404, 501). The list is optional.
var ErrNoStock = errors.New("inventory provider does not list its stock")

// Stock lists all products of the inventory provider, in ascending order of their ids.
//
// It neither consults nor affects the breaker: no caller waits for this answer, Millrace asks for it rarely, and a
// provider with a broken list may still reserve.
//
// Errors: ErrNoStock; *UnavailableError, *MisconfiguredError; or ctx's own error.
func (c *Clients) Stock(ctx context.Context) ([]orders.Stock, error) {
	client := c.clients[orders.Inventory]
	var all []orders.Stock
	for after, limit := int64(0), stockPage; ; {
		start := time.Now()
		page, err := client.stock(ctx, after, limit)
		client.metrics.observe(client.provider, "stock", err, time.Since(start))
		if errors.Is(err, errTooLong) && limit > 1 {
			limit /= 2
			continue
		}
		if err != nil {
			return nil, err
		}
		// Only an empty page is the last one: the provider decides how many products a page has.
		if len(page) == 0 {
			return all, nil
		}
		all = append(all, page...)
		after = page[len(page)-1].ProductID
	}
}

func (c *client) stock(ctx context.Context, after int64, limit int) ([]orders.Stock, error) {
	u := c.base.JoinPath("stock")
	u.RawQuery = url.Values{"after": {strconv.FormatInt(after, 10)}, "limit": {strconv.Itoa(limit)}}.Encode()
	r, err := c.exchange(ctx, call{method: http.MethodGet, url: u, limit: maxPage})
	switch {
	case err != nil:
		return nil, err
	case r.status == http.StatusNotFound, r.status == http.StatusNotImplemented:
		return nil, ErrNoStock
	case r.status != http.StatusOK:
		return nil, r.failure(c.provider)
	case r.err != nil:
		return nil, r.err
	}
	page, err := r.products(after)
	if err != nil {
		return nil, &UnavailableError{Provider: c.provider, Reason: "stock is not of the contract", Unclear: true}
	}
	return page, nil
}

type product struct {
	ProductID whole           `json:"productId"`
	Quantity  whole           `json:"quantity"`
	Reserved  whole           `json:"reserved"`
	Price     json.Number     `json:"price"`
	Currency  orders.Currency `json:"currency"`
}

// products reads a page. One malformed product spoils the page: a partly correct list looks correct.
func (r reply) products(after int64) ([]orders.Stock, error) {
	var body struct {
		Products *[]product `json:"products"`
	}
	if err := json.Unmarshal(r.body, &body); err != nil {
		return nil, err
	}
	if body.Products == nil {
		return nil, errors.New("no products")
	}
	page := make([]orders.Stock, len(*body.Products))
	for i, p := range *body.Products {
		if int64(p.ProductID) <= after || p.Quantity < 0 || p.Reserved < 0 {
			return nil, fmt.Errorf("product %d is out of order or out of range", p.ProductID)
		}
		after = int64(p.ProductID)
		page[i] = orders.Stock{ProductID: after, Quantity: int64(p.Quantity), Reserved: int64(p.Reserved)}
		if p.Price == "" {
			continue
		}
		price, err := p.Currency.Parse(orders.Expand(string(p.Price)))
		if err != nil || !p.Currency.Valid() {
			return nil, fmt.Errorf("product %d has an invalid price", p.ProductID)
		}
		page[i].Price, page[i].Currency = price, p.Currency
	}
	return page, nil
}
