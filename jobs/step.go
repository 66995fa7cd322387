package jobs

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/riverqueue/river"

	"github.com/millrace-orders/millrace/failpoint"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/trace"
	"github.com/millrace-orders/millrace/upstream"
)

const (
	// askAfter is the number of attempts after which the provider is asked before the step is sent again. Some
	// providers replay a stored failure for ever, although the step took effect.
	askAfter = 3
	// askFor is how long after a step's deadline its provider is still asked for the outcome, while it cannot answer.
	askFor = 15 * time.Minute
)

// steps declares the jobs of single steps. One worker and one type of arguments serve them all: the kind is the step's
// name, and river.AddWorker would need a Go type for each kind.
func (s *shared) steps(c *carrier) job {
	worker := &stepWorker{carrier: c}
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

// stepWorker carries out a step that waited for its provider, and goes on with the steps that its outcome starts.
type stepWorker struct {
	river.WorkerDefaults[orders.StepJob]

	carrier *carrier
}

// Timeout implements river.Worker.
func (w *stepWorker) Timeout(*river.Job[orders.StepJob]) time.Duration { return carryTimeout }

// Work implements river.Worker.
func (w *stepWorker) Work(ctx context.Context, job *river.Job[orders.StepJob]) error {
	failpoint.Hit("step.begin")
	own := task{StepJob: job.Args, tries: job.Args.Tries + job.Attempt - 1 + snoozes(job.JobRow)}
	own.Tries = 0
	left, err := w.carrier.carry(ctx, []task{own})
	switch {
	case err != nil:
		return err
	case len(left) == 1 && left[0].StepJob == own.StepJob:
		return w.carrier.tryAgain(left[0])
	}
	return handOver(ctx, w.carrier, job, left)
}

// carryOut makes the calls that lead to the step's outcome; tries counts the attempts with this one. An error means
// that the outcome is still unknown.
func (c *carrier) carryOut(
	ctx context.Context, step orders.StepName, tries int, intent store.Intent,
) (orders.Event, error) {
	spec, _ := step.Spec()
	unwanted := spec.Role == orders.Forward && intent.Goal != orders.GoalComplete
	if unwanted && (intent.Goal == orders.GoalCancel || tries > 1) {
		return abandoned(), nil
	}

	late := c.Now().Sub(intent.DeadlineAt)
	ask := late >= 0 || tries >= askAfter || intent.Again
	if ask {
		failpoint.Hit("step.before_ask")
		answer, err := c.Providers.Ask(ctx, step, intent.Key, intent.Request)
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
	answer, err := c.Providers.Send(ctx, step, intent.Key, intent.Request)
	failpoint.Hit("step.sent")
	if refused, ok := errors.AsType[*upstream.RefusedError](err); ok {
		return orders.Event{Kind: orders.StepRefused, Reason: refused.Code}, nil
	}
	if uncertain, ok := errors.AsType[*upstream.UncertainError](err); ok {
		return orders.Event{Kind: orders.StepUnknown, Reason: uncertain.Code}, nil // must not be sent again
	}
	if unavailable, ok := errors.AsType[*upstream.UnavailableError](err); ok && unavailable.Unclear && !ask {
		// The answer is an error, yet the step may have taken effect. No run asks twice: it has time for two calls.
		if asked, failure := c.Providers.Ask(ctx, step, intent.Key, intent.Request); failure == nil &&
			asked.State != orders.StateUnknown {
			return outcomeOf(asked, intent), nil
		}
	}
	switch {
	case err != nil && unwanted:
		return abandoned(), nil
	case err != nil:
		return orders.Event{}, err
	}
	return outcomeOf(answer, intent), nil
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
		s.metrics.finished(ctx, a.Order)
		trace.LogEnd(ctx, s.Logger, &a.Order, s.efforts.take(a.Order.ID))
	}
	if a.Changed && strings.HasPrefix(string(a.Event.Kind), "step_") {
		s.metrics.settled(&a.Order, a.Event)
	}
	if a.Changed && a.Event.Step == orders.SendEmail {
		step := a.Order.Step(a.Event.Step, a.Event.Generation)
		s.metrics.notified.WithLabelValues(string(orders.NotificationStateOf(step.State, step.Reason))).Inc()
	}
	if a.Changed && a.Event.StatusChanged && a.Order.Status == orders.NeedsAttention {
		ctx = trace.OrderOf(ctx, a.Order.ID, a.Order.Origin)
		s.tally.error(ctx, a.Order.Reason, "order needs attention", "order_id", a.Order.ID, "reason", a.Order.Reason)
	}
}
