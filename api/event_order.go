package api

import (
	"context"
	"net/http"
	"reflect"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/millrace-orders/millrace/api/problems"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/stream"
)

// OrderEvents is a part of an order's log.
type OrderEvents struct {
	Events []OrderEvent `json:"events" doc:"Oldest first"`
}

type eventsInput struct {
	ID          orderID `path:"id" doc:"The order's id"`
	After       int64   `query:"after" minimum:"0" default:"0" doc:"Only events after this version"`
	Limit       int     `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"Events in the answer; a stream has no limit"`
	LastEventID string  `header:"Last-Event-ID" example:"2" doc:"The id of the last event that was received: a stream goes on after it. Browsers send it when they reconnect"`
	Accept      string  `header:"Accept" hidden:"true"`
	TicketParam
}

// from is the version after which the caller wants to hear, and where the request says so. What a browser remembers
// counts more than the address that it was once given.
func (in *eventsInput) from() (after int64, location string, err error) {
	if in.LastEventID == "" {
		return in.After, "query.after", nil
	}
	const header = "header.Last-Event-ID"
	after, err = strconv.ParseInt(in.LastEventID, 10, 64)
	if err != nil || after < 0 {
		return 0, header, badInput(header, "must be the id of an event of this order")
	}
	return after, header, nil
}

func (o eventOperations) eventsOperation() operation {
	return declare(operation{
		Operation: huma.Operation{
			OperationID: "listOrderEvents", Method: http.MethodGet, Path: "/api/orders/{id}/events", Tags: []string{tagEvents},
			Summary: "Read or follow an order's events",
			Description: "Everything that happened to the order, oldest first. With `Accept: text/event-stream` as " +
				"server-sent events, live: the stream ends by itself when the order is at rest and nothing is pending any more. " +
				"A client that reconnects then with `Last-Event-ID` gets 204, which tells a browser's EventSource to stop.",
		},
		permission: permitFollow, action: "events",
		errors: []*problems.Error{errTooManyStreams, errTooManyOwnStreams}, responses: eventsResponses,
	}, o.events)
}

func (o eventOperations) events(ctx context.Context, in *eventsInput) (*huma.StreamResponse, error) {
	id, err := in.ID.parse()
	if err != nil {
		return nil, err
	}
	after, location, err := in.from()
	if err != nil {
		return nil, err
	}
	// Not from the cache: what a client has seen elsewhere must not be beyond what is known here.
	order, err := o.orders.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	live, who := wantsStream(in.Accept), exchangeOf(ctx).principal
	if live && after > order.Version {
		return nil, badInput(location, "must not be beyond the order's last event")
	}
	if live && !stream.Finished(&order) {
		return o.follow(ctx, o.orderSource(id, after))
	}
	found, err := o.orders.Events(ctx, id, after, in.Limit)
	switch {
	case err != nil:
		return nil, err
	case live && len(found) == 0: // of events that have been pruned there is no more either
		return &huma.StreamResponse{Body: func(hctx huma.Context) { hctx.SetStatus(http.StatusNoContent) }}, nil
	case live:
		return o.follow(ctx, o.orderSource(id, after))
	}
	body := OrderEvents{Events: make([]OrderEvent, len(found))}
	for i, e := range found {
		body.Events[i] = newOrderEvent(e, who.isDiscreet())
	}
	return jsonResponse(body), nil
}

// orderSource is what there is of an order after a version.
func (o eventOperations) orderSource(id orders.ID, after int64) stream.Source {
	return &stream.Order{ID: id, Sent: after, Load: o.orders.Get, Events: o.orders.Events}
}

// eventsResponses describes both forms of an order's events.
func eventsResponses(r huma.Registry) map[string]*huma.Response {
	for _, t := range eventTypes() {
		streamEvent(r, t, r.Schema(reflect.TypeFor[OrderEvent](), true, ""))
	}
	responses := streamResponses(r, "OrderStreamEvent", eventTypes(), reflect.TypeFor[OrderEvents]())
	responses["204"] = &huma.Response{Description: "There will be no more events"}
	return responses
}
