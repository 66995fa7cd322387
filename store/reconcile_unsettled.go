package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// unsettledSlice is how many effects are written by one statement.
const unsettledSlice = 1000

// Unsettled lists effects of a provider that could not be judged when they were compared and are due before a moment,
// the longest waiting first. They have no amounts: the amounts were compared then.
func (s *Findings) Unsettled(
	ctx context.Context, p orders.Provider, before time.Time, limit int,
) ([]orders.Effect, error) {
	rows, err := s.queries.UnsettledDue(ctx, s.db, &dbsqlc.UnsettledDueParams{
		Provider: string(p), Before: timestamp(before), PageSize: int32(limit),
	})
	if err != nil {
		return nil, fmt.Errorf("list unsettled effects: %w", err)
	}
	effects := make([]orders.Effect, len(rows))
	for i, row := range rows {
		effects[i] = orders.Effect{Provider: p, Key: row.Key, OrderID: row.OrderID, At: row.TookEffectAt.UTC()}
	}
	return effects, nil
}

// SaveUnsettled stores the result of judging unsettled effects of a provider again. Effects that still cannot be judged
// are due again at a moment, and the others are deleted. It returns the findings that are new.
func (s *Findings) SaveUnsettled(
	ctx context.Context, p orders.Provider, looked []orders.Effect, found Comparison, due time.Time,
) (fresh []Finding, err error) {
	still, decided := effectKeys(found.Unsettled), effectKeys(looked)
	decided = slices.DeleteFunc(decided, func(key string) bool { return slices.Contains(still, key) })
	err = s.inTx(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if fresh, err = s.write(ctx, tx, found.Findings); err != nil {
			return err
		}
		err := s.queries.UnsettledDelete(ctx, tx, &dbsqlc.UnsettledDeleteParams{Provider: string(p), Keys: decided})
		if err != nil {
			return err
		}
		return s.queries.UnsettledPostpone(ctx, tx, &dbsqlc.UnsettledPostponeParams{
			Provider: string(p), Keys: still, DueAt: timestamp(due),
		})
	})
	if err != nil {
		return nil, fmt.Errorf("save unsettled effects: %w", err)
	}
	return fresh, nil
}

// keepUnsettled stores effects of a provider that must be judged later.
func (s *Findings) keepUnsettled(ctx context.Context, tx pgx.Tx, p orders.Provider, effects []orders.Effect) error {
	latest := map[string]orders.Effect{}
	for _, e := range effects {
		if seen, ok := latest[e.Key]; !ok || e.At.After(seen.At) {
			latest[e.Key] = e
		}
	}
	keys := effectKeys(effects)
	slices.Sort(keys)
	for slice := range slices.Chunk(slices.Compact(keys), unsettledSlice) {
		params := &dbsqlc.UnsettledWriteParams{Provider: string(p), Keys: slice, DueAt: timestamp(s.now())}
		for _, key := range slice {
			params.OrderIds = append(params.OrderIds, printable(latest[key].OrderID, 100))
			params.TookEffectAt = append(params.TookEffectAt, timestamp(latest[key].At))
		}
		if err := s.queries.UnsettledWrite(ctx, tx, params); err != nil {
			return err
		}
	}
	return nil
}

func effectKeys(effects []orders.Effect) []string {
	keys := make([]string, len(effects))
	for i, e := range effects {
		keys[i] = e.Key
	}
	return keys
}
