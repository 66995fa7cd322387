package reconcile

import (
	"context"
	"errors"
	"time"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/upstream"
)

const (
	// share is the most time that one provider is compared in a run, so that the others have their turn.
	share = 12 * time.Second
	// span is compared and saved at a time: the keys of its effects are held in memory.
	span = 10 * time.Minute
	// loggedKeys is how many keys of the findings of one kind are logged.
	loggedKeys = 5
)

// provider compares one provider's records with the orders, one span of time after another. It reports whether it made
// progress without reaching the end. Only our own database's failures are errors. A provider that does not answer is
// recorded in the state, and asked again in the next run.
func (r *Reconciler) provider(ctx context.Context, from store.Reconciliation) (behind bool, err error) {
	turn, cancel := context.WithTimeout(ctx, share)
	defer cancel()
	end := r.Now().Add(-r.Grace)
	if err := r.judgeUnsettled(ctx, from.Provider); err != nil {
		return false, err
	}
	for {
		to := from.To.Add(span)
		if to.After(end) {
			to = end
		}
		if !from.Span.To.IsZero() {
			to = from.Span.To // continue where the last run stopped
		}
		if !to.After(from.To) {
			return false, nil
		}
		next, found, err := r.comparer.span(turn, from, to)
		switch {
		case ctx.Err() != nil:
			return false, ctx.Err()
		case turn.Err() != nil: // the turn is over; the finished part is kept
			next.State, next.To = store.ReconciliationBehind, from.To
		case errors.Is(err, upstream.ErrNoListing):
			next, found = from, store.Comparison{}
			if next.Cursor, err = r.Store.Log.End(ctx); err != nil {
				return false, err
			}
			next.State, next.To, next.Span = store.ReconciliationNotListed, end, store.Span{}
		case upstream.IsFailure(err):
			if next.Span == from.Span && from.State == store.ReconciliationUnavailable {
				next.Span = store.Span{} // the provider may have forgotten the cursor
			}
			next.State, next.To = store.ReconciliationUnavailable, from.To
		case err != nil:
			return false, err
		case to.Before(end):
			next.State = store.ReconciliationBehind
		default:
			next.State = store.ReconciliationOK
		}
		fresh, err := r.Store.Findings.SaveProgress(ctx, next, found)
		if err != nil {
			return false, err
		}
		r.reportFindings(ctx, from.Provider, fresh)
		if next.State != store.ReconciliationBehind || turn.Err() != nil {
			return next.State == store.ReconciliationBehind, nil
		}
		from = next
	}
}

// reportFindings logs one line for each kind of finding: if two deployments are mixed up, there may be thousands.
func (r *Reconciler) reportFindings(ctx context.Context, p orders.Provider, fresh []store.Finding) {
	keys := map[orders.FindingKind][]string{}
	for _, f := range fresh {
		keys[f.Kind] = append(keys[f.Kind], f.Key)
	}
	for _, kind := range orders.FindingKinds() {
		if n := len(keys[kind]); n > 0 {
			r.Logger.ErrorContext(ctx, "provider records disagree", "provider", p, "kind", kind, "count", n,
				"keys", keys[kind][:min(n, loggedKeys)])
		}
	}
}
