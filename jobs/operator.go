package jobs

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/riverqueue/river"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/upstream"
	"github.com/millrace-orders/millrace/webhook"
)

// lookEvery is how often causes to tell operators of are looked for. It is shorter than a breaker stays open.
const lookEvery = 10 * time.Second

// Lookout tells operators of what needs them. Every process with workers has one. It is no River job: it must not fall
// silent when jobs do not run.
type Lookout struct {
	notices *store.Notices
	self    string
	logger  *slog.Logger
}

// NewLookout makes a Lookout; the caller runs it. self is the process's name among the River clients.
func NewLookout(n *store.Notices, self string, logger *slog.Logger) *Lookout {
	return &Lookout{notices: n, self: self, logger: logger}
}

// Run looks until ctx ends.
func (l *Lookout) Run(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for failing := false; ; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		told, err := l.notices.Look(ctx, l.self, webhook.OperatorBody)
		if err != nil && !failing && ctx.Err() == nil {
			l.logger.WarnContext(ctx, "operators not told", "error", err)
		}
		failing = err != nil
		for _, n := range told {
			l.logger.WarnContext(ctx, "operators told", "type", n.Type, "cause", n.Cause)
		}
	}
}

// operatorMail declares the job that sends a notice by e-mail. Every process has it: one with another configuration may
// have enqueued the job.
func (s *shared) operatorMail() job {
	return job{register: func(workers *river.Workers) { river.AddWorker(workers, &operatorMailWorker{shared: s}) }}
}

type operatorMailWorker struct {
	river.WorkerDefaults[orders.OperatorMailJob]
	*shared
}

// Work sends the mail. A refusal is final; River tries again after any other failure.
func (w *operatorMailWorker) Work(ctx context.Context, job *river.Job[orders.OperatorMailJob]) error {
	n := job.Args.Notice
	subject, text := n.Mail()
	err := w.Providers.MailOperator(ctx, n.ID.String(), subject, text)
	_, refused := errors.AsType[*upstream.RefusedError](err)
	if refused || errors.Is(err, upstream.ErrNoOperator) {
		w.Logger.WarnContext(ctx, "mail to an operator not sent", "type", n.Type, "cause", n.Cause, "error", err)
		return river.JobCancel(err)
	}
	return err
}
