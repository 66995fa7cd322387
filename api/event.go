package api

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/stream"
)

// tagEvents is the operations' group in the document.
const tagEvents = "Events"

// eventOperations are the operations on events.
type eventOperations struct {
	orders   *store.Orders
	log      *store.Log
	reads    reads
	load     *load
	streams  *stream.Streams
	draining <-chan struct{}
}

func (o eventOperations) all() []operation {
	return []operation{o.eventsOperation(), o.feedOperation()}
}

// EventType is what an event is called on the wire: the names that the seeds' hub uses.
type EventType string

// The types of events.
const (
	orderCreated            EventType = "OrderCreated"
	orderStatusUpdated      EventType = "OrderStatusUpdated"
	orderProcessingProgress EventType = "OrderProcessingProgress"
)

func eventTypes() []EventType {
	return []EventType{orderCreated, orderStatusUpdated, orderProcessingProgress}
}

// Schema describes it to Huma.
func (EventType) Schema(r huma.Registry) *huma.Schema {
	return enum(r, "EventType", "What a listener wants to know: there is a new order, its status changed, or neither",
		eventTypes())
}

// EventKind is an orders.EventKind.
type EventKind string

// Schema describes it to Huma.
func (EventKind) Schema(r huma.Registry) *huma.Schema {
	return enum(r, "EventKind", "What happened", orders.EventKinds())
}

// OrderEvent is one entry of an order's log.
type OrderEvent struct {
	OrderID   orders.ID   `json:"orderId" format:"uuid" example:"0199c8a4-3f5b-7c31-9d5e-2f6a8b1c4d7e" doc:"Whose event it is"`
	Version   int64       `json:"version" minimum:"1" example:"2" doc:"The order's version after it: 1, 2, 3 and so on without gaps"`
	Type      EventType   `json:"type" example:"OrderStatusUpdated"`
	Kind      EventKind   `json:"kind" example:"step_succeeded"`
	Status    OrderStatus `json:"status" example:"processing" doc:"The order's status after it"`
	Progress  int         `json:"progress" minimum:"0" maximum:"100" example:"20" doc:"Percent of the steps to completion that were done after it"`
	Message   string      `json:"message" example:"Payment authorisation succeeded" doc:"What happened, in one sentence"`
	Step      *StepName   `json:"step,omitempty" example:"authorize_payment" doc:"The step whose outcome it is, or that a person settled"`
	Reason    string      `json:"reason,omitempty" example:"card_declined" doc:"Why the step was refused or has no known outcome, or was settled so"`
	Actor     string      `json:"actor,omitempty" example:"7kq2mxw5a3fd" doc:"Who asked for it; customers are not told"`
	Timestamp time.Time   `json:"timestamp" example:"2026-11-22T12:00:01Z"`
}

// newOrderEvent is an event as its reader may see it: see Principal.isDiscreet.
func newOrderEvent(e orders.Event, discreet bool) OrderEvent {
	out := OrderEvent{
		OrderID: e.OrderID, Version: e.Version, Type: EventType(e.Type()), Kind: EventKind(e.Kind),
		Status: OrderStatus(e.Status), Progress: e.Progress, Message: e.Message(), Reason: e.Reason,
		Actor: actorOf(e, discreet), Timestamp: e.At.UTC(),
	}
	if e.Step != "" {
		out.Step = new(StepName(e.Step))
	}
	return out
}

// actorOf names the caller behind an event, unless the reader is a customer: customers may not learn the names of the
// shop's people.
func actorOf(e orders.Event, discreet bool) string {
	if discreet {
		return ""
	}
	return e.Principal
}

// encodeEvent returns an event as streams send it.
func encodeEvent(e orders.Event, discreet bool) ([]byte, error) {
	return json.Marshal(newOrderEvent(e, discreet))
}

// wantsStream prefers a stream only where it is asked for by name.
func wantsStream(accept string) bool {
	return strings.Contains(strings.ToLower(accept), mediaStream) &&
		quality(accept, mediaStream) > 0 && quality(accept, mediaStream) >= quality(accept, mediaJSON)
}

// follow answers with a stream.
func (o eventOperations) follow(ctx context.Context, from stream.Source) (*huma.StreamResponse, error) {
	x := exchangeOf(ctx)
	leave, err := o.load.stayFollowing(ctx)
	if err != nil {
		return nil, err
	}
	client := stream.Client{
		Holder: x.principal.share(), Discreet: x.principal.isDiscreet(), RequestID: x.requestID, Allowed: x.stillAllowed,
		Leave: leave,
	}
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		r, w := humachi.Unwrap(hctx)
		o.streams.Serve(w, r, from, client)
	}}, nil
}

// jsonResponse is the answer of an operation that could have answered with a stream.
func jsonResponse(body any) *huma.StreamResponse {
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		hctx.SetHeader("Content-Type", mediaJSON)
		hctx.SetHeader("Cache-Control", revalidate)
		hctx.AppendHeader("Vary", "Accept")
		_ = encodeJSON(hctx.BodyWriter(), body)
	}}
}
