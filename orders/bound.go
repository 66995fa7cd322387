package orders

import "errors"

// Bounds on what one order takes. Every step is read with its order, and written down again in each answer that is kept
// for an idempotency key.
const (
	MaxRefunds = 100   // that were not refused
	MaxSteps   = 1_000 // after which nothing is tried again
)

// Errors of what would exceed them.
var (
	ErrTooManyRefunds = errors.New("order has too many refunds")
	ErrTooManyTries   = errors.New("order has too many steps")
)

// Admit returns an error if an order has had as much as it takes of what a new event asks for. It is no part of Decide,
// which also decides the log again: a bound says what is let in, and not what has happened.
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
