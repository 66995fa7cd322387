package client

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/millrace-orders/millrace/client/oas"
)

// Order is an order as it was at its Version.
type Order struct {
	ID              string // a UUID; ids sort by the time of placing
	CustomerID      string
	Status          Status
	Message         string // where the order stands, in one sentence
	Reason          string // why it is being undone, was undone or needs attention; empty if nothing is wrong
	Progress        int    // percent of the steps to completion that are done
	Currency        string // ISO 4217
	Total           Amount
	Refunded        Amount // what has been given back of it
	Items           []Item
	PaymentMethod   string
	ShippingAddress *Address // nil if none was sent
	Steps           []Step   // what was started at the providers, oldest first
	Version         int64    // counts the order's events: 1, 2, 3 and so on
	CreatedAt       time.Time
	UpdatedAt       time.Time

	// Replayed says that this call changed nothing, because an earlier one had done so under the same idempotency key.
	Replayed bool
}

// Item is a line of an order.
type Item struct {
	ProductID int64
	Quantity  int64
	Price     Amount // of one; the zero value is a price of zero, and accepted as such
}

// Address is where to send an order.
type Address struct {
	Name       string
	Line1      string // required
	Line2      string
	City       string // required
	PostalCode string
	Country    string // required: two capital letters (ISO 3166-1)
}

// Step is something that was started at a provider.
type Step struct {
	Name       StepName
	Generation int // 1, and one more each time the step is done again, such as for a second refund
	State      StepState
	Reason     string // why it was refused or is unknown
	Reference  string // the provider's own id of what it did
	StartedAt  time.Time
	SettledAt  time.Time // zero while it is pending
}

// Status is where an order stands. More may be added.
type Status = oas.OrderStatus

// The states of an order. It is at rest unless it is pending or processing.
const (
	Pending        = oas.OrderStatusPending
	Processing     = oas.OrderStatusProcessing
	Completed      = oas.OrderStatusCompleted
	Failed         = oas.OrderStatusFailed
	Cancelled      = oas.OrderStatusCancelled
	Refunded       = oas.OrderStatusRefunded
	NeedsAttention = oas.OrderStatusNeedsAttention
)

// StepName is a step of the saga, for example capture_payment.
type StepName = oas.StepName

// StepState is how far a step is: pending, succeeded, refused or unknown.
type StepState = oas.StepState

// AtRest says that the order has come to its end, whichever it is.
func (o *Order) AtRest() bool { return atRest(o.Status) }

func atRest(s Status) bool { return s != Pending && s != Processing }

// orderAnswer is every answer that is an order: the generated types differ in their headers.
type orderAnswer interface{ GetResponse() oas.Order }

func newOrder(o oas.Order) *Order {
	out := &Order{
		ID: o.OrderID.String(), CustomerID: o.CustomerID, Status: o.Status, Message: o.Message, Reason: o.Reason.Value,
		Progress: int(o.Progress), Currency: o.Currency, Total: Amount{o.Total}, Refunded: Amount{o.Refunded},
		PaymentMethod: o.PaymentMethod.Value,
		Version:       o.Version, CreatedAt: o.CreatedAt, UpdatedAt: o.UpdatedAt,
	}
	for _, i := range o.Items {
		out.Items = append(out.Items, Item{i.ProductID, i.Quantity, Amount{i.Price}})
	}
	if a, ok := o.ShippingAddress.Get(); ok {
		out.ShippingAddress = &Address{
			Name: a.Name.Value, Line1: a.Line1, Line2: a.Line2.Value, City: a.City, PostalCode: a.PostalCode.Value,
			Country: a.Country,
		}
	}
	for _, s := range o.Steps {
		out.Steps = append(out.Steps, Step{
			Name: s.Name, Generation: int(s.Generation), State: s.State, Reason: s.Reason.Value, Reference: s.Reference.Value,
			StartedAt: s.StartedAt, SettledAt: s.SettledAt.Value,
		})
	}
	return out
}

// InvalidIDError says that the id of an order, a webhook or a delivery is no UUID. Nothing was sent.
type InvalidIDError struct{ ID string }

func (e *InvalidIDError) Error() string { return fmt.Sprintf("id %q is no UUID", e.ID) }

func parseID(id string) (uuid.UUID, error) {
	parsed, err := uuid.Parse(id)
	if err != nil {
		return parsed, &InvalidIDError{ID: id}
	}
	return parsed, nil
}
