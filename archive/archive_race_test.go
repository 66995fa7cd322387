package archive_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/archive"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/storetest"
)

// TestChangedMeanwhile: an order that is refunded, or whose customer is forgotten, between its file and its deletion
// stays. An order that breaks a rule is not archived at all.
func TestChangedMeanwhile(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	list := s.place(t, 4, "early", "late", "same", "broken")
	_, err := s.pool.Exec(t.Context(), "UPDATE millrace.orders SET reason = 'x' WHERE id = $1", list[3].ID)
	require.NoError(t, err)
	read, _, err := s.store.Archive.Read(t.Context(), s.due(t))
	require.NoError(t, err)
	require.Len(t, read, 4)
	refund := func(id orders.ID) {
		s.apply(t, orders.Event{OrderID: id, Kind: orders.RefundRequested, Amount: 997, At: time.Now()})
	}
	refund(list[0].ID)
	f, err := archive.Write(s.dir, "x.ndjson", read[:3])
	require.NoError(t, err)
	f, err = s.store.Archive.Register(t.Context(), f, read[:3])
	require.NoError(t, err)
	require.Equal(t, 2, s.count(t, "archived_orders"))
	refund(list[1].ID)
	s.apply(t, storetest.Outcome(list[1].ID, orders.RefundPayment, orders.StepSucceeded))
	mailed := storetest.Outcome(list[1].ID, orders.SendEmail, orders.StepSucceeded)
	mailed.Generation = 2
	s.apply(t, mailed) // it has ended again, and only its version tells
	require.NoError(t, s.store.Archive.Settle(t.Context()))
	n, more, err := s.store.Archive.Delete(t.Context(), f, 100)
	require.NoError(t, err)
	require.False(t, more)
	require.EqualValues(t, 1, n)
	require.Equal(t, 3, s.count(t, "orders"))
	require.Equal(t, 1, s.count(t, "archived_orders"))
	n, err = archiver(s.store, s.dir).Run(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, n, "one has ended again; one is being refunded, and one is broken")
}

// TestPlacementBesideArchive: a placement that began before its key's order was registered, and stores nothing until
// the order is deleted, makes no second order. Settle waits for it.
func TestPlacementBesideArchive(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.place(t, 1, "a")
	tx, err := s.pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(t.Context()) }()
	var found []bool
	require.NoError(t, tx.QueryRow(t.Context(),
		"SELECT millrace.order_keys_archived(ARRAY['shop'], ARRAY['a'])").Scan(&found))
	require.Equal(t, []bool{false}, found)
	list, _, err := s.store.Archive.Read(t.Context(), s.due(t))
	require.NoError(t, err)
	f, err := archive.Write(s.dir, "x.ndjson", list)
	require.NoError(t, err)
	_, err = s.store.Archive.Register(t.Context(), f, list)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	require.Error(t, s.store.Archive.Settle(ctx), "the placement may not have seen the key")
	require.NoError(t, tx.Rollback(t.Context()))
	require.NoError(t, s.store.Archive.Settle(t.Context()))
}
