package store_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// swept is a database with an order that was placed a minute ago, and a store whose sweeps see it.
type swept struct {
	t     *testing.T
	pool  *pgxpool.Pool
	store *store.Store
	order orders.ID
}

func newSwept(t *testing.T) *swept {
	t.Helper()
	pool, now := storetest.Pool(t), time.Now()
	s, err := store.New(store.Config{DB: pool, Now: func() time.Time { return now }})
	require.NoError(t, err)
	order := storetest.Order(t, s).ID
	now = now.Add(time.Minute)
	return &swept{t, pool, s, order}
}

func (s *swept) exec(sql string) {
	s.t.Helper()
	_, err := s.pool.Exec(s.t.Context(), sql)
	require.NoError(s.t, err)
}

func (s *swept) sweep() store.Swept {
	s.t.Helper()
	found, err := s.store.Steps.Sweep(s.t.Context(), 45*time.Second, time.Now().Add(-time.Hour))
	require.NoError(s.t, err)
	return found
}

// TestSweep takes the order's job away in every way that River's row can end. The sweep gives the order another job.
func TestSweep(t *testing.T) {
	t.Parallel()
	for name, sql := range map[string]string{
		"Deleted":   `DELETE FROM river_job`,
		"Completed": `UPDATE river_job SET state = 'completed', finalized_at = now()`,
		"Discarded": `UPDATE river_job SET state = 'discarded', finalized_at = now()`,
		"ProcessKilled": `UPDATE river_job SET state = 'running', attempted_at = now() - interval '1 minute',
			attempted_by = '{dead}'`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSwept(t)
			s.exec(sql)
			require.Positive(t, s.sweep().Stranded)
			require.Equal(t, 1, count(t, s.pool, `SELECT count(*) FROM river_job
				WHERE kind = 'carry_order' AND state = 'available' AND queue = 'orders'`))
			require.Zero(t, s.sweep().Stranded, "the new job counts")
		})
	}
	for name, sql := range map[string]string{
		"Waiting":   "",
		"Running":   "UPDATE river_job SET state = 'running', attempted_at = now() + interval '50 seconds'",
		"Retryable": "UPDATE river_job SET state = 'retryable'",
		"StepsOfTheirOwn": `INSERT INTO river_job (args, kind, max_attempts, queue, state)
			SELECT jsonb_build_object('order_id', order_id, 'step', step, 'generation', 1), step, 9, 'x', 'scheduled'
			FROM order_steps; DELETE FROM river_job WHERE kind = 'carry_order'`,
		"NewSteps": "DELETE FROM river_job; UPDATE order_steps SET started_at = started_at + interval '55 seconds'",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSwept(t)
			s.exec(sql)
			require.Zero(t, s.sweep().Stranded)
		})
	}
}

// TestSweepOfOneStep has the job of one step gone: the others' jobs do not carry it out.
func TestSweepOfOneStep(t *testing.T) {
	t.Parallel()
	s := newSwept(t)
	s.exec(`INSERT INTO river_job (args, kind, max_attempts, queue, state)
		SELECT jsonb_build_object('order_id', order_id, 'step', step, 'generation', 1), step, 9, 'x', 'retryable'
		FROM order_steps WHERE step <> 'quote_shipping'; DELETE FROM river_job WHERE kind = 'carry_order'`)
	require.Equal(t, 1, s.sweep().Stranded)
	pending, err := s.store.Orders.Pending(t.Context(), s.order, 0)
	require.NoError(t, err)
	require.Empty(t, pending, "another job carries the order")
	var job int64
	require.NoError(t, s.pool.QueryRow(t.Context(), "SELECT id FROM river_job WHERE kind = 'carry_order'").Scan(&job))
	pending, err = s.store.Orders.Pending(t.Context(), s.order, job)
	require.NoError(t, err)
	require.Len(t, pending, 1, "the new job carries out what the others do not")
	require.Equal(t, orders.QuoteShipping, pending[0].Step)
	require.NotEmpty(t, pending[0].Intent.Request)
	require.Equal(t, orders.StepKey(s.order, orders.QuoteShipping, 1), pending[0].Intent.Key)
}

// TestPendingIsOfOneJob: of two jobs that carry an order, each finds what it names, or the later one everything.
func TestPendingIsOfOneJob(t *testing.T) {
	t.Parallel()
	s := newSwept(t)
	s.exec(`DELETE FROM river_job; INSERT INTO river_job (id, args, kind, max_attempts, queue, state) SELECT i,
		jsonb_build_object('order_id', o.id) || CASE WHEN i = 2 THEN '{"steps": ["quote_shipping:1"]}' ELSE '{}' END::jsonb,
		'carry_order', 9, 'orders', 'available' FROM orders o, generate_series(1, 3) i`)
	for job, want := range map[int64]int{1: 0, 2: 0, 3: 2} {
		pending, err := s.store.Orders.Pending(t.Context(), s.order, job)
		require.NoError(t, err)
		require.Len(t, pending, want, "job %d", job)
	}
}

// TestOpenOrders: an order is open until nothing is left to do, and again after a request.
func TestOpenOrders(t *testing.T) {
	t.Parallel()
	s := newSwept(t)
	open := func() int { return count(t, s.pool, "SELECT count(*) FROM open_orders") }
	apply := func(events ...orders.Event) {
		t.Helper()
		for _, e := range events {
			applied, err := s.store.Orders.Carry(t.Context(), []orders.Event{e})
			require.NoError(t, err)
			require.NoError(t, applied[0].Err)
			require.True(t, applied[0].Changed)
		}
	}
	require.Equal(t, 1, open())
	apply(outcome(s.order, orders.AuthorizePayment), outcome(s.order, orders.ReserveInventory),
		outcome(s.order, orders.QuoteShipping), outcome(s.order, orders.CapturePayment),
		outcome(s.order, orders.BookShipment))
	require.Equal(t, 1, open(), "the e-mail is left")
	apply(outcome(s.order, orders.SendEmail))
	require.Zero(t, open())
	apply(orders.Event{OrderID: s.order, Kind: orders.RefundRequested, At: time.Now()})
	require.Equal(t, 1, open())
	apply(outcome(s.order, orders.RefundPayment))
	email := outcome(s.order, orders.SendEmail)
	email.Generation = 2
	apply(email)
	require.Zero(t, open())
	require.Equal(t, 1, count(t, s.pool, "SELECT count(*) FROM river_job"), "steps that are carried get no jobs")
}

// TestOrdersOfTheVersionBefore are placed and ended by programs that do not know of open orders and standings.
func TestOrdersOfTheVersionBefore(t *testing.T) {
	t.Parallel()
	s := newSwept(t)
	s.exec("DELETE FROM open_orders; DELETE FROM river_job; UPDATE orders SET standing = NULL, status = 'processing'")
	require.Equal(t, 3, s.sweep().Stranded, "the sweep finds the order")
	require.Equal(t, 1, count(t, s.pool, "SELECT count(*) FROM open_orders"))
	require.Equal(t, 1, count(t, s.pool, "SELECT count(*) FROM orders WHERE standing = 'open'"), "the trigger writes it")
	s.exec("UPDATE orders SET status = 'failed'; UPDATE order_steps SET state = 'unknown', settled_at = now()")
	require.Zero(t, s.sweep().Stranded)
	require.Zero(t, count(t, s.pool, "SELECT count(*) FROM open_orders"))
	require.Equal(t, 1, count(t, s.pool, "SELECT count(*) FROM orders WHERE standing = 'failed'"))
}

// TestSweepGivesUp finds the steps that no job will settle, because every process keeps away from their queue.
func TestSweepGivesUp(t *testing.T) {
	t.Parallel()
	s := newSwept(t)
	s.exec("UPDATE orders SET goal = 'cancel'; UPDATE order_steps SET deadline_at = now() - interval '2 hours' " +
		"WHERE step = 'authorize_payment'")
	require.Empty(t, s.sweep().Overdue)
	require.NoError(t, s.store.Instances.Beat(t.Context(), "self", "payment", "shipping"))
	found := s.sweep()
	require.Equal(t, []orders.StepJob{{OrderID: s.order, Step: orders.AuthorizePayment, Generation: 1}}, found.Overdue)
	require.Equal(t, []orders.StepJob{{OrderID: s.order, Step: orders.QuoteShipping, Generation: 1}}, found.Unwanted)
}

// makeOpen makes open orders without a job of their own, each with a pending step.
const makeOpen = `WITH o AS (SELECT md5(i::text)::uuid AS id FROM generate_series(1, $1::int) i), p AS (
		INSERT INTO open_orders (order_id) SELECT id FROM o)
	INSERT INTO order_steps (order_id, step, generation, state, amount_minor, request, reference, reason, started_at,
		deadline_at)
	SELECT id, 'send_email', 1, 'pending', 0, '', '', '', now() - interval '1 hour', now() FROM o`

// TestSweepInAnOutage: in an outage of a provider any number of orders is open, each with its job. A sweep looks at a
// bounded number of them, here all but some, and the next one goes on there. What a process that died was doing is
// found at once.
func TestSweepInAnOutage(t *testing.T) {
	t.Parallel()
	pool := storetest.PatientPool(t)
	s := storetest.New(t, pool)
	exec := func(sql string, args ...any) {
		t.Helper()
		_, err := pool.Exec(t.Context(), sql, args...)
		require.NoError(t, err)
	}
	exec(makeOpen, 51_000)
	exec(`INSERT INTO river_job (args, kind, max_attempts, queue, state)
		SELECT jsonb_build_object('order_id', order_id, 'step', step, 'generation', 1), step, 9, 'email', 'retryable'
		FROM order_steps WHERE order_id NOT IN (
			(SELECT order_id FROM open_orders ORDER BY order_id DESC LIMIT 1),
			(SELECT order_id FROM open_orders ORDER BY order_id LIMIT 1))`)
	exec(`INSERT INTO river_job (args, kind, max_attempts, queue, state, attempted_at, attempted_by)
		SELECT jsonb_build_object('order_id', order_id), 'carry_order', 9, 'orders', 'running', now() - interval '20 seconds',
			'{dead}' FROM open_orders ORDER BY order_id LIMIT 1`)

	n, err := s.Steps.Recover(t.Context(), store.Instance{ID: "self"})
	require.NoError(t, err)
	require.Equal(t, 1, n, "what a process that died was doing")
	for i, want := range []int{0, 1, 0} {
		swept, err := s.Steps.Sweep(t.Context(), time.Minute, time.Time{})
		require.NoError(t, err)
		require.Equal(t, want, swept.Stranded, "sweep %d: the second one goes on where the first one stopped", i+1)
	}
}

// TestSweepReadsByKey: nothing that runs periodically may look at more rows the more of them wait for something else,
// whatever the planner believes: when an outage begins, its statistics are those of empty tables.
func TestSweepReadsByKey(t *testing.T) {
	t.Parallel()
	const n = 5000
	tx := storetest.Tx(t)
	s := storetest.New(t, tx)
	_, err := tx.Exec(t.Context(), makeOpen, n)
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `INSERT INTO river_job (args, kind, max_attempts, queue, state, attempted_at,
			attempted_by)
		SELECT jsonb_build_object('order_id', order_id, 'step', step, 'generation', 1), step, 9, 'email',
			(CASE WHEN row_number() OVER () <= 100 THEN 'running' ELSE 'retryable' END)::river_job_state,
			now() - interval '20 seconds', '{dead}'
		FROM order_steps`)
	require.NoError(t, err)
	const read = `SELECT sum(r.n) FROM (
			SELECT pg_stat_get_xact_tuples_returned(i.indexrelid) AS n FROM pg_index i
			WHERE i.indrelid IN ('open_orders'::regclass, 'order_steps'::regclass, 'river_job'::regclass)
			UNION ALL SELECT pg_stat_get_xact_tuples_returned('open_orders'::regclass)
			UNION ALL SELECT pg_stat_get_xact_tuples_returned('order_steps'::regclass)
			UNION ALL SELECT pg_stat_get_xact_tuples_returned('river_job'::regclass)
		) r`
	for _, statistics := range []string{"of an empty table", "new"} {
		if statistics == "new" {
			_, err := tx.Exec(t.Context(), "ANALYZE open_orders; ANALYZE order_steps; ANALYZE river_job")
			require.NoError(t, err)
		}
		for name, do := range map[string]func() error{
			"Sweep":   func() error { _, err := s.Steps.Sweep(t.Context(), time.Minute, time.Time{}); return err },
			"Recover": func() error { _, err := s.Steps.Recover(t.Context(), store.Instance{ID: "self"}); return err },
			"Queues":  func() error { _, err := s.Queues.List(t.Context()); return err },
		} {
			before := count(t, tx, read)
			require.NoError(t, do(), name)
			require.LessOrEqual(t, count(t, tx, read)-before, 5*n, "%s, statistics: %s", name, statistics)
		}
	}
}

// TestOldestWork: work is as old as its step, also while its job waits to be tried again.
func TestOldestWork(t *testing.T) {
	t.Parallel()
	tx := storetest.Tx(t)
	now := time.Now().Add(-time.Hour)
	s, err := store.New(store.Config{DB: tx, Now: func() time.Time { return now }})
	require.NoError(t, err)
	storetest.Order(t, s)
	_, err = tx.Exec(t.Context(), "UPDATE river_job SET state = 'retryable', scheduled_at = now() + interval '1 minute'")
	require.NoError(t, err)
	queues, err := s.Queues.List(t.Context())
	require.NoError(t, err)
	require.Len(t, queues, 4, "the job that carries the order, and a step of each provider")
	for _, q := range queues {
		require.True(t, q.ReadyAt.IsZero(), "nothing is ready")
		if q.Name == orders.CarryQueue {
			require.EqualValues(t, 1, q.Retryable)
			continue
		}
		require.WithinDuration(t, now, q.OldestAt, time.Millisecond, q.Name)
	}
}
