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
	Message         string // the state of the order, in one sentence
	Reason          string // why it is being undone, was undone or needs attention; empty if nothing is wrong
	Progress        int    // percent of the steps to completion that are done
	Currency        string // ISO 4217
	Total           Amount
	Refunded        Amount // the part of Total that was given back
	Items           []Item
	PaymentMethod   string
	ShippingAddress *Address // nil if none was sent
	Steps           []Step   // the steps that were started, oldest first
	Version         int64    // counts the order's events: 1, 2, 3 and so on
	CreatedAt       time.Time
	UpdatedAt       time.Time

	// Replayed reports that this call changed nothing: an earlier call under the same idempotency key had made the
	// change.
	Replayed bool
}

// Item is a line of an order.
type Item struct {
	ProductID int64
	Quantity  int64
	Price     Amount // of one piece; the zero value is a price of zero, which is valid
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

// Step is one call to a provider that the order needs.
type Step struct {
	Name       StepName
	Generation int // 1, and one more for each retry or further refund
	State      StepState
	Reason     string // why it was refused or is unknown
	Reference  string // the provider's own id of the effect
	StartedAt  time.Time
	SettledAt  time.Time // zero while the step is pending
}

// Status is the state of an order. More may be added.
type Status = oas.OrderStatus

// The states of an order. All except pending and processing are at rest.
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

// StepState is the state of a step: pending, succeeded, refused or unknown.
type StepState = oas.StepState

// AtRest reports whether the order is at rest, with any status.
func (o *Order) AtRest() bool { return atRest(o.Status) }

func atRest(s Status) bool { return s != Pending && s != Processing }

// orderAnswer is any answer that is an order. The generated types differ in their headers.
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

// InvalidIDError reports that the id of an order, a webhook or a delivery is not a UUID. Nothing was sent.
type InvalidIDError struct{ ID string }

func (e *InvalidIDError) Error() string { return fmt.Sprintf("id %q is not a UUID", e.ID) }

func parseID(id string) (uuid.UUID, error) {
	parsed, err := uuid.Parse(id)
	if err != nil {
		return parsed, &InvalidIDError{ID: id}
	}
	return parsed, nil
}
