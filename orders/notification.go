package orders

import "time"

// TemplatePrefix and a status are the name of an e-mail's template. Every status at rest has a template, except
// NeedsAttention: the customer cannot do anything about that.
const TemplatePrefix = "order_"

// Templates lists the templates of all e-mails.
func Templates() []string {
	var names []string
	for _, status := range []Status{Completed, Failed, Cancelled, Refunded} {
		names = append(names, TemplatePrefix+string(status))
	}
	return names
}

// NoAddress is the reason of an e-mail that was refused because the order has no address to send it to.
const NoAddress = "no_address"

// Notification is an e-mail about an order, as the API shows it: a send_email step without its internals.
type Notification struct {
	OrderID    ID
	Generation int // 1 is about the order's end; each later refund has its own
	CustomerID string
	Template   string
	Recipient  string // an address; empty if only the e-mail provider knows it
	State      NotificationState
	Reason     string // why it is refused or unknown
	Reference  string // the provider's own id of the e-mail, or its Message-ID
	CreatedAt  time.Time
	SettledAt  time.Time // zero while pending
}

// NotificationState is the state of an e-mail.
type NotificationState string

// NotificationStateOf derives the state from the outcome of the step.
const (
	NotificationPending NotificationState = "pending"
	NotificationSent    NotificationState = "sent"    // accepted by the provider or the mail server
	NotificationSkipped NotificationState = "skipped" // the order has no address
	NotificationRefused NotificationState = "refused" // not sent, and never will be
	NotificationUnknown NotificationState = "unknown" // it may have been sent, and is not sent again
)

// NotificationStates lists all states.
func NotificationStates() []NotificationState {
	return []NotificationState{
		NotificationPending, NotificationSent, NotificationSkipped, NotificationRefused, NotificationUnknown,
	}
}

// NotificationStateOf returns the e-mail's state for a step's outcome.
func NotificationStateOf(state StepState, reason string) NotificationState {
	switch {
	case state == StatePending:
		return NotificationPending
	case state == StateSucceeded:
		return NotificationSent
	case state == StateRefused && reason == NoAddress:
		return NotificationSkipped
	case state == StateRefused:
		return NotificationRefused
	default:
		return NotificationUnknown
	}
}
