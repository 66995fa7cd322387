package api

import (
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/millrace-orders/millrace/orders"
)

// examplePlaced returns the decision that made the order of the document's examples.
func examplePlaced() orders.Decision {
	placement := orders.Placement{
		CustomerID: "1", Currency: orders.USD, PaymentMethod: "card",
		Items: []orders.Item{{ProductID: 1, Quantity: 2, Price: 29_99}, {ProductID: 2, Quantity: 1, Price: 149_99}},
		ShippingAddress: &orders.Address{
			Name: "Ada Lovelace", Line1: "1 Main St", City: "Springfield", PostalCode: "12345", Country: "US",
		},
	}
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	return orders.Place(placement, uuid.MustParse("0199c8a4-3f5b-7c31-9d5e-2f6a8b1c4d7e"), at)
}

// exampleOrder returns the order of the document's examples after some of its steps succeeded, one a second. The saga
// makes it, so that its status, steps, progress and version fit together.
func exampleOrder(succeeded ...orders.StepName) orders.Order {
	order := examplePlaced().Order
	for _, step := range succeeded {
		order = exampleSuccess(order, step).Order
	}
	return order
}

// exampleSuccess returns the decision on a step that succeeded, a second after the order's last event.
func exampleSuccess(o orders.Order, step orders.StepName) orders.Decision {
	return exampleDecision(o, orders.Event{
		Kind: orders.StepSucceeded, Step: step, Generation: 1, Reference: exampleReference(step),
	})
}

func exampleReference(step orders.StepName) string { return string(step)[:4] + "_1" }

// exampleDecision applies an event to an order of the examples, a second after the order's last event.
func exampleDecision(o orders.Order, e orders.Event) orders.Decision {
	e.OrderID, e.At = o.ID, o.UpdatedAt.Add(time.Second)
	decision, err := orders.Decide(o, e)
	if err != nil {
		panic(err) // any test that makes the document would find it
	}
	return decision
}

// exampleEvent returns an order of the examples after an event.
func exampleEvent(o orders.Order, e orders.Event) orders.Order { return exampleDecision(o, e).Order }

// exampleSettled returns an order of the examples that needed attention and that an operator has settled with retry.
func exampleSettled() orders.Order {
	o := exampleEvent(exampleOrder(orders.AuthorizePayment), orders.Event{Kind: orders.CancelRequested})
	for _, outcome := range []orders.Event{
		{Kind: orders.StepSucceeded, Step: orders.ReserveInventory, Reference: exampleReference(orders.ReserveInventory)},
		{Kind: orders.StepSucceeded, Step: orders.QuoteShipping, Reference: exampleReference(orders.QuoteShipping)},
		{Kind: orders.StepSucceeded, Step: orders.ReleaseInventory, Reference: exampleReference(orders.ReleaseInventory)},
		{Kind: orders.StepRefused, Step: orders.VoidPayment, Reason: "provider_refused"},
	} {
		outcome.Generation = 1
		o = exampleEvent(o, outcome)
	}
	return exampleEvent(o, orders.Event{Kind: orders.RetryRequested, Reason: "The payment provider is up again"})
}

// showExample returns an order of the examples as a caller with all rights sees it.
func showExample(o orders.Order) Order { return newOrder(&o, Principal{}) }

// TransformSchema gives the document a whole order as the example, because the fields' examples do not fit together.
func (Order) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	s.Examples = []any{showExample(exampleOrder(orders.AuthorizePayment, orders.ReserveInventory, orders.QuoteShipping))}
	return s
}

// TransformSchema gives the document an example whose fields fit together.
func (OrderStep) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	s.Examples = []any{showExample(exampleOrder(orders.AuthorizePayment)).Steps[0]}
	return s
}

// TransformSchema gives the document an example whose total is the sum of its items.
func (Placement) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	o := showExample(examplePlaced().Order)
	items := make([]PlacementItem, len(o.Items))
	for i, item := range o.Items {
		items[i] = PlacementItem(item)
	}
	s.Examples = []any{Placement{
		CustomerID: customerID(o.CustomerID), Items: items, Currency: o.Currency, PaymentMethod: o.PaymentMethod,
		ShippingAddress: o.ShippingAddress, CustomerEmail: "ada@example.com", Total: &o.Total,
	}}
	return s
}

// TransformSchema gives the document an example whose fields fit together.
func (Refund) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	o := examplePlaced().Order
	s.Examples = []any{Refund{
		OrderID: o.ID, Generation: 1, Amount: newAmount(o.Currency, 9_97), Currency: string(o.Currency),
		State: StepState(orders.StatePending), Refundable: newAmount(o.Currency, o.Total-9_97),
		Message: "9.97 USD will be given back",
	}}
	return s
}

// TransformSchema gives the document an example whose fields fit together.
func (Settlement) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	s.Examples = []any{Settlement{
		Action: settleAccept, Step: new(StepName(orders.VoidPayment)), Generation: 1,
		Outcome: new(SettleOutcome(orders.StateSucceeded)), Reference: exampleReference(orders.VoidPayment),
		Reason: "The bank confirms the release",
	}}
	return s
}
