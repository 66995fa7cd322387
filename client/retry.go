package client

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"
)

const (
	firstBackoff = 100 * time.Millisecond
	lastBackoff  = 5 * time.Second
	// maxRetryAfter is the longest wait that the client accepts from a server. The caller decides about a longer one.
	maxRetryAfter = time.Minute
)

// backoff returns a random time below a limit that doubles ("full jitter"), so that clients that failed together do not
// return together.
func backoff(attempt int) time.Duration {
	limit := lastBackoff
	if attempt < 6 {
		limit = min(limit, firstBackoff<<attempt)
	}
	return rand.N(limit)
}

// temporary reports whether the same request may succeed later. An error that is not a problem comes from the
// connection.
func temporary(err error) bool {
	problem, ok := errors.AsType[*Problem](err)
	if !ok {
		return true
	}
	if problem.RetryAfter > maxRetryAfter {
		return false
	}
	switch problem.Status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests:
		return true
	case http.StatusNotImplemented:
		return false
	default:
		return problem.Status >= http.StatusInternalServerError
	}
}

func retryAfter(err error) time.Duration {
	if problem, ok := errors.AsType[*Problem](err); ok {
		return problem.RetryAfter
	}
	return 0
}

// wait returns false, and at once, if the context ends before.
func wait(ctx context.Context, d time.Duration) bool {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < d {
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
