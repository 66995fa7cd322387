package client

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"time"

	"github.com/millrace-orders/millrace/client/oas"
)

// Order gets an order. With [WithIfNoneMatch] it returns [ErrNotModified] if the order has not changed.
func (c *Client) Order(ctx context.Context, id string, opts ...CallOption) (*Order, error) {
	parsed, err := parseID(id)
	if err != nil {
		return nil, err
	}
	call := newCall(opts)
	answer, err := c.api.GetOrder(ctx, oas.GetOrderParams{ID: parsed}, call.options()...)
	if err != nil {
		return nil, unwrapped(err)
	}
	switch answer := answer.(type) {
	case orderAnswer:
		return call.order(answer), nil
	case *oas.GetOrderNotModified:
		return nil, ErrNotModified
	default:
		return nil, fmt.Errorf("unexpected answer %T", answer)
	}
}

// Filter selects the orders to list. The zero Filter selects all.
type Filter struct {
	CustomerID string
	Status     Status
	From, To   time.Time // placed at From or later, and before To; a zero bound is open
	PageSize   int       // orders per request; the server's default if 0
}

// placed adds the range of time to a request. The generated client would truncate it to seconds.
func (f Filter) placed(r *http.Request) error {
	query := r.URL.Query()
	for name, at := range map[string]time.Time{"from": f.From, "to": f.To} {
		if !at.IsZero() {
			query.Set(name, at.UTC().Format(time.RFC3339Nano))
		}
	}
	r.URL.RawQuery = query.Encode()
	return nil
}

// Orders lists orders, newest first. It requests pages as needed. Orders that are placed meanwhile are not repeated and
// hide no other orders. Orders ends with the last order or the first error.
func (c *Client) Orders(ctx context.Context, filter Filter) iter.Seq2[*Order, error] {
	return func(yield func(*Order, error) bool) {
		params := oas.ListOrdersParams{CustomerID: optional(filter.CustomerID)}
		if filter.Status != "" {
			params.Status.SetTo(filter.Status)
		}
		if filter.PageSize != 0 {
			params.Limit.SetTo(int64(filter.PageSize))
		}
		for {
			page, err := c.api.ListOrders(ctx, params, oas.WithEditRequest(filter.placed))
			if err != nil {
				yield(nil, unwrapped(err))
				return
			}
			for _, order := range page.Response.Orders {
				if !yield(newOrder(order), nil) {
					return
				}
			}
			if params.Cursor = page.Response.NextCursor; params.Cursor.Value == "" {
				return
			}
		}
	}
}
