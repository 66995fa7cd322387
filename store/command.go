package store

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-orders/millrace/failpoint"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// CommandTTL is the least time for which the idempotency key of a cancellation, a refund or a settlement is remembered.
// The key of a placement is remembered for as long as its order.
const CommandTTL = 7 * 24 * time.Hour

const purgeBatch = 1000

type commandKey struct{ principal, kind, key string }

func keyOf(e orders.Event) commandKey {
	return commandKey{e.Principal, e.Command(), e.IdempotencyKey}
}

// commands reads the earlier commands under the idempotency keys of events. The events' orders must be locked: then two
// commands with one key for one order cannot both find nothing. If the same key comes with a different order, the
// second insert fails, and its transaction is tried again.
func (s *Orders) commands(
	ctx context.Context, tx pgx.Tx, events []orders.Event,
) (map[commandKey]dbsqlc.CommandsReadRow, error) {
	params := new(dbsqlc.CommandsReadParams)
	for _, e := range events {
		if e.IdempotencyKey != "" {
			params.Principals = append(params.Principals, e.Principal)
			params.Kinds = append(params.Kinds, e.Command())
			params.IdempotencyKeys = append(params.IdempotencyKeys, e.IdempotencyKey)
		}
	}
	if len(params.Kinds) == 0 {
		return nil, nil //nolint:nilnil // reading a nil map is fine
	}
	rows, err := s.queries.CommandsRead(ctx, tx, params)
	if err != nil {
		return nil, err
	}
	found := make(map[commandKey]dbsqlc.CommandsReadRow, len(rows))
	for _, row := range rows {
		found[commandKey{row.Principal, row.Kind, row.IdempotencyKey}] = row
	}
	return found, nil
}

// repeat answers an event whose key was used before with the order as it was after the first use. Commands from before
// answers were stored are answered from the log, or, if the log was pruned, with the order as it is now.
func (s *Orders) repeat(
	ctx context.Context, tx pgx.Tx, e orders.Event, current orders.Order, before dbsqlc.CommandsReadRow,
) (Applied, error) {
	if !bytes.Equal(before.Fingerprint, e.Fingerprint()) {
		return Applied{Err: orders.ErrIdempotencyMismatch}, nil
	}
	failpoint.Hit("apply.repeated")
	if len(before.Answer) > 0 {
		var then orders.Moment
		if json.Unmarshal(before.Answer, &then) == nil {
			return Applied{Order: current.At(then), Replayed: true}, nil
		}
	}
	rows, err := s.queries.EventsAfter(ctx, tx, &dbsqlc.EventsAfterParams{
		OrderID: e.OrderID, PageSize: int32(before.Version),
	})
	if err != nil {
		return Applied{}, fmt.Errorf("read events: %w", err)
	}
	if len(rows) == 0 || rows[0].Version != 1 {
		return Applied{Order: current, Replayed: true}, nil // the beginning of the order's log has been pruned
	}
	order, err := orders.Fold(current, decodeEvents(rows))
	if err != nil { // an earlier release decided it by another saga
		order = current
	}
	return Applied{Order: order, Replayed: true}, nil
}

// findTwin returns the index of an event with the same idempotency key before it in its own batch, or -1.
func findTwin(before []orders.Event, e orders.Event) int {
	return slices.IndexFunc(before, func(b orders.Event) bool {
		return e.IdempotencyKey != "" && keyOf(b) == keyOf(e)
	})
}

func repeatTwin(e orders.Event, twin Applied) Applied {
	if !bytes.Equal(twin.Event.Fingerprint(), e.Fingerprint()) {
		return Applied{Err: orders.ErrIdempotencyMismatch}
	}
	return Applied{Order: twin.Order, Replayed: true}
}

// commandParams lays out the decisions on events with a key; nil if there are none.
func commandParams(decisions []orders.Decision) (*dbsqlc.CommandsInsertParams, error) {
	c := new(dbsqlc.CommandsInsertParams)
	for _, d := range decisions {
		e := d.Event
		if e.IdempotencyKey == "" {
			continue
		}
		c.Principals = append(c.Principals, e.Principal)
		c.Kinds = append(c.Kinds, e.Command())
		c.IdempotencyKeys = append(c.IdempotencyKeys, e.IdempotencyKey)
		c.Fingerprints = append(c.Fingerprints, e.Fingerprint())
		c.OrderIds = append(c.OrderIds, e.OrderID)
		c.Versions = append(c.Versions, e.Version)
		c.At = append(c.At, e.At)
		answer, err := json.Marshal(d.Order.Moment())
		if err != nil {
			return nil, fmt.Errorf("encode answer: %w", err)
		}
		c.Answers = append(c.Answers, answer)
	}
	if len(c.Kinds) == 0 {
		return nil, nil //nolint:nilnil // there are none
	}
	return c, nil
}

// PurgeCommands forgets idempotency keys that are older than CommandTTL.
func (s *Orders) PurgeCommands(ctx context.Context) error {
	for {
		n, err := s.queries.CommandsPurge(ctx, s.db, &dbsqlc.CommandsPurgeParams{
			Before: s.now().Add(-CommandTTL), BatchSize: purgeBatch,
		})
		if err != nil {
			return fmt.Errorf("purge idempotency keys: %w", err)
		}
		if n < purgeBatch {
			return nil
		}
	}
}
