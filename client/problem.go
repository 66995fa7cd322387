package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// ErrNotModified is the error of a read with [WithIfNoneMatch] if the order has not changed.
var ErrNotModified = errors.New("the order has not changed")

// Problem is an error answer of the server. Get it with errors.As.
//
//nolint:errname // the name that RFC 9457 gives it
type Problem struct {
	Status    int          // the HTTP status
	Code      string       // what went wrong, for programs; empty if the answer came from something in between
	Detail    string       // what went wrong, for people
	Fields    []FieldError // each wrong field or parameter
	RequestID string       // identifies the request in the server's log
	// RetryAfter is how long the server asks the client to wait. The client has waited, unless it was over a minute. It
	// is at most the longest Duration, 292 years.
	RetryAfter time.Duration
}

// FieldError is one wrong field or parameter.
type FieldError struct {
	Location string `json:"location"` // for example body.items[0].price
	Message  string `json:"message"`
}

// Error describes the problem in one line.
func (p *Problem) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s", p.Status, http.StatusText(p.Status))
	if p.Code != "" {
		fmt.Fprintf(&b, " (%s)", p.Code)
	}
	if p.Detail != "" {
		fmt.Fprintf(&b, ": %s", p.Detail)
	}
	for _, f := range p.Fields {
		fmt.Fprintf(&b, " %s %s;", f.Location, f.Message)
	}
	return strings.TrimSuffix(b.String(), ";")
}

// IsNotFound reports whether the order is missing, or hidden from this token.
func IsNotFound(err error) bool { return hasStatus(err, http.StatusNotFound) }

// IsArchived reports whether the order was finished long ago and has left the server's database. The operator has it in
// a file.
func IsArchived(err error) bool {
	problem, ok := errors.AsType[*Problem](err)
	return ok && problem.Code == CodeOrderArchived
}

// IsConflict reports whether the order's state does not allow the request.
func IsConflict(err error) bool { return hasStatus(err, http.StatusConflict) }

// IsStale reports whether the order no longer has the version in [WithIfMatch].
func IsStale(err error) bool { return hasStatus(err, http.StatusPreconditionFailed) }

// IsRateLimited reports whether there were too many requests, even after waiting.
func IsRateLimited(err error) bool { return hasStatus(err, http.StatusTooManyRequests) }

func hasStatus(err error, status int) bool {
	problem, ok := errors.AsType[*Problem](err)
	return ok && problem.Status == status
}

// newProblem reads an error answer, which need not be the server's own: proxies answer in HTML.
func newProblem(r *http.Response, body []byte) *Problem {
	var sent struct {
		Code      string       `json:"code"`
		Detail    string       `json:"detail"`
		RequestID string       `json:"requestId"`
		Errors    []FieldError `json:"errors"`
	}
	_ = json.Unmarshal(body, &sent) // unreadable fields stay empty; the status is enough
	if sent.RequestID == "" {
		sent.RequestID = r.Header.Get("X-Request-Id")
	}
	return &Problem{
		Status: r.StatusCode, Code: sent.Code, Detail: sent.Detail, Fields: sent.Errors, RequestID: sent.RequestID,
		RetryAfter: parseRetryAfter(r.Header.Get("Retry-After")),
	}
}

// parseRetryAfter reads seconds, of any number of digits, or a date (RFC 9110, 10.2.3).
func parseRetryAfter(header string) time.Duration {
	if seconds, err := strconv.ParseUint(header, 10, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		return time.Duration(min(seconds, uint64(math.MaxInt64/time.Second))) * time.Second
	}
	if at, err := http.ParseTime(header); err == nil {
		return max(time.Until(at), 0)
	}
	return 0
}

// unwrapped returns the problem itself, without the generated client's wrapping.
func unwrapped(err error) error {
	if problem, ok := errors.AsType[*Problem](err); ok {
		return problem
	}
	return err
}
