package client

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-orders/millrace/client/oas"
)

// webhookTolerance is how far the time in a message may be from now. An old message must not be replayed.
const webhookTolerance = 5 * time.Minute

// ErrWebhook reports that a message is not from Millrace, or is too old: answer 401 and do nothing else.
var ErrWebhook = errors.New("webhook is not authentic")

// MessageType is the type of a message: an [EventType], or one of those below. More may be added.
type MessageType = oas.WebhookEventType

// The types of messages that are not about an order.
const (
	Ping            = oas.WebhookEventTypePing
	WebhookDisabled = oas.WebhookEventTypeWebhookDisabled
)

// The types of messages to operators, which have a [Notice].
const (
	NoticeNeedsAttention    = oas.WebhookEventTypeNeedsAttention
	NoticeInvariantViolated = oas.WebhookEventTypeInvariantViolated
	NoticeBreakerOpen       = oas.WebhookEventTypeBreakerOpen
	NoticeInstanceLost      = oas.WebhookEventTypeInstanceLost
)

// Notice tells operators of something that needs them.
type Notice struct {
	Cause   string // such as a provider, a check or a process
	Message string
	Runbook string // the section of Millrace's docs/runbook.md
}

// Message is a message to a webhook.
type Message struct {
	// ID is the same for all attempts to send a message. Store it in the transaction that handles the message, and
	// ignore a message whose ID you have.
	ID   string
	Type MessageType
	At   time.Time // of the event
	// Event is the event of an order; nil in a message that is not about an order.
	Event *Event
	// CustomerID is the order's customer.
	CustomerID string
	// PreviousID is the ID of the message before this one about the same order; empty if there is none. If you do not
	// have that message, it was missed or is late: read the order itself.
	PreviousID string
	// Notice is what operators are told; nil in other messages.
	Notice *Notice
	// Body is the request's body as received.
	Body []byte
}

// VerifyWebhook checks and decodes a message to a webhook, from the request's header and its whole body, byte by byte,
// at the time now. secrets are the webhook's secrets, whsec_…: one, or several during a rotation.
//
// Errors: [ErrWebhook]; or an error that describes an invalid secret, or an authentic body that cannot be decoded.
func VerifyWebhook(header http.Header, body []byte, now time.Time, secrets ...string) (*Message, error) {
	id, timestamp := header.Get("Webhook-Id"), header.Get("Webhook-Timestamp")
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if id == "" || err != nil {
		return nil, fmt.Errorf("%w: its headers are missing", ErrWebhook)
	}
	if age := now.Sub(time.Unix(seconds, 0)); age > webhookTolerance || age < -webhookTolerance {
		return nil, fmt.Errorf("%w: it was sent too far from now", ErrWebhook)
	}
	authentic := false
	for _, secret := range secrets {
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
		if err != nil || len(key) == 0 {
			return nil, errors.New("a webhook's secret must be whsec_ and base64")
		}
		mac := hmac.New(sha256.New, key)
		_, _ = fmt.Fprintf(mac, "%s.%s.%s", id, timestamp, body)
		want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
		for signature := range strings.FieldsSeq(header.Get("Webhook-Signature")) {
			authentic = hmac.Equal([]byte(signature), []byte(want)) || authentic
		}
	}
	if !authentic {
		return nil, fmt.Errorf("%w: its signature is wrong", ErrWebhook)
	}
	return newMessage(id, body)
}

func newMessage(id string, body []byte) (*Message, error) {
	var sent struct {
		Type      MessageType     `json:"type"`
		Timestamp time.Time       `json:"timestamp"`
		Data      json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(body, &sent); err != nil {
		return nil, fmt.Errorf("decode webhook: %w", err)
	}
	var about struct {
		OrderID         string `json:"orderId"`
		CustomerID      string `json:"customerId"`
		PreviousEventID string `json:"previousEventId"`
		Cause           string `json:"cause"`
		Message         string `json:"message"`
		Runbook         string `json:"runbook"`
	}
	if len(sent.Data) > 0 {
		if err := json.Unmarshal(sent.Data, &about); err != nil {
			return nil, fmt.Errorf("decode webhook: %w", err)
		}
	}
	m := &Message{
		ID: id, Type: sent.Type, At: sent.Timestamp, CustomerID: about.CustomerID, PreviousID: about.PreviousEventID,
		Body: body,
	}
	if about.OrderID != "" {
		var event oas.OrderEvent
		if err := event.UnmarshalJSON(sent.Data); err != nil {
			return nil, fmt.Errorf("decode webhook's event: %w", err)
		}
		m.Event = new(newEvent(&event))
	} else if about.Runbook != "" {
		m.Notice = &Notice{about.Cause, about.Message, about.Runbook}
	}
	return m, nil
}
