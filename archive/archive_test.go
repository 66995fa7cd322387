package archive_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/archive"
	"github.com/millrace-orders/millrace/failpoint"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// The test binary runs itself as a process that archives and is killed at a failpoint.
const (
	databaseEnv = "ARCHIVE_TEST_DATABASE"
	dirEnv      = "ARCHIVE_TEST_DIR"
	pointEnv    = "ARCHIVE_TEST_POINT"
)

func TestMain(m *testing.M) {
	if database := os.Getenv(databaseEnv); database != "" {
		runKilled(database)
	}
	storetest.Main(m)
}

func runKilled(database string) {
	ctx := context.Background()
	pool, err := store.NewPool(ctx, database, "test", 2)
	if err == nil {
		err = failpoint.Arm(os.Getenv(pointEnv) + "=crash")
	}
	if err == nil {
		var s *store.Store
		if s, err = store.New(store.Config{DB: pool}); err == nil {
			_, err = archiver(s, os.Getenv(dirEnv)).Run(ctx)
		}
	}
	_, _ = fmt.Fprintln(os.Stderr, "not killed:", err)
	os.Exit(3)
}

// archiver archives what has rested for a day, a day from now: that is everything.
func archiver(s *store.Store, dir string) *archive.Archiver {
	return archive.New(archive.Config{
		Store: s, Dir: dir, Keep: 24 * time.Hour, PerFile: 2, Logger: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return time.Now().Add(48 * time.Hour) },
	})
}

type shop struct {
	pool  *pgxpool.Pool
	store *store.Store
	url   string
	dir   string
}

func newShop(t *testing.T) *shop {
	t.Helper()
	s := &shop{url: storetest.URL(t), dir: t.TempDir()}
	var err error
	s.pool, err = store.NewPool(t.Context(), s.url, "test", 4)
	require.NoError(t, err)
	t.Cleanup(s.pool.Close)
	s.store = storetest.New(t, s.pool)
	return s
}

func placement(key string) orders.Placement {
	p := storetest.Placement()
	p.Principal, p.IdempotencyKey, p.CustomerID, p.CustomerEmail = "shop", key, "ada", "ada@example.com"
	p.Origin.RequestID = "request-" + key
	return p
}

// place places orders, the first n of them to their end.
func (s *shop) place(t *testing.T, n int, keys ...string) (list []orders.Order) {
	t.Helper()
	for i, key := range keys {
		placed, err := s.store.Orders.Place(t.Context(), []orders.Placement{placement(key)})
		require.NoError(t, err)
		require.NoError(t, placed[0].Err)
		list = append(list, placed[0].Order)
		if i >= n {
			continue
		}
		for _, step := range []orders.StepName{
			orders.AuthorizePayment, orders.ReserveInventory, orders.QuoteShipping, orders.CapturePayment,
			orders.BookShipment, orders.SendEmail,
		} {
			s.apply(t, storetest.Outcome(placed[0].Order.ID, step, orders.StepSucceeded))
		}
	}
	return list
}

func (s *shop) apply(t *testing.T, e orders.Event) {
	t.Helper()
	applied, err := s.store.Orders.Apply(t.Context(), []orders.Event{e})
	require.NoError(t, err)
	require.NoError(t, applied[0].Err)
	require.True(t, applied[0].Changed)
}

func (s *shop) count(t *testing.T, sql string) (n int) {
	t.Helper()
	require.NoError(t, s.pool.QueryRow(t.Context(), "SELECT count(*) FROM millrace."+sql).Scan(&n))
	return n
}

// lines counts the orders in all files, and finds each file's checksum right.
func (s *shop) lines(t *testing.T) (n int) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(s.dir, "*.ndjson"))
	require.NoError(t, err)
	for _, f := range files {
		content, err := os.ReadFile(f)
		require.NoError(t, err)
		n += bytes.Count(content, []byte("\n"))
		check := exec.CommandContext(t.Context(), "sha256sum", "-c", filepath.Base(f)+".sha256")
		check.Dir = s.dir
		out, err := check.CombinedOutput()
		require.NoError(t, err, string(out))
	}
	return n
}

func (s *shop) verify(t *testing.T) {
	t.Helper()
	v, err := s.store.Verifier.Verify(t.Context(), store.VerifyOptions{
		Deep: true, Skip: []string{"leader", "reconciliation"},
	})
	require.NoError(t, err)
	require.Empty(t, v.Violations)
	v, err = s.store.Verifier.Verify(t.Context(), store.VerifyOptions{Skip: []string{"leader", "reconciliation"}})
	require.NoError(t, err)
	require.Empty(t, v.Violations)
}

// TestArchive has finished orders leave for files, and no others. What is asked of them afterwards is answered: a
// repeated placement makes no second order, the order is gone and was not unknown, and reconciliation knows it.
func TestArchive(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	list := s.place(t, 3, "a", "b", "c", "open")
	_, err := s.pool.Exec(t.Context(), `INSERT INTO millrace.reconciliation_findings (provider, kind, key, order_id,
		detail, state, first_seen_at, last_seen_at) VALUES ('payment', 'amount', 'k', $1, '', 'open', now(), now())`,
		list[2].ID.String())
	require.NoError(t, err)
	n, err := archiver(s.store, s.dir).Run(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 2, n, "one is open, and one has a finding")
	require.Equal(t, 2, s.lines(t))
	require.Equal(t, 2, s.count(t, "orders"))
	require.Zero(t, s.count(t, "order_items i WHERE NOT EXISTS (SELECT FROM millrace.orders o WHERE o.id = i.order_id)"))
	require.Zero(t, s.count(t, "order_steps i WHERE NOT EXISTS (SELECT FROM millrace.orders o WHERE o.id = i.order_id)"))
	s.verify(t)

	require.NotEmpty(t, s.grep(t, "request-a"), "people find an order by its request")

	first := list[0].ID
	_, err = s.store.Orders.Get(t.Context(), first)
	require.ErrorIs(t, err, orders.ErrArchived)
	require.ErrorIs(t, err, orders.ErrNotFound)
	_, err = s.store.Orders.Get(t.Context(), orders.NewID())
	require.NotErrorIs(t, err, orders.ErrArchived)
	_, err = s.store.Orders.Evidence(t.Context(), first)
	require.ErrorIs(t, err, orders.ErrArchived)
	applied, err := s.store.Orders.Apply(t.Context(), []orders.Event{{
		OrderID: first, Kind: orders.RefundRequested, At: time.Now(),
	}})
	require.NoError(t, err)
	require.ErrorIs(t, applied[0].Err, orders.ErrArchived)

	again, err := s.store.Orders.Place(t.Context(), []orders.Placement{placement("a"), placement("new")})
	require.NoError(t, err)
	require.True(t, again[0].Replayed)
	accepted := list[0]
	accepted.Origin = orders.Origin{} // only the file has it now
	require.Equal(t, accepted, again[0].Order, "as it was accepted")
	require.False(t, again[1].Replayed)
	other := placement("a")
	other.CustomerID = "eve"
	again, err = s.store.Orders.Place(t.Context(), []orders.Placement{other})
	require.NoError(t, err)
	require.ErrorIs(t, again[0].Err, orders.ErrIdempotencyMismatch)

	c, err := s.store.Findings.Compare(t.Context(), []orders.Effect{
		{Provider: orders.Payment, Key: orders.StepKey(first, orders.CapturePayment, 1), OrderID: first.String()},
		{Provider: orders.Payment, Key: "k", OrderID: orders.NewID().String()},
	})
	require.NoError(t, err)
	require.Len(t, c.Findings, 1, "the second one")
	require.Equal(t, orders.FindingUnknownOrder, c.Findings[0].Kind)

	begin, err := s.store.Log.Start(t.Context())
	require.NoError(t, err)
	require.Eventually(t, func() bool { // other tests' transactions may hold up the log
		log, _, _, err := s.store.Log.Read(t.Context(), begin, store.LogFilter{}, 1000)
		require.NoError(t, err)
		return slices.ContainsFunc(log, func(e store.Entry) bool { return e.OrderID == first })
	}, time.Minute, 5*time.Millisecond, "readers of the feed miss nothing")

	forgotten, err := s.store.Customers.Forget(t.Context(), "eve", store.Actor{Name: "test", Role: "admin"})
	require.NoError(t, err)
	require.Empty(t, forgotten.Files)
	n, err = archiver(s.store, s.dir).Run(t.Context())
	require.NoError(t, err)
	require.Zero(t, n)
}

// TestCrashes kills the process on both sides of each effect. The next run finishes: every order is in a file, none is
// in the database, and none was deleted without a file.
func TestCrashes(t *testing.T) {
	t.Parallel()
	for point, left := range map[string]int{
		"archive.written": 3, "archive.verified": 3, "archive.registered": 3, "archive.before_delete_commit": 3,
		"archive.deleted": 1,
	} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			s := newShop(t)
			list := s.place(t, 3, "a", "b", "c")
			killed := exec.CommandContext(t.Context(), os.Args[0])
			killed.Env = append(os.Environ(), databaseEnv+"="+s.url, dirEnv+"="+s.dir, pointEnv+"="+point)
			killed.Stderr = t.Output()
			require.Error(t, killed.Run())
			require.Equal(t, -1, killed.ProcessState.ExitCode(), "it was killed")
			require.Equal(t, left, s.count(t, "orders"))
			s.verify(t)

			n, err := archiver(s.store, s.dir).Run(t.Context())
			require.NoError(t, err)
			require.EqualValues(t, left, n)
			require.Zero(t, s.count(t, "orders"))
			require.Equal(t, 3, s.count(t, "archived_orders WHERE deleted_at IS NOT NULL"))
			require.Zero(t, s.count(t, "archived_orders WHERE deleted_at IS NULL"))
			s.verify(t)
			for _, o := range list {
				require.NotEmpty(t, s.grep(t, o.ID.String()), "it is in a file")
			}
		})
	}
}

func (s *shop) due(t *testing.T) []orders.ID {
	t.Helper()
	ids, _, err := s.store.Archive.Scan(t.Context(), time.Now().Add(time.Hour), orders.ID{}, 100)
	require.NoError(t, err)
	return ids
}
