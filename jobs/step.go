package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/riverqueue/river"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/upstream"
)

// askAfter is the attempt from which on a provider is asked before it is sent the step again: some replay a stored
// failure for ever, although the step took effect.
const askAfter = 3

// stepWorker carries out any step of the saga.
type stepWorker struct {
	river.WorkerDefaults[orders.StepJob]
	store     *store.Store
	providers *upstream.Clients
	now       func() time.Time
	logger    *slog.Logger
	metrics   *metrics
}

// Work sends the step and applies its outcome. Every path either ends in an event, or in the job being tried again.
func (w *stepWorker) Work(ctx context.Context, job *river.Job[orders.StepJob]) error {
	intent, err := w.store.Intent(ctx, job.Args)
	switch {
	case errors.Is(err, orders.ErrNotFound):
		return river.JobCancel(err)
	case err != nil:
		return err
	case intent.State != orders.StatePending:
		return nil // another run of this step has been here
	}

	outcome, err := w.carryOut(ctx, job, intent)
	if err != nil {
		return w.tryAgain(ctx, job.Args, intent, err)
	}
	outcome.OrderID, outcome.Step, outcome.Generation = job.Args.OrderID, job.Args.Step, job.Args.Generation
	outcome.At = w.now()

	applied, err := w.store.Apply(ctx, []orders.Event{outcome})
	if err != nil {
		return err
	}
	w.report(ctx, applied[0])
	return applied[0].Err
}

// carryOut makes the calls that lead to the step's outcome. An error means that there is none yet.
func (w *stepWorker) carryOut(
	ctx context.Context, job *river.Job[orders.StepJob], intent store.Intent,
) (orders.Event, error) {
	step := job.Args.Step
	spec, ok := step.Spec()
	if !ok {
		return orders.Event{}, fmt.Errorf("step %q is not in this version's saga", step)
	}
	if spec.Role == orders.Forward && (intent.Goal == orders.GoalCancel ||
		intent.Goal == orders.GoalFail && job.Attempt > 1) {
		// Nobody wants the step any more. Whether an earlier attempt got through does not matter: undoing is by key.
		// In a failing order the first attempt is still made: an outcome that is known needs less undoing.
		return orders.Event{Kind: orders.StepUnknown, Reason: "abandoned"}, nil
	}
	expired := !w.now().Before(intent.DeadlineAt)
	if expired || job.Attempt >= askAfter {
		outcome, err := w.ask(ctx, step, intent)
		if err == nil && outcome.Kind != orders.StepUnknown {
			return outcome, nil
		}
		if expired {
			return orders.Event{Kind: orders.StepUnknown, Reason: "deadline"}, nil
		}
	}

	reference, err := w.providers.Send(ctx, step, intent.Key, intent.Request)
	if refused, ok := errors.AsType[*upstream.RefusedError](err); ok {
		return orders.Event{Kind: orders.StepRefused, Reason: refused.Code}, nil
	}
	return orders.Event{Kind: orders.StepSucceeded, Reference: reference}, err
}

// ask finds out what became of a step that may have been sent before.
func (w *stepWorker) ask(ctx context.Context, step orders.StepName, intent store.Intent) (orders.Event, error) {
	answer, err := w.providers.Ask(ctx, step, intent.Key)
	switch answer.State {
	case orders.StateSucceeded:
		return orders.Event{Kind: orders.StepSucceeded, Reference: answer.Reference}, err
	case orders.StateRefused:
		return orders.Event{Kind: orders.StepRefused, Reason: answer.Code}, err
	case orders.StatePending, orders.StateUnknown:
	}
	return orders.Event{Kind: orders.StepUnknown}, err
}

// report tells the log and the metrics what a step did to its order.
func (w *stepWorker) report(ctx context.Context, a store.Applied) {
	if !a.Changed || !a.Event.StatusChanged || !a.Order.Status.AtRest() {
		return
	}
	w.metrics.finished(a.Order)
	if a.Order.Status == orders.NeedsAttention {
		w.logger.ErrorContext(ctx, "order needs attention", "order_id", a.Order.ID, "reason", a.Order.Reason)
	}
}
