package upstream

import (
	"context"
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
		client.metrics.observe(ctx, client.provider, "stock", err, time.Since(start))
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

// products reads a page. One malformed product spoils the page: a partly correct list looks correct.
func (r reply) products(after int64) ([]orders.Stock, error) {
	body, err := readMembers(r.body)
	if err != nil {
		return nil, err
	}
	list, err := body.list("products")
	if err != nil {
		return nil, err
	}
	page := make([]orders.Stock, len(list))
	for i, entry := range list {
		if page[i], err = entry.product(); err != nil {
			return nil, err
		}
		if page[i].ProductID <= after {
			return nil, fmt.Errorf("product %d is out of order", page[i].ProductID)
		}
		after = page[i].ProductID
	}
	return page, nil
}

// product reads an entry of a page.
func (m members) product() (s orders.Stock, err error) {
	for name, value := range map[string]*int64{
		"productid": &s.ProductID, "quantity": &s.Quantity, "reserved": &s.Reserved,
	} {
		if *value, err = m.whole(name); err != nil || *value < 0 {
			return s, fmt.Errorf("a product has an invalid %s", name)
		}
	}
	if s.Price, s.Currency, err = m.money("price"); err != nil {
		return s, fmt.Errorf("product %d has an invalid price", s.ProductID)
	}
	return s, nil
}
