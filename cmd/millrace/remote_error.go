package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	apiproblems "github.com/millrace-orders/millrace/api/problems"
)

// remoteError reports an answer of the API whose status is not a success.
type remoteError struct {
	status     int
	text       string
	retryAfter time.Duration // 0: the answer names none
}

// newRemoteError makes a sentence of a problem. A proxy may answer with something else.
func newRemoteError(response *http.Response, body []byte) *remoteError {
	e := &remoteError{status: response.StatusCode, text: "the server answered " + response.Status}
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil && seconds > 0 {
		e.retryAfter = time.Duration(seconds) * time.Second
	}
	var problem apiproblems.Problem
	if json.Unmarshal(body, &problem) != nil || problem.Code == "" {
		return e
	}
	var text strings.Builder
	text.WriteString(strings.TrimSuffix(problem.Detail, "."))
	for i, field := range problem.Errors {
		separator := ", "
		if i == 0 {
			separator = ": "
		}
		text.WriteString(separator + field.Location + " " + field.Message)
	}
	e.text = fmt.Sprintf("%s (%d %s, request %s)", text.String(), problem.Status, problem.Code, problem.RequestID)
	return e
}

func (e *remoteError) Error() string { return e.text }

// refused reports whether the API refused the call for what it is. The same call, sent again, is refused again.
func refused(err error) bool {
	e, ok := errors.AsType[*remoteError](err)
	return ok && e.status >= 400 && e.status < 500 &&
		e.status != http.StatusTooManyRequests && e.status != http.StatusRequestTimeout
}

// retryAfter returns how long the API asked to wait; 0 if it did not.
func retryAfter(err error) time.Duration {
	if e, ok := errors.AsType[*remoteError](err); ok {
		return min(e.retryAfter, time.Minute)
	}
	return 0
}
