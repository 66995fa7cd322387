package reconcile

import (
	"context"
	"errors"
	"time"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/upstream"
)

// allSpan is the span of All. It is long, because no other provider waits for its turn.
const allSpan = time.Hour

// All compares everything that the providers list from a moment on with the orders, and every step in the log since
// then with the providers. It keeps nothing. states has the result for each provider; a provider that did not answer is
// not an error.
func All(
	ctx context.Context, s *store.Store, providers *upstream.Clients, since time.Time,
) (findings []store.Finding, states map[orders.Provider]store.ReconciliationState, err error) {
	c := NewComparer(s, providers)
	start, err := s.Log.Since(ctx, since)
	if err != nil {
		return nil, nil, err
	}
	end := time.Now()
	states = map[orders.Provider]store.ReconciliationState{}
	for _, p := range orders.Providers() {
		r := store.Reconciliation{Provider: p, To: since, Cursor: start}
		states[p] = store.ReconciliationOK
		for r.To.Before(end) && states[p] == store.ReconciliationOK {
			to := r.To.Add(allSpan)
			if to.After(end) {
				to = end
			}
			next, found, err := c.span(ctx, r, to)
			switch {
			case ctx.Err() != nil:
				return nil, nil, ctx.Err()
			case errors.Is(err, upstream.ErrNoListing):
				states[p] = store.ReconciliationNotListed
			case upstream.IsFailure(err):
				states[p] = store.ReconciliationUnavailable
			case err != nil:
				return nil, nil, err
			}
			findings = append(findings, found.Findings...)
			r = next
		}
	}
	return findings, states, nil
}
