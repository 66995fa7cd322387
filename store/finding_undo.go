package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// UndoState is how far the undo of an effect is whose order is lost.
type UndoState string

// An undo leaves UndoPending exactly once.
const (
	UndoPending  UndoState = "pending"   // it may have been sent
	UndoDone     UndoState = "done"      // or there was nothing to do
	UndoRefused  UndoState = "refused"   // the provider refuses it
	UndoNotFound UndoState = "not_found" // the provider found nothing to undo, although it lists the effect
)

// Undo is the stored intent to undo an effect whose order is lost, and its outcome.
type Undo struct {
	Provider  orders.Provider
	Key       string          // of the effect
	Step      orders.StepName // the compensation; empty if the effect needs none
	UndoKey   string          // of the compensation
	Request   []byte          // the frozen body of the compensation
	State     UndoState
	Reference string
	Detail    string // why it was refused
}

// Errors of BeginUndo. Each means that nothing was written.
var (
	// ErrOrderExists means that the order is here, so it alone may undo its effects, or that it was archived.
	ErrOrderExists = errors.New("the order exists")
	// ErrFindingClosed means that an effect has no open finding any more.
	ErrFindingClosed = errors.New("its finding is not open")
)

// Lost selects the effects whose orders are neither here nor archived.
func (s *Findings) Lost(ctx context.Context, effects []orders.Effect) (lost []orders.Effect, err error) {
	found, err := s.orders.read(ctx, s.db, owners(effects))
	if err != nil {
		return nil, fmt.Errorf("read orders: %w", err)
	}
	archived, err := s.archived(ctx, s.db, owners(effects), found)
	if err != nil {
		return nil, err
	}
	for _, e := range effects {
		if _, there := found[owner(e)]; !there && !archived[owner(e)] {
			lost = append(lost, e)
		}
	}
	return lost, nil
}

// Undos returns what was begun about effects of a provider, by their keys.
func (s *Findings) Undos(ctx context.Context, p orders.Provider, keys []string) (map[string]Undo, error) {
	rows, err := s.queries.UndosRead(ctx, s.db, &dbsqlc.UndosReadParams{Provider: string(p), Keys: keys})
	if err != nil {
		return nil, fmt.Errorf("read undos: %w", err)
	}
	undos := make(map[string]Undo, len(rows))
	for _, row := range rows {
		undos[row.Key] = decodeUndo(row)
	}
	return undos, nil
}

// OfKeys returns the findings of a kind about keys of a provider, by their keys.
func (s *Findings) OfKeys(
	ctx context.Context, p orders.Provider, kind orders.FindingKind, keys []string,
) (map[string]Finding, error) {
	rows, err := s.queries.FindingsOfKeys(ctx, s.db, &dbsqlc.FindingsOfKeysParams{
		Provider: string(p), Kind: string(kind), Keys: keys,
	})
	if err != nil {
		return nil, fmt.Errorf("read findings: %w", err)
	}
	findings := make(map[string]Finding, len(rows))
	for _, f := range decodeFindings(rows) {
		findings[f.Key] = f
	}
	return findings, nil
}

// BeginUndo stores the intent to undo all effects of an order that is lost, and writes the audit log. An effect that
// needs no undo is done at once. It returns the undos as they are stored: of an effect that was begun before, the
// earlier intent. Errors: ErrOrderExists, ErrFindingClosed.
func (s *Findings) BeginUndo(
	ctx context.Context, order orders.ID, undos []orders.Undo, reason string, who Actor,
) (stored []Undo, err error) {
	err = s.inTx(ctx, func(ctx context.Context, tx pgx.Tx) error {
		found, err := s.orders.read(ctx, tx, []orders.ID{order})
		if err != nil {
			return err
		}
		archived, err := s.archived(ctx, tx, []orders.ID{order}, found)
		if err != nil {
			return err
		}
		if len(found) > 0 || archived[order] {
			return ErrOrderExists
		}
		if stored, err = s.intendUndos(ctx, tx, order, undos, reason, who); err != nil {
			return err
		}
		return s.closeUndone(ctx, tx, stored)
	})
	if err != nil {
		return nil, fmt.Errorf("begin to undo: %w", err)
	}
	return stored, nil
}

func (s *Findings) intendUndos(
	ctx context.Context, tx pgx.Tx, order orders.ID, undos []orders.Undo, reason string, who Actor,
) (stored []Undo, err error) {
	for _, u := range undos {
		keys := []string{u.Effect.Key}
		params := &dbsqlc.UndoInsertParams{
			Provider: string(u.Effect.Provider), Key: u.Effect.Key, OrderID: order, Step: string(u.Step), UndoKey: u.Key(),
			Request: u.Request(), State: string(UndoPending), At: timestamp(s.now()),
		}
		if u.Step == "" {
			params.State, params.Request = string(UndoDone), []byte{}
		}
		// The lock keeps an operator from accepting the finding between this look and the commit.
		findings, err := s.queries.FindingsLock(ctx, tx, &dbsqlc.FindingsLockParams{
			Provider: params.Provider, Kind: string(orders.FindingUnknownOrder), Keys: keys,
		})
		if err != nil {
			return nil, err
		}
		fresh, err := s.queries.UndoInsert(ctx, tx, params)
		if err != nil {
			return nil, err
		}
		if fresh && (len(findings) == 0 || FindingState(findings[0].State) != FindingOpen) {
			return nil, ErrFindingClosed
		}
		if fresh {
			detail := map[string]any{"reason": reason, "order_id": order, "step": u.Step, "undo_key": u.Key()}
			if u.Step.Undoes() != "" && u.Effect.Currency != "" {
				detail["amount"], detail["currency"] = u.Effect.Currency.Format(u.Amount), u.Effect.Currency
			}
			if err := s.audit(ctx, tx, []AuditEntry{{
				Actor: who, Action: "findings.undo", Target: params.Provider + " " + u.Effect.Key, Detail: detail,
			}}); err != nil {
				return nil, err
			}
		}
		rows, err := s.queries.UndosRead(ctx, tx, &dbsqlc.UndosReadParams{Provider: params.Provider, Keys: keys})
		if err != nil {
			return nil, err
		}
		stored = append(stored, decodeUndo(rows[0]))
	}
	return stored, nil
}

// FinishUndo stores the outcome of an undo, and closes the finding if the effect is undone.
func (s *Findings) FinishUndo(ctx context.Context, u Undo) error {
	err := s.inTx(ctx, func(ctx context.Context, tx pgx.Tx) error {
		finished, err := s.queries.UndoFinish(ctx, tx, &dbsqlc.UndoFinishParams{
			Provider: string(u.Provider), Key: u.Key, State: string(u.State), Reference: printable(u.Reference, 200),
			Detail: printable(u.Detail, 200), At: timestamp(s.now()),
		})
		if err != nil || finished == 0 { // another run has finished it
			return err
		}
		return s.closeUndone(ctx, tx, []Undo{u})
	})
	if err != nil {
		return fmt.Errorf("finish undo: %w", err)
	}
	return nil
}

// closeUndone closes the findings about effects that are undone. A compensation that took effect has none.
func (s *Findings) closeUndone(ctx context.Context, tx pgx.Tx, undos []Undo) error {
	var done []Finding
	for _, u := range undos {
		if u.State == UndoDone {
			done = append(done, Finding{Provider: u.Provider, Kind: orders.FindingUnknownOrder, Key: u.Key})
		}
	}
	if len(done) == 0 {
		return nil
	}
	_, err := s.close(ctx, tx, done, FindingResolved)
	return err
}

// undone selects the effects without an order that are not findings: effects that operators had undone, and the undos.
func (s *Findings) undone(ctx context.Context, lost []orders.Effect) (map[orders.Effect]bool, error) {
	keys := map[orders.Provider][]string{}
	for _, e := range lost {
		key, _ := orders.UndoneKey(e.Key)
		keys[e.Provider] = append(keys[e.Provider], e.Key, key)
	}
	undone := map[orders.Effect]bool{}
	for p, list := range keys {
		undos, err := s.Undos(ctx, p, list)
		if err != nil {
			return nil, err
		}
		for _, e := range lost {
			if e.Provider != p {
				continue
			}
			key, isUndo := orders.UndoneKey(e.Key)
			undone[e] = undos[e.Key].State == UndoDone || isUndo && undos[key].UndoKey == e.Key
		}
	}
	return undone, nil
}

// owner returns the order that an effect belongs to.
func owner(e orders.Effect) orders.ID {
	if step, err := orders.ParseStepKey(e.Key); err == nil {
		return step.OrderID
	}
	id, _ := uuid.Parse(e.OrderID) // no order has the zero id
	return id
}

func owners(effects []orders.Effect) []orders.ID {
	ids := make([]orders.ID, len(effects))
	for i, e := range effects {
		ids[i] = owner(e)
	}
	return ids
}

func decodeUndo(row dbsqlc.ReconciliationUndo) Undo {
	return Undo{
		Provider: orders.Provider(row.Provider), Key: row.Key, Step: orders.StepName(row.Step), UndoKey: row.UndoKey,
		Request: row.Request, State: UndoState(row.State), Reference: row.Reference, Detail: row.Detail,
	}
}
