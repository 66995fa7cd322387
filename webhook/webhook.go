// Package webhook sends messages to addresses that strangers chose, as Standard Webhooks 1.0 says: signed, and without
// letting anybody reach what is not public.
//
// It knows messages and how to send one, once. Which messages there are, who gets them and when to try again is for
// store and jobs. It imports the standard library and orders.
//
// Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
package webhook

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/millrace-orders/millrace/orders"
)

// The types of messages that are not about an order.
const (
	Ping             = "Ping"             // a test that somebody asked for
	EndpointDisabled = "EndpointDisabled" // another endpoint of the same owner is not sent to any more
)

// Types lists the types of all messages.
func Types() []string {
	var list []string
	for _, t := range orders.EventTypes() {
		list = append(list, string(t))
	}
	return append(list, Ping, EndpointDisabled)
}

// envelope is the body of every message.
type envelope struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"` // of what happened, not of sending
	Data      any       `json:"data"`
}

// orderEvent is an event as the API shows it, and how it follows on the message before.
type orderEvent struct {
	OrderID   orders.ID        `json:"orderId"`
	Version   int64            `json:"version"`
	Type      orders.EventType `json:"type"`
	Kind      orders.EventKind `json:"kind"`
	Status    orders.Status    `json:"status"`
	Progress  int              `json:"progress"`
	Message   string           `json:"message"`
	Step      orders.StepName  `json:"step,omitempty"`
	Reason    string           `json:"reason,omitempty"`
	Timestamp time.Time        `json:"timestamp"`

	CustomerID string `json:"customerId"`
	PreviousID string `json:"previousEventId,omitempty"`
}

// Body is the body of the message about an event. previous is the id of the endpoint's message before it about the
// same order, zero if there is none.
func Body(e orders.Event, customerID string, previous orders.ID) string {
	data := orderEvent{
		OrderID: e.OrderID, Version: e.Version, Type: e.Type(), Kind: e.Kind, Status: e.Status, Progress: e.Progress,
		Message: e.Message(), Step: e.Step, Reason: e.Reason, Timestamp: e.At.UTC(), CustomerID: customerID,
	}
	if previous != (orders.ID{}) {
		data.PreviousID = previous.String()
	}
	return encode(string(data.Type), data.Timestamp, data)
}

// NoticeBody is the body of a message about an endpoint. reason says why it was disabled; empty in a ping.
func NoticeBody(messageType string, endpoint orders.ID, reason string, at time.Time) string {
	return encode(messageType, at.UTC(), struct {
		WebhookID orders.ID `json:"webhookId"`
		Reason    string    `json:"reason,omitempty"`
	}{endpoint, reason})
}

func encode(messageType string, at time.Time, data any) string {
	b, err := json.Marshal(envelope{Type: messageType, Timestamp: at, Data: data})
	if err != nil {
		panic(fmt.Sprintf("encode webhook: %v", err)) // strings, numbers and times: cannot happen
	}
	return string(b)
}
