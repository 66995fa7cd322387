package orders

import "errors"

// Bounds on one order. Every read of an order reads all its steps, and every answer that is kept for an idempotency key
// repeats them.
const (
	MaxRefunds = 100   // refused ones not counted
	MaxSteps   = 1_000 // no retries beyond this
)

// Admit returns these errors.
var (
	ErrTooManyRefunds = errors.New("order has too many refunds")
	ErrTooManyTries   = errors.New("order has too many steps")
)

// Admit returns an error if a new event would exceed one of the order's bounds. It is not part of Decide, which also
// replays the log: a bound limits what is let in, and not what has happened.
func Admit(o *Order, e Event) error {
	switch {
	case e.Kind == RefundRequested && (o.refunds() >= MaxRefunds || len(o.Steps) >= MaxSteps):
		return ErrTooManyRefunds
	case e.Kind == RetryRequested && len(o.Steps) >= MaxSteps:
		return ErrTooManyTries
	}
	return nil
}

func (o *Order) refunds() (n int) {
	for i := range o.Steps {
		if s := &o.Steps[i]; s.Name == RefundPayment && s.State != StateRefused {
			n++
		}
	}
	return n
}
