package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// Repair applies an event that no operator asked for, and writes the audit log in the same commit if the event changed
// the order. An order that has moved on since it was read is not changed.
func (s *Findings) Repair(ctx context.Context, e orders.Event, entry AuditEntry) (Applied, error) {
	applied, err := s.orders.applyWith(ctx, []change{{Event: e}}, func(ctx context.Context, tx pgx.Tx) error {
		return s.audit(ctx, tx, []AuditEntry{entry})
	})
	if err != nil {
		return Applied{}, err
	}
	return applied[0], nil
}

// AmountDiffers reports whether an amount that differs from the intended one is known of a provider's key, and has not
// resolved itself.
func (s *Findings) AmountDiffers(ctx context.Context, p orders.Provider, key string) (bool, error) {
	known, err := s.queries.FindingsKnown(ctx, s.db, &dbsqlc.FindingsKnownParams{
		Provider: string(p), Kind: string(orders.FindingAmount), Key: key,
	})
	if err != nil {
		return false, fmt.Errorf("look for findings: %w", err)
	}
	return known, nil
}

// Stale returns a page of the open findings that were not rechecked since a moment, after the given one, the longest
// waiting first. The zero finding begins with the first page.
func (s *Findings) Stale(ctx context.Context, before time.Time, after Finding, limit int) ([]Finding, error) {
	rows, err := s.queries.FindingsRecheck(ctx, s.db, &dbsqlc.FindingsRecheckParams{
		Before: timestamp(before), AfterRecheckedAt: after.RecheckedAt, AfterProvider: string(after.Provider),
		AfterKind: string(after.Kind), AfterKey: after.Key, PageSize: int32(limit),
	})
	if err != nil {
		return nil, fmt.Errorf("list stale findings: %w", err)
	}
	return decodeFindings(rows), nil
}

// Rechecked stores when findings were rechecked and last seen to hold, and which of them are resolved.
func (s *Findings) Rechecked(ctx context.Context, looked, resolved []Finding) error {
	if len(looked) == 0 {
		return nil
	}
	params := &dbsqlc.FindingsRecheckedParams{}
	params.Providers, params.Kinds, params.Keys = findingColumns(looked)
	for _, f := range looked {
		params.RecheckedAt = append(params.RecheckedAt, f.RecheckedAt)
		params.LastSeenAt = append(params.LastSeenAt, f.LastSeenAt)
	}
	err := s.inTx(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if err := s.queries.FindingsRechecked(ctx, tx, params); err != nil {
			return err
		}
		_, err := s.close(ctx, tx, resolved, FindingResolved)
		return err
	})
	if err != nil {
		return fmt.Errorf("note rechecked findings: %w", err)
	}
	return nil
}

// Asked stores the last dead letter that a provider was asked about again; the zero id if the last of all was reached.
func (s *Findings) Asked(ctx context.Context, p orders.Provider, before orders.ID) error {
	err := s.queries.ReconcileAsked(ctx, s.db, &dbsqlc.ReconcileAskedParams{Provider: string(p), AskedBefore: before})
	if err != nil {
		return fmt.Errorf("note which order was asked about: %w", err)
	}
	return nil
}
