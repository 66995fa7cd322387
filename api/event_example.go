package api

import (
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/stream"
)

const exampleCursor = "1-2f4-9a-19c2d7f1e3b"

// exampleEvents returns an event of each type, from the order of the document's examples.
func exampleEvents() map[EventType]OrderEvent {
	placed := examplePlaced()
	authorized := exampleSuccess(placed.Order, orders.AuthorizePayment)
	reserved := exampleSuccess(authorized.Order, orders.ReserveInventory)
	placed.Event.Principal = "7kq2mxw5a3fd"
	examples := map[EventType]OrderEvent{}
	for _, decision := range []orders.Decision{placed, authorized, reserved} {
		event := newOrderEvent(decision.Event, false)
		examples[event.Type] = event
	}
	return examples
}

// exampleFeedCursor returns the data of an event of the feed itself.
func exampleFeedCursor(t EventType) FeedCursor {
	cursor := FeedCursor{Next: exampleCursor}
	if t == eventResync {
		cursor.Detail = resyncDetail
	}
	return cursor
}

// exampleStreamEvent returns an event as a stream sends it.
func exampleStreamEvent(t EventType) map[string]any {
	if event, ok := exampleEvents()[t]; ok {
		return map[string]any{"id": strconv.FormatInt(event.Version, 10), "event": t, "data": event}
	}
	return map[string]any{"id": exampleCursor, "event": t, "data": exampleFeedCursor(t)}
}

// TransformSchema gives the document an example whose fields fit together.
func (OrderEvent) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	s.Examples = []any{exampleEvents()[orderStatusUpdated]}
	return s
}

// TransformSchema gives the document the example of a cursor, which has no detail.
func (FeedCursor) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	s.Examples = []any{exampleFeedCursor(stream.EventCursor)}
	return s
}
