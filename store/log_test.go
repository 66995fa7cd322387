package store_test

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// drain reads the log from a place to its end.
func drain(
	t *testing.T, s *store.Store, after store.Cursor, f store.LogFilter, limit int,
) (read []store.Entry, end store.Cursor) {
	t.Helper()
	for {
		page, next, _, err := s.Log.Read(t.Context(), after, f, limit)
		require.NoError(t, err)
		read = append(read, page...)
		if len(page) < limit {
			return read, next
		}
		after = next
	}
}

// settled waits for n entries from a place on: transactions of other tests hold the log up, too, until they are known
// to be of other databases.
func settled(t *testing.T, s *store.Store, after store.Cursor, n int) (read []store.Entry, end store.Cursor) {
	t.Helper()
	eventually(t, func() bool {
		read, end = drain(t, s, after, store.LogFilter{}, 2)
		return len(read) >= n
	})
	require.Len(t, read, n)
	return read, end
}

func TestLog(t *testing.T) {
	t.Parallel()
	pool := storetest.Pool(t)
	s := storetest.New(t, pool)
	start, err := s.Log.Start(t.Context())
	require.NoError(t, err)

	var ids []orders.ID
	for i := range 6 {
		p := storetest.Placement()
		p.CustomerID = fmt.Sprint(i % 2)
		placed, err := s.Orders.Place(t.Context(), []orders.Placement{p})
		require.NoError(t, err)
		ids = append(ids, placed[0].Order.ID)
	}
	_, err = s.Orders.Apply(t.Context(), []orders.Event{outcome(ids[0], orders.QuoteShipping)})
	require.NoError(t, err)

	all, end := settled(t, s, start, 7)
	for i, e := range all[:6] {
		require.Equal(t, ids[i], e.OrderID)
		require.Equal(t, "test", e.Placer)
		require.Equal(t, fmt.Sprint(i%2), e.CustomerID)
	}
	require.Equal(t, int64(2), all[6].Version)

	t.Run("ContinuesAfterAnyEntry", func(t *testing.T) {
		t.Parallel()
		for i, e := range all {
			text := e.Cursor.String()
			cursor, err := store.ParseCursor(text)
			require.NoError(t, err)
			rest, _ := drain(t, s, cursor, store.LogFilter{}, 100)
			require.Equal(t, all[i+1:], append([]store.Entry{}, rest...))
		}
	})

	t.Run("Selects", func(t *testing.T) {
		t.Parallel()
		got, _ := drain(t, s, start, store.LogFilter{CustomerID: "1"}, 2)
		require.Equal(t, []store.Entry{all[1], all[3], all[5]}, got)
	})

	t.Run("SelectsSteps", func(t *testing.T) {
		t.Parallel()
		steps := []orders.StepName{orders.QuoteShipping, orders.BookShipment}
		got, next := drain(t, s, start, store.LogFilter{Steps: steps}, 2)
		require.Equal(t, []store.Entry{all[6]}, got)
		require.False(t, next.At.Before(end.At))
	})

	t.Run("EndsWhereItEnds", func(t *testing.T) {
		t.Parallel()
		rest, next := drain(t, s, end, store.LogFilter{}, 10)
		require.Empty(t, rest)
		require.False(t, next.At.Before(end.At), "a reader that has seen everything does not grow old")
		now, err := s.Log.End(t.Context())
		require.NoError(t, err)
		require.GreaterOrEqual(t, now.Txid, end.Txid)
	})

	t.Run("RefusesAnotherHistory", func(t *testing.T) {
		t.Parallel()
		for _, c := range []store.Cursor{
			{}, {Epoch: end.Epoch + 1, Txid: end.Txid, At: end.At}, {Epoch: end.Epoch, Txid: end.Txid + 1e6, At: end.At},
		} {
			_, _, _, err := s.Log.Read(t.Context(), c, store.LogFilter{}, 10)
			require.ErrorIs(t, err, store.ErrCursorExpired)
		}
	})
}

func TestParseCursor(t *testing.T) {
	t.Parallel()
	c := store.Cursor{Epoch: 3, Txid: 1 << 40, ID: 77, At: time.UnixMilli(1790000000123).UTC()}
	got, err := store.ParseCursor(c.String())
	require.NoError(t, err)
	require.Equal(t, c, got)
	for _, text := range []string{
		"", "1", "1-2-3", "1-2-3-4-5", " 1-2-3-4", "1-2-3-4 ", "01-2-3-4", "1--2-3-4", "1-2--3-4", "g-2-3-4", "+1-2-3-4",
		"0x1-2-3-4", "1-2-3-ffffffffffffff",
	} {
		_, err := store.ParseCursor(text)
		require.ErrorIs(t, err, store.ErrBadCursor, text)
	}
}

// at makes the events of an order look as if they had been written then.
const at = `UPDATE order_events SET logged_at = $1 WHERE order_id = $2`

func partitions(t *testing.T, pool *pgxpool.Pool) int {
	t.Helper()
	return count(t, pool, "SELECT count(*) FROM pg_inherits WHERE inhparent = 'order_events'::regclass")
}

func TestMaintainLog(t *testing.T) {
	t.Parallel()
	pool := storetest.Pool(t)
	now := time.Now()
	s, err := store.New(store.Config{DB: pool, Now: func() time.Time { return now }})
	require.NoError(t, err)
	_, err = s.Log.Maintain(t.Context(), 30*24*time.Hour)
	require.NoError(t, err)
	old, recent := storetest.Order(t, s), storetest.Order(t, s)
	start, err := s.Log.Start(t.Context())
	require.NoError(t, err)
	all, _ := settled(t, s, start, 2)
	require.Equal(t, 0, count(t, pool, "SELECT count(*) FROM order_events_default"), "this week has its partition")
	weeks := partitions(t, pool) - 1
	require.GreaterOrEqual(t, weeks, 2) // or more, if a week has ended since the database was made

	// A week without a partition, and then with one.
	_, err = pool.Exec(t.Context(), at, now.AddDate(0, 0, -60), old.ID)
	require.NoError(t, err)
	require.Equal(t, 1, count(t, pool, "SELECT count(*) FROM order_events_default"))
	forgotten := all[0].Cursor
	forgotten.At = now.AddDate(0, 0, -60)

	now = now.AddDate(0, 0, 21)
	_, err = s.Log.Maintain(t.Context(), 30*24*time.Hour)
	require.NoError(t, err)
	require.Equal(t, 0, count(t, pool, "SELECT count(*) FROM order_events_default"), "pruned by deleting")
	events, err := s.Orders.Events(t.Context(), recent.ID, 0, 10)
	require.NoError(t, err)
	require.Len(t, events, 1, "younger than the limit")
	_, _, _, err = s.Log.Read(t.Context(), forgotten, store.LogFilter{}, 10)
	require.ErrorIs(t, err, store.ErrCursorExpired)

	now = now.AddDate(0, 0, 28)
	dropped, err := s.Log.Maintain(t.Context(), 30*24*time.Hour)
	require.NoError(t, err)
	require.Equal(t, weeks, dropped)
	_, _, _, err = s.Log.Read(t.Context(), all[1].Cursor, store.LogFilter{}, 10)
	require.ErrorIs(t, err, store.ErrCursorExpired)
	start, err = s.Log.Start(t.Context())
	require.NoError(t, err)
	rest, _ := drain(t, s, start, store.LogFilter{}, 10)
	require.Empty(t, rest)
}

// A partition is made while others write: it must not wait for them, nor they for it.
func TestMaintainLogDoesNotWait(t *testing.T) {
	t.Parallel()
	pool := storetest.Pool(t)
	writer := hold(t, pool)
	storetest.Order(t, storetest.New(t, writer))
	before, now := partitions(t, pool), time.Now().AddDate(0, 0, 14)
	s, err := store.New(store.Config{DB: pool, Now: func() time.Time { return now }})
	require.NoError(t, err)
	_, err = s.Log.Maintain(t.Context(), 30*24*time.Hour)
	require.NoError(t, err)
	require.Equal(t, before+2, partitions(t, pool))
	require.NoError(t, writer.Commit(t.Context()))
}

// A log that was dumped from a cluster with larger transaction ids and restored here: without a new history its events
// would stay invisible until this cluster has caught up, and then come after newer ones.
func TestRestoredLog(t *testing.T) {
	t.Parallel()
	pool := storetest.Pool(t)
	s := storetest.New(t, pool)
	first, second := storetest.Order(t, s), storetest.Order(t, s)
	before, err := s.Log.End(t.Context())
	require.NoError(t, err)
	_, err = pool.Exec(t.Context(), "UPDATE order_events SET txid = '1000000000000'")
	require.NoError(t, err)
	_, err = pool.Exec(t.Context(), `INSERT INTO feed_cursors (name, epoch, txid, id, at)
		SELECT 'test', 1, txid, id, logged_at FROM order_events WHERE order_id = $1`, first.ID)
	require.NoError(t, err)
	ok, err := store.Migrated(t.Context(), pool)
	require.NoError(t, err)
	require.False(t, ok)

	require.NoError(t, store.Migrate(t.Context(), pool, slog.New(slog.DiscardHandler)))
	third := storetest.Order(t, s)
	_, _, _, err = s.Log.Read(t.Context(), before, store.LogFilter{}, 10)
	require.ErrorIs(t, err, store.ErrCursorExpired)
	start, err := s.Log.Start(t.Context())
	require.NoError(t, err)
	all, _ := settled(t, s, start, 3)
	for i, id := range []orders.ID{first.ID, second.ID, third.ID} {
		require.Equal(t, id, all[i].OrderID)
	}

	var kept store.Cursor // goes on where it was
	require.NoError(t, pool.QueryRow(t.Context(), "SELECT epoch, txid, id, at FROM feed_cursors WHERE name = 'test'").
		Scan(&kept.Epoch, &kept.Txid, &kept.ID, &kept.At))
	rest, _ := settled(t, s, kept, 2)
	require.Equal(t, all[1:], rest)
}
