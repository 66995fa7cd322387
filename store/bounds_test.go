package store_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// I15: transactions of other databases of the server hold nothing up for long, whether a session has them or they are
// prepared. Millrace's role sees them without any right. A transaction of Millrace's own database holds the log up.
func TestLogBesideOtherDatabases(t *testing.T) {
	t.Parallel()
	other := storetest.Pool(t)
	busy := hold(t, other)
	_, err := busy.Exec(t.Context(), "SELECT pg_current_xact_id()")
	require.NoError(t, err)
	_, err = other.Exec(t.Context(), "BEGIN; CREATE TABLE public.t (); PREPARE TRANSACTION 'elsewhere'")
	require.NoError(t, err)
	defer func() { _, _ = other.Exec(t.Context(), "ROLLBACK PREPARED 'elsewhere'") }()

	url := storetest.URL(t)
	pool, err := store.NewPool(t.Context(), storetest.As(url, storetest.ServeRole), "test", 4)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	s := storetest.New(t, pool)
	feed := store.NewFeed(pool, slog.New(slog.DiscardHandler), nil)
	var got reader
	feed.Subscribe(got.take)
	go feed.Run(t.Context())
	awaitFeed(t, feed)
	start, err := s.Log.Start(t.Context())
	require.NoError(t, err)
	read := func() int {
		entries, _, _, err := s.Log.Read(t.Context(), start, store.LogFilter{}, 10)
		require.NoError(t, err)
		return len(entries)
	}
	storetest.Order(t, s)
	eventually(t, func() bool { return read() == 1 && len(got.all()) == 1 })

	ours, err := pgxpool.New(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(ours.Close)
	own := hold(t, ours)
	_, err = own.Exec(t.Context(), "SELECT pg_current_xact_id()")
	require.NoError(t, err)
	storetest.Order(t, s)
	eventually(t, func() bool { return feed.Behind() > 500*time.Millisecond })
	require.Equal(t, 1, read())
	require.Len(t, got.all(), 1)
	require.NoError(t, own.Rollback(t.Context()))
	eventually(t, func() bool { return read() == 2 && len(got.all()) == 2 })
	require.NoError(t, busy.Rollback(t.Context()))
}

// TestLogReadsAsFarAsTheFeed: what a feed has handed out beside an old transaction of another database, a log that
// shares its bounds has from its first read on. A stream that begins with the log goes on with the feed: it would miss
// the rest.
func TestLogReadsAsFarAsTheFeed(t *testing.T) {
	t.Parallel()
	_, err := hold(t, storetest.Pool(t)).Exec(t.Context(), "SELECT pg_current_xact_id()")
	require.NoError(t, err)
	pool := storetest.Pool(t)
	feed := store.NewFeed(pool, slog.New(slog.DiscardHandler), nil)
	var got reader
	feed.Subscribe(got.take)
	go feed.Run(t.Context())
	awaitFeed(t, feed)
	s, err := store.New(store.Config{DB: pool, Feed: feed})
	require.NoError(t, err)
	start, err := storetest.New(t, pool).Log.Start(t.Context()) // s has not read the log yet
	require.NoError(t, err)
	storetest.Order(t, s)
	eventually(t, func() bool { return len(got.all()) == 1 })
	entries, _, _, err := s.Log.Read(t.Context(), start, store.LogFilter{}, 10)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	require.Equal(t, entries[0].Cursor, feed.Heard())
}
