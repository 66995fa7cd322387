// Package orders is the domain: what an order is, what may happen to it, and which steps come next.
//
// It does no I/O and keeps no state. Decide is the whole business logic. store runs Decide under a row lock and writes
// the decision, jobs carries out the started steps, and api shows the result. Every package may import this one; it
// imports the standard library and google/uuid only.
package orders

import (
	"slices"
	"time"

	"github.com/google/uuid"
)

// ID identifies an order: a UUIDv7 (RFC 9562), made by the application, so ids sort by the time of placing.
type ID = uuid.UUID

// NewID returns a fresh id. It panics only if the system has no randomness.
func NewID() ID { return uuid.Must(uuid.NewV7()) }

// Order is an order with its items and its steps. Values are treated as immutable: Decide returns a changed copy.
type Order struct {
	ID              ID
	CustomerID      string
	Currency        Currency
	Items           []Item
	Total           Money // of all items
	Refunded        Money // the part of the total that went back
	PaymentMethod   string
	ShippingAddress *Address
	CustomerEmail   string // empty if unknown
	Origin          Origin

	// Version counts the order's events: 1 after placement, one more with each event that changed the order. It is the
	// sequence of its events, the ETag, the id on its event stream, and how the cache recognises a stale order.
	Version int64
	Status  Status
	Goal    Goal
	Reason  string // why the order is being undone or needs attention; empty while all is well
	Steps   []Step // sorted by start

	PlacedAt  time.Time
	UpdatedAt time.Time
}

// Origin is the request that placed an order. It decides nothing: people find requests, log lines and traces by it.
type Origin struct {
	RequestID string // of the HTTP request; empty if unknown
	// Traceparent is the request's place in a trace (W3C Trace Context); empty if it has none.
	Traceparent string
}

// Item is one line of an order.
type Item struct {
	ProductID int64
	Quantity  int64
	Price     Money // of one piece
}

// Address is where the goods are sent. Country is an ISO 3166-1 alpha-2 code.
type Address struct {
	Name       string `json:"name,omitempty"`
	Line1      string `json:"line1"`
	Line2      string `json:"line2,omitempty"`
	City       string `json:"city"`
	PostalCode string `json:"postalCode,omitempty"`
	Country    string `json:"country"`
}

// Step returns a generation of the named step, or nil if it was never started.
func (o *Order) Step(name StepName, generation int) *Step {
	for i := len(o.Steps) - 1; i >= 0; i-- { // usually one of the last
		if s := &o.Steps[i]; s.Name == name && s.Generation == generation {
			return s
		}
	}
	return nil
}

// Latest returns the latest generation of the named step, or nil if it was never started.
func (o *Order) Latest(name StepName) (latest *Step) {
	for i := range o.Steps {
		s := &o.Steps[i]
		if s.Name != name || latest != nil && s.Generation < latest.Generation {
			continue
		}
		if latest = s; name.forward() {
			break // a forward step runs once, and is among the first
		}
	}
	return latest
}

// Idle reports whether the order is at rest and no step is under way: it stays so until a caller requests a change.
func (o *Order) Idle() bool {
	return o.Status.AtRest() && !slices.ContainsFunc(o.Steps, func(s Step) bool { return s.State == StatePending })
}

// Refundable returns how much of a completed order's money can still be refunded. Pending refunds are subtracted.
func (o *Order) Refundable() Money {
	left := o.Total - o.Refunded
	for _, s := range o.Steps {
		if s.Name == RefundPayment && s.State == StatePending {
			left -= s.Amount
		}
	}
	return left
}

// Progress returns the share of the forward steps that are done, in percent.
func (o *Order) Progress() int {
	var done, all int
	for _, spec := range saga {
		if spec.Role != Forward || o.leavesOut(spec) {
			continue
		}
		all++
		if s := o.Latest(spec.Name); s != nil && s.State == StateSucceeded {
			done++
		}
	}
	return 100 * done / all
}

// Message describes the order's status in one sentence.
func (o *Order) Message() string {
	switch o.Status {
	case Completed:
		return "Order is completed"
	case Failed:
		return "Order failed: " + o.Reason
	case Cancelled:
		return "Order is cancelled"
	case Refunded:
		return "Order is refunded: " + o.Reason
	case NeedsAttention:
		return "Order needs attention: " + o.Reason
	case Pending, Processing:
	}
	switch o.Goal {
	case GoalCancel:
		return "Order is being cancelled"
	case GoalFail:
		return "Order is being undone: " + o.Reason
	case GoalComplete:
	}
	return "Order is being processed"
}
