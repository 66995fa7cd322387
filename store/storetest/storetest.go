// Package storetest gives tests a real Postgres: a server of the test binary's own, started once, with a migrated
// template from which each test gets its database. Tests only.
package storetest

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/sandbox/postgres"
	"github.com/millrace-orders/millrace/store"
)

const template = "millrace_template"

// ServeRole does not own the tables of the test databases, and has the rights that docs/security.md lists.
const ServeRole = "millrace_serve"

// SearchPath at the end of a URL lets tests name tables without their schema. The product's statements name it:
// TestSearchPath.
const SearchPath = "&search_path=millrace,public"

// postgresEnv is the major version of Postgres that the tests run on. Without it they run on the newest that is found.
// It is fetched into a cache of its own: the newest version in the usual cache would be that of all later tests.
const postgresEnv = "MILLRACE_TEST_POSTGRES"

// Postgres returns the version of Postgres that the tests run on, and the cache of its programs. Version 0 is the
// newest that is found.
func Postgres() (major int, cache string) {
	major, _ = strconv.Atoi(os.Getenv(postgresEnv))
	if major == 0 {
		return 0, postgres.DefaultDir("millrace-postgres")
	}
	return major, postgres.DefaultDir("millrace-postgres-test")
}

// parallel is how many tests of a package run at a time. They wait more than they work, so it is more than a small
// machine has processors. And it is no more on a large one: the code under test has deadlines of seconds, which a
// machine does not keep if each of its processors works on dozens of tests.
const parallel = 6

// server is started by the first test that needs it and stopped by Main.
var server = sync.OnceValues(start)

var (
	started   atomic.Bool
	databases atomic.Int64
)

// Main runs the tests of a package and stops the server: func TestMain(m *testing.M) { storetest.Main(m) }.
func Main(m *testing.M) {
	flag.Parse()
	asked := false
	flag.Visit(func(f *flag.Flag) { asked = asked || f.Name == "test.parallel" })
	if !asked {
		_ = flag.Set("test.parallel", strconv.Itoa(parallel))
	}
	debug.SetGCPercent(400) // at the default, jobs' tests need a tenth more of a processor; heaps are small here
	code := m.Run()
	if started.Load() {
		s, err := server()
		if err == nil {
			if s.pooler != nil {
				s.pooler.stop()
			}
			_ = s.Stop(context.Background())
			removeDir(s.dir)
		}
	}
	os.Exit(code)
}

type testServer struct {
	*postgres.Server
	dir    string
	pooler *Pooler // nil: the tests connect to Postgres itself

	mu sync.Mutex
	// clean are pools of databases as new, each of one connection: the tests that used them have rolled back.
	clean []*pgxpool.Pool
}

func start() (*testServer, error) {
	started.Store(true)
	ctx := context.Background()
	dir, err := newDir()
	if err != nil {
		return nil, err
	}
	major, cache := Postgres()
	s, err := postgres.Start(ctx, postgres.Config{
		Dir: dir, Major: major, Fetch: true, Cache: cache,
		// The data is thrown away, so it need not survive a crash of the machine. Vacuum is off, so that it cannot interfere.
		Settings: map[string]string{
			"fsync": "off", "full_page_writes": "off", "shared_buffers": "64MB", "max_connections": "500",
			"autovacuum": "off", "max_prepared_transactions": "5", "max_wal_size": "256MB",
		},
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, fmt.Errorf("start Postgres for tests: %w", err)
	}
	t := &testServer{Server: s, dir: dir}
	if mode := os.Getenv(poolerEnv); mode != "" {
		if t.pooler, err = startPooler(t.socket(), mode, ""); err != nil {
			return nil, err
		}
	}
	if err := t.exec(ctx, "CREATE DATABASE "+template); err != nil {
		return nil, err
	}
	pool, err := store.NewMigrationPool(ctx, s.DSN(template))
	if err != nil {
		return nil, err
	}
	defer pool.Close() // CREATE DATABASE … TEMPLATE needs a template without connections
	if err := t.exec(ctx, "CREATE ROLE "+ServeRole+" LOGIN"); err != nil {
		return nil, err
	}
	return t, store.Migrate(ctx, pool, slog.New(slog.DiscardHandler), ServeRole)
}

func (t *testServer) exec(ctx context.Context, sql string) error {
	conn, err := pgx.Connect(ctx, t.DSN("postgres"))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, sql)
	return err
}

// Tx begins a transaction that is rolled back when the test ends. All code that takes a store.DB works inside it. It
// has a database to itself: in a shared one it would wait for other tests' locks and keys, and that wait has deadlines.
func Tx(t testing.TB) pgx.Tx {
	t.Helper()
	s, err := server()
	require.NoError(t, err)
	pool, err := s.take(t)
	require.NoError(t, err)
	tx, err := pool.Begin(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() {
		if tx.Rollback(context.Background()) != nil { // the state of its connection is unknown
			pool.Close()
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.clean = append(s.clean, pool)
	})
	return tx
}

func (t *testServer) take(tb testing.TB) (*pgxpool.Pool, error) {
	tb.Helper()
	t.mu.Lock()
	if last := len(t.clean) - 1; last >= 0 {
		defer t.mu.Unlock()
		pool := t.clean[last]
		t.clean = t.clean[:last]
		return pool, nil
	}
	t.mu.Unlock()
	name, err := t.create(tb.Context(), template)
	if err != nil {
		return nil, err
	}
	// A test may be held up for longer than a transaction may idle.
	return store.NewPool(context.Background(), named(t.url(name))+"&idle_in_transaction_session_timeout=0", "test", 1)
}

// URL returns the address of a fresh, migrated database of the test's own, for tests that must commit or hear NOTIFY.
func URL(t testing.TB) string {
	t.Helper()
	return create(t, template)
}

// EmptyURL returns the address of a fresh database without tables.
func EmptyURL(t testing.TB) string {
	t.Helper()
	return create(t, "template1")
}

func create(t testing.TB, from string) string {
	t.Helper()
	s, err := server()
	require.NoError(t, err)
	name, err := s.create(t.Context(), from)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.exec(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)") })
	return s.DSN(name)
}

func (t *testServer) create(ctx context.Context, from string) (name string, err error) {
	name = fmt.Sprintf("test_%d", databases.Add(1))
	err = t.exec(ctx, "CREATE DATABASE "+name+" TEMPLATE "+from+" STRATEGY file_copy")
	if err == nil && Pooled() {
		err = t.exec(ctx, "ALTER DATABASE "+name+" SET search_path = millrace, public")
	}
	return name, err
}

// Pool connects to a fresh database.
func Pool(t testing.TB) *pgxpool.Pool {
	t.Helper()
	return connect(t, pooled(t, ""))
}

// PatientPool connects to a fresh database whose sessions wait for each other's locks without a short limit: for tests
// in which they have to, on a machine however slow.
func PatientPool(t testing.TB) *pgxpool.Pool {
	t.Helper()
	return connect(t, pooled(t, "&lock_timeout=60000&statement_timeout=60000&idle_in_transaction_session_timeout=0"))
}

func connect(t testing.TB, url string) *pgxpool.Pool {
	t.Helper()
	pool, err := store.NewPool(t.Context(), named(url), "test", 20)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

// New makes a store on db with the real clock and no doorbell.
func New(t testing.TB, db store.DB) *store.Store {
	t.Helper()
	s, err := store.New(store.Config{DB: db})
	require.NoError(t, err)
	return s
}

// Placement is a valid placement: the seed's order of 209.97 USD.
func Placement() orders.Placement {
	return orders.Placement{
		Principal: "test", CustomerID: "1", Currency: orders.USD,
		Items: []orders.Item{{ProductID: 1, Quantity: 2, Price: 2999}, {ProductID: 2, Quantity: 1, Price: 14999}},
	}
}

// Order places an order.
func Order(t testing.TB, s *store.Store) orders.Order {
	t.Helper()
	placed, err := s.Orders.Place(t.Context(), []orders.Placement{Placement()})
	require.NoError(t, err)
	require.NoError(t, placed[0].Err)
	return placed[0].Order
}

// Outcome is the event that ends a step.
func Outcome(id orders.ID, step orders.StepName, kind orders.EventKind) orders.Event {
	reason := ""
	if kind != orders.StepSucceeded {
		reason = strings.TrimPrefix(string(kind), "step_")
	}
	return orders.Event{OrderID: id, Kind: kind, Step: step, Generation: 1, Reason: reason, At: time.Now()}
}

// NewRole makes a role that may log in. It exists as long as the server.
func NewRole(t testing.TB, options string) string {
	t.Helper()
	s, err := server()
	require.NoError(t, err)
	name := fmt.Sprintf("role_%d", databases.Add(1))
	require.NoError(t, s.exec(t.Context(), "CREATE ROLE "+name+" LOGIN "+options))
	return name
}

// As returns the address of a database for a role.
func As(url, role string) string {
	return strings.Replace(url, "://"+postgres.User+"@", "://"+role+"@", 1)
}

// EncodedURL returns the address of a fresh database with a given encoding.
func EncodedURL(t testing.TB, encoding string) string {
	t.Helper()
	return create(t, "template0 ENCODING '"+encoding+"' LC_COLLATE 'C' LC_CTYPE 'C'")
}
