package orders

import (
	"slices"
	"strings"
	"time"
)

// Provider is a service that steps call. It is also the name of the River queue of the steps that wait for it: one
// queue, one lane, one breaker and one connection pool each, so that a slow provider holds up no other provider's
// steps.
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

// Role is the part a step plays in the saga.
type Role int

// The roles.
const (
	Forward      Role = iota // brings the order closer to completion
	Compensation             // undoes a forward step
	Notice                   // tells the customer; never changes how the order ends
)

// Spec is a row of the saga: everything that defines one step. The rest follows from the row: the step's queue and
// breaker are its provider's, and its River kind is its name.
type Spec struct {
	Name     StepName
	Role     Role
	Provider Provider
	// Path is where the step is sent, below its provider's base URL. No two steps of a provider share a path.
	Path string
	// Body makes the request body, which encoding/json must be able to encode. It must not read the saga.
	// docs/providers.md is the contract.
	Body func(*Order, Step) any

	After []StepName // forward steps that must have succeeded first
	// Undo is the compensation. Only a step without an effect needs none. Such a step must not follow a step with an
	// effect: undoing waits until everything that builds on a step is undone.
	Undo StepName
	// Charges: the step takes the order's total, and is left out if the total is 0. It moves money, too.
	Charges bool
	// MovesMoney: the body names an amount that the effect must have. A compensation that moves money is never sent
	// under a second key without an operator: money could go back twice.
	MovesMoney bool
	Pivot      bool // undoing is free before this step; after it the money must go back

	Sought bool // people know the effect by the provider's reference: the order is found by it

	Within time.Duration // from start to deadline
	Title  string        // for messages
}

// A customer waits for the first steps, so these give up early, while undoing is still free. The others continue for as
// long as a provider can be trusted to remember an idempotency key (24 h is common), less a margin: a send under a
// forgotten key could take money twice.
const (
	customerWaits     = time.Hour
	providerRemembers = 20 * time.Hour
)

// Specs lists the saga's steps: forward steps in order, then compensations, then notices.
func Specs() []Spec { return slices.Clone(saga) }

// Spec returns the step's row of the saga; ok is false for a name that is not a step.
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

func (n StepName) movesMoney() bool {
	spec, _ := n.Spec()
	return spec.MovesMoney
}

// Begins reports whether the step is among an order's first, which Place starts.
func (s Spec) Begins() bool { return s.Role == Forward && len(s.After) == 0 }

// Undoes returns the step that this one compensates; empty if it is not a compensation.
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
