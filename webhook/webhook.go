// Package webhook sends messages to addresses that callers choose, following Standard Webhooks 1.0: signed, and without
// giving callers access to addresses that are not public.
//
// It knows messages and how to send one, once. store and jobs decide which messages exist, which webhooks get them,
// and when to retry. It imports the standard library and orders.
//
// Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
package webhook

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/millrace-orders/millrace/orders"
)

// The types of messages to any owner that are not about an order. orders.NoticeTypes has those to operators.
const (
	Ping            = "Ping"            // a test that a caller requested
	WebhookDisabled = "WebhookDisabled" // a different webhook of the same owner was disabled
)

// Types lists the types of all messages.
func Types() []string {
	var list []string
	for _, t := range orders.EventTypes() {
		list = append(list, string(t))
	}
	list = append(list, Ping, WebhookDisabled)
	for _, t := range orders.NoticeTypes() {
		list = append(list, string(t))
	}
	return list
}

// envelope is the body of every message.
type envelope struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"` // of what happened, not of sending
	Data      any       `json:"data"`
}

// orderEvent is an event in the API's form, with a link to the message before it.
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

// Body returns the body of the message about an event. previous is the id of the webhook's preceding message about the
// same order; zero if there is none.
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

// BodyAboutWebhook returns the body of a message about a webhook. reason is why it was disabled; empty in a ping.
func BodyAboutWebhook(messageType string, webhook orders.ID, reason string, at time.Time) string {
	return encode(messageType, at.UTC(), struct {
		WebhookID orders.ID `json:"webhookId"`
		Reason    string    `json:"reason,omitempty"`
	}{webhook, reason})
}

// OperatorBody returns the body of a message to operators.
func OperatorBody(n orders.OperatorNotice) string {
	return encode(string(n.Type), n.At.UTC(), struct {
		Cause   string `json:"cause"`
		Message string `json:"message"`
		Runbook string `json:"runbook"`
	}{n.Cause, n.Message, n.Type.Runbook()})
}

func encode(messageType string, at time.Time, data any) string {
	b, err := json.Marshal(envelope{Type: messageType, Timestamp: at, Data: data})
	if err != nil {
		panic(fmt.Sprintf("encode webhook: %v", err)) // strings, numbers and times: cannot happen
	}
	return string(b)
}
