package upstream

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/millrace-orders/millrace/orders"
)

// The texts of these errors are stored and shown to operators. They hold no bytes of an answer but a checked Code,
// and no URL.

// RefusedError is the provider's definite no (402, 422): no money moved, and none will under this key.
type RefusedError struct {
	Code string // [a-z0-9_]{1,64}; "refused" if the provider gave no such word
}

func (e *RefusedError) Error() string { return "refused: " + e.Code }

// UnavailableError says that there is no answer, or not now: 408, 409, 425, 429, 5xx, a broken connection, a timeout,
// half an answer. Money may have moved. Send the same bytes under the same key again, or Ask; never a new key.
type UnavailableError struct {
	Provider   orders.Provider
	Reason     string        // such as "status 503": few different ones, so that they can be counted
	RetryAfter time.Duration // what the provider asked for, at most 5 min; 0 if nothing

	status int // 0 without an answer
}

func (e *UnavailableError) Error() string {
	return fmt.Sprintf("%s unavailable: %s", e.Provider, e.Reason)
}

// MisconfiguredError is an answer that only a mistake of ours explains: a wrong URL, a wrong token, a redirect (3xx
// and the other 4xx). No money moved. Sending again helps once somebody has put it right.
type MisconfiguredError struct {
	Provider orders.Provider
	Status   int
}

func (e *MisconfiguredError) Error() string {
	return fmt.Sprintf("%s answered %d: wrong URL, token or adapter", e.Provider, e.Status)
}

// OpenError says that the provider's breaker is open, or is trying the provider with another call. This call was not
// made: no money moved by it, though an earlier send of the same key may have moved some.
type OpenError struct {
	Provider   orders.Provider
	RetryAfter time.Duration // roughly until the breaker lets a call through; add jitter
}

func (e *OpenError) Error() string { return fmt.Sprintf("%s: circuit breaker is open", e.Provider) }

// reason puts an error of the transport into words of ours. Its own text would not do: it may quote what the provider
// sent, and it has a new port number each time.
func reason(err error) string {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return "cannot connect: " + op.Err.Error()
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "certificate is not trusted"
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return "no answer in time" // context.DeadlineExceeded is one of these
	}
	return "connection lost"
}
