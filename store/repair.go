package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// Repair makes an event happen that no person asked for, and tells the audit log in the same commit, if the event
// changed anything. An order that has moved on since it was read stays as it is.
func (s *Findings) Repair(ctx context.Context, e orders.Event, entry AuditEntry) (Applied, error) {
	applied, err := s.orders.applyWith(ctx, []orders.Event{e}, func(ctx context.Context, tx pgx.Tx) error {
		return s.audit(ctx, tx, []AuditEntry{entry})
	})
	if err != nil {
		return Applied{}, err
	}
	return applied[0], nil
}

// Drifted says that another amount than was meant is known of a provider's key, and was not put right by itself.
func (s *Findings) Drifted(ctx context.Context, p orders.Provider, key string) (bool, error) {
	known, err := s.queries.FindingsKnown(ctx, s.db, &dbsqlc.FindingsKnownParams{
		Provider: string(p), Kind: string(orders.DriftAmount), Key: key,
	})
	if err != nil {
		return false, fmt.Errorf("look for findings: %w", err)
	}
	return known, nil
}

// Stale is a page of the open findings that were not looked at again since a moment, those that have waited
// longest first, after the given one; the zero one for the first page.
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

// Rechecked keeps when findings were looked at again and last seen to be so, and which of them agree by now.
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
		return fmt.Errorf("note what findings were looked at: %w", err)
	}
	return nil
}

// Asked keeps down to which order that needs attention a provider was asked again; the zero id if down to the last.
func (s *Findings) Asked(ctx context.Context, p orders.Provider, before orders.ID) error {
	err := s.queries.ReconcileAsked(ctx, s.db, &dbsqlc.ReconcileAskedParams{Provider: string(p), AskedBefore: before})
	if err != nil {
		return fmt.Errorf("note which order was asked about: %w", err)
	}
	return nil
}
