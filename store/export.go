package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// Export selects orders to read, oldest first. Empty fields select all.
type Export struct {
	CustomerID string
	Status     orders.Status
	From, To   time.Time // placed at From or later, and before To
	After      orders.ID // only orders placed after this one
	Limit      int
}

// idSlack is more than the time in an order's id and the time of its placement ever differ. Ids narrow a range of time
// for the index; the times decide.
const idSlack = time.Minute

// Export reads a page of orders, oldest first. The next page begins after the last order of this one; an empty page is
// the last. Orders that are still being committed, and so are missing, come after all orders that are returned.
//
// Error: ErrUnavailable, if To has passed and orders from before it are still being committed.
func (s *Orders) Export(ctx context.Context, e Export) ([]orders.Order, error) {
	seal, err := s.queries.OrderSealRead(ctx, s.db)
	if err != nil {
		return nil, fmt.Errorf("export orders: %w", err)
	}
	settled := seal.SettledTo
	page, err := s.exportSealed(ctx, e, settled)
	// so that it includes the orders that this process has stored
	now := s.now().Truncate(time.Millisecond).Add(time.Millisecond)
	wanted := now
	if past := e.To.Add(idSlack); !e.To.IsZero() && past.Before(now) {
		wanted = past
	}
	if err == nil && len(page) < e.Limit && settled.Before(wanted) {
		if s.standby {
			return nil, errBehind // only the primary can seal
		}
		if settled, err = s.sealBefore(ctx, wanted); err == nil && settled.After(seal.SettledTo) {
			page, err = s.exportSealed(ctx, e, settled)
		}
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("export orders: %w", err)
	case len(page) == 0 && !e.To.IsZero() && e.To.Before(now) && settled.Before(e.To):
		return nil, fmt.Errorf("export orders: %w: some are still being committed", ErrUnavailable)
	}
	return page, nil
}

// exportSealed reads a page of the orders that are sealed.
func (s *Orders) exportSealed(ctx context.Context, e Export, settled time.Time) ([]orders.Order, error) {
	after, before := e.After, firstID(settled)
	if !e.From.IsZero() {
		if first := firstID(e.From.Add(-idSlack)); bytes.Compare(first[:], after[:]) > 0 {
			after = first
		}
	}
	to := time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)
	if !e.To.IsZero() {
		to = e.To
		if last := firstID(e.To.Add(idSlack)); bytes.Compare(last[:], before[:]) < 0 {
			before = last
		}
	}

	var rows []dbsqlc.OrderDocument
	var err error
	switch {
	case e.CustomerID != "":
		rows, err = s.queries.OrdersExportByCustomer(ctx, s.db, &dbsqlc.OrdersExportByCustomerParams{
			CustomerID: e.CustomerID, Status: string(e.Status), After: after, Before: before,
			PlacedFrom: e.From, PlacedTo: to, PageSize: int32(e.Limit),
		})
	case e.Status != "":
		rows, err = s.queries.OrdersExportByStatus(ctx, planned{s.db}, &dbsqlc.OrdersExportByStatusParams{
			Standing: standing(e.Status), Status: string(e.Status), After: after, Before: before,
			PlacedFrom: e.From, PlacedTo: to, PageSize: int32(e.Limit),
		})
	default:
		rows, err = s.queries.OrdersExport(ctx, s.db, &dbsqlc.OrdersExportParams{
			After: after, Before: before, PlacedFrom: e.From, PlacedTo: to, PageSize: int32(e.Limit),
		})
	}
	return decodeOrders(rows), err
}

// firstID is the lowest UUIDv7 of a millisecond.
func firstID(t time.Time) (id orders.ID) {
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(max(t.UnixMilli(), 0)))
	copy(id[:6], ms[2:])
	return id
}
