package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

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
	var args struct {
		Tries int `json:"tries"` // of a step, before its own job
	}
	_ = json.Unmarshal(job.EncodedArgs, &args) // the args of another job have none
	return p.now().Add(rand.N(retryCeiling(job.Attempt + args.Tries)))
}

func retryCeiling(attempt int) time.Duration {
	return min(firstRetry<<min(attempt, 10), lastRetry)
}

// riverTime is the clock that River schedules jobs by. Postgres compares those times with its own clock, so a wall
// clock two hours ahead would snooze a job past its step's deadline.
type riverTime struct{ *store.Clock }

// NowOrNil returns nil, so that River uses the database's time in its queries.
func (riverTime) NowOrNil() *time.Time { return nil }

// tryAgain maps a task without an outcome to River's handling of the step's own job. Waiting that the provider or its
// breaker asks for, and waiting for room, uses up no attempt. Waits are spread out, so that the jobs do not all return
// at once.
func (s *shared) tryAgain(t task) error {
	wait := asked(t.err)
	switch {
	case errors.Is(t.err, errLaneFull), errors.Is(t.err, errPaused):
		wait = laneWait/2 + rand.N(laneWait)
	case wait == 0:
		return t.err
	}
	return river.JobSnooze(s.within(wait, t))
}

// handOverWait returns how long the job of a task that is left waits before its first run.
func (s *shared) handOverWait(ctx context.Context, t task) time.Duration {
	if t.err == nil || leaves(t.err) || ctx.Err() != nil {
		return 0
	}
	if wait := asked(t.err); wait > 0 {
		return s.within(wait, t)
	}
	return s.within(rand.N(retryCeiling(t.tries)), t)
}

// within shortens a wait that would go past the step's deadline: the step must be given up then, and not later.
func (s *shared) within(wait time.Duration, t task) time.Duration {
	if left := t.intent.DeadlineAt.Sub(s.Now()); left > 0 {
		return min(wait, left)
	}
	return wait
}

// asked returns the wait that a provider or its breaker asks for; 0 if it asks for none.
func asked(err error) time.Duration {
	if open, ok := errors.AsType[*upstream.OpenError](err); ok {
		return open.RetryAfter + rand.N(2*time.Second)
	}
	if unavailable, ok := errors.AsType[*upstream.UnavailableError](err); ok && unavailable.RetryAfter > 0 {
		return unavailable.RetryAfter + rand.N(time.Second)
	}
	return 0
}

// snoozes returns how often the job was snoozed, which River does not count as an attempt. The key is River's own.
func snoozes(job *rivertype.JobRow) int {
	var metadata struct {
		Snoozes int `json:"snoozes"`
	}
	_ = json.Unmarshal(job.Metadata, &metadata) // an unreadable count is taken as 0
	return metadata.Snoozes
}
