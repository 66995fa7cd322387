package store

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// recentOrders checks the orders of the latest events.
func (v *verification) recentOrders(ctx context.Context, tx pgx.Tx) error {
	ids, err := v.verifier.queries.VerifyRecent(ctx, tx, verifyRecent)
	if err != nil {
		return fmt.Errorf("read the end of the log: %w", err)
	}
	for page := range slices.Chunk(ids, verifyPage) {
		if err := v.orders(ctx, tx, page); err != nil {
			return err
		}
	}
	return nil
}

// orders checks some orders, each against its log and its saga.
func (v *verification) orders(ctx context.Context, tx pgx.Tx, ids []orders.ID) error {
	pruned, err := v.verifier.queries.VerifyPruned(ctx, tx)
	if err != nil {
		return fmt.Errorf("read the beginning of the log: %w", err)
	}
	documents, err := v.verifier.queries.OrdersRead(ctx, tx, ids)
	if err != nil {
		return fmt.Errorf("read orders: %w", err)
	}
	rows, err := v.verifier.queries.VerifyEvents(ctx, tx, ids)
	if err != nil {
		return fmt.Errorf("read events: %w", err)
	}
	log := map[orders.ID][]dbsqlc.OrderEvent{}
	for _, row := range rows {
		log[row.OrderID] = append(log[row.OrderID], row)
	}
	twins, err := v.verifier.queries.VerifyKeys(ctx, tx, ids)
	if err != nil {
		return fmt.Errorf("read idempotency keys: %w", err)
	}
	gone := maps.Clone(log)
	for _, document := range documents {
		order, err := decodeOrder(document)
		if err != nil {
			v.report(checkUnreadable, document.ID, "%v", err)
		} else {
			v.order(order, log[document.ID], pruned)
		}
		delete(gone, document.ID)
	}
	archived, err := v.verifier.queries.ArchivedAmong(ctx, tx, slices.Collect(maps.Keys(gone)))
	if err != nil {
		return fmt.Errorf("look for archived orders: %w", err)
	}
	for _, id := range archived {
		delete(gone, id) // their events stay in the log for its readers
	}
	for id, events := range gone {
		v.report(checkOrphan, id, "%d events without an order", len(events))
	}
	for _, twin := range twins {
		v.report(checkKey, twin.ID, "has the key of %s", twin.TwinID)
	}
	v.Orders += int64(len(documents))
	v.Events += int64(len(rows))
	return nil
}

func (v *verification) order(o orders.Order, log []dbsqlc.OrderEvent, pruned time.Time) {
	for _, breach := range orders.Verify(o, decodeEvents(log), pruned) {
		v.report(string(breach.Rule), o.ID, "%s", breach.Detail)
	}
	for i := range log {
		if i > 0 && (log[i].Txid < log[i-1].Txid || log[i].Txid == log[i-1].Txid && log[i].ID < log[i-1].ID) {
			v.report(checkFeedOrder, o.ID, "version %d is in the feed before version %d", log[i].Version, log[i-1].Version)
		}
	}
}

// allOrders checks every order, a page and a transaction at a time.
func (v *verification) allOrders(ctx context.Context) error {
	var after orders.ID
	for more := true; more; {
		v.progress("all orders")
		err := v.transaction(ctx, func(ctx context.Context, tx pgx.Tx) error {
			ids, err := v.verifier.queries.VerifyPage(ctx, tx, &dbsqlc.VerifyPageParams{After: after, PageSize: verifyPage})
			if err != nil {
				return fmt.Errorf("list orders: %w", err)
			}
			upTo := orders.ID(bytes.Repeat([]byte{0xff}, len(after)))
			if more = len(ids) == verifyPage; more {
				upTo = ids[len(ids)-1]
			}
			orphans, err := v.verifier.queries.VerifyOrphans(ctx, tx, &dbsqlc.VerifyOrphansParams{
				After: after, UpTo: upTo, Most: verifyMost,
			})
			if err != nil {
				return fmt.Errorf("look for orphans: %w", err)
			}
			for _, id := range orphans {
				v.report(checkOrphan, id, "items or steps without an order")
			}
			after = upTo
			return v.orders(ctx, tx, ids)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// wholeLog looks for events without an order, a page and a transaction at a time.
func (v *verification) wholeLog(ctx context.Context) error {
	after := &dbsqlc.VerifyLogPageParams{ID: -1, PageSize: verifyLogPage}
	for more := true; more; {
		v.progress("whole log")
		err := v.transaction(ctx, func(ctx context.Context, tx pgx.Tx) error {
			rows, err := v.verifier.queries.VerifyLogPage(ctx, tx, after)
			if err != nil {
				return fmt.Errorf("read the log: %w", err)
			}
			more = len(rows) == verifyLogPage
			for _, row := range rows {
				if row.Orphan {
					v.report(checkOrphan, row.OrderID, "an event without an order")
				}
				after.Txid, after.ID = row.Txid, row.ID
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
