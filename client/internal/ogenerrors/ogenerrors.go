// Package ogenerrors has what the generated client uses of ogen's package of that name. The rest of that one reads
// OpenAPI documents, with eight modules that no user of the client needs.
package ogenerrors

import (
	"errors"
	"fmt"
)

var (
	// ErrSkipClientSecurity tells the generated client to send a request without a credential.
	ErrSkipClientSecurity = errors.New("skip client security")
	// ErrSecurityRequirementIsNotSatisfied says that there was no credential for a request that needs one.
	ErrSecurityRequirementIsNotSatisfied = errors.New("security requirement is not satisfied")
)

// DecodeBodyError says that the body of an answer is not what the document says.
type DecodeBodyError struct {
	ContentType string
	Body        []byte
	Err         error
}

// Error leaves the body out: it is about people.
func (e *DecodeBodyError) Error() string { return fmt.Sprintf("decode %s: %v", e.ContentType, e.Err) }

// Unwrap returns what was wrong.
func (e *DecodeBodyError) Unwrap() error { return e.Err }
