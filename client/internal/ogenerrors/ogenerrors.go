// Package ogenerrors has the part of ogen's package of that name that the generated client uses. The rest of ogen's
// package reads OpenAPI documents, with eight modules that users of the client do not need.
package ogenerrors

import (
	"errors"
	"fmt"
)

var (
	// ErrSkipClientSecurity tells the generated client to send a request without a credential.
	ErrSkipClientSecurity = errors.New("skip client security")
	// ErrSecurityRequirementIsNotSatisfied reports a missing credential for a request that needs one.
	ErrSecurityRequirementIsNotSatisfied = errors.New("security requirement is not satisfied")
)

// DecodeBodyError reports that the body of an answer does not match the document.
type DecodeBodyError struct {
	ContentType string
	Body        []byte
	Err         error
}

// Error leaves the body out: it has personal data.
func (e *DecodeBodyError) Error() string { return fmt.Sprintf("decode %s: %v", e.ContentType, e.Err) }

// Unwrap returns the cause.
func (e *DecodeBodyError) Unwrap() error { return e.Err }
