package api

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

// orderLists are the operations on lists of orders.
type orderLists struct{ reads reads }

func (l orderLists) all() []operation {
	return []operation{l.listOperation(), l.customerOrdersOperation(), l.userOrdersOperation()}
}

// OrderPage is one page of a list.
type OrderPage struct {
	Orders     []Order `json:"orders" doc:"Newest first"`
	NextCursor string  `json:"nextCursor,omitempty" example:"AQGZyKQ_W3wxnV4vaosfTX4h4R2l" doc:"The cursor of the next page; absent on the last page"`
}

type listInput struct {
	CustomerID string      `query:"customerId" maxLength:"200" doc:"Only this customer's orders"`
	Status     OrderStatus `query:"status" doc:"Only orders with this status"`
	PlacedRange
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"20" doc:"Orders per page"`
	Cursor string `query:"cursor" maxLength:"100" doc:"The nextCursor of the previous page, with the same filter"`
	PositionParam
}

// PlacedRange is the time in which orders were placed. It is exported because Huma ignores embedded structs that are
// not.
type PlacedRange struct {
	From time.Time `query:"from" example:"2026-11-01T00:00:00Z" doc:"Only orders placed at this moment or later"`
	To   time.Time `query:"to" example:"2026-12-01T00:00:00Z" doc:"Only orders placed before this moment"`
}

type listOutput struct {
	Link         string `header:"Link" doc:"The next page, as rel=\"next\" (RFC 8288)"`
	CacheControl string `header:"Cache-Control" hidden:"true"`
	Body         OrderPage
}

func (l orderLists) listOperation() operation {
	return declare(operation{
		Operation: huma.Operation{
			OperationID: "listOrders", Method: http.MethodGet, Path: "/api/orders", Tags: []string{tagOrders},
			Summary: "List orders",
			Description: "Newest first, in pages. A customer sees only its own orders. A page begins at a position, not at a " +
				"number, so orders that are placed meanwhile neither repeat nor hide others.",
		},
		permission: permitRead, action: "list",
	}, l.list)
}

func (l orderLists) list(ctx context.Context, in *listInput) (*listOutput, error) {
	filter := store.Filter{CustomerID: in.CustomerID, Status: orders.Status(in.Status), From: in.From, To: in.To}
	query := filterOf(
		"customerId", in.CustomerID, "status", string(in.Status), "from", moment(in.From), "to", moment(in.To))
	return l.page(ctx, in.PositionParam, filter, in.Limit, in.Cursor, "/api/orders", query)
}

// page reads a page of the orders that a filter selects, after a cursor.
func (l orderLists) page(
	ctx context.Context, seen PositionParam, filter store.Filter, limit int, cursor, path string, query url.Values,
) (*listOutput, error) {
	who := exchangeOf(ctx).principal
	visible := who.restrict(&filter)
	found, err := list[orders.Order]{
		path: path, filter: query, scope: scope(filter), width: len(filter.Before),
		read: func(after []byte, limit int) (found []orders.Order, err error) {
			if !visible {
				return nil, nil
			}
			copy(filter.Before[:], after)
			filter.Limit = limit
			err = l.reads.from(ctx, seen, store.ReplicaMaxLag, func(ctx context.Context, s *store.Store) (err error) {
				found, err = s.Orders.List(ctx, filter)
				return err
			})
			return found, err
		},
		position: func(o orders.Order) []byte { return o.ID[:] },
	}.page(limit, cursor)
	if err != nil {
		return nil, err
	}
	return &listOutput{Link: found.link, CacheControl: revalidate, Body: OrderPage{
		Orders: show(found, func(o orders.Order) Order { return newOrder(&o, who) }), NextCursor: found.next,
	}}, nil
}

// scope returns a name for the list of orders that a filter selects. Two filters have two names.
func scope(f store.Filter) string {
	text := strconv.Quote(f.CustomerID) + strconv.Quote(string(f.Status))
	if f.Cause != (orders.Cause{}) {
		text += f.Cause.String()
	}
	if !f.From.IsZero() || !f.To.IsZero() {
		text += moment(f.From) + moment(f.To)
	}
	return text
}
