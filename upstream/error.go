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
// half an answer, a success that is not in the contract's words. Money may have moved. Send the same bytes under the
// same key again, or Ask; never a new key.
type UnavailableError struct {
	Provider   orders.Provider
	Reason     string        // such as "status 503": few different ones, so that they can be counted
	RetryAfter time.Duration // what the provider asked for, at most 5 min; 0 if nothing
	Unclear    bool          // it answered 2xx, and what it said is not of the contract: ask

	excused bool  // it says nothing of the provider's health, only of this call
	cause   error // for this package; nil mostly
}

func (e *UnavailableError) Error() string {
	return fmt.Sprintf("%s unavailable: %s", e.Provider, e.Reason)
}

func (e *UnavailableError) Unwrap() error { return e.cause }

// UncertainError says that a message may have been sent or not, that nobody can find out, and that it must never be
// sent again. Only e-mail over SMTP has it: all other providers know idempotency keys.
type UncertainError struct {
	Provider orders.Provider
	Code     string // how that came about: no_answer, connection_lost, or interrupted: Millrace itself went away
}

func (e *UncertainError) Error() string {
	return fmt.Sprintf("%s: outcome is unknown: %s", e.Provider, e.Code)
}

const interrupted = "interrupted"

// ledgerError says that Millrace could not write down what it was about to do, and so did not do it.
type ledgerError struct{ err error }

func (e *ledgerError) Error() string { return "note what is to be sent: " + e.err.Error() }
func (e *ledgerError) Unwrap() error { return e.err }

// MisconfiguredError is an answer that only a mistake of ours explains: a wrong URL, a wrong token, a redirect (3xx
// and the other 4xx). No money moved. Sending again helps once somebody has put it right.
type MisconfiguredError struct {
	Provider orders.Provider
	Status   int // 0: no answer, because the two have no way to talk in common
}

func (e *MisconfiguredError) Error() string {
	if e.Status == 0 {
		return fmt.Sprintf("%s cannot be talked to as it is set up", e.Provider)
	}
	return fmt.Sprintf("%s answered %d: wrong URL, token or adapter", e.Provider, e.Status)
}

// OpenError says that the provider's breaker is open, or is trying the provider with another call. This call was not
// made: no money moved by it, though an earlier send of the same key may have moved some.
type OpenError struct {
	Provider   orders.Provider
	RetryAfter time.Duration // roughly until the breaker lets a call through; add jitter
}

func (e *OpenError) Error() string { return fmt.Sprintf("%s: circuit breaker is open", e.Provider) }

const (
	noAnswer       = "no answer in time"
	connectionLost = "connection lost"
)

// IsFailure says that an error is about the provider, and not about the caller: it is one of the above, or the caller's
// deadline.
func IsFailure(err error) bool {
	_, unavailable := errors.AsType[*UnavailableError](err)
	_, misconfigured := errors.AsType[*MisconfiguredError](err)
	_, open := errors.AsType[*OpenError](err)
	return unavailable || misconfigured || open
}

// reason puts an error of the transport into words of ours. Its own text would not do: it may quote what the provider
// sent, and it has a new port number each time.
func reason(err error) string {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return "cannot connect: " + op.Err.Error()
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "certificate is not trusted"
	}
	if interim, ok := errors.AsType[*interimError](err); ok {
		return interim.Error()
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return noAnswer // context.DeadlineExceeded is one of these
	}
	return connectionLost
}
