package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/riverqueue/river"

	"github.com/millrace-orders/millrace/failpoint"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/upstream"
)

const (
	// askAfter is the number of attempts after which the provider is asked before the step is sent again. Some
	// providers replay a stored failure for ever, although the step took effect.
	askAfter = 3
	// askFor is how long after a step's deadline its provider is still asked for the outcome, while it cannot answer.
	askFor = 15 * time.Minute
)

// steps declares all jobs of the saga. One worker and one type of arguments serve them all: the kind is the step's
// name, and river.AddWorker would need a Go type for each kind.
func (s *shared) steps() job {
	worker := &stepWorker{shared: s}
	j := job{queues: map[string]int{}, register: func(workers *river.Workers) {
		for _, spec := range orders.Specs() {
			river.AddWorkerArgs(workers, orders.StepJob{Step: spec.Name}, worker)
		}
	}}
	for _, provider := range orders.Providers() {
		j.queues[string(provider)] = s.Workers
	}
	return j
}

// stepWorker carries out any step of the saga.
type stepWorker struct {
	river.WorkerDefaults[orders.StepJob]
	*shared
}

// Work sends the step and applies its outcome. Every path ends either in an event or in a retry of the job.
func (w *stepWorker) Work(ctx context.Context, job *river.Job[orders.StepJob]) error {
	failpoint.Hit("step.begin")
	intent, err := w.intent(ctx, job)
	switch {
	case errors.Is(err, orders.ErrNotFound):
		return river.JobCancel(err)
	case err != nil:
		return err
	case intent.State != orders.StatePending:
		return nil // another run of this step was first
	}

	failpoint.Hit("step.intended")
	outcome, err := w.carryOut(ctx, job, intent)
	if err != nil {
		failpoint.Hit("step.failed")
		return w.tryAgain(ctx, job.Args, intent, err)
	}
	outcome.OrderID, outcome.Step, outcome.Generation = job.Args.OrderID, job.Args.Step, job.Args.Generation
	outcome.At = w.Now()

	failpoint.Hit("step.before_apply")
	applied, err := w.Store.Orders.Apply(ctx, []orders.Event{outcome})
	if err != nil {
		return err
	}
	failpoint.Hit("step.applied")
	w.report(ctx, applied[0])
	return applied[0].Err
}

// intent returns the stored intent. Only a first attempt may use the process's memory. Before a retry, the memory may
// be stale, whatever the failure was.
func (w *stepWorker) intent(ctx context.Context, job *river.Job[orders.StepJob]) (store.Intent, error) {
	if job.Attempt+snoozes(job.JobRow) == 1 {
		if intent, ok := w.Store.Orders.Recall(job.Args); ok {
			return intent, nil
		}
	}
	return w.Store.Orders.Intent(ctx, job.Args)
}

// carryOut makes the calls that lead to the step's outcome. An error means that the outcome is still unknown.
func (w *stepWorker) carryOut(
	ctx context.Context, job *river.Job[orders.StepJob], intent store.Intent,
) (orders.Event, error) {
	step := job.Args.Step
	spec, ok := step.Spec()
	if !ok {
		return orders.Event{}, fmt.Errorf("step %q is not in this version's saga", step)
	}
	tries := job.Attempt + snoozes(job.JobRow)
	unwanted := spec.Role == orders.Forward && intent.Goal != orders.GoalComplete
	if unwanted && (intent.Goal == orders.GoalCancel || tries > 1) {
		return abandoned(), nil
	}

	late := w.Now().Sub(intent.DeadlineAt)
	ask := late >= 0 || tries >= askAfter || intent.Again
	if ask {
		failpoint.Hit("step.before_ask")
		answer, err := w.Providers.Ask(ctx, step, intent.Key, intent.Request)
		failpoint.Hit("step.asked")
		switch {
		case err == nil && answer.State != orders.StateUnknown:
			return outcomeOf(answer, intent), nil
		case err != nil && intent.Again && late < 0, err != nil && late >= 0 && late < askFor:
			return orders.Event{}, err // nothing is sent without the answer, and the provider may answer soon
		case late >= 0:
			return orders.Event{Kind: orders.StepUnknown, Reason: "deadline"}, nil
		}
	}

	failpoint.Hit("step.before_send")
	answer, err := w.Providers.Send(ctx, step, intent.Key, intent.Request)
	failpoint.Hit("step.sent")
	if refused, ok := errors.AsType[*upstream.RefusedError](err); ok {
		return orders.Event{Kind: orders.StepRefused, Reason: refused.Code}, nil
	}
	if uncertain, ok := errors.AsType[*upstream.UncertainError](err); ok {
		return orders.Event{Kind: orders.StepUnknown, Reason: uncertain.Code}, nil // must not be sent again
	}
	if unavailable, ok := errors.AsType[*upstream.UnavailableError](err); ok && unavailable.Unclear && !ask {
		// The answer is an error, yet the step may have taken effect. No run asks twice: it has time for two calls.
		if asked, failure := w.Providers.Ask(ctx, step, intent.Key, intent.Request); failure == nil &&
			asked.State != orders.StateUnknown {
			return outcomeOf(asked, intent), nil
		}
	}
	if err != nil && unwanted {
		return abandoned(), nil
	}
	return outcomeOf(answer, intent), err
}

// abandoned is the outcome of a step that its order no longer needs, because the order is being undone. Whether an
// attempt got through does not matter: undoing is by key. In a failing order the first attempt is still made, once: a
// known outcome needs less undoing.
func abandoned() orders.Event { return orders.Event{Kind: orders.StepUnknown, Reason: "abandoned"} }

// outcomeOf returns the event for a provider's answer.
func outcomeOf(answer upstream.Answer, intent store.Intent) orders.Event {
	switch {
	case answer.State == orders.StateRefused:
		return orders.Event{Kind: orders.StepRefused, Reason: answer.Code}
	case answer.UndidNothing(intent.Undone):
		return orders.Event{Kind: orders.StepRefused, Reason: "nothing_to_undo", Reference: answer.Reference}
	default:
		return orders.Event{Kind: orders.StepSucceeded, Reference: answer.Reference}
	}
}

// report writes a step's effect on its order to the log and the metrics.
func (s *shared) report(ctx context.Context, a store.Applied) {
	if a.Ended {
		s.metrics.finished(a.Order)
	}
	if a.Changed && a.Event.Step == orders.SendEmail {
		step := a.Order.Step(a.Event.Step, a.Event.Generation)
		s.metrics.notified.WithLabelValues(string(orders.NotificationStateOf(step.State, step.Reason))).Inc()
	}
	if a.Changed && a.Event.StatusChanged && a.Order.Status == orders.NeedsAttention {
		s.tally.error(ctx, a.Order.Reason, "order needs attention", "order_id", a.Order.ID, "reason", a.Order.Reason)
	}
}
