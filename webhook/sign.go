package webhook

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"time"
)

// The headers of a message.
const (
	HeaderID        = "Webhook-Id"
	HeaderTimestamp = "Webhook-Timestamp"
	HeaderSignature = "Webhook-Signature"
)

const (
	secretPrefix = "whsec_"
	secretBytes  = 32
)

// Secret is the key that an endpoint's messages are signed with.
type Secret []byte

// NewSecret makes a secret of 256 random bits.
func NewSecret() Secret {
	s := make(Secret, secretBytes)
	_, _ = rand.Read(s) // like all of crypto/rand it never fails
	return s
}

// Text is the secret as the owner of the endpoint gets to see it.
func (s Secret) Text() string { return secretPrefix + base64.StdEncoding.EncodeToString(s) }

// String keeps secrets out of logs.
func (s Secret) String() string { return secretPrefix + "…" }

// Sign is one signature of a message that is sent at a moment.
func (s Secret) Sign(id string, at time.Time, body string) string {
	mac := hmac.New(sha256.New, s)
	_, _ = fmt.Fprintf(mac, "%s.%d.%s", id, at.Unix(), body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
