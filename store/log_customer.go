package store

import (
	"context"
	"maps"
	"slices"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// logOrders is how many orders a customer may have for its events to be read order by order. A read costs one look-up
// for each order in each partition. For a customer with more orders, the log of all orders costs less.
const logOrders = 1000

// ordersOf reads the orders of a customer, and which principal placed each. few reports whether these are all of the
// customer's orders.
func (s *Log) ordersOf(ctx context.Context, customer string) (placers map[orders.ID]string, few bool, err error) {
	placed, err := s.queries.LogOrders(ctx, s.db, &dbsqlc.LogOrdersParams{CustomerID: customer, Most: logOrders + 1})
	if err != nil || len(placed) > logOrders {
		return nil, false, err
	}
	placers = make(map[orders.ID]string, len(placed))
	for _, o := range placed {
		placers[o.ID] = o.Principal
	}
	return placers, true, nil
}

// readOrders reads the events of a customer order by order, so that the orders of other customers cost nothing.
//
// The orders must have been read after the bounds. Everything below the bounds had been committed by then, so an order
// that was not found has no event there. A cursor beyond the bounds would pass the first event of an order that is
// placed after the orders were read.
func (s *Log) readOrders(
	ctx context.Context, placers map[orders.ID]string, after Cursor, bounds dbsqlc.LogBoundsRow, f LogFilter, limit int,
) (entries []Entry, next Cursor, err error) {
	var rows []dbsqlc.OrderEvent
	if len(placers) > 0 {
		rows, err = s.queries.LogReadOrders(ctx, s.db, &dbsqlc.LogReadOrdersParams{
			OrderIds: slices.Collect(maps.Keys(placers)), Txid: after.Txid, ID: after.ID, Below: bounds.Oldest,
			Steps: namesOf(f.Steps), PageSize: int32(limit),
		})
		if err != nil {
			return nil, after, err
		}
	}
	next = after
	for _, row := range rows {
		e := newEntry(row, bounds.Epoch, f.CustomerID, placers[row.OrderID])
		entries, next = append(entries, e), e.Cursor
	}
	if len(rows) == limit {
		return entries, next, nil
	}
	end, err := logEnd(ctx, s.queries, s.db, bounds)
	if err != nil {
		return nil, after, err
	}
	return entries, later(end, next).advance(bounds), nil
}
