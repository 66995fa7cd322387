package orders

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"time"
)

// EventKind is the kind of an event.
type EventKind string

// The log stores these names: renaming one breaks stored orders.
const (
	OrderPlaced     EventKind = "order_placed"
	CancelRequested EventKind = "cancel_requested"
	RefundRequested EventKind = "refund_requested"

	// An operator's settlements of an order that needs attention; see Order.Stuck. A declaration states the true
	// outcome of a step. Reconciliation may declare one, too; see Order.Undo and Order.Accept.
	RetryRequested  EventKind = "retry_requested"
	UndoRequested   EventKind = "undo_requested"
	SuccessDeclared EventKind = "success_declared"
	RefusalDeclared EventKind = "refusal_declared"

	// The three outcomes of a step. StepUnknown means that no further send will be made, and it is unknown whether the
	// step took effect. Its compensation undoes the step by key.
	StepSucceeded EventKind = "step_succeeded"
	StepRefused   EventKind = "step_refused"
	StepUnknown   EventKind = "step_unknown"
)

// EventKinds lists all kinds.
func EventKinds() []EventKind {
	return []EventKind{
		OrderPlaced, CancelRequested, RefundRequested, RetryRequested, UndoRequested, SuccessDeclared, RefusalDeclared,
		StepSucceeded, StepRefused, StepUnknown,
	}
}

// settlement reports whether the event is an operator's decision about an order that needs attention.
func (k EventKind) settlement() bool {
	return k == RetryRequested || k == UndoRequested || k == SuccessDeclared || k == RefusalDeclared
}

// Event is one entry of an order's log. Folding an order's events through Decide yields its state.
type Event struct {
	OrderID ID
	Kind    EventKind
	At      time.Time

	// For a request: the caller, and the idempotency key if one was sent. See Command.
	Principal      string
	IdempotencyKey string
	// IfVersions, if not empty, are the only versions of the order that the event may apply to.
	IfVersions []int64
	// Amount is the amount of a requested refund; 0 means everything that is left.
	Amount Money

	// For the outcome of a step: the step, and the provider's answer. For a settlement: the operator's reason, and
	// optionally the step.
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

// Command is the scope of an idempotency key, together with the principal: the kind. All settlements share one scope.
func (e Event) Command() string {
	if e.Kind.settlement() {
		return "settle"
	}
	return string(e.Kind)
}

// Fingerprint identifies the request. A key that returns with a different fingerprint is a client's mistake.
func (e Event) Fingerprint() []byte {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %s %d %s %s %d %q %q",
		e.Kind, e.OrderID, e.Amount, e.condition(), e.Step, e.Generation, e.Reference, e.Reason))
	return sum[:]
}

// condition returns IfVersions as text; 0 is any version.
func (e Event) condition() string {
	if len(e.IfVersions) == 0 {
		return "0"
	}
	return strings.Trim(fmt.Sprint(e.IfVersions), "[]")
}

// Message describes the event in one sentence.
func (e Event) Message() string {
	switch e.Kind {
	case OrderPlaced:
		return "Order was placed"
	case CancelRequested:
		return "Cancellation was requested"
	case RefundRequested:
		return "A refund was requested"
	case RetryRequested:
		return "Another try was requested"
	case UndoRequested:
		return "Undoing was requested"
	case SuccessDeclared:
		return e.Step.title() + " was declared done"
	case RefusalDeclared:
		return e.Step.title() + " was declared not done"
	case StepSucceeded:
		return e.Step.title() + " succeeded"
	case StepRefused:
		return fmt.Sprintf("%s was refused: %s", e.Step.title(), e.Reason)
	case StepUnknown:
		return fmt.Sprintf("%s has no known outcome: %s", e.Step.title(), e.Reason)
	}
	return string(e.Kind)
}
