package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/riverqueue/river"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/upstream"
)

const (
	// reconcileTimeout is above all the shares together, and below rescueAfter.
	reconcileTimeout = 75 * time.Second
	// reconcileShare is for how long one provider is compared with at most, so that the others have their turn.
	reconcileShare = 12 * time.Second
	// reconcileBack is how far back the first comparison with a provider goes.
	reconcileBack = 2 * time.Hour
	// reconcileSpan is compared and saved at a time: what took effect in it is held in memory, by key.
	reconcileSpan = 10 * time.Minute
	// reconcileGrace is how old an effect is at least when it is compared, so that a listing that is a little late, or
	// a clock that is a little off, makes no work.
	reconcileGrace = time.Minute
	// reconcileOverlap is looked at again: for effects that were listed late, and because an answer may come that long
	// after its effect. It saves questions; nothing is wrong without it.
	reconcileOverlap = 10 * time.Minute
	reconcilePage    = 1000 // events
	loggedKeys       = 5    // of the findings of one kind
	// behindPause lets go of the worker between one run that is behind and the next.
	behindPause = time.Second
)

// ReconcileJob compares the providers' own records with ours. It is enqueued by whichever process leads.
type ReconcileJob struct{}

// Kind names the job.
func (ReconcileJob) Kind() string { return "reconcile" }

type reconcileWorker struct {
	river.WorkerDefaults[ReconcileJob]
	store     *store.Store
	providers *upstream.Clients
	now       func() time.Time
	grace     time.Duration
	every     time.Duration
	repairs   bool // what a rule may repair
	logger    *slog.Logger
	metrics   *metrics

	mu     sync.Mutex
	listed map[orders.Provider]map[string]bool // of the spans under way
}

// Timeout is longer than that of a step: it is many calls.
func (w *reconcileWorker) Timeout(*river.Job[ReconcileJob]) time.Duration { return reconcileTimeout }

// Work compares with each provider as far as it gets, and goes on there the next time: at once if it is behind, but not
// past the time of the next periodic run, which is also the one that asks again and repairs.
func (w *reconcileWorker) Work(ctx context.Context, job *river.Job[ReconcileJob]) error {
	list, err := w.store.Reconciliations(ctx)
	if err != nil {
		return err
	}
	progress := map[orders.Provider]store.Reconciliation{}
	for _, r := range list {
		progress[r.Provider] = r
	}
	var failed []error
	behind := false
	for _, p := range orders.Providers() {
		r, begun := progress[p]
		if !begun {
			r = store.Reconciliation{Provider: p, To: w.now().Add(-reconcileBack)}
			if r.Cursor, err = w.store.LogSince(ctx, r.To); err != nil {
				return err
			}
		}
		goesOn, err := w.reconcile(ctx, r)
		behind = behind || goesOn
		failed = append(failed, err)
	}
	if snoozes(job.JobRow) == 0 {
		// In this sequence, so that what an answer settles is resolved in the same run.
		b := &budget{repairs: repairsMost, failures: map[orders.Provider]int{}}
		failed = append(failed, w.askAgain(ctx, b))
		clear(b.failures) // or orders that a provider is silent about would hold up findings, run after run
		failed = append(failed, w.recheck(ctx, b))
	}
	if err := errors.Join(failed...); err != nil {
		return err
	}
	if next := job.CreatedAt.Add(w.every); behind && w.now().Add(reconcileTimeout).Before(next) {
		return river.JobSnooze(behindPause)
	}
	return nil
}

// reconcile compares one provider's records with ours, a span of time after another, and reports whether it got on but
// not to the end. Only our own database's failures are errors: a provider that does not answer is in the state, and
// asked again the next time.
func (w *reconcileWorker) reconcile(ctx context.Context, r store.Reconciliation) (behind bool, err error) {
	share, cancel := context.WithTimeout(ctx, reconcileShare)
	defer cancel()
	end := w.now().Add(-w.grace)
	if err := w.settle(ctx, r.Provider); err != nil {
		return false, err
	}
	for {
		to := r.To.Add(reconcileSpan)
		if to.After(end) {
			to = end
		}
		if !r.Span.To.IsZero() {
			to = r.Span.To // it goes on where the run before stopped
		}
		if !to.After(r.To) {
			return false, nil
		}
		next, found, err := w.span(share, r, to)
		switch {
		case ctx.Err() != nil:
			return false, ctx.Err()
		case share.Err() != nil: // what was listed and looked up is listed and looked up
			next.State, next.To = store.ReconciliationBehind, r.To
		case errors.Is(err, upstream.ErrNoListing):
			next, found = r, store.Comparison{}
			if next.Cursor, err = w.store.LogEnd(ctx); err != nil {
				return false, err
			}
			next.State, next.To, next.Span = store.ReconciliationNotListed, end, store.Span{}
		case upstream.IsFailure(err):
			if next.Span == r.Span && r.State == store.ReconciliationUnavailable {
				next.Span = store.Span{} // it may be the cursor that the provider does not know any more
			}
			next.State, next.To = store.ReconciliationUnavailable, r.To
		case err != nil:
			return false, err
		case to.Before(end):
			next.State = store.ReconciliationBehind
		default:
			next.State = store.ReconciliationOK
		}
		fresh, err := w.store.SaveReconciliation(ctx, next, found)
		if err != nil {
			return false, err
		}
		w.reportFindings(ctx, r.Provider, fresh)
		if next.State != store.ReconciliationBehind || share.Err() != nil {
			return next.State == store.ReconciliationBehind, nil
		}
		r = next
	}
}

// reportFindings logs one line for each kind of finding: when two deployments are mixed up, there may be thousands.
func (w *reconcileWorker) reportFindings(ctx context.Context, p orders.Provider, fresh []store.Finding) {
	keys := map[orders.Drift][]string{}
	for _, f := range fresh {
		keys[f.Kind] = append(keys[f.Kind], f.Key)
	}
	for _, kind := range orders.Drifts() {
		if n := len(keys[kind]); n > 0 {
			w.logger.ErrorContext(ctx, "provider's records disagree", "provider", p, "kind", kind, "count", n,
				"keys", keys[kind][:min(n, loggedKeys)])
		}
	}
}

// span compares what took effect before a moment and has not been compared, and looks up the steps that succeeded. With
// an error, next is how far it got.
func (w *reconcileWorker) span(
	ctx context.Context, r store.Reconciliation, to time.Time,
) (next store.Reconciliation, found store.Comparison, err error) {
	begin := r.To.Add(-reconcileOverlap)
	listed := w.listedOf(r)
	next = r
	next.Span.To = to
	if !r.Span.Listed {
		err = w.providers.EffectsFrom(ctx, r.Provider, begin, to, r.Span.Cursor,
			func(page []orders.Effect, cursor string) error {
				for _, e := range page {
					listed[e.Key] = true
				}
				compared, err := w.store.Compare(ctx, page)
				if err != nil {
					return err
				}
				found.Add(compared)
				next.Span.Cursor, next.Span.Listed = cursor, cursor == ""
				return nil
			})
		if err != nil {
			return next, found, err
		}
		next.Span.Listed = true
	}
	if err := w.lookUpAll(ctx, &next, begin, listed, &found.Findings); err != nil {
		return next, found, err
	}
	next.To, next.Span = to, store.Span{}
	return next, found, nil
}

// listedOf is what has been listed of the span under way, by key. What another process has listed is not known here,
// and costs a question each.
func (w *reconcileWorker) listedOf(r store.Reconciliation) map[string]bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if r.Span == (store.Span{}) || w.listed[r.Provider] == nil {
		if w.listed == nil {
			w.listed = map[orders.Provider]map[string]bool{}
		}
		w.listed[r.Provider] = map[string]bool{}
	}
	return w.listed[r.Provider]
}

// lookUpAll looks up the steps that succeeded, by the log, up to the end of the span.
func (w *reconcileWorker) lookUpAll(
	ctx context.Context, next *store.Reconciliation, begin time.Time, listed map[string]bool, findings *[]store.Finding,
) error {
	filter := store.LogFilter{Steps: stepsOf(next.Provider)}
	for limit := 1; ; limit = reconcilePage { // the first may be after the span already, and then so are all
		entries, cursor, err := w.store.Log(ctx, next.Cursor, filter, limit)
		if errors.Is(err, store.ErrCursorExpired) { // the log was pruned meanwhile, or is another one
			next.Cursor, err = w.store.LogSince(ctx, begin)
			entries, cursor = nil, next.Cursor
		}
		if err != nil {
			return err
		}
		for _, e := range entries {
			if !e.Cursor.At.Before(next.Span.To) {
				return nil
			}
			if e.Cursor.At.Before(begin) { // a place in time is the log's give or take an hour
				next.Cursor = e.Cursor
				continue
			}
			finding, err := w.lookUp(ctx, next.Provider, e.Event, listed)
			if err != nil {
				return err
			}
			if finding.Kind != "" {
				*findings = append(*findings, finding)
			}
			next.Cursor = e.Cursor
		}
		next.Cursor = cursor
		if len(entries) == 0 {
			return nil
		}
	}
}

func stepsOf(p orders.Provider) (steps []orders.StepName) {
	for _, spec := range orders.Specs() {
		if spec.Provider == p {
			steps = append(steps, spec.Name)
		}
	}
	return steps
}

// lookUp finds a step that succeeded in the provider's records. The provider is asked about one that was not listed: it
// may have taken effect long before it was known, or have been an undo that had nothing to undo.
func (w *reconcileWorker) lookUp(
	ctx context.Context, p orders.Provider, e orders.Event, listed map[string]bool,
) (store.Finding, error) {
	spec, known := e.Step.Spec()
	key := orders.StepKey(e.OrderID, e.Step, e.Generation)
	if e.Kind != orders.StepSucceeded || !known || spec.Provider != p || listed[key] {
		return store.Finding{}, nil
	}
	order, err := w.store.Order(ctx, e.OrderID)
	if err != nil {
		return store.Finding{}, err
	}
	step := order.Step(e.Step, e.Generation)
	if step == nil || step.State != orders.StateSucceeded { // verification says what is wrong with that
		return store.Finding{}, nil
	}
	key = orders.StepKey(e.OrderID, e.Step, step.KeyGeneration) // another try has the key of the first
	if listed[key] {
		return store.Finding{}, nil
	}
	answer, err := w.providers.Ask(ctx, e.Step, key, nil)
	if err != nil || answer.State == orders.StateSucceeded {
		return store.Finding{}, err
	}
	return store.Finding{
		Provider: p, Kind: orders.DriftMissing, Key: key, OrderID: e.OrderID.String(),
		Detail: strings.TrimSpace(fmt.Sprintf(
			"it succeeded, says the order; the provider says %s %s", answer.State, answer.Code)),
	}, nil
}

func reconcileEvery(period time.Duration) *river.PeriodicJob {
	return river.NewPeriodicJob(river.PeriodicInterval(period), func() (river.JobArgs, *river.InsertOpts) {
		return ReconcileJob{}, &river.InsertOpts{
			Queue: maintenanceQueue, Priority: 4, MaxAttempts: 1, UniqueOpts: oneAtATime(),
		}
	}, &river.PeriodicJobOpts{RunOnStart: true})
}
