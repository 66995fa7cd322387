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

// retryPolicy is exponential with full jitter: attempt n waits anything up to 2^n seconds, at most five minutes.
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

// riverTime is the clock by which River puts jobs off. Postgres compares those times with its own, so a wall clock that
// is set two hours ahead would put a job off past its step's deadline.
type riverTime struct{ *store.Clock }

// NowOrNil leaves it to the database to say what time it is where River does.
func (riverTime) NowOrNil() *time.Time { return nil }

// tryAgain turns an error without an outcome into what River should do with the job. Waiting that a provider or its
// breaker asks for burns no attempt; it is spread out, so that not everybody comes back at once.
func (w *stepWorker) tryAgain(ctx context.Context, job orders.StepJob, intent store.Intent, err error) error {
	var wait time.Duration
	if open, ok := errors.AsType[*upstream.OpenError](err); ok {
		wait = open.RetryAfter + rand.N(2*time.Second)
	}
	if unavailable, ok := errors.AsType[*upstream.UnavailableError](err); ok && unavailable.RetryAfter > 0 {
		wait = unavailable.RetryAfter + rand.N(time.Second)
	}
	if _, ok := errors.AsType[*upstream.MisconfiguredError](err); ok {
		w.tally.error(ctx, string(job.Step)+" "+err.Error(), "provider rejects what millrace sends", "order_id", job.OrderID,
			"step", job.Step, "error", err)
	}
	if wait == 0 {
		return err
	}
	if left := intent.DeadlineAt.Sub(w.Now()); left > 0 {
		wait = min(wait, left) // the deadline is when the step is given up, not some time after
	}
	return river.JobSnooze(wait)
}

// snoozes is how often the job was put off, which River does not count as an attempt. The key is River's own.
func snoozes(job *rivertype.JobRow) int {
	var metadata struct {
		Snoozes int `json:"snoozes"`
	}
	_ = json.Unmarshal(job.Metadata, &metadata) // none, at worst
	return metadata.Snoozes
}
