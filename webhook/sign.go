package webhook

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"time"
)

// The names of the headers are those of Standard Webhooks.
const (
	HeaderID        = "Webhook-Id"
	HeaderTimestamp = "Webhook-Timestamp"
	HeaderSignature = "Webhook-Signature"
)

const (
	secretPrefix = "whsec_"
	secretBytes  = 32
)

// Secret is the key that a webhook's messages are signed with.
type Secret []byte

// NewSecret makes a secret of 256 random bits.
func NewSecret() Secret {
	s := make(Secret, secretBytes)
	_, _ = rand.Read(s) // crypto/rand never fails
	return s
}

// Text returns the secret in the form that the webhook's owner sees.
func (s Secret) Text() string { return secretPrefix + base64.StdEncoding.EncodeToString(s) }

// String returns no part of the secret, which keeps secrets out of logs.
func (s Secret) String() string { return secretPrefix + "…" }

// Sign returns the signature of a message that is sent at a given time.
func (s Secret) Sign(id string, at time.Time, body string) string {
	mac := hmac.New(sha256.New, s)
	_, _ = fmt.Fprintf(mac, "%s.%d.%s", id, at.Unix(), body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
