package store

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// mostDiffering bounds the orders that an UpgradeCheck keeps. Its count is exact.
const mostDiffering = 1000

// UpgradeOptions selects what CheckUpgrade replays.
type UpgradeOptions struct {
	Latest int // orders, besides all open ones
	// Progress, if not nil, is called before each page.
	Progress func(part string, orders, events int64)
}

// UpgradeCheck is the result of CheckUpgrade.
type UpgradeCheck struct {
	StartedAt       time.Time        `json:"startedAt"`
	DurationSeconds float64          `json:"durationSeconds"`
	Orders          int64            `json:"orders"` // replayed
	Events          int64            `json:"events"`
	Pruned          int64            `json:"pruned"`      // orders that were not replayed: their first events are gone
	Differing       int64            `json:"differing"`   // orders
	Differences     []DifferingOrder `json:"differences"` // of at most 1,000 orders
}

// DifferingOrder is an order that this program would have treated differently.
type DifferingOrder struct {
	OrderID     orders.ID           `json:"orderId"`
	Status      orders.Status       `json:"status"`
	Differences []orders.Difference `json:"differences"`
}

// CheckUpgrade replays the latest orders and all open ones with this program, and compares the results with what is
// stored. It changes nothing: each page is one moment, in a read-only transaction.
//
// An error means that something could not be compared. It reports nothing about the rest.
func (s *Verifier) CheckUpgrade(ctx context.Context, options UpgradeOptions) (UpgradeCheck, error) {
	start := time.Now()
	c := &upgradeCheck{
		verification: &verification{verifier: s}, options: options,
		UpgradeCheck: UpgradeCheck{StartedAt: timestamp(s.now()), Differences: []DifferingOrder{}},
	}
	oldest := orders.ID(bytes.Repeat([]byte{0xff}, len(orders.ID{})))
	for left := options.Latest; left > 0; {
		page, err := c.page(ctx, "latest orders", func(ctx context.Context, tx pgx.Tx) ([]orders.ID, error) {
			return s.queries.UpgradeLatest(ctx, tx, &dbsqlc.UpgradeLatestParams{
				Before: oldest, PageSize: int32(min(left, verifyPage)),
			})
		})
		if err != nil {
			return UpgradeCheck{}, err
		}
		if len(page) == 0 {
			break
		}
		oldest = page[len(page)-1]
		left -= len(page)
	}
	for after, more := (orders.ID{}), true; more; {
		page, err := c.page(ctx, "open orders", func(ctx context.Context, tx pgx.Tx) ([]orders.ID, error) {
			return s.queries.UpgradeOpen(ctx, tx, &dbsqlc.UpgradeOpenParams{
				After: after, Before: oldest, PageSize: verifyPage,
			})
		})
		if err != nil {
			return UpgradeCheck{}, err
		}
		if more = len(page) > 0; more {
			after = page[len(page)-1]
		}
	}
	c.DurationSeconds = time.Since(start).Seconds()
	return c.UpgradeCheck, nil
}

type upgradeCheck struct {
	UpgradeCheck

	verification *verification
	options      UpgradeOptions
}

// page replays the orders that list returns, and returns their ids.
func (c *upgradeCheck) page(
	ctx context.Context, part string, list func(context.Context, pgx.Tx) ([]orders.ID, error),
) (ids []orders.ID, err error) {
	if c.options.Progress != nil {
		c.options.Progress(part, c.Orders, c.Events)
	}
	err = c.verification.transaction(ctx, func(ctx context.Context, tx pgx.Tx) (err error) {
		if ids, err = list(ctx, tx); err != nil {
			return fmt.Errorf("list orders: %w", err)
		}
		return c.replay(ctx, tx, ids)
	})
	if err != nil {
		return nil, fmt.Errorf("check upgrade: %w", classify(err))
	}
	return ids, nil
}

func (c *upgradeCheck) replay(ctx context.Context, tx pgx.Tx, ids []orders.ID) error {
	queries := c.verification.verifier.queries
	documents, err := queries.OrdersRead(ctx, tx, ids)
	if err != nil {
		return fmt.Errorf("read orders: %w", err)
	}
	rows, err := queries.VerifyEvents(ctx, tx, ids)
	if err != nil {
		return fmt.Errorf("read events: %w", err)
	}
	log := map[orders.ID][]orders.Event{}
	for _, row := range rows {
		log[row.OrderID] = append(log[row.OrderID], decodeEvent(row))
	}
	for _, document := range documents {
		order, err := decodeOrder(document)
		events := log[document.ID]
		switch {
		case err != nil:
			c.note(order, []orders.Difference{{What: "document", Stored: "unreadable", Made: err.Error()}})
		case len(events) == 0 || events[0].Version != 1:
			c.Pruned++
			continue
		default:
			c.note(order, orders.Differences(order, events))
		}
		c.Orders++
		c.Events += int64(len(events))
	}
	return nil
}

func (c *upgradeCheck) note(o orders.Order, differences []orders.Difference) {
	if len(differences) == 0 {
		return
	}
	c.Differing++
	if len(c.Differences) < mostDiffering {
		c.Differences = append(c.Differences, DifferingOrder{o.ID, o.Status, differences})
	}
}
