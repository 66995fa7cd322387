package store

import (
	"cmp"
	"context"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// logOrders is how many orders a customer may have for its events to be read order by order. A read costs one look-up
// for each order in each partition. For a customer with more orders, the log of all orders costs less.
const logOrders = 1000

// logOf reads the events of a customer by its orders, so that the orders of others cost nothing. few reports whether
// the customer has so few orders; if not, nothing was read.
//
// It must read the orders after the bounds. Everything below the bounds has been committed by then, so an order that it
// does not find has no event there. A place further on than the bounds would pass the first event of an order that is
// placed between the reading of the orders and the reading of their events.
func (s *Store) logOf(
	ctx context.Context, after Cursor, bounds dbsqlc.LogBoundsRow, f LogFilter, limit int,
) (entries []Entry, next Cursor, few bool, err error) {
	placed, err := s.queries.LogOrders(ctx, s.db, &dbsqlc.LogOrdersParams{CustomerID: f.CustomerID, Most: logOrders + 1})
	if err != nil || len(placed) > logOrders {
		return nil, after, false, err
	}
	ids, placers := make([]orders.ID, len(placed)), make(map[orders.ID]string, len(placed))
	for i, o := range placed {
		ids[i], placers[o.ID] = o.ID, o.Principal
	}
	var rows []dbsqlc.OrderEvent
	if len(ids) > 0 {
		rows, err = s.queries.LogReadOrders(ctx, s.db, &dbsqlc.LogReadOrdersParams{
			OrderIds: ids, Txid: after.Txid, ID: after.ID, Below: bounds.Oldest, Steps: namesOf(f.Steps),
			PageSize: int32(limit),
		})
		if err != nil {
			return nil, after, true, err
		}
	}
	next = after
	for _, row := range rows {
		e := newEntry(row, bounds.Epoch, f.CustomerID, placers[row.OrderID])
		entries, next = append(entries, e), e.Cursor
	}
	if len(rows) == limit {
		return entries, next, true, nil
	}
	end, err := logEnd(ctx, s.queries, s.db, bounds)
	if err != nil {
		return nil, after, true, err
	}
	if cmp.Or(cmp.Compare(end.Txid, next.Txid), cmp.Compare(end.ID, next.ID)) > 0 {
		next = end
	}
	return entries, next.advance(bounds), true, nil
}
