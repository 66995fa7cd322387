package api

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/millrace-orders/millrace/api/problems"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

// revalidate lets only the caller keep an order, and only to ask each time whether it has changed.
const revalidate = "private, no-cache"

var errVersionNotReached = problems.New(problems.Stale, "version_not_reached",
	"The order has not had the version that Minimum-Version names.").
	With(problems.ProblemError{
		Location: "header.Minimum-Version", Message: "must be a version that the order has had",
	})

// orderID is the id in a path: the 36 characters of a UUID, so that an order has one address.
type orderID string

// Schema describes it to Huma.
func (orderID) Schema(huma.Registry) *huma.Schema {
	length := len(uuid.Nil.String())
	return &huma.Schema{
		Type: huma.TypeString, Format: "uuid", MinLength: &length, MaxLength: &length,
		Examples: []any{"0199c8a4-3f5b-7c31-9d5e-2f6a8b1c4d7e"},
	}
}

func (i orderID) parse() (orders.ID, error) { return i.parseAt("path.id") }

// parseAt is parse for an id of something else.
func (i orderID) parseAt(location string) (orders.ID, error) {
	id, err := uuid.Parse(string(i))
	if err != nil {
		return id, badInput(location, "must be a UUID")
	}
	return id, nil
}

type getInput struct {
	ID          orderID `path:"id" doc:"The order's id"`
	AtLeast     int64   `header:"Minimum-Version" minimum:"1" example:"4" doc:"A version that the order is known to have, such as the one in the ETag of a write: the answer is at least as new, whichever process gives it"`
	IfNoneMatch string  `header:"If-None-Match" example:"\"4\"" doc:"The ETag of what the caller has: the answer is 304 if that is current"`
}

func (s *Server) getOperation() operation {
	return declare(operation{
		Operation: huma.Operation{
			OperationID: "getOrder", Method: http.MethodGet, Path: "/api/orders/{id}", Tags: []string{tagOrders},
			Summary: "Get an order",
			Description: "The order with its items and steps, from a cache that is as fresh as the event feed. A process shows " +
				"its own writes at once and those of others within moments; send `Minimum-Version` to be sure to see a write " +
				"that another process answered.",
		},
		permission: permitRead, action: "get",
		errors: []*problems.Error{errVersionNotReached}, responses: getResponses,
	}, s.get)
}

func getResponses(r huma.Registry) map[string]*huma.Response {
	etag := map[string]*huma.Header{"ETag": etagHeader()}
	return map[string]*huma.Response{
		"200": {Description: "The order", Headers: etag, Content: map[string]*huma.MediaType{
			mediaJSON: {Schema: r.Schema(reflect.TypeFor[Order](), true, "")},
		}},
		"304": {Description: "The order has not changed", Headers: etag},
	}
}

func etagHeader() *huma.Header {
	return &huma.Header{Description: "The order's version", Schema: &huma.Schema{Type: huma.TypeString}}
}

// get writes the body itself, because it is encoded only once: that is most of what an answer from the cache costs.
func (s *Server) get(ctx context.Context, in *getInput) (*huma.StreamResponse, error) {
	id, err := in.ID.parse()
	if err != nil {
		return nil, err
	}
	order, err := s.config.Cache.Get(ctx, id, in.AtLeast)
	if err != nil {
		return nil, err
	}
	if order.Version < in.AtLeast {
		return nil, errVersionNotReached
	}
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		tag := etag(order.Version)
		hctx.SetHeader("ETag", tag)
		hctx.SetHeader("Cache-Control", revalidate)
		if matchesETag(in.IfNoneMatch, tag) {
			hctx.SetStatus(http.StatusNotModified)
			return
		}
		hctx.SetHeader("Content-Type", mediaJSON)
		body := order.Body(encodeOrder)
		if who := exchangeOf(ctx).principal; !who.seesPersonal() {
			body = encodeFor(&order.Order, who) // not the bytes that all others share
		}
		_, _ = hctx.BodyWriter().Write(body)
	}}, nil
}

// encodeOrder writes an order without a mask.
func encodeOrder(o *orders.Order) []byte { return encodeFor(o, Principal{}) }

func encodeFor(o *orders.Order, who Principal) []byte {
	var b bytes.Buffer
	if err := encodeJSON(&b, newOrder(o, who)); err != nil {
		panic(err) // strings and numbers: cannot happen
	}
	return b.Bytes()
}

// OrderPage is one page of a list.
type OrderPage struct {
	Orders     []Order `json:"orders" doc:"Newest first"`
	NextCursor string  `json:"nextCursor,omitempty" example:"AQGZyKQ_W3wxnV4vaosfTX4h4R2l" doc:"Gets the next page; absent on the last"`
}

type listInput struct {
	CustomerID string      `query:"customerId" maxLength:"200" doc:"Only this customer's orders"`
	Status     OrderStatus `query:"status" doc:"Only orders with this status"`
	PlacedRange
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"20" doc:"Orders per page"`
	Cursor string `query:"cursor" maxLength:"100" doc:"The nextCursor of the page before, with the same filter"`
}

// PlacedRange is when orders were placed. Exported for Huma, which does not look into what is not.
type PlacedRange struct {
	From time.Time `query:"from" example:"2026-11-01T00:00:00Z" doc:"Only orders placed at this moment or later"`
	To   time.Time `query:"to" example:"2026-12-01T00:00:00Z" doc:"Only orders placed before this moment"`
}

// set adds the range to the query of a link.
func (p PlacedRange) set(query url.Values) {
	if !p.From.IsZero() {
		query.Set("from", moment(p.From))
	}
	if !p.To.IsZero() {
		query.Set("to", moment(p.To))
	}
}

type listOutput struct {
	Link         string `header:"Link" doc:"The next page, as rel=\"next\" (RFC 8288)"`
	CacheControl string `header:"Cache-Control" hidden:"true"`
	Body         OrderPage
}

func (s *Server) listOperation() operation {
	return declare(operation{
		Operation: huma.Operation{
			OperationID: "listOrders", Method: http.MethodGet, Path: "/api/orders", Tags: []string{tagOrders},
			Summary: "List orders",
			Description: "Newest first, in pages; to a customer only its own. Pages are cut by position and not by number, so " +
				"orders that are placed meanwhile neither repeat nor hide others.",
		},
		permission: permitRead, action: "list",
	}, s.list)
}

func (s *Server) list(ctx context.Context, in *listInput) (*listOutput, error) {
	filter := store.Filter{CustomerID: in.CustomerID, Status: orders.Status(in.Status), From: in.From, To: in.To}
	out, err := s.page(ctx, filter, in.Limit, in.Cursor)
	if err == nil && out.Body.NextCursor != "" {
		query := url.Values{}
		in.set(query)
		if in.CustomerID != "" {
			query.Set("customerId", in.CustomerID)
		}
		if in.Status != "" {
			query.Set("status", string(in.Status))
		}
		out.Link = nextLink("/api/orders", in.Limit, out.Body.NextCursor, query)
	}
	return out, err
}

// page reads a page of the orders that a filter selects, after a cursor.
func (s *Server) page(ctx context.Context, filter store.Filter, limit int, cursor string) (*listOutput, error) {
	visible := exchangeOf(ctx).principal.restrict(&filter)
	filter.Limit = limit + 1 // one more than asked for tells whether there is another page
	if cursor != "" {
		var err error
		if filter.Before, err = decodeCursor(filter, cursor); err != nil {
			return nil, err
		}
	}
	var found []orders.Order
	if visible {
		var err error
		if found, err = s.config.Store.Orders(ctx, filter); err != nil {
			return nil, err
		}
	}
	out := &listOutput{CacheControl: revalidate, Body: OrderPage{Orders: make([]Order, 0, len(found))}}
	if len(found) > limit {
		found = found[:limit]
		out.Body.NextCursor = encodeCursor(filter, found[len(found)-1].ID)
	}
	for i := range found {
		out.Body.Orders = append(out.Body.Orders, newOrder(&found[i], exchangeOf(ctx).principal))
	}
	return out, nil
}
