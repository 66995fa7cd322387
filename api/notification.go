package api

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

// Notification is one e-mail about an order.
type Notification struct {
	OrderID    orders.ID         `json:"orderId" format:"uuid" example:"0199c8a4-3f5b-7c31-9d5e-2f6a8b1c4d7e" doc:"The order that the e-mail is about"`
	Generation int               `json:"generation" minimum:"1" example:"1" doc:"1 for the e-mail about the order's outcome; one more for each refund after that"`
	CustomerID string            `json:"customerId" example:"1" doc:"The customer who placed the order"`
	Template   string            `json:"template" example:"order_completed" doc:"The text that was used"`
	Recipient  string            `json:"recipient,omitempty" example:"ada@example.com" doc:"The address. A viewer sees only its beginning and end: a***@example.com. Absent if the order has no address"`
	State      NotificationState `json:"state" example:"sent"`
	Reason     string            `json:"reason,omitempty" example:"recipient_550" doc:"Why the e-mail was refused or skipped, or why its outcome is unknown"`
	Reference  string            `json:"reference,omitempty" example:"0199c8a4-3f5b-7c31-9d5e-2f6a8b1c4d7e.send_email.1@shop.example" doc:"The Message-ID, or the e-mail provider's own id"`
	CreatedAt  time.Time         `json:"createdAt" example:"2026-11-22T12:00:00Z" doc:"When Millrace decided to send it"`
	SettledAt  *time.Time        `json:"settledAt,omitempty" example:"2026-11-22T12:00:01Z" doc:"When it was sent or given up. Absent while it is pending"`
}

// TransformSchema gives the document an example whose fields fit together.
func (Notification) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	s.Examples = []any{json.RawMessage(`{"orderId": "0199c8a4-3f5b-7c31-9d5e-2f6a8b1c4d7e", "generation": 1, ` +
		`"customerId": "1", "template": "order_completed", "recipient": "ada@example.com", "state": "sent", ` +
		`"reference": "0199c8a4-3f5b-7c31-9d5e-2f6a8b1c4d7e.send_email.1@shop.example", ` +
		`"createdAt": "2026-11-22T12:00:05Z", "settledAt": "2026-11-22T12:00:06Z"}`)}
	return s
}

// NotificationState is an orders.NotificationState.
type NotificationState string

// Schema describes it to Huma.
func (NotificationState) Schema(r huma.Registry) *huma.Schema {
	return enum(r, "NotificationState", "The outcome of an e-mail. Skipped: there is no address. Refused: it was not "+
		"sent and never will be. Unknown: it may have been sent, and is not sent again", orders.NotificationStates())
}

// NotificationPage is one page of notifications.
type NotificationPage struct {
	Notifications []Notification `json:"notifications" doc:"The newest order's notifications first; within an order, the newest first"`
	NextCursor    string         `json:"nextCursor,omitempty" example:"AQGZyKQ_W3wxnV4vaosfTX4AAAABq6urqw" doc:"The cursor of the next page; absent on the last page"`
}

type notificationsInput struct {
	OrderID    orderID `query:"orderId" doc:"Only this order's notifications"`
	CustomerID string  `query:"customerId" maxLength:"200" doc:"Only this customer's notifications"`
	Limit      int     `query:"limit" minimum:"1" maximum:"100" default:"20" doc:"Notifications per page"`
	Cursor     string  `query:"cursor" maxLength:"100" doc:"The nextCursor of the previous page, with the same filter"`
}

type notificationsOutput struct {
	Link         string `header:"Link" doc:"The next page, as rel=\"next\" (RFC 8288)"`
	CacheControl string `header:"Cache-Control" hidden:"true"`
	Body         NotificationPage
}

// notificationOperations are the operations on notifications.
// tagNotifications is the operations' group in the document.
const tagNotifications = "Notifications"

// notificationOperations are the operations on e-mails about orders.
type notificationOperations struct{ sent *store.Notifications }

func (o notificationOperations) all() []operation {
	return []operation{declare(operation{
		Operation: huma.Operation{
			OperationID: "listNotifications", Method: http.MethodGet, Path: "/api/notifications",
			Tags:    []string{tagNotifications},
			Summary: "List notifications",
			Description: "The e-mails about orders, with their recipients, times and outcomes. The newest order's e-mails " +
				"come first. A customer sees only e-mails about its own orders.",
		},
		permission: permitRead,
	}, o.notifications)}
}

func (o notificationOperations) notifications(
	ctx context.Context, in *notificationsInput,
) (*notificationsOutput, error) {
	who := exchangeOf(ctx).principal
	whose := store.Filter{CustomerID: in.CustomerID}
	visible := who.restrict(&whose)
	filter := store.NotificationFilter{CustomerID: whose.CustomerID}
	if in.OrderID != "" {
		var err error
		if filter.OrderID, err = uuid.Parse(string(in.OrderID)); err != nil {
			return nil, badInput("query.orderId", "must be a UUID")
		}
	}
	found, err := list[orders.Notification]{
		path: "/api/notifications", filter: filterOf("orderId", string(in.OrderID), "customerId", in.CustomerID),
		scope: "notifications" + filter.OrderID.String() + strconv.Quote(filter.CustomerID), width: len(filter.Before) + 4,
		read: func(after []byte, limit int) ([]orders.Notification, error) {
			if !visible {
				return nil, nil
			}
			if after != nil {
				generation := after[copy(filter.Before[:], after):]
				filter.BeforeGeneration = int(binary.BigEndian.Uint32(generation))
			}
			filter.Limit = limit
			return o.sent.List(ctx, filter)
		},
		position: func(n orders.Notification) []byte {
			return binary.BigEndian.AppendUint32(n.OrderID[:], uint32(n.Generation)) //nolint:gosec // above 0
		},
	}.page(in.Limit, in.Cursor)
	if err != nil {
		return nil, err
	}
	return &notificationsOutput{Link: found.link, CacheControl: revalidate, Body: NotificationPage{
		Notifications: show(found, func(n orders.Notification) Notification { return newNotification(n, who) }),
		NextCursor:    found.next,
	}}, nil
}

func newNotification(n orders.Notification, who Principal) Notification {
	out := Notification{
		OrderID: n.OrderID, Generation: n.Generation, CustomerID: n.CustomerID, Template: n.Template,
		Recipient: n.Recipient, State: NotificationState(n.State), Reason: n.Reason, Reference: n.Reference,
		CreatedAt: n.CreatedAt,
	}
	if !who.seesPersonal() {
		out.Recipient = maskEmail(n.Recipient)
	}
	if !n.SettledAt.IsZero() {
		out.SettledAt = &n.SettledAt
	}
	return out
}
