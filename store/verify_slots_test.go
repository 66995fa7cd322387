package store_test

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// TestVerifyKeptRows has each kind of consumer keep dead rows, until verification reports it, and then let go of them.
func TestVerifyKeptRows(t *testing.T) {
	t.Parallel()
	server := ownServer(t, map[string]string{"wal_level": "logical", "wal_sender_timeout": "0", "autovacuum": "off"})
	url := server.DSN("postgres") + storetest.SearchPath
	pool, err := store.NewPool(t.Context(), url, "test", 4)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	require.NoError(t, store.Migrate(t.Context(), pool, slog.New(slog.DiscardHandler)))
	s := storetest.New(t, pool)
	found := func() string {
		v, err := s.Verifier.Verify(t.Context(), store.VerifyOptions{
			Limits: store.Limits{SlotRows: 5, SlotCatalogRows: 5}, Skip: []string{"leader"},
		})
		require.NoError(t, err)
		if len(v.Violations) == 0 {
			return ""
		}
		require.Equal(t, []string{"replication_slots"}, checks(v))
		return strings.Join(v.Violations[0].Details, "\n")
	}
	exec := func(sql string) {
		_, err := pool.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	pass := func() { // transactions, after which a row that died before them is kept too long
		for range 10 {
			exec("SELECT pg_current_xact_id()")
		}
	}

	t.Run("LogicalSlot", func(t *testing.T) { //nolint:paralleltest // one after the other
		exec("SELECT pg_create_logical_replication_slot('decoder', 'pgoutput')")
		require.Empty(t, found())
		pass()
		require.Regexp(t, `^decoder \(not in use\) keeps .* rows of the last 0 transactions and catalog rows of the `+
			`last [1-9][0-9]*$`, found())
		exec("SELECT pg_drop_replication_slot('decoder')")
		require.Empty(t, found())
	})
	t.Run("SlotOfStandby", func(t *testing.T) { //nolint:paralleltest // likewise
		exec("SELECT pg_create_physical_replication_slot('replica')")
		c := replicate(t, url, pool, "SLOT replica")
		c.keepRows(t, pool)
		eventually(t, func() bool {
			return count(t, pool, "SELECT count(*) FROM pg_replication_slots WHERE xmin IS NOT NULL") == 1
		})
		require.Empty(t, found())
		pass()
		require.Regexp(t, `^replica \(in use\) keeps .* rows of the last [1-9][0-9]* transactions and catalog rows of `+
			`the last 0$`, found())
		c.keepRows(t, pool)
		eventually(t, func() bool { return found() == "" }, "it let go of them")
		pass()
		c.close(t)
		eventually(t, func() bool { return strings.HasPrefix(found(), "replica (not in use)") }, "nor without a standby")
		exec("SELECT pg_drop_replication_slot('replica')")
		require.Empty(t, found())
	})
	t.Run("StandbyWithoutSlot", func(t *testing.T) { //nolint:paralleltest // likewise
		c := replicate(t, url, pool, "")
		c.keepRows(t, pool)
		eventually(t, func() bool {
			return count(t, pool, "SELECT count(*) FROM pg_stat_replication WHERE backend_xmin IS NOT NULL") == 1
		})
		require.Empty(t, found())
		pass()
		require.Regexp(t, `^standby test \(in use\) keeps 0 MiB of WAL, rows of the last [1-9][0-9]* transactions`, found())
		c.close(t)
		eventually(t, func() bool { return found() == "" })
	})
}

// standby is a connection that replicates, as a standby's does.
type standby struct{ *pgconn.PgConn }

func replicate(t *testing.T, url string, pool *pgxpool.Pool, slot string) standby {
	t.Helper()
	conn, err := pgconn.Connect(t.Context(), url+"&replication=true&application_name=test")
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Conn().Close() }) // or the server waits for it when it stops
	var at string
	require.NoError(t, pool.QueryRow(t.Context(), "SELECT pg_current_wal_flush_lsn()::text").Scan(&at))
	conn.Frontend().SendQuery(&pgproto3.Query{String: fmt.Sprintf("START_REPLICATION %s PHYSICAL %s", slot, at)})
	require.NoError(t, conn.Frontend().Flush())
	answer, err := conn.ReceiveMessage(t.Context())
	require.NoError(t, err)
	require.IsType(t, &pgproto3.CopyBothResponse{}, answer)
	return standby{conn}
}

// keepRows asks for the rows that a transaction which begins now can see, as a standby with hot_standby_feedback does.
func (s standby) keepRows(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	oldest := uint32(count(t, pool, "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::int"))
	message := binary.BigEndian.AppendUint32(append([]byte{'h'}, make([]byte, 8)...), oldest)
	message = append(message, make([]byte, 12)...) // no epoch; nothing of the catalog
	s.Frontend().Send(&pgproto3.CopyData{Data: message})
	require.NoError(t, s.Frontend().Flush())
}

func (s standby) close(t *testing.T) {
	t.Helper()
	require.NoError(t, s.Conn().Close())
}
