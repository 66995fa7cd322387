package orders

import (
	"errors"
	"fmt"
	"strings"
)

// Errors without data. The API turns each into a status.
var (
	// ErrNotFound means that the order does not exist.
	ErrNotFound = errors.New("order not found")
	// ErrArchived means that the order left the database for a file. It is ErrNotFound, too.
	ErrArchived = errors.New("order is archived")
	// ErrProductNotFound means that the inventory provider does not list the product.
	ErrProductNotFound = errors.New("product not found")
	// ErrNoChange means that an event changes nothing: it is a duplicate, or the order does not wait for it.
	ErrNoChange = errors.New("event changes nothing")
	// ErrVersionConflict means that the order has changed since the version that the caller named.
	ErrVersionConflict = errors.New("order has another version")
	// ErrIdempotencyMismatch means that the idempotency key was used before, with a different request.
	ErrIdempotencyMismatch = errors.New("idempotency key was used with another request")
)

// InvalidError lists the invalid fields of a request.
type InvalidError struct{ Fields []FieldError }

// FieldError is one invalid field, by its JSON path, such as items[0].price.
type FieldError struct{ Field, Message string }

func (e *InvalidError) Error() string {
	parts := make([]string, len(e.Fields))
	for i, f := range e.Fields {
		parts[i] = f.Field + " " + f.Message
	}
	return strings.Join(parts, "; ")
}

// StateError means that the order's status does not allow the request.
type StateError struct{ Status Status }

func (e *StateError) Error() string { return fmt.Sprintf("order is %s", e.Status) }

// ArchivedError means that the order left the database for a file: ErrArchived. It is also ErrNotFound, for callers
// that need no difference.
type ArchivedError struct{ CustomerID string }

func (e *ArchivedError) Error() string { return ErrArchived.Error() }

// Is reports whether target is one of the two.
func (e *ArchivedError) Is(target error) bool { return target == ErrArchived || target == ErrNotFound }
