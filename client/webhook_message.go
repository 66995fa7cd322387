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

// webhookTolerance is how far the moment in a message may be from now: an old message must not be played back.
const webhookTolerance = 5 * time.Minute

// ErrWebhook says that a message is not from Millrace, or is too old: answer 401 and do nothing.
var ErrWebhook = errors.New("webhook is not authentic")

// MessageType is the type of a message: an [EventType], or one of the two below. More may be added.
type MessageType = oas.WebhookEventType

// The types of messages that are not about an order.
const (
	Ping             = oas.WebhookEventTypePing
	EndpointDisabled = oas.WebhookEventTypeEndpointDisabled
)

// Message is what arrives at a webhook.
type Message struct {
	// ID is the same whenever the message is sent again. Remember it where you do what the message asks for, in the same
	// transaction, and ignore a message whose ID you have.
	ID   string
	Type MessageType
	At   time.Time // of what happened
	// Event is what happened to an order; nil in a message that is about none.
	Event *Event
	// CustomerID is whose order it is.
	CustomerID string
	// PreviousID is the ID of the message before this one about the same order; empty if there is none. If you do not
	// have that one, something was missed or is late: read the order itself.
	PreviousID string
	// Body is what was sent.
	Body []byte
}

// VerifyWebhook checks and decodes what arrives at a webhook: the request's header and its whole body, byte by byte, at
// the time now. secrets are those of the webhook that it may be signed with: whsec_…, one, or several while they are
// being rotated.
//
// Errors: [ErrWebhook]; or what is wrong with a secret, or with a body that is authentic.
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
	}
	return m, nil
}
