package orders

import "time"

// TemplatePrefix and a status are the name of an e-mail's template. Every status at rest has one but NeedsAttention,
// which is nothing that a customer could do anything about.
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

// Notification is an e-mail about an order: a send_email step, as whoever asks what was sent sees it.
type Notification struct {
	OrderID    ID
	Generation int // 1 is the mail about the order's end; each refund afterwards has one more
	CustomerID string
	Template   string
	Recipient  string // an address; empty if only the e-mail provider knows it
	State      NotificationState
	Reason     string // why it is refused or unknown
	Reference  string // the provider's own id of it, or its Message-ID
	CreatedAt  time.Time
	SettledAt  time.Time // zero while pending
}

// NotificationState is what became of an e-mail.
type NotificationState string

// The states.
const (
	NotificationPending NotificationState = "pending"
	NotificationSent    NotificationState = "sent"    // taken by the provider or the mail server
	NotificationSkipped NotificationState = "skipped" // there is no address to send it to
	NotificationRefused NotificationState = "refused" // not sent, and it never will be
	NotificationUnknown NotificationState = "unknown" // it may have been sent, and is not sent again
)

// NotificationStates lists all states.
func NotificationStates() []NotificationState {
	return []NotificationState{
		NotificationPending, NotificationSent, NotificationSkipped, NotificationRefused, NotificationUnknown,
	}
}

// NotificationStateOf says what a step's outcome means for its e-mail.
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
