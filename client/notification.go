package client

import (
	"context"
	"iter"
	"time"

	"github.com/millrace-orders/millrace/client/oas"
)

// Notification is an e-mail about an order.
type Notification struct {
	OrderID    string
	Generation int // 1 is the mail about how the order ended, 2 and more about refunds
	CustomerID string
	Template   string            // for example order_completed
	Recipient  string            // an address; empty if the order has none
	State      NotificationState // sent, skipped, refused, unknown or still pending
	Reason     string            // why it was refused or skipped, or is unknown
	Reference  string            // its Message-ID, or the e-mail provider's own id
	CreatedAt  time.Time
	SettledAt  time.Time // zero while the e-mail is pending
}

// NotificationState is the state of an e-mail. More may be added.
type NotificationState = oas.NotificationState

// The states of an e-mail.
const (
	NotificationPending = oas.NotificationStatePending
	NotificationSent    = oas.NotificationStateSent
	NotificationSkipped = oas.NotificationStateSkipped
	NotificationRefused = oas.NotificationStateRefused
	NotificationUnknown = oas.NotificationStateUnknown
)

// NotificationFilter selects the notifications to list. The zero NotificationFilter selects all.
type NotificationFilter struct {
	OrderID    string
	CustomerID string
	PageSize   int // notifications per request; the server's default if 0
}

// Notifications lists the e-mails about orders, those of the newest order first. It requests pages as needed, and ends
// with the last notification or the first error.
func (c *Client) Notifications(ctx context.Context, filter NotificationFilter) iter.Seq2[*Notification, error] {
	return func(yield func(*Notification, error) bool) {
		params := oas.ListNotificationsParams{CustomerID: optional(filter.CustomerID)}
		if filter.OrderID != "" {
			id, err := parseID(filter.OrderID)
			if err != nil {
				yield(nil, err)
				return
			}
			params.OrderID.SetTo(id)
		}
		if filter.PageSize != 0 {
			params.Limit.SetTo(int64(filter.PageSize))
		}
		for {
			page, err := c.api.ListNotifications(ctx, params)
			if err != nil {
				yield(nil, unwrapped(err))
				return
			}
			for _, n := range page.Response.Notifications {
				if !yield(newNotification(n), nil) {
					return
				}
			}
			if params.Cursor = page.Response.NextCursor; params.Cursor.Value == "" {
				return
			}
		}
	}
}

func newNotification(n oas.Notification) *Notification {
	return &Notification{
		OrderID: n.OrderID.String(), Generation: int(n.Generation), CustomerID: n.CustomerID, Template: n.Template,
		Recipient: n.Recipient.Value, State: n.State, Reason: n.Reason.Value, Reference: n.Reference.Value,
		CreatedAt: n.CreatedAt, SettledAt: n.SettledAt.Value,
	}
}
