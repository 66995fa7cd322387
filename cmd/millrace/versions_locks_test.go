//go:build versions

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store/storetest"
)

const (
	lockSample     = 5 * time.Millisecond
	migrateSession = "millrace-migrate"
	// longestLock is how long a migration may keep other sessions waiting, on a machine that always has a free processor.
	longestLock = 200 * time.Millisecond
	// emptyAlter takes the lock that stops all readers and writers of orders, and does nothing under it.
	emptyAlter  = "ALTER TABLE millrace.orders DROP CONSTRAINT IF EXISTS orders_no_such_constraint"
	emptyAlters = 100
)

// TestMigrationLocks migrates a database of many orders from the version before to this one, while processes of the
// version before take orders, and a transaction reads all orders as a backup does. No session waits for a lock of a
// migration for longer than 200 ms, and as long as it waits here for a statement that holds its lock for nothing: a
// session that holds a lock waits for a processor, too.
func TestMigrationLocks(t *testing.T) { //nolint:paralleltest // it takes the whole machine
	before := buildBefore(t)
	database, simulators := storetest.EmptyURL(t), newSimulators(t)
	before.migrate(t, database)
	fillOrders(t, database, *versionsOrders)

	members := &fleet{}
	members.add(before.start(t, database, simulators))
	stop := members.run(t, 2)
	members.await(t, 20)
	usual := members.takeSlowest()
	idle := waitForNothing(t, database)
	members.takeSlowest()
	migrating := watchLocks(t, database)
	backup := backUp(t, database, 10*time.Second)
	began := time.Now()
	this().migrate(t, database)
	took := time.Since(began)
	waits := migrating()
	slowest := members.takeSlowest()
	<-backup
	members.await(t, 20)
	stop()

	t.Logf("migrated %d orders in %v, the first 10 s beside a backup", *versionsOrders, took.Round(time.Second))
	t.Logf("the slowest placement took %v, and %v before", slowest.Round(time.Millisecond), usual.Round(time.Millisecond))
	t.Logf("%8v behind statements that do nothing", idle.Round(time.Millisecond))
	for _, statement := range slices.SortedFunc(maps.Keys(waits), func(a, b string) int {
		return int(waits[b] - waits[a])
	}) {
		t.Logf("%8v behind %s", waits[statement].Round(time.Millisecond), statement)
	}
	for statement, longest := range waits {
		require.LessOrEqual(t, longest, longestLock+idle, statement)
	}
}

// fillOrders fills a database as the bench does: orders of the last weeks, all at rest.
func fillOrders(t *testing.T, database string, orders int) {
	t.Helper()
	fill, err := os.ReadFile("../../lab/bench/fill.sql")
	require.NoError(t, err)
	conn, err := pgx.Connect(t.Context(), database)
	require.NoError(t, err)
	defer func() { _ = conn.Close(t.Context()) }()
	began := time.Now()
	for _, statements := range []string{
		"SET synchronous_commit = off", strings.ReplaceAll(string(fill), "@orders", fmt.Sprint(orders)), "VACUUM (ANALYZE)",
	} {
		_, err := conn.PgConn().Exec(t.Context(), statements).ReadAll()
		require.NoError(t, err)
	}
	t.Logf("filled with %d orders in %v", orders, time.Since(began).Round(time.Second))
}

// waitForNothing returns the longest time for which a session waits for a lock under which nothing is done.
func waitForNothing(t *testing.T, database string) (longest time.Duration) {
	t.Helper()
	waits := watchLocks(t, database)
	config, err := pgx.ParseConfig(database)
	require.NoError(t, err)
	config.RuntimeParams["application_name"], config.RuntimeParams["lock_timeout"] = migrateSession, "100ms"
	conn, err := pgx.ConnectConfig(t.Context(), config)
	require.NoError(t, err)
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	next := time.NewTicker(10 * lockSample)
	defer next.Stop()
	for range emptyAlters {
		<-next.C
		_, err := conn.Exec(t.Context(), emptyAlter)
		if pg, ok := errors.AsType[*pgconn.PgError](err); !ok || pg.Code != "55P03" { // lock_timeout
			require.NoError(t, err)
		}
	}
	for _, wait := range waits() {
		longest = max(longest, wait)
	}
	return longest
}

// backUp reads all tables of orders in one transaction, which stays open for a while.
func backUp(t *testing.T, database string, wait time.Duration) (done <-chan struct{}) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), database)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), `BEGIN; LOCK TABLE millrace.orders, millrace.order_items, millrace.order_steps,
		millrace.order_events, millrace.river_job IN ACCESS SHARE MODE`)
	require.NoError(t, err)
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		<-time.After(wait)
		_ = conn.Close(context.Background())
	}()
	return finished
}

// watchLocks samples which statements of a migration other sessions wait for, until the returned function is called. It
// returns how long any of them waited for each statement at most.
func watchLocks(t *testing.T, database string) (stop func() map[string]time.Duration) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), database)
	require.NoError(t, err)
	done, result := make(chan struct{}), make(chan map[string]time.Duration)
	go func() {
		defer func() { _ = conn.Close(context.Background()) }()
		longest := map[string]time.Duration{}
		for {
			if err := sampleLocks(conn, longest); err != nil {
				t.Errorf("look for waiting sessions: %v", err)
			}
			select {
			case <-done:
				result <- longest
				return
			case <-time.After(lockSample):
			}
		}
	}()
	return func() map[string]time.Duration {
		close(done)
		return <-result
	}
}

func sampleLocks(conn *pgx.Conn, longest map[string]time.Duration) error {
	rows, err := conn.Query(context.Background(), `SELECT regexp_replace(left(m.query, 100), '\s+', ' ', 'g'),
		(SELECT max(extract(epoch FROM clock_timestamp() - l.waitstart)) FROM pg_locks l
			WHERE l.pid = a.pid AND NOT l.granted)::float8
		FROM pg_stat_activity a
		CROSS JOIN LATERAL unnest(CASE WHEN a.wait_event_type = 'Lock' THEN pg_blocking_pids(a.pid) END) AS blocking (pid)
		JOIN pg_stat_activity m ON m.pid = blocking.pid
		WHERE m.application_name = $1 AND a.application_name <> $1 AND a.datname = current_database()`, migrateSession)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var statement string
		var seconds *float64
		if err := rows.Scan(&statement, &seconds); err != nil {
			return err
		}
		if seconds != nil {
			longest[statement] = max(longest[statement], time.Duration(*seconds*float64(time.Second)))
		}
	}
	return rows.Err()
}
