package reconcile

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/upstream"
)

// lookUpPage is how many effects are looked up in the database at a time.
const lookUpPage = 1000

// UndoPlan is what would be undone.
type UndoPlan struct {
	Orders       []LostOrder
	Held         []Held // orders that are left to an operator, or to a later run
	UndoneBefore int    // orders of which nothing is left to undo
}

// LostOrder is an order that the providers know and the database does not.
type LostOrder struct {
	ID    orders.ID
	Undos []orders.Undo // in the order in which they must be done
}

// Held is an order that is not undone, and why.
type Held struct {
	Order  string `json:"orderId"`
	Reason string `json:"reason"`
}

// UndoPlanner finds what to undo.
type UndoPlanner struct {
	Findings  *store.Findings
	Providers *upstream.Clients
	Now       func() time.Time
	// Since is the moment from which on effects are undone.
	Since time.Time
	// Grace is the least age of a finding. An order may be missing for another reason than a restore, and an operator
	// needs time to notice.
	Grace time.Duration
}

// lostEffects is what the providers have of one order.
type lostEffects struct {
	effects  []orders.Effect
	closed   map[orders.Effect]bool // effects that were undone or need no undo, and the undos themselves
	findings []store.Finding        // of the others that were not begun
	missing  bool                   // an effect has no finding
	failed   string                 // why an effect could not be undone
}

// Plan lists all effects since the moment and plans what to do about those whose orders are lost. An order is undone
// whole or not at all: it is held if an operator has accepted one of its findings, or one is not old enough.
//
// It fails if a provider does not answer: half of an order's effects would look like all of them.
func (p *UndoPlanner) Plan(ctx context.Context) (plan UndoPlan, err error) {
	lost := map[string]*lostEffects{}
	now := p.Now()
	for _, provider := range orders.Providers() {
		seen := map[string]bool{}
		err := p.Providers.Effects(ctx, provider, p.Since, now, func(page []orders.Effect) error {
			page = slices.DeleteFunc(page, func(e orders.Effect) bool {
				defer func() { seen[e.Key] = true }()
				return seen[e.Key]
			})
			return p.gather(ctx, provider, page, lost)
		})
		if err != nil && !errors.Is(err, upstream.ErrNoListing) {
			return UndoPlan{}, fmt.Errorf("list effects: %w", err)
		}
	}
	for _, order := range slices.Sorted(maps.Keys(lost)) {
		l := lost[order]
		if held := l.held(now.Add(-p.Grace)); held != "" {
			plan.Held = append(plan.Held, Held{order, held})
			continue
		}
		undos, held := orders.UndoLost(l.effects)
		id, err := uuid.Parse(order)
		undos = slices.DeleteFunc(undos, func(u orders.Undo) bool { return l.closed[u.Effect] })
		switch {
		case held != "":
			plan.Held = append(plan.Held, Held{order, held})
		case err != nil:
			return UndoPlan{}, fmt.Errorf("id of a lost order: %w", err)
		case len(undos) == 0:
			plan.UndoneBefore++
		default:
			plan.Orders = append(plan.Orders, LostOrder{id, undos})
		}
	}
	return plan, nil
}

// gather adds those effects of a page to lost whose orders are not here.
func (p *UndoPlanner) gather(
	ctx context.Context, provider orders.Provider, page []orders.Effect, lost map[string]*lostEffects,
) error {
	effects, err := p.Findings.Lost(ctx, page)
	if err != nil || len(effects) == 0 {
		return err
	}
	for slice := range slices.Chunk(effects, lookUpPage) {
		var keys, originals []string
		for _, e := range slice {
			original, _ := orders.UndoneKey(e.Key)
			keys, originals = append(keys, e.Key), append(originals, e.Key, original)
		}
		findings, err := p.Findings.OfKeys(ctx, provider, orders.FindingUnknownOrder, keys)
		if err != nil {
			return err
		}
		undos, err := p.Findings.Undos(ctx, provider, originals)
		if err != nil {
			return err
		}
		for _, e := range slice {
			if lost[e.OrderID] == nil {
				lost[e.OrderID] = &lostEffects{closed: map[orders.Effect]bool{}}
			}
			lost[e.OrderID].add(e, undos, findings)
		}
	}
	return nil
}

// add adds an effect, with what was begun about it and found.
func (l *lostEffects) add(e orders.Effect, undos map[string]store.Undo, findings map[string]store.Finding) {
	l.effects = append(l.effects, e)
	original, isUndo := orders.UndoneKey(e.Key)
	undo, begun := undos[e.Key]
	finding, found := findings[e.Key]
	switch {
	case undo.State == store.UndoDone || isUndo && undos[original].UndoKey == e.Key:
		l.closed[e] = true
	case undo.State == store.UndoRefused, undo.State == store.UndoNotFound:
		l.failed = fmt.Sprintf("%s %s: %s", undo.Step, undo.State, undo.Detail)
	case begun:
	case found && finding.State != store.FindingResolved:
		l.findings = append(l.findings, finding)
	default:
		l.missing = true
	}
}

// held returns why an order is not undone now; empty if it may be.
func (l *lostEffects) held(before time.Time) string {
	accepted := func(f store.Finding) bool { return f.State == store.FindingAccepted }
	young := func(f store.Finding) bool { return f.FirstSeenAt.After(before) }
	switch {
	case l.failed != "":
		return l.failed
	case l.missing:
		return "reconciliation has not found all of its effects yet"
	case slices.ContainsFunc(l.findings, accepted):
		return "an operator has accepted one of its findings"
	case slices.ContainsFunc(l.findings, young):
		return "a finding is not old enough"
	}
	return ""
}

// UndoTotal adds up what is undone of one step of the lost orders.
type UndoTotal struct {
	Provider orders.Provider `json:"provider"`
	Effect   orders.StepName `json:"effect"`
	Undo     orders.StepName `json:"undo,omitempty"` // empty if the effects need none
	Count    int             `json:"count"`
	// Money goes back to customers. Of authorisations, it is what is still held.
	Money map[orders.Currency]json.Number `json:"money,omitempty"`
	Units int64                           `json:"units,omitempty"` // go back to the shelves, as far as the provider lists units

	minor map[orders.Currency]orders.Money
}

// Totals adds a plan up.
func (p UndoPlan) Totals() (totals []UndoTotal) {
	for _, o := range p.Orders {
		for _, u := range o.Undos {
			original, _ := orders.UndoneKey(u.Effect.Key)
			key, _ := orders.ParseStepKey(original) // the planner has read it before
			i := slices.IndexFunc(totals, func(t UndoTotal) bool { return t.Effect == key.Step && t.Undo == u.Step })
			if i < 0 {
				i = len(totals)
				totals = append(totals, UndoTotal{
					Provider: u.Effect.Provider, Effect: key.Step, Undo: u.Step,
					Money: map[orders.Currency]json.Number{}, minor: map[orders.Currency]orders.Money{},
				})
			}
			t := &totals[i]
			t.Count++
			t.Units += u.Units
			if u.Step != "" && u.Effect.Currency != "" {
				t.minor[u.Effect.Currency] += u.Amount
				t.Money[u.Effect.Currency] = json.Number(u.Effect.Currency.Format(t.minor[u.Effect.Currency]))
			}
		}
	}
	slices.SortFunc(totals, func(a, b UndoTotal) int {
		return cmp.Or(cmp.Compare(a.Provider, b.Provider), cmp.Compare(a.Effect, b.Effect), cmp.Compare(a.Undo, b.Undo))
	})
	return totals
}
