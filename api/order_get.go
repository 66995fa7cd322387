package api

import (
	"bytes"
	"context"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/millrace-orders/millrace/api/problems"
	"github.com/millrace-orders/millrace/orders"
)

// revalidate lets only the caller cache an order, and makes it ask each time whether the order has changed.
const revalidate = "private, no-cache"

var errVersionNotReached = problems.New(problems.Stale, "version_not_reached",
	"The order has not reached the version in Minimum-Version.").
	With(problems.ProblemError{
		Location: "header.Minimum-Version", Message: "must be a version that the order has had",
	})

type getInput struct {
	ID          orderID `path:"id" doc:"The order's id"`
	AtLeast     int64   `header:"Minimum-Version" minimum:"1" example:"4" doc:"A version that the order is known to have, such as the ETag of a write. The answer is at least as new, whichever process gives it"`
	IfNoneMatch string  `header:"If-None-Match" example:"\"4\"" doc:"The ETag of the caller's copy. The answer is 304 if the copy is current"`
}

func (o orderOperations) getOperation() operation {
	return declare(operation{
		Operation: huma.Operation{
			OperationID: "getOrder", Method: http.MethodGet, Path: "/api/orders/{id}", Tags: []string{tagOrders},
			Summary: "Get an order",
			Description: "The order with its items and steps, from a cache that is as fresh as the event feed. A process " +
				"shows its own writes at once, and other processes' writes within moments. Send `Minimum-Version` to be sure to " +
				"see a write that another process answered.",
		},
		permission: permitRead, action: "get",
		errors: []*problems.Error{errVersionNotReached}, responses: getResponses,
	}, o.get)
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

// get writes the body itself, so that a cached order is encoded once: encoding is most of the cost of a cached answer.
func (o orderOperations) get(ctx context.Context, in *getInput) (*huma.StreamResponse, error) {
	id, err := in.ID.parse()
	if err != nil {
		return nil, err
	}
	order, err := o.cache.Get(ctx, id, in.AtLeast)
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
			body = encodeFor(&order.Order, who) // not the bytes that the other roles share
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
