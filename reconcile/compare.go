package reconcile

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/upstream"
)

const (
	// overlap is compared twice: effects may be listed late, and an answer may come this long after its effect. It only
	// saves questions to the provider; results are correct without it.
	overlap = 10 * time.Minute
	logPage = 1000 // events
)

// Comparer compares a provider's list with the orders, and the steps that succeeded with the provider's records.
type Comparer struct {
	store     *store.Store
	providers *upstream.Clients

	mu     sync.Mutex
	listed map[orders.Provider]map[string]bool // of the spans under way
}

// NewComparer makes a Comparer.
func NewComparer(s *store.Store, providers *upstream.Clients) *Comparer {
	return &Comparer{store: s, providers: providers, listed: map[orders.Provider]map[string]bool{}}
}

// span compares what took effect before a moment and has not been compared, and looks up the steps that succeeded. With
// an error, next is how far it got.
func (c *Comparer) span(
	ctx context.Context, r store.Reconciliation, to time.Time,
) (next store.Reconciliation, found store.Comparison, err error) {
	begin := r.To.Add(-overlap)
	listed := c.listedOf(r)
	next = r
	next.Span.To = to
	if !r.Span.Listed {
		err = c.providers.EffectsFrom(ctx, r.Provider, begin, to, r.Span.Cursor,
			func(page []orders.Effect, cursor string) error {
				for _, e := range page {
					listed[e.Key] = true
				}
				compared, err := c.store.Findings.Compare(ctx, page)
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
	if err := c.lookUpAll(ctx, &next, begin, listed, &found.Findings); err != nil {
		return next, found, err
	}
	next.To, next.Span = to, store.Span{}
	return next, found, nil
}

// listedOf returns the keys that the current span has listed so far. Keys that a different process has listed are
// missing, and cost a question each.
func (c *Comparer) listedOf(r store.Reconciliation) map[string]bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.Span == (store.Span{}) || c.listed[r.Provider] == nil {
		c.listed[r.Provider] = map[string]bool{}
	}
	return c.listed[r.Provider]
}

// lookUpAll looks up the steps that succeeded, by the log, up to the end of the span.
func (c *Comparer) lookUpAll(
	ctx context.Context, next *store.Reconciliation, begin time.Time, listed map[string]bool, findings *[]store.Finding,
) error {
	filter := store.LogFilter{Steps: stepsOf(next.Provider)}
	for limit := 1; ; limit = logPage { // if the first is after the span, so are all others
		entries, cursor, _, err := c.store.Log.Read(ctx, next.Cursor, filter, limit)
		if errors.Is(err, store.ErrCursorExpired) { // the log was pruned meanwhile, or replaced by a restore
			next.Cursor, err = c.store.Log.Since(ctx, begin)
			entries, cursor = nil, next.Cursor
		}
		if err != nil {
			return err
		}
		for _, e := range entries {
			if !e.Cursor.At.Before(next.Span.To) {
				return nil
			}
			if e.Cursor.At.Before(begin) { // LogSince may start up to an hour early
				next.Cursor = e.Cursor
				continue
			}
			finding, err := c.lookUp(ctx, next.Provider, e.Event, listed)
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

// lookUp finds a step that succeeded in the provider's records. If the step was not listed, the provider is asked about
// it: it may have taken effect long before the answer, or be a compensation that had nothing to undo.
func (c *Comparer) lookUp(
	ctx context.Context, p orders.Provider, e orders.Event, listed map[string]bool,
) (store.Finding, error) {
	spec, known := e.Step.Spec()
	key := orders.StepKey(e.OrderID, e.Step, e.Generation)
	if e.Kind != orders.StepSucceeded || !known || spec.Provider != p || listed[key] {
		return store.Finding{}, nil
	}
	order, err := c.store.Orders.Get(ctx, e.OrderID)
	if err != nil {
		return store.Finding{}, err
	}
	step := order.Step(e.Step, e.Generation)
	if step == nil || step.State != orders.StateSucceeded { // verification reports that
		return store.Finding{}, nil
	}
	key = orders.StepKey(e.OrderID, e.Step, step.KeyGeneration) // a retry reuses the original's key
	if listed[key] {
		return store.Finding{}, nil
	}
	answer, err := c.providers.Ask(ctx, e.Step, key, nil)
	if err != nil || answer.State == orders.StateSucceeded {
		return store.Finding{}, err
	}
	return store.Finding{
		Provider: p, Kind: orders.FindingMissing, Key: key, OrderID: e.OrderID.String(),
		Detail: strings.TrimSpace(fmt.Sprintf(
			"the order has it as succeeded, the provider as %s %s", answer.State, answer.Code)),
	}, nil
}
