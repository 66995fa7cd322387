package store

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-orders/millrace/failpoint"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// cutOffTries is how often a placement is done again whose connection ends before the answer to its COMMIT.
const cutOffTries = 3

// Placed is the answer to one placement.
type Placed struct {
	Order    orders.Order // as it was accepted; a replay gives the same again, whatever has happened to it since
	Replayed bool         // the idempotency key had placed this order before
	Err      error        // orders.ErrIdempotencyMismatch: the key had placed another order; or why that cannot be read
}

// Place stores new orders. The order, its items, its first event, its first steps and the job that carries it become
// visible together, in one commit for all placements. The placements must be valid.
//
// Concurrent callers share a commit. The answers are in the order of the placements. An error means that nothing is
// known to be stored; if it is ErrUnavailable or ctx's own, everything may be.
func (s *Orders) Place(ctx context.Context, placements []orders.Placement) ([]Placed, error) {
	return s.placing.do(ctx, placements)
}

func (s *Orders) place(ctx context.Context, placements []orders.Placement) (placed []Placed, err error) {
	for try := 1; ; try++ {
		placed, err = s.placeOnce(ctx, placements)
		if !errors.Is(err, errSealed) || errors.Is(err, ErrUnavailable) {
			return placed, err
		}
		if try == sealTries {
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		if err := s.learnSeal(ctx); err != nil {
			return nil, err
		}
	}
}

func (s *Orders) placeOnce(ctx context.Context, placements []orders.Placement) ([]Placed, error) {
	var params *dbsqlc.OrdersInsertParams
	var decisions []orders.Decision
	err := unwritten(func() error {
		decisions = s.decide(placements)
		params = insertParams(placements, decisions)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("decide placements: %w", err)
	}

	placed := make([]Placed, len(placements))
	var carried []orders.CarryJob
	var stored []orders.Order
	failpoint.Hit("place.begin")
	begun := false
	write := func(ctx context.Context, tx pgx.Tx) error {
		begun = true
		ids, err := s.queries.OrdersInsert(ctx, tx, params)
		if err != nil {
			return fmt.Errorf("insert orders: %w", err)
		}
		failpoint.Hit("place.inserted")
		isStored := make(map[orders.ID]bool, len(ids))
		for _, id := range ids {
			isStored[id] = true
		}

		var repeated []int
		var unstored []orders.ID
		carried, stored = carried[:0], stored[:0]
		for i, d := range decisions {
			placed[i] = Placed{Order: d.Order} // if it is not stored now and has no key, the first try has stored it
			if isStored[d.Order.ID] {
				carried, stored = append(carried, orders.CarryJob{OrderID: d.Order.ID}), append(stored, d.Order)
			} else if placements[i].IdempotencyKey != "" {
				repeated = append(repeated, i)
			} else {
				unstored = append(unstored, d.Order.ID)
			}
		}
		if len(unstored) > 0 { // by a first try; or they are from before the seal
			missing, err := s.queries.OrdersMissing(ctx, tx, unstored)
			if err != nil {
				return fmt.Errorf("look for orders: %w", err)
			}
			if missing {
				return errSealed
			}
		}
		if len(repeated) > 0 {
			if err := s.replay(ctx, tx, placements, placed, repeated); err != nil {
				return fmt.Errorf("replay orders: %w", err)
			}
		}
		if len(ids) < len(decisions) { // some were there
			if err := s.queries.Confirm(ctx, tx); err != nil {
				return fmt.Errorf("confirm orders: %w", err)
			}
		}
		if err := s.enqueue(ctx, tx, carried, priorityNew); err != nil {
			return err
		}
		failpoint.Hit("place.before_commit")
		return nil
	}
	err = s.inTx(ctx, write)
	if begun && isCutOff(err) {
		// It is unknown whether the orders were committed. The ids are the same, so doing it again finds out, and makes it
		// so.
		for try, began := 1, time.Now(); isCutOff(err) && try <= cutOffTries && time.Since(began) < writeTimeout; try++ {
			err = s.inTx(ctx, write)
		}
		if err != nil {
			// It is still unknown: the commit may be waiting for its disk or its standby. Were the server's error left in
			// here, the group would place each order again, by itself, under another id.
			err = fmt.Errorf("%w: a commit was cut off: %s", ErrUnavailable, err.Error())
		}
	}
	if err != nil {
		s.writes.note(err)
		return nil, fmt.Errorf("place orders: %w", err)
	}
	failpoint.Hit("place.committed")
	if len(stored) > 0 { // a replay writes nothing
		s.writes.note(nil)
	}
	s.recent.remember(stored)
	s.bell.Ring(queuesOf(carried)...)
	return placed, nil
}

// replay answers the placements whose idempotency key is taken with the orders that took it.
func (s *Orders) replay(
	ctx context.Context, tx pgx.Tx, placements []orders.Placement, placed []Placed, repeated []int,
) error {
	params := new(dbsqlc.OrdersByIdempotencyKeyParams)
	for _, i := range repeated {
		params.Principals = append(params.Principals, placements[i].Principal)
		params.IdempotencyKeys = append(params.IdempotencyKeys, placements[i].IdempotencyKey)
	}
	failpoint.Hit("place.repeated")
	holders, err := s.queries.OrdersByIdempotencyKey(ctx, tx, params)
	if err != nil {
		return err
	}
	type key struct{ principal, key string }
	byKey := make(map[key]dbsqlc.OrdersByIdempotencyKeyRow, len(holders))
	ids := make([]orders.ID, 0, len(holders))
	for _, h := range holders {
		byKey[key{h.Principal, h.IdempotencyKey.String}] = h
		ids = append(ids, h.ID)
	}
	current, err := s.read(ctx, tx, ids)
	if err != nil {
		return err
	}
	left, err := s.queries.ArchivedByIdempotencyKey(ctx, tx, &dbsqlc.ArchivedByIdempotencyKeyParams{
		Principals: params.Principals, IdempotencyKeys: params.IdempotencyKeys,
	})
	if err != nil {
		return err
	}
	archived := make(map[key]dbsqlc.ArchivedByIdempotencyKeyRow, len(left))
	for _, row := range left {
		archived[key{row.Principal, row.IdempotencyKey.String}] = row
	}
	for _, i := range repeated {
		p := placements[i]
		holder, ok := byKey[key{p.Principal, p.IdempotencyKey}]
		order, found := current[holder.ID]
		if row, there := archived[key{p.Principal, p.IdempotencyKey}]; there && !found {
			holder.Fingerprint, order.ID, order.PlacedAt = row.Fingerprint, row.OrderID, row.PlacedAt.UTC()
			ok, found = true, true
		}
		switch {
		case !ok: // the key is not taken, and yet the order was left out
			return errSealed
		case !found:
			placed[i] = Placed{Err: errors.New("order of a taken idempotency key is gone")}
		case !bytes.Equal(holder.Fingerprint, p.Fingerprint()):
			placed[i] = Placed{Err: orders.ErrIdempotencyMismatch}
		default:
			// Equal fingerprints: placing it again at the same moment makes exactly the first answer.
			first := orders.Place(p, order.ID, order.PlacedAt).Order
			first.Origin = order.Origin
			placed[i] = Placed{Order: first, Replayed: order.ID != placed[i].Order.ID}
		}
	}
	return nil
}

// insertParams lays placements out in columns, sorted by idempotency key: two batches that share keys wait for each
// other in the same order, so they cannot deadlock.
func insertParams(placements []orders.Placement, decisions []orders.Decision) *dbsqlc.OrdersInsertParams {
	sorted := make([]int, len(placements))
	for i := range sorted {
		sorted[i] = i
	}
	slices.SortFunc(sorted, func(a, b int) int {
		return cmp.Or(
			cmp.Compare(placements[a].Principal, placements[b].Principal),
			cmp.Compare(placements[a].IdempotencyKey, placements[b].IdempotencyKey),
		)
	})

	c := new(dbsqlc.OrdersInsertParams)
	for _, i := range sorted {
		p, o := placements[i], decisions[i].Order
		var fingerprint []byte
		if p.IdempotencyKey != "" {
			fingerprint = p.Fingerprint()
		}
		c.Ids = append(c.Ids, o.ID)
		c.Principals = append(c.Principals, p.Principal)
		c.IdempotencyKeys = append(c.IdempotencyKeys, p.IdempotencyKey)
		c.Fingerprints = append(c.Fingerprints, fingerprint)
		c.CustomerIds = append(c.CustomerIds, o.CustomerID)
		c.Currencies = append(c.Currencies, string(o.Currency))
		c.TotalsMinor = append(c.TotalsMinor, int64(o.Total))
		c.PaymentMethods = append(c.PaymentMethods, o.PaymentMethod)
		c.ShippingAddresses = append(c.ShippingAddresses, encodeAddress(o.ShippingAddress))
		c.CustomerEmails = append(c.CustomerEmails, o.CustomerEmail)
		c.RequestIds = append(c.RequestIds, o.Origin.RequestID)
		c.Traceparents = append(c.Traceparents, o.Origin.Traceparent)
		c.PlacedAt = append(c.PlacedAt, o.PlacedAt)

		for line, item := range o.Items {
			c.ItemOrderIds = append(c.ItemOrderIds, o.ID)
			c.ItemLines = append(c.ItemLines, int32(line)+1)
			c.ItemProductIds = append(c.ItemProductIds, item.ProductID)
			c.ItemQuantities = append(c.ItemQuantities, item.Quantity)
			c.ItemPricesMinor = append(c.ItemPricesMinor, int64(item.Price))
		}
		for _, step := range decisions[i].Started {
			c.StepOrderIds = append(c.StepOrderIds, o.ID)
			c.StepNames = append(c.StepNames, string(step.Name))
			c.StepGenerations = append(c.StepGenerations, int32(step.Generation))
			c.StepAmountsMinor = append(c.StepAmountsMinor, int64(step.Amount))
			c.StepRequests = append(c.StepRequests, step.Request)
			c.StepStartedAt = append(c.StepStartedAt, step.StartedAt)
			c.StepDeadlineAt = append(c.StepDeadlineAt, step.DeadlineAt)
		}
	}
	return c
}

// placementWeight is what a placement costs its batch, so that those with many lines share it with few others.
func placementWeight(p orders.Placement) int { return 1 + len(p.Items)/10 }
