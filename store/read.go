package store

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// Get reads one order. Errors: orders.ErrNotFound, *orders.ArchivedError.
func (s *Orders) Get(ctx context.Context, id orders.ID) (orders.Order, error) {
	found, err := s.read(ctx, s.db, []orders.ID{id})
	if err != nil {
		return orders.Order{}, fmt.Errorf("read order: %w", err)
	}
	order, ok := found[id]
	if !ok {
		return orders.Order{}, s.missing(ctx, s.db, id)
	}
	return order.Order, order.err
}

// readOrder is an order as it was read. err is why this order cannot be used; it does not concern the orders that were
// read with it.
type readOrder struct {
	orders.Order

	err error
}

func (s *Orders) read(ctx context.Context, db dbsqlc.DBTX, ids []orders.ID) (map[orders.ID]readOrder, error) {
	rows, err := s.queries.OrdersRead(ctx, db, ids)
	if err != nil {
		return nil, err
	}
	found := make(map[orders.ID]readOrder, len(rows))
	for _, row := range rows {
		order, err := decodeOrder(row)
		found[row.ID] = readOrder{order, err}
	}
	return found, nil
}

// Filter selects orders. Empty fields select all.
type Filter struct {
	CustomerID string
	Status     orders.Status
	Cause      orders.Cause // with a status, and without a customer
	From, To   time.Time    // placed at From or later, and before To
	Before     orders.ID    // only orders placed before this one
	Skip       int          // how many of a customer's orders to leave out; each costs as much as reading it
	Limit      int
}

// List lists orders, newest first.
func (s *Orders) List(ctx context.Context, f Filter) ([]orders.Order, error) {
	before := f.Before
	if before == (orders.ID{}) {
		for i := range before {
			before[i] = 0xff
		}
	}
	var after orders.ID
	if !f.From.IsZero() {
		after = firstID(f.From.Add(-idSlack))
	}
	to := time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)
	if !f.To.IsZero() {
		to = f.To
		if last := firstID(to.Add(idSlack)); bytes.Compare(last[:], before[:]) < 0 {
			before = last
		}
	}
	var rows []dbsqlc.OrderDocument
	var err error
	switch {
	case f.CustomerID != "":
		rows, err = s.queries.OrdersListByCustomer(ctx, s.db, &dbsqlc.OrdersListByCustomerParams{
			CustomerID: f.CustomerID, Status: string(f.Status), Before: before,
			After: after, PlacedFrom: f.From, PlacedTo: to, Skip: int32(f.Skip), PageSize: int32(f.Limit),
		})
	case f.Status != "":
		rows, err = s.queries.OrdersListByStatus(ctx, planned{s.db}, &dbsqlc.OrdersListByStatusParams{
			Standing: standing(f.Status), Status: string(f.Status),
			CauseStep: string(f.Cause.Step), CauseState: string(f.Cause.State),
			CauseCode: f.Cause.Code, Before: before,
			After: after, PlacedFrom: f.From, PlacedTo: to, PageSize: int32(f.Limit),
		})
	default:
		rows, err = s.queries.OrdersList(ctx, s.db, &dbsqlc.OrdersListParams{
			Before: before, After: after, PlacedFrom: f.From, PlacedTo: to, PageSize: int32(f.Limit),
		})
	}
	if err != nil {
		return nil, fmt.Errorf("list orders: %w", err)
	}
	return decodeOrders(rows), nil
}

// Events returns at most limit events of one order after a version. An unknown order has none.
func (s *Orders) Events(ctx context.Context, id orders.ID, after int64, limit int) ([]orders.Event, error) {
	rows, err := s.queries.EventsAfter(ctx, s.db, &dbsqlc.EventsAfterParams{
		OrderID: id, Version: after, PageSize: int32(limit),
	})
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	return decodeEvents(rows), nil
}

// countMost is the highest count of jobs or orders. Counting a million takes longer than a scrape may.
const countMost = 100_000

// QueueDepth is how many unfinished jobs of one state a queue has.
type QueueDepth struct {
	Queue, State string
	Jobs         int64     // at most 100,000
	OldestAt     time.Time // when the oldest of them could have run, or will
}

// Depths counts the unfinished jobs of all queues.
func (s *Queues) Depths(ctx context.Context) ([]QueueDepth, error) {
	rows, err := s.queries.QueueDepths(ctx, s.db, countMost)
	if err != nil {
		return nil, fmt.Errorf("count jobs: %w", err)
	}
	depths := make([]QueueDepth, len(rows))
	for i, row := range rows {
		depths[i] = QueueDepth{Queue: row.Queue, State: row.State, Jobs: row.Jobs, OldestAt: row.OldestAt}
	}
	return depths, nil
}

// UnfinishedOrders counts the orders that are pending, processing or need attention, each status up to 100,000.
func (s *Queues) UnfinishedOrders(ctx context.Context) (map[orders.Status]int64, error) {
	rows, err := s.queries.UnfinishedOrders(ctx, s.db, countMost)
	if err != nil {
		return nil, fmt.Errorf("count orders: %w", err)
	}
	counts := map[orders.Status]int64{orders.Pending: 0, orders.Processing: 0, orders.NeedsAttention: 0}
	for _, row := range rows {
		counts[orders.Status(row.Status)] = row.Orders
	}
	return counts, nil
}

// standing is the value of orders.standing for a status: what lists are indexed by. The statuses under way share one,
// so that an order is updated in place until it comes to rest.
func standing(s orders.Status) string {
	if s == orders.Pending || s == orders.Processing {
		return "open"
	}
	return string(s)
}
