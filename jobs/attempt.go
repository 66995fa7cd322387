package jobs

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/millrace-orders/millrace/failpoint"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/trace"
	"github.com/millrace-orders/millrace/upstream"
)

// errPaused leaves a step in the queue of a provider that an operator has paused.
var errPaused = errors.New("the provider's queue is paused")

// errUnknownStep is about a step that another version's saga has.
var errUnknownStep = errors.New("the step is not in this version's saga")

// A panicError is a panic in an attempt. It ends that attempt and nothing else.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v\n%s", e.value, e.stack) }

// attempt makes the calls of a step.
func (v *voyage) attempt(ctx context.Context, t task) (r result) {
	r.task = t
	r.err = nil
	defer func() {
		if value := recover(); value != nil {
			r.event, r.err = orders.Event{}, &panicError{value, debug.Stack()}
			r.tries++
			v.Logger.ErrorContext(ctx, "step panicked", "step", t.Step, "order_id", t.OrderID, "error", r.err)
		}
	}()
	spec, known := t.Step.Spec()
	if !known {
		r.err = fmt.Errorf("%q: %w", t.Step, errUnknownStep)
		return r
	}
	if !t.known {
		if r.intent, r.err = v.Store.Orders.Intent(ctx, t.StepJob); r.err != nil {
			return r
		}
		if r.intent.State != orders.StatePending {
			return r // another run of this step was first
		}
	} else if goal := v.goal.Load(); goal != nil {
		r.intent.Goal = *goal
	}
	ctx = v.aboard(ctx, t.OrderID, r.intent.Origin)
	failpoint.Hit("step.intended")
	if v.paused.has(spec.Provider) || v.Store.Holds.Paused(spec.Provider) {
		r.err = errPaused
		return r
	}
	class := classBegun
	if spec.Begins() {
		class = classNew
	}
	lane := v.lanes[spec.Provider]
	if r.err = lane.enter(ctx, class); r.err != nil {
		return r
	}
	began := time.Now()
	ctx, span := trace.Attempt(ctx, t.Step, r.intent.Key, t.tries+1)
	defer func() {
		took := time.Since(began)
		lane.leave(took)
		outcome := v.metrics.attempted(ctx, r, took)
		span.EndAs(outcome, r.err != nil)
	}()
	outcome, err := v.carryOut(ctx, t.Step, t.tries+1, r.intent)
	if err != nil {
		failpoint.Hit("step.failed")
		r.err = err
		v.failed(ctx, &r)
		return r
	}
	r.event = outcome
	r.event.OrderID, r.event.Step, r.event.Generation = t.OrderID, t.Step, t.Generation
	r.event.At = v.Now()
	return r
}

// failed counts an attempt without an outcome, unless the provider was not called or the job was stopped.
func (v *voyage) failed(ctx context.Context, r *result) {
	if !leaves(r.err) && ctx.Err() == nil {
		r.tries++
	}
	if _, ok := errors.AsType[*upstream.MisconfiguredError](r.err); ok {
		v.tally.error(ctx, string(r.Step)+" "+r.err.Error(), "provider rejected a request", "order_id", r.OrderID,
			"step", r.Step, "error", r.err)
	}
}

// again makes another attempt after a while, by what is stored then.
func (v *voyage) again(ctx context.Context, t task, wait time.Duration) result {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-v.stopping:
		return result{task: t}
	case <-ctx.Done():
		return result{task: t}
	}
	t.known = false
	return v.attempt(ctx, t)
}

// stays reports whether a task that failed is tried again within this job, and after which wait: no other job has to be
// made for a failure that passes. Where many orders are being carried, the slots are needed for others.
func (v *voyage) stays(ctx context.Context, t task) (wait time.Duration, stays bool) {
	if t.err == nil || leaves(t.err) || v.over(ctx) || v.busy.Load() > int64(v.Workers) {
		return 0, false
	}
	if asked(t.err) > 0 {
		return 0, false
	}
	wait = rand.N(retryCeiling(t.tries))
	return wait, time.Since(v.began)+wait <= retryFor
}

// leaves reports whether an error has a step wait in its provider's queue. The provider was not called.
func leaves(err error) bool {
	_, open := errors.AsType[*upstream.OpenError](err)
	return open || errors.Is(err, errLaneFull) || errors.Is(err, errPaused) || errors.Is(err, errUnknownStep)
}
