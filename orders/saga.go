package orders

import (
	"slices"
	"strings"
	"time"
)

// Provider is a service that steps call. It is also the name of the River queue of its steps: one queue, one breaker
// and one connection pool each, so that a slow provider holds up nobody else's steps.
type Provider string

// The providers.
const (
	Payment   Provider = "payment"
	Inventory Provider = "inventory"
	Shipping  Provider = "shipping"
	Email     Provider = "email"
)

// Providers lists all providers.
func Providers() []Provider { return []Provider{Payment, Inventory, Shipping, Email} }

// The steps.
const (
	AuthorizePayment StepName = "authorize_payment"
	ReserveInventory StepName = "reserve_inventory"
	QuoteShipping    StepName = "quote_shipping"
	CapturePayment   StepName = "capture_payment"
	BookShipment     StepName = "book_shipment"

	VoidPayment      StepName = "void_payment"
	ReleaseInventory StepName = "release_inventory"
	RefundPayment    StepName = "refund_payment"
	CancelShipment   StepName = "cancel_shipment"

	SendEmail StepName = "send_email"
)

// Role is the part a step plays in the saga.
type Role int

// The roles.
const (
	Forward      Role = iota // brings the order closer to completion
	Compensation             // undoes a forward step
	Notice                   // tells somebody; never changes how the order ends
)

// Spec is a row of the saga: one step, when it may start and what undoes it.
type Spec struct {
	Name     StepName
	Role     Role
	Provider Provider
	After    []StepName    // forward steps that must have succeeded first
	Undo     StepName      // the compensation, if the step has an effect
	Charges  bool          // takes the order's total, and is left out if that is nothing
	Pivot    bool          // before it an order is undone for free; after it the money has to go back
	Within   time.Duration // from start to deadline
	Title    string        // for messages
}

// Deadlines. A customer waits for the first steps, so they give up early: undoing is still free. The others go on
// for as long as a provider can be trusted to remember an idempotency key (24 h is common), less a margin: sending
// under a forgotten key could take money twice.
const (
	customerWaits     = time.Hour
	providerRemembers = 20 * time.Hour
)

// saga is the order's whole life: Decide reads nothing else. A new step is a new row here and a route in upstream.
//
//nolint:gochecknoglobals // a constant; Go has none of this type
var saga = []Spec{
	{
		Name: AuthorizePayment, Provider: Payment, Undo: VoidPayment, Charges: true,
		Within: customerWaits, Title: "Payment authorisation",
	},
	{
		Name: ReserveInventory, Provider: Inventory, Undo: ReleaseInventory,
		Within: customerWaits, Title: "Inventory reservation",
	},
	{
		Name: QuoteShipping, Provider: Shipping,
		Within: customerWaits, Title: "Shipping quote",
	},
	{
		Name: CapturePayment, Provider: Payment, Undo: RefundPayment, Charges: true, Pivot: true,
		After:  []StepName{AuthorizePayment, ReserveInventory, QuoteShipping},
		Within: providerRemembers, Title: "Payment capture",
	},
	{
		Name: BookShipment, Provider: Shipping, Undo: CancelShipment, After: []StepName{CapturePayment},
		Within: providerRemembers, Title: "Shipment",
	},

	{
		Name: VoidPayment, Role: Compensation, Provider: Payment,
		Within: providerRemembers, Title: "Payment void",
	},
	{
		Name: ReleaseInventory, Role: Compensation, Provider: Inventory,
		Within: providerRemembers, Title: "Inventory release",
	},
	{
		Name: RefundPayment, Role: Compensation, Provider: Payment,
		Within: providerRemembers, Title: "Refund",
	},
	{
		Name: CancelShipment, Role: Compensation, Provider: Shipping,
		Within: providerRemembers, Title: "Shipment cancellation",
	},

	{
		Name: SendEmail, Role: Notice, Provider: Email,
		Within: providerRemembers, Title: "E-mail",
	},
}

// Specs lists the saga's steps: forward steps in order, then compensations, then notices.
func Specs() []Spec { return slices.Clone(saga) }

// Spec returns the step's row of the saga; ok is false for a name that is no step.
func (n StepName) Spec() (spec Spec, ok bool) {
	i := slices.IndexFunc(saga, func(s Spec) bool { return s.Name == n })
	if i < 0 {
		return Spec{}, false
	}
	return saga[i], true
}

func (n StepName) forward() bool {
	spec, known := n.Spec()
	return known && spec.Role == Forward
}

// Undoes returns the step that this one compensates; empty if it is no compensation.
func (n StepName) Undoes() StepName {
	for _, spec := range saga {
		if spec.Undo == n {
			return spec.Name
		}
	}
	return ""
}

func (n StepName) title() string {
	if spec, ok := n.Spec(); ok {
		return spec.Title
	}
	return strings.ReplaceAll(string(n), "_", " ")
}
