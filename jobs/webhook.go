package jobs

import (
	"cmp"
	"context"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/riverqueue/river"

	"github.com/millrace-orders/millrace/failpoint"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/trace"
	"github.com/millrace-orders/millrace/webhook"
)

const (
	// drainFor is how long one job sends to one webhook before other webhooks get their turn. Together with the
	// longest send after it, it fits into jobTimeout.
	drainFor     = 5 * time.Second
	drainBatch   = 50 // messages taken at a time; if the process is killed, they are sent twice
	downAfter    = 5  // failures in a row
	failingLimit = 5 * 24 * time.Hour
	defaultKeep  = 30 * 24 * time.Hour
	// mostBetweenRuns is the longest wait after a run that ended without an outcome.
	mostBetweenRuns = 4 * time.Second
)

// webhooks declares the job that sends messages. A process that sends none has no such job.
func (s *shared) webhooks() job {
	if s.Webhooks == nil {
		return job{}
	}
	worker := &webhookWorker{
		deliveries: s.Store.Deliveries, sender: s.Webhooks.Sender, shares: map[string]*shares{},
		parallel: cmp.Or(s.Webhooks.Parallel, 2), now: s.Now, logger: s.Logger, tracer: s.Tracer,
		metrics: newWebhookMetrics(s.Registerer),
	}
	j := job{
		register: func(workers *river.Workers) { river.AddWorker(workers, worker) }, queues: map[string]int{},
	}
	for _, queue := range []string{orders.WebhookQueue, orders.FailingWebhookQueue} {
		j.queues[queue] = cmp.Or(s.Webhooks.Workers, 20)
		worker.shares[queue] = newShares(j.queues[queue])
	}
	return j
}

// webhookWorker sends a webhook's messages. There is one job for a webhook, not one for a message. So a webhook
// has one worker at a time, and messages that wait for days are rows of a table that no query scans.
type webhookWorker struct {
	river.WorkerDefaults[orders.WebhookJob]
	deliveries *store.Deliveries
	sender     *webhook.Sender
	shares     map[string]*shares // by queue
	parallel   int
	now        func() time.Time
	logger     *slog.Logger
	tracer     *trace.Tracer
	metrics    *webhookMetrics
}

// NextRetry implements river.Worker. A run that ends without an outcome says nothing about the webhook, whose failures
// have waits of their own: the process died, or the database did not answer. Until the retry no other job sends to the
// webhook. So it does not wait longer for a job that has met many of these in the days that it lives.
func (w *webhookWorker) NextRetry(*river.Job[orders.WebhookJob]) time.Time {
	return w.now().Add(rand.N(mostBetweenRuns))
}

// Work sends until nothing is due, the webhook fails, or other webhooks want their turn. It takes no message while
// the webhook's owner holds its full share of the workers.
func (w *webhookWorker) Work(ctx context.Context, job *river.Job[orders.WebhookJob]) error {
	shares := w.shares[job.Queue]
	if !shares.take(job.Args.Owner) {
		return river.JobSnooze(refusedFor())
	}
	defer shares.release(job.Args.Owner)
	began := time.Now()
	for until := began.Add(drainFor); ctx.Err() == nil; {
		hook, list, ok, err := w.deliveries.Take(ctx, job.Args.WebhookID, drainBatch)
		if err != nil || !ok {
			return err
		}
		failpoint.Hit("webhook.taken")
		outcomes := w.send(ctx, hook, list, until)
		failpoint.Hit("webhook.sent")
		health := w.judge(hook, outcomes)
		err = w.deliveries.Record(ctx, hook.ID, w.attempted(list, outcomes), health, webhook.WebhookDisabled,
			webhook.BodyAboutWebhook(webhook.WebhookDisabled, hook.ID, string(health.DisabledReason), w.now()))
		if err != nil {
			return err
		}
		failpoint.Hit("webhook.recorded")
		w.report(ctx, hook, health)
		if health.Failures > 0 {
			return nil
		}
		if time.Now().After(until) {
			if shares.wanted(job.Args.Owner, began) {
				return river.JobSnooze(yieldFor())
			}
			return river.JobSnooze(0)
		}
	}
	return ctx.Err()
}

// send sends messages until one fails, or it is time to stop. A message that was not sent has a nil outcome. An
// webhook that has failed first gets a single message as a probe.
func (w *webhookWorker) send(
	ctx context.Context, hook store.Webhook, list []store.Delivery, until time.Time,
) []*webhook.Outcome {
	var secrets []webhook.Secret
	for _, secret := range hook.Secrets(w.now()) {
		secrets = append(secrets, secret)
	}
	parallel := w.parallel
	if hook.Failures > 0 {
		parallel = 1
	}
	outcomes := make([]*webhook.Outcome, len(list))
	var next atomic.Int64
	var stop atomic.Bool
	var senders sync.WaitGroup
	for range parallel {
		senders.Go(func() {
			for !stop.Load() && time.Now().Before(until) {
				i := int(next.Add(1)) - 1
				if i >= len(list) {
					return
				}
				outcome := w.sendOne(ctx, hook, list[i], secrets)
				if !outcome.Delivered {
					stop.Store(true)
					if ctx.Err() != nil {
						return // the failure may be this process's own
					}
				}
				outcomes[i] = &outcome
			}
		})
	}
	senders.Wait()
	return outcomes
}

// sendOne makes an attempt at a message, below the placement of its order. A panic is a failure of this message: on
// this goroutine it would end the process, and again at each start, because the message would still be due.
func (w *webhookWorker) sendOne(
	ctx context.Context, hook store.Webhook, d store.Delivery, secrets []webhook.Secret,
) (outcome webhook.Outcome) {
	defer func() {
		if value := recover(); value != nil {
			outcome = webhook.Outcome{Error: "internal error"}
			w.logger.ErrorContext(ctx, "webhook sender panicked", "webhook_id", hook.ID, "delivery_id", d.ID,
				"error", &panicError{value, debug.Stack()})
		}
	}()
	ctx, span := w.tracer.Deliver(ctx, d.ID.String(), d.Origin, d.Attempts+1)
	ctx = trace.OrderOf(ctx, d.OrderID, d.Origin)
	outcome = w.sender.Send(ctx, webhook.Message{
		ID: d.ID.String(), URL: hook.URL, Body: d.Body, Secrets: secrets,
	})
	w.metrics.sent(ctx, outcome)
	span.EndAs(outcomeOfSend(outcome), !outcome.Delivered)
	return outcome
}

// judge returns the webhook's health after the outcomes.
func (w *webhookWorker) judge(hook store.Webhook, outcomes []*webhook.Outcome) store.Health {
	now := w.now()
	health := store.Health{Failures: hook.Failures, FailingSince: hook.FailingSince, BusyUntil: now}
	var failed int
	var wait time.Duration
	for _, outcome := range outcomes {
		switch {
		case outcome == nil:
		case outcome.Delivered:
			health.Recovered = hook.Failures >= downAfter
			health.Failures, health.FailingSince = 0, time.Time{}
		default:
			failed++
			wait = max(wait, outcome.RetryAfter)
			if outcome.Gone {
				health.DisabledReason = store.DisabledGone
			}
		}
	}
	if failed == 0 {
		return health
	}
	health.Failures += failed
	if health.FailingSince.IsZero() {
		health.FailingSince = now
	}
	health.BusyUntil = now.Add(max(wait, webhook.Pause(health.Failures)))
	if health.DisabledReason == "" && now.Sub(health.FailingSince) >= failingLimit {
		health.DisabledReason = store.DisabledFailing
	}
	return health
}

// attempted returns the messages' states for their outcomes.
func (w *webhookWorker) attempted(list []store.Delivery, outcomes []*webhook.Outcome) []store.Attempted {
	now := w.now()
	made := make([]store.Attempted, len(list))
	for i, d := range list {
		m := store.Attempted{ID: d.ID, State: store.DeliveryPending, NextAttemptAt: now}
		if outcome := outcomes[i]; outcome != nil {
			m.Attempt = store.Attempt{
				Number: d.Attempts + 1, At: now, Took: outcome.Took, Status: outcome.Status, Error: outcome.Error,
				Response: outcome.Response,
			}
			m.State, m.NextAttemptAt = after(d, *outcome, now)
			w.metrics.recorded(m.State)
		}
		made[i] = m
	}
	return made
}

// after returns the state of a message after an attempt, and the time of the next attempt.
func after(d store.Delivery, outcome webhook.Outcome, now time.Time) (store.DeliveryState, time.Time) {
	// Attempts count from the last redelivery that a caller requested.
	wait, more := webhook.Wait(orders.WebhookAttempts - (d.GiveUpAt - d.Attempts - 1))
	switch {
	case outcome.Delivered:
		return store.DeliveryDelivered, now
	case outcome.Blocked:
		return store.DeliveryBlocked, now
	case outcome.Gone || !more:
		return store.DeliveryFailed, now
	default:
		return store.DeliveryPending, now.Add(max(wait, outcome.RetryAfter))
	}
}

func (w *webhookWorker) report(ctx context.Context, hook store.Webhook, health store.Health) {
	if health.DisabledReason != "" {
		w.metrics.disabled.WithLabelValues(string(health.DisabledReason)).Inc()
		w.logger.WarnContext(ctx, "webhook disabled", "webhook_id", hook.ID, "reason", health.DisabledReason)
	}
}

// keep returns how long finished deliveries are kept.
func (w *Webhooks) keep() time.Duration {
	if w == nil {
		return defaultKeep
	}
	return cmp.Or(w.Keep, defaultKeep)
}
