package store_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// placeFor places an order of a customer.
func placeFor(t *testing.T, s *store.Store, customers ...string) (ids []orders.ID) {
	t.Helper()
	placements := make([]orders.Placement, len(customers))
	for i, customer := range customers {
		placements[i] = storetest.Placement()
		placements[i].CustomerID = customer
	}
	placed, err := s.Orders.Place(t.Context(), placements)
	require.NoError(t, err)
	for _, p := range placed {
		ids = append(ids, p.Order.ID)
	}
	return ids
}

func keep(entries []store.Entry, wanted func(store.Entry) bool) (kept []store.Entry) {
	for _, e := range entries {
		if wanted(e) {
			kept = append(kept, e)
		}
	}
	return kept
}

func ofCustomer(entries []store.Entry, customer string) []store.Entry {
	return keep(entries, func(e store.Entry) bool { return e.CustomerID == customer })
}

// From each cursor, and whatever the length of a page, a customer reads its part of what all others read. A page may
// end in the middle of a transaction.
func TestLogOfCustomer(t *testing.T) {
	t.Parallel()
	pool := storetest.Pool(t)
	s := storetest.New(t, pool)
	start, err := s.Log.Start(t.Context())
	require.NoError(t, err)
	ids := placeFor(t, s, "own", "other", "own", "own", "other", "own")
	placeFor(t, s, "other")
	_, err = s.Orders.Apply(t.Context(), []orders.Event{
		outcome(ids[0], orders.AuthorizePayment), outcome(ids[1], orders.AuthorizePayment),
		outcome(ids[5], orders.AuthorizePayment),
	})
	require.NoError(t, err)
	placeFor(t, s, "own")
	placeFor(t, s, "other")
	all, end := settled(t, s, start, 12)
	require.Len(t, ofCustomer(all, "own"), 7)

	steps := []orders.StepName{orders.AuthorizePayment}
	cursors := []store.Cursor{start}
	for _, e := range all {
		cursors = append(cursors, e.Cursor)
	}
	for i, cursor := range cursors {
		for limit := 1; limit <= 8; limit++ {
			own, next := drain(t, s, cursor, store.LogFilter{CustomerID: "own"}, limit)
			require.Equal(t, ofCustomer(all[i:], "own"), own)
			require.Equal(t, [2]any{end.Txid, end.ID}, [2]any{next.Txid, next.ID}, "past the orders of others")
			require.False(t, next.At.Before(end.At))

			about, _ := drain(t, s, cursor, store.LogFilter{CustomerID: "own", Steps: steps}, limit)
			isAbout := func(e store.Entry) bool { return e.Step == steps[0] }
			require.Equal(t, keep(own, isAbout), about)
		}
	}

	t.Run("GoesNotBack", func(t *testing.T) {
		t.Parallel()
		beyond := end
		beyond.ID += 5
		own, next, _, err := s.Log.Read(t.Context(), beyond, store.LogFilter{CustomerID: "own"}, 10)
		require.NoError(t, err)
		require.Empty(t, own)
		require.Equal(t, [2]any{beyond.Txid, beyond.ID}, [2]any{next.Txid, next.ID})
	})

	t.Run("RefusesAnotherHistory", func(t *testing.T) {
		t.Parallel()
		for _, c := range []store.Cursor{
			{}, {Epoch: end.Epoch + 1, Txid: end.Txid, At: end.At}, {Epoch: end.Epoch, Txid: end.Txid + 1e6, At: end.At},
		} {
			_, _, _, err := s.Log.Read(t.Context(), c, store.LogFilter{CustomerID: "own"}, 10)
			require.ErrorIs(t, err, store.ErrCursorExpired)
		}
	})
}

// A customer's order is not passed while the transaction that places it is open, nor one that was placed after it.
func TestLogOfCustomerBelowOpenTransaction(t *testing.T) {
	t.Parallel()
	pool := storetest.Pool(t)
	s := storetest.New(t, pool)
	start, err := s.Log.Start(t.Context())
	require.NoError(t, err)
	first := placeFor(t, s, "own")[0]
	settled(t, s, start, 1)

	slow := hold(t, pool)
	second := placeFor(t, storetest.New(t, slow), "own")[0]
	third := placeFor(t, s, "own")[0]
	placeFor(t, s, "other")
	f := store.LogFilter{CustomerID: "own"}
	own, next := drain(t, s, start, f, 10)
	require.Len(t, own, 1)
	require.Equal(t, first, own[0].OrderID)
	require.Equal(t, [2]any{own[0].Cursor.Txid, own[0].Cursor.ID}, [2]any{next.Txid, next.ID})

	require.NoError(t, slow.Commit(t.Context()))
	eventually(t, func() bool {
		own, _ = drain(t, s, next, f, 1)
		return len(own) >= 2
	})
	require.Len(t, own, 2)
	require.Equal(t, second, own[0].OrderID)
	require.Equal(t, third, own[1].OrderID)
}

// traced makes another pool for the same database, which tells of each query before it is sent.
func traced(t *testing.T, pool *pgxpool.Pool, tell func(pgx.TraceQueryStartData)) *pgxpool.Pool {
	t.Helper()
	config := pool.Config()
	config.ConnConfig.Tracer = queryTracer(tell)
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

type queryTracer func(pgx.TraceQueryStartData)

func (q queryTracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, d pgx.TraceQueryStartData) context.Context {
	q(d)
	return ctx
}

func (queryTracer) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// An order that is placed while a page is read is on a later page, wherever in the page's reading it comes.
func TestLogOfCustomerPlacedMeanwhile(t *testing.T) {
	t.Parallel()
	pool := storetest.Pool(t)
	s := storetest.New(t, pool)
	start, err := s.Log.Start(t.Context())
	require.NoError(t, err)
	placeFor(t, s, "own")
	settled(t, s, start, 1)
	f := store.LogFilter{CustomerID: "own"}
	for _, before := range []string{"LogOrders", "LogReadOrders", "LogLast"} {
		var meanwhile []orders.ID
		reader := storetest.New(t, traced(t, pool, func(q pgx.TraceQueryStartData) {
			if len(meanwhile) == 0 && strings.Contains(q.SQL, "name: "+before+" ") {
				meanwhile = placeFor(t, s, "own")
				settledIn(t, s, start, meanwhile[0])
			}
		}))
		own, next, _, err := reader.Log.Read(t.Context(), start, f, 100)
		require.NoError(t, err)
		require.Len(t, meanwhile, 1, before)
		rest, _ := drain(t, s, next, f, 100)
		require.Len(t, keep(append(own, rest...), func(e store.Entry) bool { return e.OrderID == meanwhile[0] }), 1, before)
	}
}

// settledIn waits until the log of all orders can be read up to an order.
func settledIn(t *testing.T, s *store.Store, start store.Cursor, id orders.ID) {
	t.Helper()
	eventually(t, func() bool {
		all, _ := drain(t, s, start, store.LogFilter{}, 100)
		return slices.ContainsFunc(all, func(e store.Entry) bool { return e.OrderID == id })
	})
}

// fill writes orders of a customer with an event each into the partition of a week.
const fill = `
WITH o AS (
	INSERT INTO orders (id, principal, customer_id, currency, total_minor, payment_method, version, status, goal, reason,
		placed_at, updated_at)
	SELECT gen_random_uuid(), 'test', $1, 'USD', 1, 'card', 1, 'pending', 'complete', '', now(), now()
	FROM generate_series(1, $2) RETURNING id
)
INSERT INTO order_events (order_id, version, kind, amount_minor, step, generation, reference, reason, status, progress,
	status_changed, at, logged_at)
SELECT id, 1, 'order_placed', 0, '', 0, '', '', 'pending', 0, true, now(),
	now() - $3 * interval '7 days' FROM o`

// What a customer's page costs depends on the customer's orders, and not on those of others.
func TestLogOfCustomerCostsItsOrders(t *testing.T) {
	t.Parallel()
	pool := storetest.Pool(t)
	run := func(sql string, args ...any) {
		_, err := pool.Exec(t.Context(), sql, args...)
		require.NoError(t, err)
	}
	run(`SELECT log_partition_create(
			(date_trunc('week', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC') - weeks * interval '168 hours')
		FROM generate_series(1, 9) weeks`)
	for weeks := 9; weeks >= 0; weeks-- {
		run(fill, "others", 2500, weeks)
		run(fill, "few", 1, weeks)
		run(fill, "most", 100, weeks)
		run(fill, "too many", 100, weeks)
		run(fill, "others", 2500, weeks)
	}
	run(fill, "too many", 1, 0)
	run("ANALYZE")
	require.Greater(t, partitions(t, pool), 10)
	s := storetest.New(t, pool)
	start, err := s.Log.Start(t.Context())
	require.NoError(t, err)
	eventually(t, func() bool { // another test's transaction may hold up the log
		end, err := s.Log.End(t.Context())
		require.NoError(t, err)
		return end.ID == int64(count(t, pool, "SELECT max(id) FROM order_events"))
	})

	for _, tt := range []struct {
		customer       string
		entries, looks int // of some 50,000; more than usual if other tests hold up the log
	}{
		{"none", 0, 500}, {"few", 10, 1000}, {"most", 1000, 10_000},
	} {
		var mu sync.Mutex
		var queries []pgx.TraceQueryStartData
		reader := storetest.New(t, traced(t, pool, func(q pgx.TraceQueryStartData) {
			mu.Lock()
			defer mu.Unlock()
			queries = append(queries, q)
		}))
		for _, f := range []store.LogFilter{
			{CustomerID: tt.customer}, {CustomerID: tt.customer, Steps: []orders.StepName{""}},
		} {
			eventually(t, func() bool { // a new reader has to look past other tests' transactions, too
				queries = nil
				own, _, more, err := reader.Log.Read(t.Context(), start, f, tt.entries+1)
				require.NoError(t, err)
				require.False(t, more, "a short page is the last, also while others go on writing")
				return len(own) == tt.entries
			})
			looks := 0
			for _, q := range queries {
				if strings.Contains(q.SQL, "name: ") {
					looks += lookedAt(t, pool, q)
				}
			}
			require.Positive(t, looks)
			require.Less(t, looks, tt.looks, "%s: rows that were looked at", tt.customer)
		}
	}
	var many []store.Entry // a page looks through some of the log, and may find nothing there
	pages := 0
	for at, more := start, true; more; pages++ {
		var page []store.Entry
		page, at, more, err = s.Log.Read(t.Context(), at, store.LogFilter{CustomerID: "too many"}, 700)
		require.NoError(t, err)
		many = append(many, page...)
	}
	require.Greater(t, pages, 50_000/10_000)
	require.Len(t, many, 1001)

	// A cursor in time, of a log whose older half has been dropped.
	since, err := s.Log.Since(t.Context(), time.Now().AddDate(0, 0, -14))
	require.NoError(t, err)
	eventually(t, func() bool { // autovacuum may be at one of them
		_, err := pool.Exec(t.Context(), "SELECT log_partition_drop(now() - interval '42 days')")
		return err == nil
	})
	for _, customer := range []string{"few", "most"} {
		_, _, _, err = s.Log.Read(t.Context(), start, store.LogFilter{CustomerID: customer}, 10)
		require.ErrorIs(t, err, store.ErrCursorExpired)
		all, _ := drain(t, s, since, store.LogFilter{}, 1000)
		own, _ := drain(t, s, since, store.LogFilter{CustomerID: customer}, 7)
		require.NotEmpty(t, own)
		require.Equal(t, ofCustomer(all, customer), own)
	}
}

// plan is a node of a query's plan, as EXPLAIN has it.
type plan struct {
	Type    string  `json:"Node Type"`
	Rows    float64 `json:"Actual Rows"`
	Loops   float64 `json:"Actual Loops"`
	Removed float64 `json:"Rows Removed by Filter"`
	Plans   []plan  `json:"Plans"`
}

// lookedAt runs a query again and counts the rows of tables and indexes that it looks at one by one.
func lookedAt(t *testing.T, pool *pgxpool.Pool, q pgx.TraceQueryStartData) int {
	t.Helper()
	var text []byte
	require.NoError(t, pool.QueryRow(t.Context(), "EXPLAIN (ANALYZE, FORMAT JSON) "+q.SQL, q.Args...).Scan(&text))
	var explained []struct{ Plan plan }
	require.NoError(t, json.Unmarshal(text, &explained))
	var looks func(p plan) int
	looks = func(p plan) (n int) {
		if strings.HasSuffix(p.Type, "Scan") {
			n = int((p.Rows + p.Removed) * p.Loops)
		}
		for _, below := range p.Plans {
			n += looks(below)
		}
		return n
	}
	return looks(explained[0].Plan)
}
