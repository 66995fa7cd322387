package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/upstream"
)

const (
	firstRetry = time.Second
	lastRetry  = 5 * time.Minute
)

// retryPolicy is exponential with full jitter: attempt n waits a random time up to 2^n seconds, at most five minutes.
// There is no last attempt; a step ends by its deadline.
//
// Source: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
type retryPolicy struct{ now func() time.Time }

func (p retryPolicy) NextRetry(job *rivertype.JobRow) time.Time {
	return p.now().Add(rand.N(retryCeiling(job.Attempt)))
}

func retryCeiling(attempt int) time.Duration {
	return min(firstRetry<<min(attempt, 10), lastRetry)
}

// riverTime is the clock that River schedules jobs by. Postgres compares those times with its own clock, so a wall
// clock two hours ahead would snooze a job past its step's deadline.
type riverTime struct{ *store.Clock }

// NowOrNil returns nil, so that River uses the database's time in its queries.
func (riverTime) NowOrNil() *time.Time { return nil }

// tryAgain maps an error without an outcome to River's handling of the job. A wait that a provider or its breaker asks
// for uses up no attempt. The wait is spread out, so that the jobs do not all return at once.
func (w *stepWorker) tryAgain(ctx context.Context, job orders.StepJob, intent store.Intent, err error) error {
	var wait time.Duration
	if open, ok := errors.AsType[*upstream.OpenError](err); ok {
		wait = open.RetryAfter + rand.N(2*time.Second)
	}
	if unavailable, ok := errors.AsType[*upstream.UnavailableError](err); ok && unavailable.RetryAfter > 0 {
		wait = unavailable.RetryAfter + rand.N(time.Second)
	}
	if _, ok := errors.AsType[*upstream.MisconfiguredError](err); ok {
		w.tally.error(ctx, string(job.Step)+" "+err.Error(), "provider rejected a request", "order_id", job.OrderID,
			"step", job.Step, "error", err)
	}
	if wait == 0 {
		return err
	}
	if left := intent.DeadlineAt.Sub(w.Now()); left > 0 {
		wait = min(wait, left) // the step must be given up at its deadline, not later
	}
	return river.JobSnooze(wait)
}

// snoozes returns how often the job was snoozed, which River does not count as an attempt. The key is River's own.
func snoozes(job *rivertype.JobRow) int {
	var metadata struct {
		Snoozes int `json:"snoozes"`
	}
	_ = json.Unmarshal(job.Metadata, &metadata) // an unreadable count is taken as 0
	return metadata.Snoozes
}
