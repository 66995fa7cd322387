package upstream

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/upstream/wire"
)

// The texts of these errors are stored and shown to operators. They contain no URL, and no bytes of an answer except a
// checked Code.

// RefusedError is the provider's definite refusal (402, 422): no money moved, and none will under this key.
type RefusedError struct {
	Code string // [a-z0-9_]{1,64}; "refused" if the provider gave no valid code
}

func (e *RefusedError) Error() string { return "refused: " + e.Code }

// UnavailableError means that there is no usable answer now: 408, 409, 425, 429, 5xx, a broken connection, a timeout,
// half an answer, or a success that violates the contract. Money may have moved. Send the same bytes under the same key
// again, or Ask; never use a new key.
type UnavailableError struct {
	Provider   orders.Provider
	Reason     string        // such as "status 503": few different values, so that they can be counted
	RetryAfter time.Duration // what the provider asked for, at most 5 min; 0 if nothing
	Unclear    bool          // the answer was 2xx but violates the contract: ask

	excused bool  // about this call only, not about the provider's health
	cause   error // for this package; nil mostly
}

func (e *UnavailableError) Error() string {
	return fmt.Sprintf("%s unavailable: %s", e.Provider, e.Reason)
}

func (e *UnavailableError) Unwrap() error { return e.cause }

// UncertainError means that it is unknown, and stays unknown, whether a message was sent. It must never be sent again.
// Only e-mail over SMTP has this error: all other providers know idempotency keys.
type UncertainError struct {
	Provider orders.Provider
	Code     string // no_answer, connection_lost, or interrupted if Millrace itself stopped
}

func (e *UncertainError) Error() string {
	return fmt.Sprintf("%s: outcome is unknown: %s", e.Provider, e.Code)
}

const interrupted = "interrupted"

// ledgerError means that Millrace could not record what it was about to send, and so did not send it.
type ledgerError struct{ err error }

func (e *ledgerError) Error() string { return "record what is to be sent: " + e.err.Error() }
func (e *ledgerError) Unwrap() error { return e.err }

// MisconfiguredError is an answer that only a mistake of ours explains: a wrong URL, a wrong token, a redirect (3xx and
// the other 4xx). No money moved. A retry helps only after an operator has corrected the settings.
type MisconfiguredError struct {
	Provider orders.Provider
	Status   int // 0: no answer, because the two sides share no protocol
}

func (e *MisconfiguredError) Error() string {
	if e.Status == 0 {
		return fmt.Sprintf("%s: the settings allow no common protocol", e.Provider)
	}
	return fmt.Sprintf("%s answered %d: wrong URL, token or adapter", e.Provider, e.Status)
}

// OpenError means that the provider's breaker is open, or that another call probes the provider. This call was not
// made: it moved no money, though an earlier send of the same key may have.
type OpenError struct {
	Provider   orders.Provider
	RetryAfter time.Duration // approximate time until the breaker lets a call through; add jitter
}

func (e *OpenError) Error() string { return fmt.Sprintf("%s: circuit breaker is open", e.Provider) }

const (
	noAnswer       = "no answer in time"
	connectionLost = "connection lost"
)

// IsFailure reports whether an error is about the provider, and not about the caller: it is one of the above, or the
// caller's deadline.
func IsFailure(err error) bool {
	_, unavailable := errors.AsType[*UnavailableError](err)
	_, misconfigured := errors.AsType[*MisconfiguredError](err)
	_, open := errors.AsType[*OpenError](err)
	return unavailable || misconfigured || open
}

// reason returns a fixed text for an error of the transport. The error's own text may quote what the provider sent, and
// has a new port number each time.
func reason(err error) string {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return "cannot connect: " + op.Err.Error()
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "certificate is not trusted"
	}
	if interim, ok := errors.AsType[*wire.InterimError](err); ok {
		return interim.Error()
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return noAnswer // context.DeadlineExceeded is one of these
	}
	return connectionLost
}
