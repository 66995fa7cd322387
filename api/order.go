package api

import (
	"log/slog"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/millrace-orders/millrace/cache"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

// tagOrders is the operations' group in the document.
const tagOrders = "Orders"

// orderOperations are the operations on one order. Those on lists of orders are orderLists.
type orderOperations struct {
	orders *store.Orders
	reads  reads
	cache  *cache.Orders
	holds  *store.Holds
	logger *slog.Logger
	now    func() time.Time
	waiter waiter
}

func (o orderOperations) all() []operation {
	return []operation{
		o.placeOperation(), o.getOperation(), o.cancelOperation(), o.refundOperation(), o.settleOperation(),
		o.explainOperation(),
	}
}

// Order is an order as the API shows it.
type Order struct {
	OrderID         orders.ID   `json:"orderId" format:"uuid" example:"0199c8a4-3f5b-7c31-9d5e-2f6a8b1c4d7e" doc:"The order's id: a UUIDv7, so ids sort by the time of placement"`
	CustomerID      string      `json:"customerId" example:"1" doc:"The customer who placed the order"`
	Status          OrderStatus `json:"status" example:"processing"`
	Message         string      `json:"message" example:"Order is being processed" doc:"Where the order stands, in one sentence"`
	Progress        int         `json:"progress" minimum:"0" maximum:"100" example:"60" doc:"How many percent of the steps to completion are done"`
	Currency        string      `json:"currency" example:"USD" doc:"ISO 4217 code"`
	Total           Amount      `json:"total" example:"209.97"`
	Refunded        Amount      `json:"refunded" example:"0.00"`
	Items           []OrderItem `json:"items" doc:"The items, as they were sent"`
	PaymentMethod   string      `json:"paymentMethod,omitempty" example:"card" doc:"As it was sent; a viewer sees ***"`
	ShippingAddress *Address    `json:"shippingAddress,omitempty"`
	Reason          string      `json:"reason,omitempty" example:"authorize_payment refused: card_declined" doc:"Why the order is being undone, was undone, or needs attention"`
	Steps           []OrderStep `json:"steps" doc:"The steps that were started at the providers, first to last"`
	Version         int64       `json:"version" minimum:"1" example:"4" doc:"The number of events that the order has had; also its ETag"`
	CreatedAt       time.Time   `json:"createdAt" example:"2026-11-22T12:00:00Z"`
	UpdatedAt       time.Time   `json:"updatedAt" example:"2026-11-22T12:00:03Z"`
}

// OrderItem is one line of an order.
type OrderItem struct {
	ProductID int64  `json:"productId" minimum:"1" example:"1" doc:"The product's id"`
	Quantity  int64  `json:"quantity" minimum:"1" maximum:"10000" example:"2" doc:"The number of units"`
	Price     Amount `json:"price" example:"29.99"`
}

// Address is the address that the goods are sent to.
type Address struct {
	Name       string `json:"name,omitempty" maxLength:"200" example:"Ada Lovelace"`
	Line1      string `json:"line1" minLength:"1" maxLength:"200" example:"1 Main St"`
	Line2      string `json:"line2,omitempty" maxLength:"200"`
	City       string `json:"city" minLength:"1" maxLength:"200" example:"Springfield"`
	PostalCode string `json:"postalCode,omitempty" maxLength:"200" example:"12345"`
	Country    string `json:"country" pattern:"^[A-Z]{2}$" patternDescription:"two capital letters" example:"US" doc:"ISO 3166-1 alpha-2 code"`
}

// OrderStep is one step: a call to a provider.
type OrderStep struct {
	Name       StepName   `json:"name" example:"authorize_payment"`
	Generation int        `json:"generation" minimum:"1" example:"1" doc:"1, and one more each time the step is started again, for example for a second refund"`
	State      StepState  `json:"state" example:"succeeded"`
	Reason     string     `json:"reason,omitempty" example:"card_declined" doc:"Why the step was refused, or why its outcome is unknown"`
	Reference  string     `json:"reference,omitempty" example:"auth_1" doc:"The provider's own id of the effect"`
	StartedAt  time.Time  `json:"startedAt" example:"2026-11-22T12:00:00Z"`
	SettledAt  *time.Time `json:"settledAt,omitempty" example:"2026-11-22T12:00:01Z" doc:"When the step got its outcome; absent while the step is pending"`
}

// newOrder makes the order that a principal sees.
func newOrder(o *orders.Order, who Principal) Order {
	out := Order{
		OrderID: o.ID, CustomerID: o.CustomerID,
		Status: OrderStatus(o.Status), Message: o.Message(), Progress: o.Progress(),
		Currency: string(o.Currency), Total: newAmount(o.Currency, o.Total),
		Refunded: newAmount(o.Currency, o.Refunded), Items: make([]OrderItem, len(o.Items)),
		PaymentMethod: o.PaymentMethod, ShippingAddress: (*Address)(o.ShippingAddress), Reason: o.Reason,
		Steps: make([]OrderStep, len(o.Steps)), Version: o.Version,
		CreatedAt: o.PlacedAt.UTC(), UpdatedAt: o.UpdatedAt.UTC(),
	}
	if !who.seesPersonal() {
		out.PaymentMethod, out.ShippingAddress = mask(out.PaymentMethod), maskAddress(out.ShippingAddress)
	}
	for i, item := range o.Items {
		out.Items[i] = OrderItem{item.ProductID, item.Quantity, newAmount(o.Currency, item.Price)}
	}
	for i, s := range o.Steps {
		out.Steps[i] = OrderStep{
			Name: StepName(s.Name), Generation: s.Generation, State: StepState(s.State),
			Reason: s.Reason, Reference: s.Reference,
			StartedAt: s.StartedAt.UTC(),
		}
		if !s.SettledAt.IsZero() {
			out.Steps[i].SettledAt = new(s.SettledAt.UTC())
		}
	}
	return out
}

// OrderStatus is an orders.Status.
type OrderStatus string

// Schema describes it to Huma.
func (OrderStatus) Schema(r huma.Registry) *huma.Schema {
	return enum(r, "OrderStatus", "Where an order stands. An order is at rest unless it is pending or processing",
		orders.Statuses())
}

// StepName is an orders.StepName.
type StepName string

// Schema describes it to Huma.
func (StepName) Schema(r huma.Registry) *huma.Schema {
	var names []orders.StepName
	for _, spec := range orders.Specs() {
		names = append(names, spec.Name)
	}
	return enum(r, "StepName", "A step of the saga", names)
}

// StepState is an orders.StepState.
type StepState string

// Schema describes it to Huma.
func (StepState) Schema(r huma.Registry) *huma.Schema {
	return enum(r, "StepState", "How far a step is. Unknown: Millrace gave up without an answer",
		[]orders.StepState{orders.StatePending, orders.StateSucceeded, orders.StateRefused, orders.StateUnknown})
}
