package orders

import (
	"errors"
	"fmt"
	"strings"
)

// Sentinels.
var (
	// ErrNotFound says that there is no such order.
	ErrNotFound = errors.New("order not found")
	// ErrProductNotFound says that the inventory provider does not list the product.
	ErrProductNotFound = errors.New("product not found")
	// ErrNoChange says that an event changes nothing: it happened before, or it is about something that does not wait
	// for it.
	ErrNoChange = errors.New("event changes nothing")
	// ErrVersionConflict says that the order has changed since the version that was asked for.
	ErrVersionConflict = errors.New("order has another version")
	// ErrIdempotencyMismatch says that the idempotency key was used before, for another order.
	ErrIdempotencyMismatch = errors.New("idempotency key was used with another request")
)

// InvalidError says which fields of a request are wrong and how.
type InvalidError struct{ Fields []FieldError }

// FieldError is one wrong field, by its JSON path, such as items[0].price.
type FieldError struct{ Field, Message string }

func (e *InvalidError) Error() string {
	parts := make([]string, len(e.Fields))
	for i, f := range e.Fields {
		parts[i] = f.Field + " " + f.Message
	}
	return strings.Join(parts, "; ")
}

// StateError says that the order's status rules out what was asked.
type StateError struct{ Status Status }

func (e *StateError) Error() string { return fmt.Sprintf("order is %s", e.Status) }
