package problems

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// Error is an error that carries its problem. It is never changed: With, Detailed and the others return a copy.
type Error struct {
	Class  Class
	Code   string
	Detail string // for people

	fields  []ProblemError
	headers http.Header
	foreign error // the error of another package that becomes this problem
}

// New makes an error with a code. The meaning of a code never changes; docs/problems.md explains all codes.
func New(class Class, code, detail string) *Error {
	return &Error{Class: class, Code: code, Detail: detail}
}

// Error returns the code.
func (e *Error) Error() string { return e.Code }

// Is reports whether target is the same error, perhaps with other texts. errors.Is calls it.
func (e *Error) Is(target error) bool {
	other, ok := target.(*Error)
	return ok && other.Code == e.Code && other.Class == e.Class
}

// For declares which error of another package, such as store, becomes this problem.
func (e *Error) For(foreign error) *Error {
	c := *e
	c.foreign = foreign
	return &c
}

// With adds wrong fields or parameters.
func (e *Error) With(fields ...ProblemError) *Error {
	c := *e
	c.fields = slices.Concat(e.fields, fields[:min(len(fields), maxErrors)])
	return &c
}

// Detailed replaces the text for people.
func (e *Error) Detailed(format string, args ...any) *Error {
	c := *e
	c.Detail = fmt.Sprintf(format, args...)
	return &c
}

// Header adds a header to the answer.
func (e *Error) Header(name, value string) *Error {
	c := *e
	if c.headers = maps.Clone(e.headers); c.headers == nil {
		c.headers = http.Header{}
	}
	c.headers.Set(name, value)
	return &c
}

// RetryAfter tells the client when the same request may succeed.
func (e *Error) RetryAfter(d time.Duration) *Error { return e.Header("Retry-After", Seconds(d)) }

// Seconds formats a duration for a header. It rounds up and never returns 0, so that a client that waits that long has
// waited long enough.
func Seconds(d time.Duration) string {
	return strconv.FormatInt(int64(max(1, (d+time.Second-1)/time.Second)), 10)
}

// Problem returns the body of the answer to a request.
func (e *Error) Problem(requestID string) *Problem {
	return &Problem{
		Type: "about:blank", Title: e.Class.title(), Status: e.Class.status(), Detail: e.Detail, Code: e.Code,
		RequestID: requestID, Errors: e.fields, headers: e.headers,
	}
}

// Find returns the problem that an error carries. Without one, it returns the first declared problem whose foreign
// error matches, or nil.
func Find(err error, declared ...*Error) *Error {
	if carried, ok := errors.AsType[*Error](err); ok {
		return carried
	}
	for _, e := range declared {
		if e.foreign != nil && errors.Is(err, e.foreign) {
			return e
		}
	}
	return nil
}
