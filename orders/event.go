package orders

import (
	"crypto/sha256"
	"fmt"
	"time"
)

// EventKind is what happened.
type EventKind string

// The kinds of events.
const (
	OrderPlaced     EventKind = "order_placed"
	CancelRequested EventKind = "cancel_requested"
	RefundRequested EventKind = "refund_requested"

	// The three outcomes of a step. StepUnknown means that no further send will be made and nobody can say whether
	// the step took effect; its compensation undoes it by key.
	StepSucceeded EventKind = "step_succeeded"
	StepRefused   EventKind = "step_refused"
	StepUnknown   EventKind = "step_unknown"
)

// EventKinds lists all kinds.
func EventKinds() []EventKind {
	return []EventKind{OrderPlaced, CancelRequested, RefundRequested, StepSucceeded, StepRefused, StepUnknown}
}

// Event is one entry of an order's log. Folding an order's events through Decide yields its state.
type Event struct {
	OrderID ID
	Kind    EventKind
	At      time.Time

	// For a request: who asks and under which idempotency key, if any. A key is unique per principal and kind.
	Principal      string
	IdempotencyKey string
	// IfVersion, if not 0, is the only version of the order to which the event may happen.
	IfVersion int64
	// Amount is how much is asked for, of a request for a refund; 0 for all that is left.
	Amount Money

	// For the outcome of a step: which one, and what the provider said.
	Step       StepName
	Generation int
	Reference  string // the provider's own id of the effect, if it gave one
	Reason     string // why it was refused or is unknown: a short code such as card_declined

	// Set by Decide: the order's version and status after the event, its progress, and whether the status changed.
	Version       int64
	Status        Status
	Progress      int
	StatusChanged bool
}

// Fingerprint identifies what is asked for: a key that comes back with another one is a client's mistake.
func (e Event) Fingerprint() []byte {
	sum := sha256.Sum256(fmt.Append(nil, e.Kind, " ", e.OrderID, " ", int64(e.Amount), " ", e.IfVersion))
	return sum[:]
}

// Message says in one sentence what happened.
func (e Event) Message() string {
	switch e.Kind {
	case OrderPlaced:
		return "Order was placed"
	case CancelRequested:
		return "Cancellation was requested"
	case RefundRequested:
		return "A refund was requested"
	case StepSucceeded:
		return e.Step.title() + " succeeded"
	case StepRefused:
		return fmt.Sprintf("%s was refused: %s", e.Step.title(), e.Reason)
	case StepUnknown:
		return fmt.Sprintf("%s has no known outcome: %s", e.Step.title(), e.Reason)
	}
	return string(e.Kind)
}
