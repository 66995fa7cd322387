package api

import (
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/millrace-orders/millrace/explain"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

// exampleExplanation explains an order whose payment waits, because an operator pauses the lane.
func exampleExplanation() Explanation {
	order := exampleOrder(orders.ReserveInventory, orders.QuoteShipping)
	at := order.PlacedAt.Add(30 * time.Second)
	order.Origin = orders.Origin{
		RequestID:   "5a0e5a64-9c0b-4a2e-8c57-6b3a52a0c0de",
		Traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
	}
	hold := store.Hold{Reason: "The bank is moving", Since: order.PlacedAt, Until: order.PlacedAt.Add(time.Hour)}
	x := newExplanation(explain.Of(store.Evidence{
		Order: order, At: at, Workers: []store.Worker{{ID: "web1_2026_11_22T11_59_00_000000", HeartbeatAt: at, Live: true}},
		Holds: map[string]store.Hold{string(orders.Payment): hold},
		Jobs: []store.LiveJob{{
			Kind: string(orders.AuthorizePayment), Queue: string(orders.Payment), State: "available", Generation: "1",
			ScheduledAt: order.PlacedAt,
		}},
	}), true)
	x.Belongs = newBelongings(order, store.Belongings{Deliveries: map[string]int64{"delivered": order.Version}})
	return x
}

// TransformSchema gives the document an example whose fields fit together.
func (Explanation) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	s.Examples = []any{exampleExplanation()}
	return s
}

// TransformSchema gives the document an example whose fields fit together.
func (ExplainedStep) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	s.Examples = []any{exampleExplanation().Waits[0]}
	return s
}

// TransformSchema gives the document an example whose fields fit together.
func (ExplainedNext) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	s.Examples = []any{*exampleExplanation().Next}
	return s
}
