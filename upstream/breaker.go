package upstream

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/millrace-orders/millrace/orders"
)

// Breaker has the settings of a circuit breaker. The zero value of each field is its default.
type Breaker struct {
	Window      time.Duration // of the calls that count; 30 s
	Bucket      time.Duration // the steps in which the window moves; 3 s
	MinCalls    uint32        // answered in the window before Ratio counts; 20
	Ratio       float64       // share of failures that opens the breaker, up to 1; 0.5
	Consecutive uint32        // failures in a row that open it, however few; 5
	OpenFor     time.Duration // until one call may probe the provider; 30 s
}

func (b Breaker) withDefaults() Breaker {
	return Breaker{
		Window:      cmp.Or(b.Window, 30*time.Second),
		Bucket:      cmp.Or(b.Bucket, 3*time.Second),
		MinCalls:    cmp.Or(b.MinCalls, 20),
		Ratio:       cmp.Or(b.Ratio, 0.5),
		Consecutive: cmp.Or(b.Consecutive, 5),
		OpenFor:     cmp.Or(b.OpenFor, 30*time.Second),
	}
}

func (b Breaker) check() error {
	if b.Bucket < 0 || b.Window < b.Bucket || b.OpenFor < 0 || b.Ratio < 0 || b.Ratio > 1 {
		return errors.New("breaker: durations must be positive, the window no shorter than a bucket, the ratio at most 1")
	}
	return nil
}

// probing is how long a caller is told to wait while another call probes the provider. The probe may take its whole
// timeout, but mostly does not.
const probing = time.Second

// breaker stops calls to a failing provider. It belongs to the provider, not to a step, and to this process: sharing it
// would cost a write for each call.
type breaker struct {
	provider orders.Provider
	openFor  time.Duration
	circuit  *gobreaker.CircuitBreaker[Answer]
	opened   atomic.Pointer[time.Time] // set before any caller can see the circuit open
}

func newBreaker(p orders.Provider, s Breaker, log *slog.Logger, m *metrics) *breaker {
	b := &breaker{provider: p, openFor: s.OpenFor}
	b.circuit = gobreaker.NewCircuitBreaker[Answer](gobreaker.Settings{
		Name:         string(p),
		MaxRequests:  1, // one probe for each instance; only its timeout ends the half-open state
		Interval:     s.Window,
		BucketPeriod: s.Bucket,
		Timeout:      s.OpenFor,
		IsSuccessful: isHealthy,
		IsExcluded:   saysNothing,
		ReadyToTrip: func(c gobreaker.Counts) bool {
			answered := c.TotalSuccesses + c.TotalFailures // Requests includes pending and excluded calls
			return c.ConsecutiveFailures >= s.Consecutive ||
				answered >= s.MinCalls && float64(c.TotalFailures) >= s.Ratio*float64(answered)
		},
		// Runs under the circuit's mutex: reading its state here would deadlock.
		OnStateChange: func(_ string, from, to gobreaker.State) {
			if to == gobreaker.StateOpen {
				now := time.Now()
				b.opened.Store(&now)
			}
			m.setBreaker(p, to)
			level := slog.LevelWarn // also when it closes, for readers of the line about its opening
			if to == gobreaker.StateHalfOpen {
				level = slog.LevelInfo
			}
			log.Log(context.Background(), level, "circuit breaker changed state",
				"provider", string(p), "from", stateName(from), "to", stateName(to))
		},
	})
	m.setBreaker(p, gobreaker.StateClosed)
	return b
}

// do makes the call, or returns *OpenError without making it.
func (b *breaker) do(call func() (Answer, error)) (Answer, error) {
	answer, err := b.circuit.Execute(call)
	switch {
	case errors.Is(err, gobreaker.ErrOpenState):
		return Answer{}, &OpenError{b.provider, max(0, time.Until(b.opened.Load().Add(b.openFor)))}
	case errors.Is(err, gobreaker.ErrTooManyRequests):
		return Answer{}, &OpenError{b.provider, probing}
	}
	return answer, err
}

// States and State return one of these.
const (
	Closed   = "closed"
	HalfOpen = "half_open" // one call probes the provider
	Open     = "open"
)

func (b *breaker) state() string { return stateName(b.circuit.State()) }

// isHealthy reports whether err is consistent with a working provider. A customer without money and a wrong URL of ours
// do not count against the provider. An error of no known class does: a panic is reported as one.
func isHealthy(err error) bool {
	_, refused := errors.AsType[*RefusedError](err)
	_, misconfigured := errors.AsType[*MisconfiguredError](err)
	return err == nil || refused || misconfigured
}

// saysNothing reports whether an error says nothing about the provider's health: our caller or our own database gave
// up, the error is about one message only, or the status is 409. 409 means that an earlier send of the key is still
// under way. Counted as a success, the 409 that follows each timeout would hide a provider that finishes nothing.
func saysNothing(err error) bool {
	unavailable, ok := errors.AsType[*UnavailableError](err)
	_, ours := errors.AsType[*ledgerError](err)
	uncertain, unsure := errors.AsType[*UncertainError](err)
	return errors.Is(err, context.Canceled) || ours || ok && unavailable.excused || unsure && uncertain.Code == interrupted
}

func stateName(s gobreaker.State) string {
	switch s {
	case gobreaker.StateClosed:
		return Closed
	case gobreaker.StateHalfOpen:
		return HalfOpen
	case gobreaker.StateOpen:
		return Open
	}
	return s.String()
}
