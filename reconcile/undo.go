package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/time/rate"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/upstream"
)

// A write is tried for some 20 s, as long as a failover may take.
const (
	writeTries = 10
	writePause = time.Second
)

// Undoer undoes what took effect for orders that are lost, such as after the database was restored to a moment.
type Undoer struct {
	Findings  *store.Findings
	Providers *upstream.Clients
	Limiter   *rate.Limiter // of calls to providers
	Reason    string        // for the audit log
	Actor     store.Actor
	Logger    *slog.Logger
	// Told is called after each order. May be nil.
	Told func(UndoResult)
}

// UndoResult is what became of a plan.
type UndoResult struct {
	Orders   int    // that need no other run
	Undone   int    // calls that undid an effect, now or in an earlier run
	Nothing  int    // effects that needed no call
	Held     []Held // orders with an effect that its provider did not undo
	Remained int    // orders that were not reached, or whose provider gave no answer
}

// ErrProviderSilent means that a run ended early, because a provider did not answer. Another run goes on.
var ErrProviderSilent = errors.New("a provider does not answer, so the rest is left to another run")

// Do carries a plan out, one order after another. It may be stopped at any time: another run goes on, under the same
// keys. Errors: ErrProviderSilent, the database's, or ctx's.
func (u *Undoer) Do(ctx context.Context, p UndoPlan) (r UndoResult, err error) {
	b := &budget{failures: map[orders.Provider]int{}}
	for i, o := range p.Orders {
		finished, err := u.order(ctx, o, b, &r)
		if err != nil {
			r.Remained += len(p.Orders) - i
			return r, err
		}
		if finished {
			r.Orders++
		} else {
			r.Remained++
		}
		if u.Told != nil {
			u.Told(r)
		}
	}
	return r, nil
}

// order undoes the effects of one order. It reports whether the order needs no other run.
func (u *Undoer) order(ctx context.Context, o LostOrder, b *budget, r *UndoResult) (finished bool, err error) {
	var stored []store.Undo
	err = u.patiently(ctx, func() error {
		stored, err = u.Findings.BeginUndo(ctx, o.ID, o.Undos, u.Reason, u.Actor)
		return err
	})
	switch {
	case errors.Is(err, store.ErrOrderExists):
		r.Held = append(r.Held, Held{o.ID.String(), store.ErrOrderExists.Error()})
		return true, nil
	case errors.Is(err, store.ErrFindingClosed):
		r.Held = append(r.Held, Held{o.ID.String(), store.ErrFindingClosed.Error()})
		return true, nil
	case err != nil:
		return false, err
	}
	for _, undo := range stored {
		if undo.Step == "" {
			r.Nothing++
			continue
		}
		if undo.State == store.UndoPending {
			failure, err := u.send(ctx, &undo)
			if err != nil {
				return false, err
			}
			if asked := b.note(undo.Provider, failure); !asked || b.isSpent(undo.Provider) {
				return false, fmt.Errorf("%w: %w", ErrProviderSilent, failure)
			}
			if failure != nil {
				u.Logger.WarnContext(ctx, "an effect is not undone", "provider", undo.Provider, "key", undo.Key, "error", failure)
				return false, nil
			}
		}
		if undo.State != store.UndoDone { // what it builds on must stay
			r.Held = append(r.Held, Held{o.ID.String(), fmt.Sprintf("%s %s: %s", undo.Step, undo.State, undo.Detail)})
			return true, nil
		}
		r.Undone++
	}
	return true, nil
}

// send sends a compensation and stores its outcome. failure is the provider's, and then the outcome is unknown.
func (u *Undoer) send(ctx context.Context, undo *store.Undo) (failure, err error) {
	if err := u.Limiter.Wait(ctx); err != nil {
		return nil, err
	}
	answer, err := u.Providers.Send(ctx, undo.Step, undo.UndoKey, undo.Request)
	refused, isRefusal := errors.AsType[*upstream.RefusedError](err)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case isRefusal:
		undo.State, undo.Detail = store.UndoRefused, refused.Code
	case err != nil:
		return err, nil
	case answer.Nothing:
		undo.State, undo.Detail = store.UndoNotFound, "the provider lists the effect, and found nothing to undo"
	default:
		undo.State, undo.Reference = store.UndoDone, answer.Reference
	}
	return nil, u.patiently(ctx, func() error { return u.Findings.FinishUndo(ctx, *undo) })
}

// patiently tries a write again while the database is away, or reconciliation locks the findings.
func (u *Undoer) patiently(ctx context.Context, write func() error) error {
	for try := 1; ; try++ {
		err := write()
		if !errors.Is(err, store.ErrUnavailable) || try == writeTries {
			return err
		}
		select {
		case <-time.After(writePause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
